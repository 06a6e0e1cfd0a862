"""What core promises of this sink, through the whole app: opting out, proof, retry, forgetting, another account."""

import json
from datetime import timedelta

import pytest
from google_help import marks_on, values

from synccore._verbs.adopt import adopt
from synccore._verbs.connect import connect
from synccore._verbs.deliveries import retry
from synccore._verbs.disconnect import disconnect
from synccore._verbs.forget import forget
from synccore._verbs.plan import plan
from synccore._verbs.verify import verify
from synccore.entities import Address
from synccore.testing import FakeClock, Fault, Harness, customer, meanwhile
from synccore.types import Change
from synccore_google_contacts.sink import SINK
from synccore_google_contacts.testing import AutoBrowser, FakePeople, settings

ROUTE = "contacts_customers"


@pytest.fixture
def open_stage(tmp_path):
    clock = FakeClock()
    with FakePeople(clock=clock.now) as google:
        opened = []

        def make(**route):
            table = {k: v for k, v in settings(google).items() if k != "type"}
            routes = {ROUTE: {"entity": "customer", "sink": "contacts", "object": "contact", **route}}
            app = Harness(tmp_path, routes, sink_types={"contacts": (SINK, table)}, clock=clock, installed=True)
            opened.append(app)
            connect(app.app, "contacts", AutoBrowser())
            return app, google

        yield make
        for app in opened:
            app.close()


def shopper(n, **more):
    given = {"email": f"ann{n}@shop.test", "first_name": f"Ann{n}", "last_name": "Test", "phone": f"415 555 {n:04d}",
             "billing": Address(line1="1 Main", city="Town", country="US")}  # fmt: skip
    return customer(str(n), **{**given, **more})


@pytest.mark.parametrize("how", ["keep", "unlabel", "clear", "delete"])
def test_opting_out_is_followed_within_seconds_where_it_is_asked_for(open_stage, how):
    app, google = open_stage(when="customer.accepts_marketing", on_leave=how)
    app.emit(shopper(1, accepts_marketing=True))
    app.settle_down()
    (person,) = google.contacts()
    assert google.members("Customers") == {person["resourceName"]}
    start = app.clock.now()
    app.emit(shopper(1, accepts_marketing=False))
    app.drain()
    assert (app.clock.now() - start).total_seconds() < 5
    left = google.contacts()
    assert len(left) == (0 if how == "delete" else 1)
    assert bool(google.members("Customers")) == (how == "keep")
    if how == "clear":
        assert "emailAddresses" not in left[0]
    app.emit(shopper(1, accepts_marketing=True))
    app.settle_down()
    (person,) = google.contacts()
    assert google.members("Customers") == {person["resourceName"]}
    assert values(person, "emailAddresses") == ["ann1@shop.test"]


def test_what_the_shop_emptied_is_emptied_unless_a_field_says_otherwise(open_stage):
    app, google = open_stage(fields={"company": {"value": "customer.company", "clear": False}})
    app.emit(shopper(1, company="Acme"))
    app.settle_down()
    (person,) = google.contacts()
    google.edit(person["resourceName"], phoneNumbers=[*person["phoneNumbers"], {"value": "+14155550777"}])
    app.emit(shopper(1, company="", phone=""))
    app.settle_down()
    (person,) = google.contacts()
    assert values(person, "phoneNumbers") == ["+14155550777"]
    assert values(person, "organizations", "name") == ["Acme"]
    assert verify(app.app, ROUTE).ok


def test_an_adopted_address_book_is_proved(open_stage):
    app, google = open_stage()
    for n in range(30):
        google.add(names=[{"givenName": f"Own name {n}"}], emailAddresses=[{"value": f"ann{n}@shop.test"}],
                   biographies=[{"value": "mine"}])  # fmt: skip
    app.emit(*[shopper(n) for n in range(40)], bulk=True)
    adopted = adopt(app.app, ROUTE)
    assert (adopted.sure, adopted.none, adopted.ambiguous) == (30, 10, 0)
    app.settle_down()
    proof = verify(app.app, ROUTE, sample=40)
    assert proof.drift == {}
    assert proof.ok
    assert len(google.contacts()) == 40
    google.edit(google.contacts()[0]["resourceName"], phoneNumbers=[])
    assert verify(app.app, ROUTE, sample=40).drift


