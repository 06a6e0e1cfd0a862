"""Somebody says at three in the morning: "customer X is not in Salesforce".

Eight causes in one night, each found and mended with one hand alone: first the terminal, then the dashboard without
JavaScript. Each ends with the contact in the org's own books. What an alert can know of is told once, and its recovery
once, over restarts of the daemon; of the two that nothing failed at (a filter, one webhook that was lost) nobody is
paged, only of a shop that changes records and sends none for an hour.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Protocol

import pytest
from night import Dashboard, Night, Terminal

from synccore._verbs.connect import connect
from synccore.testing import AutoBrowser, Fault


class Hand(Protocol):
    """What a person does about each cause; `looked` is what they read first."""

    def looked(self, email: str) -> str: ...

    def retry(self, email: str) -> None: ...

    def connect(self, email: str) -> None: ...

    def send_all(self, email: str) -> None: ...

    def resume(self, email: str) -> None: ...

    def fetch(self, email: str) -> None: ...

    def close(self) -> None: ...


class ByTerminal:
    def __init__(self, night: Night) -> None:
        self.terminal = Terminal(night)

    def looked(self, email: str) -> str:
        return self.terminal.why(email)

    def retry(self, email: str) -> None:
        self.terminal.next(email, "deliveries retry")

    def connect(self, email: str) -> None:
        words = self.terminal.why(email)
        assert "synccore connect crm" in words
        self.terminal.run("connect", "crm", "--no-browser", code=0)

    def send_all(self, email: str) -> None:
        assert "synccore backfill shop customer --route people" in self.terminal.run("status")
        self.terminal.run("backfill", "shop", "customer", "--route", "people", "--enqueue-only")

    def resume(self, email: str) -> None:
        self.terminal.run("lanes", "resume", "crm", code=0)

    def fetch(self, email: str) -> None:
        self.terminal.next(email, "reconcile")

    def close(self) -> None:
        """Nothing stays open."""


class ByDashboard:
    def __init__(self, night: Night) -> None:
        self.night = night
        self.page = Dashboard(night)

    def looked(self, email: str) -> str:
        return self.page.who(email)

    def retry(self, email: str) -> None:
        self.page.press("Retry")

    def connect(self, email: str) -> None:
        assert "What needs you" in self.page.open()
        self.page.press("Connect crm")
        assert "crm is connected" in self.page.consent(self.night.org)

    def send_all(self, email: str) -> None:
        self.page.open()
        self.page.press("Send them again")

    def resume(self, email: str) -> None:
        self.page.open()
        self.page.press("Try again now")

    def fetch(self, email: str) -> None:
        self.page.press("Look for this address at shop")

    def close(self) -> None:
        self.page.close()


@pytest.fixture
def night(tmp_path) -> Iterator[Night]:
    made = Night(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=[ByTerminal, ByDashboard])
def hand(request, night) -> Iterator[Hand]:
    made = request.param(night)
    yield made
    made.close()


def told(night: Night) -> tuple[int, int]:
    """Alerts and recoveries since the last time, after two hours more with a new daemon between them."""
    night.hours(1)
    night.restart()
    night.hours(1)
    return night.pager.take()


def a_validation_rule_of_the_org(night, hand):
    """A validation rule of the org."""
    night.org.org.validation_rules.append(("Contact", lambda r: r.get("FirstName") == "Ada", "A VAT number is needed"))
    ada, email = night.buy("ada")
    night.hours(1)
    assert "parked" in (said := hand.looked(email))
    assert "A VAT number is needed" in said
    assert not night.arrived(ada)
    assert told(night) == (1, 0)
    night.org.org.validation_rules.clear()
    hand.looked(email)
    hand.retry(email)
    night.work()
    assert night.arrived(ada)
    assert told(night) == (0, 1)


def a_dead_token(night, hand):
    """A dead token."""
    night.org.sign_in.refresh_tokens.clear()
    night.org.sign_in.expire()
    bea, email = night.buy("bea")
    night.hours(1)
    assert "owed" in (said := hand.looked(email))
    assert "crm is needs auth" in said
    assert not night.arrived(bea)
    assert told(night) == (1, 0)
    hand.connect(email)
    night.work()
    assert night.arrived(bea)
    assert told(night) == (0, 1)


def a_filter(night, hand):
    """The route's filter: nothing failed, so nobody is paged. The file is mended, and the daemon reads it again."""
    cleo, email = night.buy("cleo", billing={"country": "FR"})
    night.hours(1)
    assert "skipped" in (said := hand.looked(email))
    assert "when" in said or "filter" in said
    assert not night.arrived(cleo)
    assert told(night) == (0, 0)
    night.config["routes"]["people"]["when"] = "customer.email"
    night.write()
    night.restart()
    hand.send_all(email)
    night.work()
    assert night.arrived(cleo)
    assert told(night) == (0, 0)


