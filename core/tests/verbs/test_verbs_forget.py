"""`forget`: what it may not touch, what it cannot prove, and what nobody else would clear away."""

from datetime import timedelta

import pytest
from attrs import evolve

from synccore._verbs.forget import forget
from synccore.entities import Order
from synccore.errors import Rejected, Transient
from synccore.store import LinkUpdate
from synccore.testing import Harness, customer, upsert
from synccore.testing.scripted import ScriptedSink, scripted_type
from synccore.types import Change, Erased, Limits

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}


def plain_type(sink):
    """A sink whose author never thought of shared records: it can only keep."""
    return evolve(scripted_type(sink), name="plain", leaves=("keep",))


def linked(app, key, remote_id, route="people", sink="crm", **values):
    update = LinkUpdate(object="thing", remote_id=remote_id, sink=sink, fields={"email": "x"}, **values)
    app.app.store.put_link(route, "shop", "customer", key, update, app.clock.now())


def test_what_is_shared_or_adopted_is_left_to_a_person_where_the_sink_does_not_look(tmp_path):
    sink = ScriptedSink()
    routes = {"people": {**PEOPLE["people"], "sink": "plain"}}
    with Harness(tmp_path, routes, sink_types={"plain": (plain_type(sink), {})}) as app:
        app.emit(customer("1", email="a@shop.test"), customer("2", email="b@shop.test"))
        app.drain()
        before = dict(sink.records)
        (one,) = [link for link in app.app.store.links("people") if link.key == "1"]
        linked(app, "2", one.remote_id, sink="plain")
        result = forget(app.app, "a@shop.test")
        assert sink.records == before, "somebody else's record was touched"
        assert not result.complete
        (erased,) = result.erased
        assert erased.outcome == "pending"
        assert one.remote_id in erased.note
        assert "2 records share it" in erased.note


def test_a_record_that_was_made_for_the_person_goes_unless_it_is_anothers_by_now(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("1", email="a@shop.test"), customer("2", email="b@shop.test"))
        app.drain()
        app.sink.records |= {"own": {}, "theirs": {}}
        (one,) = [link for link in app.app.store.links("people") if link.key == "1"]
        linked(app, "1", one.remote_id, made={"Account": "own", "Group": "theirs"})
        linked(app, "2", "theirs")
        assert forget(app.app, "a@shop.test").complete
        assert "own" not in app.sink.records
        assert one.remote_id not in app.sink.records
        assert "theirs" in app.sink.records


def test_the_sink_of_a_route_that_left_is_asked_all_the_same(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
    with Harness(tmp_path, {"others": PEOPLE["people"]}) as app:
        app.sink.records["crm-1"] = {}
        assert forget(app.app, "a@shop.test").complete
        assert [link.route for link in app.sink.erased] == ["people"]


def test_a_sink_that_left_is_named_and_everything_is_kept(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        linked(app, "1", "old-1", route="older", sink="hub")
        result = forget(app.app, "a@shop.test")
        assert not result.complete
        (failed,) = result.failed
        assert "[sinks.hub]" in failed.error
        assert "put it back" in failed.error
        assert failed.outcome is None, "nothing came of it"
        assert app.app.store.keys_by_email("a@shop.test")


def test_what_was_deleted_before_a_target_failed_is_made_anew_for_whose_it_is_by_then(tmp_path):
    """The order stays in the shop: a guest's, once the account is gone. It is no part of who is forgotten."""
    routes = {**PEOPLE, "orders": {"entity": "order", "fields": {"number": "order.number"}}}
    with Harness(tmp_path, routes) as app:
        order = Order(key="o", number="17", status="new", currency="EUR", total=5)
        app.emit(customer("1", email="a@shop.test"), upsert(order, owner="1"))
        app.drain()
        linked(app, "1", "old-1", route="older", sink="hub")
        assert not forget(app.app, "a@shop.test").complete
        app.emit(Change(entity="customer", key="1", op="delete"), upsert(order))
        app.drain()
        assert list(app.sink.records.values()) == [{"number": "17"}]
        put_back = LinkUpdate(object="thing", remote_id="old-1", sink="hub", remove=True)
        app.app.store.put_link("older", "shop", "customer", "1", put_back, app.clock.now())
        assert forget(app.app, "a@shop.test").complete
        assert list(app.sink.records.values()) == [{"number": "17"}]


def fails():
    raise Transient("no answer")


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "answer lost"])
@pytest.mark.parametrize("adopted", [False, True])
def test_whose_address_it_turns_out_not_to_be_gets_back_what_was_erased_once_all_is_done(tmp_path, adopted, lost):
    """It went from one account to another, and that was not heard yet when one target was erased and another failed."""
    routes = {**PEOPLE, "orders": {"entity": "order", "after": "people", "fields": {"number": "order.number"}}}
    with Harness(tmp_path, routes) as app:
        order = Order(key="o", number="17", status="new", currency="EUR", total=5)
        app.emit(customer("1", email="a@shop.test"), customer("2", email="b@shop.test"), upsert(order, owner="1"))
        app.drain()
        store = app.app.store
        own = store.link("people", "shop", "customer", "1")
        update = LinkUpdate(object=own.object, remote_id=own.remote_id, adopted=adopted)
        store.put_link("people", "shop", "customer", "1", update, app.clock.now())
        linked(app, "1", "old-1", route="older", sink="hub")
        erase = app.sink.erase
        if lost:
            app.sink.erase = lambda link: [erase(link), fails()]
        assert not forget(app.app, "a@shop.test").complete
        app.sink.erase = erase
        there = app.sink.records
        app.sink.always(lambda o: Rejected("it is gone") if o.link and o.link.remote_id not in there else None)
        app.emit(customer("1", email="c@shop.test"), customer("2", email="a@shop.test"))
        app.drain()
        put_back = LinkUpdate(object="thing", remote_id="old-1", sink="hub", remove=True)
        store.put_link("older", "shop", "customer", "1", put_back, app.clock.now())
        assert forget(app.app, "a@shop.test").complete
        app.drain()
        assert sorted(map(str, app.sink.records.values())) == ["{'email': 'c@shop.test'}", "{'number': '17'}"]
        assert app.states().keys() == {"done"}
        assert not dict(store.state("synccore:erased").scan())


