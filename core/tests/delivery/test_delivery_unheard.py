"""What a create without an answer wrote, and the shop has no more by the time the record is found, is emptied there."""

from datetime import timedelta

import pytest

from synccore.entities import Address, Customer, guest_key
from synccore.errors import Rejected, Transient
from synccore.store import ClaimRule
from synccore.testing.harness import Harness, upsert
from synccore.types import Failed, Link

EMAIL = "ann@shop.test"
FIELDS = {
    "name": "customer.first_name",
    "phone": "customer.phone",
    "place": "{'line1': customer.billing.line1, 'city': customer.billing.city} if customer.billing.city else None",
}


@pytest.fixture
def app(tmp_path):
    with Harness(tmp_path, {"people": {"entity": "customer", "fields": FIELDS}}) as harness:
        yield harness


def bare(name="Ann", **more):
    return upsert(Customer(key="7", email=EMAIL, first_name=name, **more))


def full(name="Ann"):
    return bare(name, phone="+49301")


def lose(app):
    """The next call is carried out, and its answer does not come."""

    def carried_out(operation):
        app.sink._apply(operation)
        return Transient("no answer", maybe_applied=True, outage=False)

    app.sink.then(carried_out)


def tried(app, change):
    """One try without an answer."""
    lose(app)
    app.emit(change)
    app.drain()
    app.clock.advance(timedelta(minutes=30))


def there(app):
    return [{n: v for n, v in record.items() if v} for record in app.sink.records.values()]


@pytest.mark.parametrize("tries", [[full], [bare, full], [full, bare, full], [full, full]])
def test_it_is_emptied(app, tries):
    for number, state in enumerate(tries):
        tried(app, state(f"Ann {number}"))
    app.emit(bare())
    app.settle_down()
    assert there(app) == [{"name": "Ann"}]
    before = len(app.sink.calls)
    app.emit(bare())
    app.settle_down()
    assert len(app.sink.calls) == before  # it is known to be so


def test_so_it_is_after_the_process_died(app):
    app.emit(full())
    store, now = app.app.store, app.clock.now()
    rules = [ClaimRule(route="people", max_batch=9, bulk_batch=9, bulk_threshold=99)]
    (row,) = store.claim(app.deliveries()[0].sink, rules, now, timedelta(minutes=9), "of a process that died")
    (work,) = store.load([row])
    app.sink.records["r1"] = {"name": "Ann", "phone": work.snapshot.data.phone}
    app.sink.uids["shop:customer:7"] = "r1"
    app.app.engine.recover()
    app.emit(bare())
    app.settle_down()
    assert there(app) == [{"name": "Ann"}]


def test_so_it_is_where_the_record_was_parked_in_between(app):
    tried(app, bare("Al"))
    tried(app, full())
    app.sink.then(Rejected("no"))
    app.drain()
    app.emit(bare())
    app.sink.then(Rejected("no"))
    app.drain()
    assert [d.state for d in app.deliveries()] == ["parked"]
    app.app.store.retry([d.id for d in app.deliveries(state="parked")], app.clock.now())
    app.settle_down()
    assert there(app) == [{"name": "Ann"}]


def test_so_it_is_where_a_guest_registers(app):
    key = guest_key(EMAIL)
    tried(app, upsert(Customer(key=key, guest=True, email=EMAIL, first_name="Ann", phone="+49301")))
    app.emit(upsert(bare().data, replaces=(key,)))
    app.settle_down()
    assert there(app) == [{"name": "Ann"}]


def test_so_it_is_at_a_target_that_nobody_can_ask(app):
    """Whatever it makes of a record that it is given again."""
    app.sink.lookup = None
    tried(app, full())
    app.emit(bare())
    app.settle_down()
    assert app.sink.calls[-1][0].fields == {"name": "Ann", "phone": None}


def test_nothing_is_taken_off_a_record_that_only_looks_like_it(app):
    app.sink.then(Transient("no answer", maybe_applied=True, outage=False))
    app.emit(full())
    app.drain()
    app.clock.advance(timedelta(minutes=30))
    app.sink.records["r9"] = {"name": "Ann", "phone": "+49301"}
    app.sink.lookup = lambda operations: [Link(object="thing", remote_id="r9") for _ in operations]
    app.emit(bare())
    app.settle_down()
    assert app.sink.records["r9"]["phone"] == "+49301"


def of(city, line1=None):
    return bare(f"Ann of {city}", billing=Address(line1=line1, city=city))


@pytest.mark.parametrize("tries", [[of("Ulm", "1 Main St")], [of("Ulm", "1 Main St"), of("Bonn"), of("Jena")]])
def test_a_part_of_a_group_is_known_to_the_sink(app, tries):
    """What is emptied of a group only the sink can say."""
    tried(app, bare())
    for state in tries:
        tried(app, state)
    app.emit(of("Berlin"))
    app.settle_down()
    operation = app.sink.calls[-1][0]
    assert operation.link.mapped["place"]["line1"] == "1 Main St"
    assert operation.previous == {}  # nobody heard of it


def test_so_it_is_where_a_job_is_lost_that_came_after(app):
    tried(app, bare())
    tried(app, of("Ulm", "1 Main St"))
    app.sink.job_from = 1
    app.emit(of("Bonn"))
    app.drain()
    app.sink.collect = lambda job: [Failed(Transient("lost", maybe_applied=True))]
    app.clock.advance(timedelta(minutes=30))
    app.drain()
    del app.sink.collect
    app.sink.job_from = None
    app.settle_down()
    operation = app.sink.calls[-1][0]
    assert operation.link.mapped["place"] == {"city": "Bonn", "line1": "1 Main St"}