def a_mapping_that_fails(night, hand):
    """The mapping fails for one record."""
    dora, email = night.buy("dora", meta_data=[{"key": "visits", "value": "0"}])
    night.hours(1)
    assert "parked" in (said := hand.looked(email))
    assert "Share__c" in said
    assert not night.arrived(dora)
    assert told(night) == (1, 0)
    night.config["routes"]["people"]["fields"]["Share__c"] = "100 // ((customer.meta.visits | default(1) | int) or 1)"
    night.write()
    night.restart()
    hand.looked(email)
    hand.retry(email)
    night.work()
    assert night.arrived(dora)
    assert told(night) == (0, 1)


def a_target_that_is_down(night, hand):
    """The target is down."""
    night.org.fail_next(*[Fault.status(503, "<html>busy</html>")] * 10_000)
    eva, email = night.buy("eva")
    night.hours(1)
    assert "owed" in (said := hand.looked(email))
    assert "crm is circuit open" in said
    assert "at once: synccore lanes resume crm" in said
    assert not night.arrived(eva)
    assert told(night) == (1, 0)
    night.org.clear_faults()
    hand.resume(email)
    night.work()
    assert night.arrived(eva)
    assert told(night) == (0, 1)


def used_up_calls(night, hand):
    """The day's calls are used up."""
    night.org.call_limit = night.org.calls_used
    fay, email = night.buy("fay")
    night.hours(1)
    assert "owed" in (said := hand.looked(email))
    assert "crm is rate limited" in said
    assert not night.arrived(fay)
    assert told(night) == (1, 0)
    night.org.call_limit = 100_000
    hand.resume(email)
    night.work()
    assert night.arrived(fay)
    assert told(night) == (0, 1)


def a_lost_webhook(night, hand):
    """The shop lost a webhook."""
    gia, email = night.buy("gia")
    night.shop.hooks.waiting.clear()
    assert "obody here has heard of them" in hand.looked(email)
    assert not night.arrived(gia)
    hand.fetch(email)
    night.work()
    assert night.arrived(gia)
    assert told(night) == (0, 0)


def two_contacts_that_may_be_meant(night, hand):
    """Two contacts may be meant."""
    twins = [night.org.org.insert("Contact", {"LastName": n, "Email": "ida@shop.test"}) for n in ("One", "Two")]
    ida, email = night.buy("ida")
    night.hours(1)
    assert "parked" in (said := hand.looked(email))
    assert all(twin in said for twin in twins)
    assert not night.arrived(ida)
    assert told(night) == (1, 0)
    night.org.org.merge("Contact", twins[1], twins[0])
    hand.looked(email)
    hand.retry(email)
    night.work()
    assert night.arrived(ida)
    assert told(night) == (0, 1)


CAUSES = (
    a_validation_rule_of_the_org,
    a_dead_token,
    a_filter,
    a_mapping_that_fails,
    a_target_that_is_down,
    used_up_calls,
    a_lost_webhook,
    two_contacts_that_may_be_meant,
)


def test_eight_causes_in_one_night(night, hand):
    for cause in CAUSES:
        cause(night, hand)
    assert len(night.org.records("Contact")) == 8


def test_a_shop_whose_webhooks_stay_away_is_told_once_and_is_well_when_one_comes(night):
    night.config["sources"]["shop"]["entities"] = ["customer", "order"]
    night.config["server"]["public_url"] = night.web.url
    night.write()
    night.restart()
    connect(night.app, "shop", AutoBrowser(night.org.approve))
    ada, _ = night.buy("ada")
    night.work()

    def lost(minutes):
        for _ in range(minutes // 10):
            night.clock.advance(timedelta(minutes=10))
            night.shop.hooks.waiting.clear()
            night.worker.poll_due()
            night.work()

    lost(20)
    order = night.shop.place_order(customer_id=ada)
    lost(40)
    assert night.pager.take() == (0, 0)
    lost(80)
    night.restart()
    lost(20)
    assert "no webhook since" in night.pager.told[0]
    assert night.pager.take() == (1, 0)
    night.shop.edit_order(order, status="completed")
    night.work()
    night.clock.advance(timedelta(minutes=10))
    night.worker.poll_due()
    night.work()
    assert night.pager.take() == (0, 1)