@pytest.mark.parametrize("restart", [False, True])
def test_nobody_new_takes_a_contact_between_its_adoption_and_the_first_delivery(open_stage, restart):
    app, google = open_stage()
    mine = google.add(names=[{"givenName": "Own"}], phoneNumbers=[{"value": "(415) 555-0001"}])
    app.emit(shopper(1), bulk=True)
    assert adopt(app.app, ROUTE).sure == 1
    if restart:
        app.crash()
    app.emit(shopper(2, email="", phone="415 555 0001"))
    app.settle_down()
    links = {link.key: link.remote_id for link in app.app.store.links(ROUTE)}
    assert links["1"] == mine != links["2"]
    assert marks_on(google.contact(mine)) == ["shop:customer:1"]
    assert len(google.contacts()) == 2


def test_a_retry_right_after_the_merge_succeeds(open_stage):
    app, google = open_stage()
    names = [google.add(names=[{"givenName": "A"}], emailAddresses=[{"value": "ann1@shop.test"}]) for _ in range(2)]
    app.emit(shopper(1))
    app.drain()
    (parked,) = app.deliveries(state="parked")
    google.merge(*names)
    retry(app.app, [parked.id], None)
    app.drain()
    assert app.states() == {"done": 1}
    assert len(google.contacts()) == 1


def test_a_retry_looks_at_a_throttle_and_a_full_account_afresh(open_stage):
    app, google = open_stage()
    google.capacity = 0
    app.emit(shopper(1))
    app.drain()
    (parked,) = app.deliveries(state="parked")
    google.quota.hidden = True
    app.emit(shopper(2))
    app.drain()
    assert app.app.store.lane("contacts").state == "rate_limited"
    google.quota.hidden = False
    google.capacity = 10
    retry(app.app, [parked.id], None)
    start = app.clock.now()
    app.drain()
    assert app.states()["done"] >= 1
    assert "ann1@shop.test" in [v for p in google.contacts() for v in values(p, "emailAddresses")]
    assert (app.clock.now() - start).total_seconds() < 5


def a_book_of_every_kind(app, google):
    """Which of the customers has a contact already, by what the owner and earlier shops left there."""
    app.emit(shopper(70, email="ann6@shop.test", phone=""))
    app.settle_down()
    app.emit(Change(entity="customer", key="70", op="delete"))
    app.settle_down()
    (dead,) = google.contacts()

    def typed(marker=None, **fields):
        data = {"clientData": [{"key": "synccore.source", "value": marker}]} if marker else {}
        return google.add(names=[{"givenName": "Mine"}], **fields, **data)

    def mail(n):
        return {"emailAddresses": [{"value": f"ann{n}@shop.test"}]}

    typed("shop:customer:99", **mail(7))  # another customer's, who is still there
    return {
        "1": typed(**mail(1)),
        "2": typed(phoneNumbers=[{"value": "+14155550002"}]),
        "3": (typed(**mail(3)), typed(**mail(3))),  # two that fit
        "4": None,
        "5": typed("elsewhere:customer:12", **mail(5)),
        "6": dead["resourceName"],  # of a customer whose end was delivered
        "7": None,
        "9": typed(phoneNumbers=[{"value": "+14155550100"}]),  # of both with this number the first has it
        "10": None,
        "11": (typed(**mail(11)), second := typed(**mail(12))),  # two that fit, until the next one has its own
        "12": second,
        "13": typed("shop:customer:13", **mail(13), externalIds=[{"type": "customer", "value": "shop:customer:14"}]),
        "14": None,  # merged into the one before
    }


