"""Who gets an address that has a profile, and who gets theirs: through core, as the shop tells it."""

from datetime import timedelta

import pytest

from synccore._verbs.forget import forget
from synccore._verbs.verify import verify
from synccore.testing import Fault
from synccore.types import Change

OLD, NEW, BEN = "anna@shop.test", "anna-neu@shop.test", "ben@shop.test"


@pytest.fixture
def moved(start, shop, klaviyo):
    """Anna, with a yes, has got an address that has a profile; Ben, of whom the shop says something, gets hers."""

    def make(how, word, *, between=True):
        app = start("profiles", "payments", profiles={"on_conflict": how})
        app.emit(shop.customer("1", email=OLD, accepts_marketing=False))
        app.emit(shop.customer("2", email=BEN, accepts_marketing=word))
        app.settle_down()
        app.emit(shop.customer("1", email=OLD, accepts_marketing=True))
        app.settle_down()
        assert klaviyo.person(OLD).consent == "SUBSCRIBED"
        klaviyo.add_person(email=NEW)
        app.emit(shop.customer("1", email=NEW, accepts_marketing=True))
        if between:
            app.settle_down()
        app.emit(shop.customer("2", email=OLD, first_name="Ben", accepts_marketing=word))
        app.settle_down()
        return app

    return make


@pytest.mark.parametrize("between", [True, False])
@pytest.mark.parametrize("word", [False, None])
@pytest.mark.parametrize("how", ["adopt", "merge"])
def test_the_next_owner_of_an_address_gets_no_mail_on_the_word_of_the_last(moved, klaviyo, how, word, between):
    app = moved(how, word, between=between)
    anna, ben = klaviyo.person(NEW), klaviyo.person(OLD)
    assert (anna.properties["woo_customer_id"], ben.properties["woo_customer_id"]) == ("1", "2")
    assert (anna.consent, ben.consent == "SUBSCRIBED") == ("SUBSCRIBED", False)
    assert verify(app.app, "profiles").ok


def test_who_gets_the_address_of_who_is_being_merged_keeps_what_is_theirs(moved, shop, klaviyo, clock):
    """Their facts as well."""
    klaviyo.merge_time = timedelta(seconds=20)
    app = moved("merge", False, between=False)
    app.emit(shop.payment(owner="2", email=OLD))
    app.settle_down()
    (told,) = klaviyo.events("Renewed Subscription")
    assert told["profile"] == klaviyo.person(OLD).id
    assert klaviyo.person(OLD).properties["woo_customer_id"] == "2"
    assert klaviyo.person(BEN) is None


def test_a_no_that_comes_later_reaches_whoever_had_another_profile_before(moved, shop, klaviyo):
    app = moved("adopt", False)
    app.emit(shop.customer("1", email=NEW, accepts_marketing=False))
    app.settle_down()
    assert [p for p in klaviyo.store.people.values() if p.consent == "SUBSCRIBED"] == []


def test_whom_we_subscribed_against_the_shops_word_is_named_and_made_good(start, shop, klaviyo):
    app = start("profiles")
    app.emit(shop.customer("1", email=OLD, accepts_marketing=False))
    app.settle_down()
    klaviyo.store.subscribe(klaviyo.person(OLD), "", "shop")
    proof = verify(app.app, "profiles", repair=True)
    assert (proof.ok, proof.drift) == (False, {"1": ["accepts_marketing"]})
    app.settle_down()
    assert klaviyo.person(OLD).consent == "UNSUBSCRIBED"
    assert verify(app.app, "profiles").ok


@pytest.fixture
def left(start, shop, klaviyo, clock):
    """Anna has left a profile behind, with her number."""

    def make(**options):
        app = start("profiles", profiles=options)
        phone = "+493012345678"
        app.emit(shop.customer("1", email=OLD, phone=phone))
        app.settle_down()
        klaviyo.add_person(email=NEW)
        clock.advance(timedelta(hours=1))
        app.emit(shop.customer("1", email=NEW, phone=phone))
        app.settle_down()
        return app

    return make


def test_her_own_number_goes_along_and_nothing_of_hers_stays(left, klaviyo):
    """Whoever has that address next is on that profile."""
    left()
    former, now = klaviyo.person(OLD), klaviyo.person(NEW)
    assert now.attributes["phone_number"] == "+493012345678"
    assert (former.attributes, former.properties) == ({"email": OLD}, {})


def test_who_is_forgotten_is_gone_from_the_profile_that_they_left(left, klaviyo):
    assert forget(left().app, NEW).complete
    assert klaviyo.store.people == {}


