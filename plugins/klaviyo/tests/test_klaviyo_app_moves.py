"""Who gets an address that has a profile, and who gets theirs: through core, as the shop tells it."""

from datetime import timedelta

import pytest

from synccore._verbs.verify import verify

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
