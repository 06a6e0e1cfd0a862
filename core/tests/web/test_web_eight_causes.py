"""Somebody says "Ada is not in the CRM": eight causes, each found and mended from the dashboard alone.

Every case begins with the search and ends with the record at the target, in the target's own books.
"""

from datetime import timedelta

import pytest

from synccore.errors import AuthError, RateLimited, Rejected, Transient
from synccore.testing import customer
from synccore.types import Account

NAMED = {"source": "shop", "entity": "customer", "key": "1"}
ROUTES = {
    "people": {
        "entity": "customer",
        "when": "customer.email",
        "fields": {"email": "customer.email", "years": "3700000 // (customer.meta.born | int)"},
    }
}


@pytest.fixture
def site(open_site):
    site = open_site(routes=ROUTES)
    site.house.reached()
    return site


def ada(born="1815", **more):
    return customer("1", **{"email": "ada@shop.test", "first_name": "Ada", "meta": {"born": born}, **more})


def asked(site, words, text="ada@shop.test"):
    """The search, which leads to the person where one is meant."""
    return words(site.visitor().act("/people", q=text))


def arrived(site, after=timedelta(0)):
    site.house.clock.advance(after)
    site.house.drain()
    return site.house.crm.by_uid().get("shop:customer:1", {}).get("email") == "ada@shop.test"


@pytest.mark.parametrize(
    "refusal",
    [
        "FIELD_CUSTOM_VALIDATION_EXCEPTION: a VAT number is needed",
        "2 records at the target could be this one: 003A, 003B",
    ],
    ids=["validation rule", "two candidates"],
)
def test_a_refusal_of_the_target(site, words, refusal):
    site.house.crm.always(lambda _: Rejected(refusal))
    site.house.emit(ada())
    assert not arrived(site)
    assert f"parked {refusal}" in asked(site, words)
    site.house.crm.always(None)  # mended at the target
    site.visitor().act("/people/send", **NAMED, route="people")
    assert arrived(site)


def test_a_dead_token(site, words):
    site.house.crm.connect = lambda _: Account(id="1", label="Ada")
    site.house.crm.then(AuthError("the grant was revoked"))
    site.house.emit(ada())
    assert not arrived(site)
    assert "owed crm is needs auth: the grant was revoked" in asked(site, words)
    assert "Connect crm" in words(site.visitor().get("/"))
    assert "crm is connected to Ada" in words(site.visitor().act("/connect/crm"))
    assert arrived(site)


def test_a_filter_that_leaves_them_out(site, words):
    site.house.emit(ada(email=None))
    assert not arrived(site)
    text = asked(site, words, "ada")
    assert "skipped" in text.split("At the targets")[1].split("What the shop said")[0]
    site.house.shop.put(ada())  # the address is written into the shop, and its webhook is lost
    site.visitor().act("/people/read", **NAMED)
    assert arrived(site)


def test_a_mapping_that_fails(site, words):
    site.house.emit(ada(born="long ago"))
    assert not arrived(site)
    text = asked(site, words)
    assert "parked" in text
    assert "years" in text.split("At the targets")[1]
    tried = site.visitor().act(
        "/routes/people", field="years", expression="customer.meta.born | default(0)", who="ada@shop.test"
    )
    assert "with this expression" in words(tried)
    site.house.shop.put(ada())
    site.visitor().act("/people/read", **NAMED)
    assert arrived(site)


def test_a_target_that_is_down(site, words):
    site.house.crm.always(Transient("the CRM does not answer"))
    site.house.emit(ada())
    for _ in range(4):
        assert not arrived(site, timedelta(minutes=5))
    assert "owed crm is circuit open: the CRM does not answer, until" in asked(site, words)
    site.house.crm.always(None)
    site.visitor().act("/lanes/resume", name="crm")
    assert arrived(site)


def test_a_quota(site, words):
    site.house.crm.then(RateLimited("the day's calls are used up", retry_after=timedelta(hours=5)))
    site.house.emit(ada())
    assert not arrived(site)
    assert "owed crm is rate limited: the day's calls are used up, until" in asked(site, words)
    assert arrived(site, timedelta(hours=5, minutes=1)), "nothing had to be done"


def test_a_webhook_that_was_lost(site, words):
    site.house.shop.put(ada())
    assert not arrived(site)
    assert "Nobody here has heard of them" in asked(site, words)
    site.visitor().act("/people/read", **NAMED)
    assert arrived(site)