def test_so_does_whose_record_was_erased_as_the_process_died(tmp_path, monkeypatch):
    class Died(BaseException):
        pass

    def dies(*_, **__):
        raise Died

    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("1", email="a@shop.test"), customer("2", email="b@shop.test"))
        app.drain()
        with monkeypatch.context() as death:
            death.setattr(app.app.store, "forget", dies)
            with pytest.raises(Died):
                forget(app.app, "a@shop.test")
        app.sink.always(lambda o: Rejected("gone") if o.link and o.link.remote_id not in app.sink.records else None)
        app.emit(customer("1", email="c@shop.test"), customer("2", email="a@shop.test"))
        app.drain()
        assert forget(app.app, "a@shop.test").complete
        app.drain()
        assert list(app.sink.records.values()) == [{"email": "c@shop.test"}]
        assert not dict(app.app.store.state("synccore:erased").scan())


def test_so_does_whose_record_had_to_stay_and_was_emptied(tmp_path):
    fields = {"email": "customer.email", "name": "customer.first_name"}
    with Harness(tmp_path, {"people": {"entity": "customer", "fields": fields}}) as app:
        app.emit(customer("1", email="a@shop.test", first_name="Ann"))
        app.drain()
        linked(app, "1", "old-1", route="older", sink="hub")

        app.sink.erase = lambda link: Erased("anonymised")
        assert not forget(app.app, "a@shop.test").complete
        app.emit(customer("1", email="c@shop.test", first_name="Ann"))
        put_back = LinkUpdate(object="thing", remote_id="old-1", sink="hub", remove=True)
        app.app.store.put_link("older", "shop", "customer", "1", put_back, app.clock.now())
        assert forget(app.app, "a@shop.test").complete
        app.drain()
        assert app.sink.calls[-1][0].changed == fields.keys()