@pytest.mark.parametrize("adopted", [False, True])
def test_plan_adopt_and_delivery_say_the_same_of_every_kind_of_contact(open_stage, adopted):
    app, google = open_stage()
    there = a_book_of_every_kind(app, google)
    there["14"] = there["13"]
    app.emit(*[shopper(n) for n in range(1, 8)], bulk=True)
    app.emit(*[shopper(n, email=None, phone="415 555 0100") for n in (9, 10)], bulk=True)
    billed = Address(line1="1 Main", city="Town", country="US", email="ann12@shop.test")
    app.emit(shopper(11, billing=billed), *[shopper(n) for n in (12, 13, 14)], bulk=True)
    found = {key for key, name in there.items() if isinstance(name, str)}
    new = {key for key, name in there.items() if name is None}
    planned = plan(app.app, ROUTE)
    told = {kind: planned.counts[kind] for kind in ("create", "refused")}
    assert told == {"create": len(new), "refused": 2}
    assert planned.counts["update"] + planned.counts["unchanged"] == len(found)
    assert (set(planned.examples["create"]), set(planned.examples["refused"])) == (new, {"3", "11"})
    tried = adopt(app.app, ROUTE, dry_run=not adopted)
    assert (tried.sure, tried.none, tried.ambiguous) == (len(found), len(new), 2)
    parked = {"3"} if adopted else {"3", "11"}  # one of the two that fit is the next one's now
    for again in (plan(app.app, ROUTE), plan(app.app, ROUTE)):  # by what the sink remembers, and by what is linked
        assert again.counts["create"] == planned.counts["create"]
        assert again.counts["refused"] == len(parked)
        app.app.sinks["contacts"].instance.deliver([])
    links = {link.key: link.remote_id for link in app.app.store.links(ROUTE)}
    assert links == ({key: there[key] for key in found} if adopted else {})
    before = {p["resourceName"] for p in google.contacts()}
    app.settle_down()
    marked = {m: p["resourceName"] for p in google.contacts() for m in marks_on(p)}
    assert {key: marked[f"shop:customer:{key}"] for key in found} == {key: there[key] for key in found}
    assert {marked[f"shop:customer:{key}"] for key in new} == {p["resourceName"] for p in google.contacts()} - before
    assert "shop:customer:3" not in marked
    assert {d.key for d in app.deliveries(state="parked")} == parked
    assert adopted == (marked.get("shop:customer:11") == there["11"][0])
    assert marked["elsewhere:customer:12"] == there["5"]
    assert marked["shop:customer:99"] not in {marked[f"shop:customer:{key}"] for key in (*found, *new)}


def test_forget_deletes_what_we_made_and_takes_ours_off_what_the_owner_had(open_stage):
    app, google = open_stage()
    mine = google.add(names=[{"givenName": "Bob"}], emailAddresses=[{"value": "ann1@shop.test"}])
    app.emit(shopper(1), shopper(2))
    app.settle_down()
    for n in (1, 2):
        forgotten = forget(app.app, f"ann{n}@shop.test")
        assert not forgotten.failed
    (person,) = google.contacts()
    assert person["resourceName"] == mine
    assert "phoneNumbers" not in person
    assert "clientData" not in person


def is_refresh(request):
    return request.path == "/token" and request.form().get("grant_type") == "refresh_token"


def asks(app):
    """A second daemon's instance: its check holds no lock of the account."""
    from contextlib import suppress

    from synccore.errors import AuthError

    with suppress(AuthError):
        app.app.sinks["contacts"].instance.check()


def test_after_a_switch_under_refresh_nothing_reaches_the_old_account(open_stage):
    app, google = open_stage()
    app.emit(*[shopper(n) for n in range(3)])
    app.settle_down()
    google.sign_in.expire_tokens()
    google.written.clear()

    def switch():
        google.sign_in.person = {"id": "2002", "email": "other@shop.test", "name": "Other"}
        connect(app.app, "contacts", AutoBrowser(), switch_account=True)

    with meanwhile(google, app.app.sinks["contacts"].context, is_refresh, switch) as other:
        asks(app)
    assert other.ran
    assert other.error is None
    app.emit(*[shopper(n, company="Acme") for n in range(5)])
    app.settle_down()
    assert {user for user, _ in google.written} == {"2002"}
    assert len(google.book("1001").contacts()) == 3
    marks = [mark for p in google.book("2002").contacts() for mark in marks_on(p)]
    assert sorted(marks) == [f"shop:customer:{n}" for n in range(5)]


@pytest.mark.parametrize("keep_grant", [True, False])
def test_after_a_disconnect_under_refresh_no_token_is_left(open_stage, keep_grant):
    app, google = open_stage()
    app.emit(shopper(1))
    app.settle_down()
    google.sign_in.expire_tokens()

    def leave():
        disconnect(app.app, "contacts", keep_grant=keep_grant)

    with meanwhile(google, app.app.sinks["contacts"].context, is_refresh, leave) as other:
        asks(app)
    assert other.ran
    assert other.error is None
    assert list(app.app.store.secret_names("contacts/")) == []
    assert keep_grant or all(grant.ended for grant in google.sign_in.refresh.values())
    live = [token for token in google.sign_in.access if google.sign_in.grant_of(token)]
    stored = b"".join(p.read_bytes() for p in app.folder.glob("synccore.db*") if p.is_file())
    for token in [*live, *google.sign_in.refresh]:
        assert token.encode() not in stored
    assert json.dumps(google.sign_in.client_secret).encode() not in stored


def test_a_contact_google_renamed_is_no_twin_and_a_real_twin_is_named(open_stage):
    app, google = open_stage()
    app.emit(shopper(1), shopper(2))
    app.settle_down()
    first, second = (p["resourceName"] for p in google.contacts())
    google.rename(first)
    proof = verify(app.app, ROUTE)
    assert proof.twins == []
    assert proof.ok
    copy = google.contact(second)
    twin = google.add(**{n: copy[n] for n in ("names", "emailAddresses", "clientData")})
    assert verify(app.app, ROUTE).twins == [twin]