def test_so_is_who_is_erased_with_their_account(left, klaviyo):
    app = left(on_delete="erase")
    app.emit(Change(entity="customer", key="1", op="delete", version=99))
    app.settle_down()
    assert klaviyo.person(OLD) is None
    assert klaviyo.person(NEW).properties == {}, "it was there before us"


@pytest.mark.parametrize("many", [False, True])
def test_but_not_where_somebody_else_has_it_by_now(left, shop, klaviyo, many):
    app = left()
    others = [shop.customer(f"9{n}", email=f"n{n}@shop.test") for n in range(201 if many else 0)]
    app.emit(shop.customer("2", email=OLD), *others, bulk=many)
    app.settle_down()
    klaviyo.finish_jobs()
    app.settle_down()
    assert forget(app.app, NEW).complete
    assert klaviyo.person(OLD).properties["woo_customer_id"] == "2"


@pytest.mark.parametrize("then", ["goes elsewhere", "leaves"])
def test_who_goes_elsewhere_after_a_write_without_an_answer_is_taken_out_again(start, shop, klaviyo, then):
    app = start("profiles", profiles={"on_delete": "erase"})
    app.emit(shop.customer("1", email=OLD, accepts_marketing=False))
    app.settle_down()
    there = klaviyo.add_person(email=NEW, title="Dr")
    klaviyo.fail_next(Fault.commit_then_drop(when=lambda r: r.path == "/api/profile-import" and b'"id"' not in r.body))
    app.emit(shop.customer("1", email=NEW, accepts_marketing=True))
    app.drain()
    assert there.properties["woo_customer_id"] == "1"
    klaviyo.store.subscribe(there, "", "shop")
    left = Change(entity="customer", key="1", op="delete", version=99)
    app.emit(shop.customer("1", email="anna-third@shop.test") if then == "goes elsewhere" else left)
    app.settle_down()
    assert (there.attributes, there.properties) == ({"email": NEW, "title": "Dr"}, {})
    assert there.consent == "UNSUBSCRIBED"


def test_who_is_let_in_late_leaves_the_profile_to_who_was_merged_into_it_and_moved_on(start, shop, klaviyo):
    app = start("profiles", profiles={"on_conflict": "merge"})
    app.emit(shop.customer("1", email=OLD), shop.customer("2", email=BEN))
    app.settle_down()
    klaviyo.merge_time = timedelta(seconds=20)
    klaviyo.refuse[NEW] = ("invalid", "this address is not taken")
    app.emit(shop.customer("1", email=NEW))
    app.drain()
    app.emit(shop.customer("2", email=OLD))
    app.drain()
    app.emit(shop.customer("2", email="benno@shop.test"))
    app.settle_down()
    klaviyo.refuse.clear()
    app.app.store.retry([row.id for row in app.deliveries(state="parked")], app.clock.now())
    app.settle_down()
    assert klaviyo.person(NEW).properties["woo_customer_id"] == "1"
    assert klaviyo.person("benno@shop.test").properties["woo_customer_id"] == "2"
    assert verify(app.app, "profiles").ok


@pytest.mark.parametrize("threshold", [1000, 1], ids=["singly", "in a job"])
def test_a_yes_that_is_said_once_more_after_a_state_without_a_word_is_no_news(start, shop, klaviyo, clock, threshold):
    """A guest says yes, has enough of it, registers, and buys again at a checkout that keeps the box ticked."""
    app = start("profiles", settings={"bulk_threshold": threshold})
    app.emit(*(shop.customer(key, email=f"{key}@shop.test") for key in "123"))
    app.settle_down()
    app.emit(*(shop.customer(key, email=f"{key}@shop.test", accepts_marketing=True) for key in "123"))
    app.settle_down()
    anna = klaviyo.person("1@shop.test")
    assert anna.consent == "SUBSCRIBED"
    klaviyo.store.unsubscribe(anna, "")
    for name in ("Bea", "Cleo"):
        app.emit(*(shop.customer(key, email=f"{key}@shop.test", first_name=name) for key in "123"))
        app.settle_down()
        assert verify(app.app, "profiles").ok
    clock.advance(timedelta(hours=1))
    at = {"accepts_marketing": True, "consent_at": clock.now()}
    app.emit(shop.customer("1", email="1@shop.test", **at))
    app.settle_down()
    assert anna.consent == "UNSUBSCRIBED"
    app.emit(shop.customer("1", email="1@shop.test", accepts_marketing=False))
    app.settle_down()
    clock.advance(timedelta(hours=1))
    app.emit(shop.customer("1", email="1@shop.test", **at | {"consent_at": clock.now()}))
    app.settle_down()
    assert anna.consent == "SUBSCRIBED", "after a no it is"