def test_what_was_erased_of_somebody_is_remembered_no_longer_than_they_are(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        store = app.app.store
        linked(app, "1", "old-1", route="older", sink="hub")
        assert not forget(app.app, "a@shop.test").complete
        put_back = LinkUpdate(object="thing", remote_id="old-1", sink="hub", remove=True)
        store.put_link("older", "shop", "customer", "1", put_back, app.clock.now())
        app.emit(customer("1", email="c@shop.test"))
        assert len(dict(store.state("synccore:erased").scan())) == 1
        assert forget(app.app, "c@shop.test").complete
        assert not dict(store.state("synccore:erased").scan())
        assert not app.sink.records


@pytest.mark.parametrize("finds", [False, True])
def test_who_is_in_a_job_is_not_called_forgotten(tmp_path, finds):
    """The job makes the record after all: what is known here is what finds it then."""
    with Harness(tmp_path, PEOPLE) as app:
        if not finds:
            app.sink.find = None
        app.sink.job_from = 1
        app.emit(customer("1", email="a@shop.test"), bulk=True)
        app.app.engine.lanes["crm"].step()
        assert app.states() == {"submitted": 1}
        made = dict(app.sink.records)
        app.sink.records.clear()  # the job is not through yet: nobody is found
        result = forget(app.app, "a@shop.test")
        assert not result.complete
        assert [e.outcome for e in result.failed] == ["pending"]
        assert "run forget again" in result.failed[0].note
        app.sink.finish_jobs()
        app.sink.records.update(made)
        app.settle_down()
        assert app.sink.records
        assert forget(app.app, "a@shop.test").complete
        assert not app.sink.records


def test_who_moved_while_in_a_job_is_looked_for_under_the_address_that_the_job_carries(tmp_path):
    """Under no other: whose address stands in another field is somebody else."""
    fields = {"email": "customer.email", "friend": "customer.meta.friend"}
    with Harness(tmp_path, {"people": {"entity": "customer", "fields": fields}}) as app:
        asked = []
        app.sink.find = lambda identity: asked.append(identity.emails) or []
        app.sink.job_from = 1
        app.emit(customer("1", email="a@shop.test", meta={"friend": "f@shop.test"}), bulk=True)
        app.app.engine.lanes["crm"].step()
        app.emit(customer("1", email="new@shop.test", meta={"friend": "f@shop.test"}))
        assert not forget(app.app, "new@shop.test").complete
        assert asked == [("new@shop.test", "a@shop.test")]


def test_who_is_in_a_call_at_this_moment_is_not_called_forgotten(tmp_path):
    """The call makes the record after everything was erased, and nobody would know of it."""
    with Harness(tmp_path, PEOPLE) as app:
        app.sink.find = None
        deliver, results = app.sink.deliver, []

        def meanwhile(operations):
            results.append(forget(app.app, "a@shop.test"))
            return deliver(operations)

        app.sink.deliver = meanwhile
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        assert not results[0].complete
        assert "crm" in results[0].failed[0].error
        assert app.sink.records
        assert forget(app.app, "a@shop.test").complete
        assert not app.sink.records


def test_what_is_in_an_account_that_was_left_is_named(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("1", email="a@shop.test"))
        app.drain()
        remote_id = app.app.store.link("people", "shop", "customer", "1").remote_id
        app.app.store.archive_links("crm", "acc-1", ["people"])
        result = forget(app.app, "a@shop.test")
        assert not result.complete
        (erased,) = result.pending
        assert remote_id in erased.note
        assert "acc-1" in erased.note
        assert not app.app.store.keys_by_email("a@shop.test")


# -- somebody whom a restored backup never knew


def stranger(app, uid, email="a@shop.test", sink=None):
    """A record that the replaced outbox made."""
    sink = sink or app.sink
    sink.records[f"late {uid}"] = {"email": email}
    sink.uids[uid] = f"late {uid}"


def known_ours(sink):
    """Of a record that bears another id than those it is asked for it says that it is somebody else's."""
    find = sink.find
    sink.find = lambda who: [evolve(one, adopted=one.uid not in who.uids) for one in find(who)]


def test_what_a_target_shows_late_is_waited_for_after_a_restore(tmp_path):
    with Harness(tmp_path, PEOPLE, limits=Limits(seen_within=timedelta(minutes=10))) as app:
        app.app.store.doubt(["shop"], app.clock.now())
        app.clock.advance(timedelta(minutes=1))
        result = forget(app.app, "a@shop.test")
        assert not result.complete
        (pending,) = result.pending
        assert pending.note.endswith("run forget again after 12:10 UTC")
        stranger(app, "shop:customer:9")
        app.clock.advance(timedelta(minutes=9))
        assert forget(app.app, "a@shop.test").complete
        assert app.sink.records == {}


def test_nobody_waits_where_no_backup_was_restored(tmp_path):
    with Harness(tmp_path, PEOPLE, limits=Limits(seen_within=timedelta(minutes=10))) as app:
        assert forget(app.app, "a@shop.test").complete


def test_whose_id_a_record_bears_is_the_person_where_nobody_else_is_known_by_it(tmp_path):
    """At a second target there is no more than the id to find them by."""
    other = ScriptedSink()
    routes = {**PEOPLE, "there": {**PEOPLE["people"], "sink": "other"}}
    with Harness(tmp_path, routes, sink_types={"other": (evolve(scripted_type(other), name="other"), {})}) as app:
        stranger(app, "shop:customer:9")
        stranger(app, "shop:customer:9", "before@shop.test", other)
        known_ours(app.sink)
        assert forget(app.app, "a@shop.test").complete
        assert app.sink.records == other.records == {}
        assert [link.ours for link in app.sink.erased] == [True]
        before = customer("9", email="before@shop.test").data
        app.emit(upsert(before, at=app.clock.now() - timedelta(minutes=1)))
        assert app.deliveries() == [], "a webhook of before made them anew"


@pytest.mark.parametrize("gone", [False, True], ids=["living", "gone"])
def test_an_id_of_somebody_else_is_not_taken_for_the_person(tmp_path, gone):
    """Somebody typed the address on the record of another customer; one who is gone is nobody any more."""
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("9", email="nine@shop.test"))
        app.drain()
        if gone:
            app.emit(Change(entity="customer", key="9", op="delete"))
            app.drain()
        stranger(app, "shop:customer:9")
        stranger(app, "elsewhere:customer:9")
        known_ours(app.sink)
        forget(app.app, "a@shop.test")
        told = {link.remote_id: (link.ours, link.uid) for link in app.sink.erased}
        assert told["late elsewhere:customer:9"] == (False, "::")
        assert told["late shop:customer:9"] == ((True, "shop:customer:9") if gone else (False, "::"))
        assert app.app.store.snapshot("shop", "customer", "9") is None or not gone