def test_a_contact_typed_in_where_nothing_shows_it_yet_is_named_once_it_does(open_stage):
    app, google = open_stage()
    app.emit(shopper(2))
    app.settle_down()
    google.feed.lag = timedelta(minutes=3)
    typed = google.add(names=[{"givenName": "Ann"}], emailAddresses=[{"value": "Ann1@shop.test"}])
    app.emit(shopper(1))
    app.settle_down()
    ours = app.app.store.link(ROUTE, "shop", "customer", "1").remote_id
    assert {p["resourceName"] for p in google.contacts()} >= {typed, ours}
    app.clock.advance(timedelta(minutes=4))
    proof = verify(app.app, ROUTE)
    assert not proof.proved
    assert proof.namesakes == [typed]
    assert any(f"{typed} beside {ours}" in f.message for f in proof.findings)
    google.merge(ours, typed)
    app.clock.advance(timedelta(minutes=10))
    proof = verify(app.app, ROUTE)
    assert (proof.namesakes, proof.proved) == ([], True)


@pytest.mark.parametrize("policy", ["keep", "unlabel", "delete"])
@pytest.mark.parametrize("first", ["deleted", "again"])
def test_who_registers_again_before_the_deletion_was_followed_has_one_contact(open_stage, policy, first):
    app, google = open_stage(on_delete=policy)
    app.emit(shopper(1), shopper(2))
    app.settle_down()
    touch = Change(entity="customer", key="1", op="touch")
    del app.source.records["customer", "1"]
    again = customer("7", email="ann1@shop.test", first_name="Again")
    for change in (touch, again) if first == "deleted" else (again, touch):
        app.emit(change)
    app.drain()  # the shop is slow to answer
    app.settle_down()
    (person,) = [p for p in google.contacts() if values(p, "emailAddresses") == ["ann1@shop.test"]]
    assert marks_on(person) == ["shop:customer:7"]
    assert person["resourceName"] in google.members("Customers")
    assert len(google.contacts()) == 2
    assert verify(app.app, ROUTE).proved


@pytest.mark.parametrize(
    ("policy", "said"), [("keep", "kept (on_delete = keep)"), ("unlabel", "label taken off"), ("delete", "emptied")]
)
def test_the_trail_says_what_was_done_when_a_customer_whose_contact_was_there_before_is_deleted(
    open_stage, policy, said
):
    app, google = open_stage(on_delete=policy)
    google.add(names=[{"givenName": "Bob"}], emailAddresses=[{"value": "ann1@shop.test"}])
    app.emit(shopper(1))
    app.settle_down()
    app.emit(Change(entity="customer", key="1", op="delete"))
    app.settle_down()
    (line,) = [e.note for e in app.history() if e.op == "leave"]
    assert line.startswith("not deleted: it was there before us")
    assert said in line
    assert "unlabel" not in line
    assert bool(google.members("Customers")) == (policy == "keep")


@pytest.mark.parametrize("known", [False, True], ids=["at once", "after it was found"])
def test_who_is_deleted_after_the_answer_to_their_create_was_lost_is_gone(open_stage, known):
    """The contact is there and nothing of ours says so but the marker on it."""
    app, google = open_stage(on_delete="delete")
    google.fail_next(Fault.commit_then_drop(when=lambda r: "createContact" in r.path))
    app.emit(shopper(1))
    app.drain()
    if known:
        app.settle_down()
    assert len(google.contacts()) == 1
    app.emit(Change(entity="customer", key="1", op="delete"))
    app.settle_down()
    assert google.contacts() == []


@pytest.mark.parametrize("forgotten", [False, True], ids=["deleted", "forgotten"])
def test_a_contact_that_has_another_name_by_now_is_deleted_under_that(open_stage, forgotten):
    """Google says of the old name what it says of a contact that is gone, until its listing tells of the new one."""
    app, google = open_stage(on_delete="delete")
    app.emit(shopper(1))
    app.settle_down()
    google.book().feed.lag = timedelta(minutes=2)
    google.rename(google.contacts()[0]["resourceName"])
    if forgotten:
        while not forget(app.app, "ann1@shop.test").complete:
            app.clock.advance(timedelta(minutes=1))
    else:
        app.emit(Change(entity="customer", key="1", op="delete"))
        app.settle_down()
    assert google.contacts() == []
