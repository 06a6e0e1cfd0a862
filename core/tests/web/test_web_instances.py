"""The pages of sources and sinks: how they are and until when, held and let go, quotas, jobs, what went wrong."""

from datetime import timedelta

import pytest

from synccore._web import create_web
from synccore.errors import Rejected
from synccore.store import LaneRecord
from synccore.testing import customer
from synccore.types import Account, Allowance, Check


@pytest.fixture
def site(open_site):
    site = open_site()
    site.house.reached()
    return site


def test_a_state_says_until_when(site, words):
    house = site.house
    until = house.clock.now() + timedelta(hours=3)
    house.app.store.put_lane(
        LaneRecord(sink="crm", state="rate_limited", reason="quota", until=until, changed_at=house.clock.now())
    )
    text = words(site.visitor().get("/plugins/crm"))
    assert f"rate limited until {until:%Y-%m-%d %H:%M} UTC" in text
    assert "Try again now" in text


def test_pausing_and_resuming_hold_what_is_delivered(site, words):
    visitor, house = site.visitor(), site.house
    said = words(visitor.act("/lanes/pause", name="crm", reason="the CRM's audit"))
    assert "crm is paused" in said
    assert "the CRM's audit" in said
    house.deliver(2)
    assert house.crm.records == {}
    assert "paused" in words(visitor.get("/plugins"))
    assert "crm goes on with 2 owed" in words(visitor.act("/lanes/resume", name="crm"))
    house.drain()
    assert len(house.crm.records) == 2


def test_a_shop_is_paused_as_well(site, words):
    visitor = site.visitor()
    visitor.act("/lanes/pause", name="shop")
    assert site.house.app.lane_of("shop").state == "paused"
    assert words(visitor.act("/lanes/resume", name="shop")).count("shop goes on") == 1
    assert site.house.app.lane_of("shop").state == "ok"


def test_disconnecting_erases_what_is_stored_and_says_what_failed(site, words):
    house = site.house
    house.app.vault("crm").put("token", "hunter2")

    def fail(keep_grant):
        raise Rejected("the vendor is away")

    house.crm.disconnect = fail
    said = words(site.visitor().act("/disconnect", name="crm"))
    assert "crm is disconnected: 1 stored credential erased" in said
    assert "the grant could not be ended: the vendor is away" in said
    assert "needs auth" in said
    assert house.app.vault("crm").get("token") is None


def test_an_unknown_name_is_told(site, words):
    for path in ("/lanes/pause", "/lanes/resume", "/disconnect"):
        answer = site.visitor().act(path, name="<b>nobody")
        assert answer.status == 400, path
        assert "there are: shop, crm" in words(answer)
        assert "<b>nobody" not in answer.text


def test_actions_need_a_form_of_ours_and_a_session(open_site):
    site = open_site(dashboard_password="open sesame")
    stranger, owner = site.visitor(), site.visitor()
    owner.login("open+sesame")
    paths = [r.path for r in create_web(site.house.door).routes if "POST" in (getattr(r, "methods", None) or ())]
    for path in [
        p.replace("{name}", "crm") for p in paths if p not in ("/login", "/hooks/{source}", "/hooks/{source}/")
    ]:
        refused = stranger.post(path, f"token={stranger.token('/login')}&name=crm")
        if path != "/logout":
            assert refused.status == 303, path
            assert refused.headers["location"].endswith("login"), path
            assert owner.post(path, "token=wrong&name=crm").status == 403, path
            form = f"token={owner.token('/people')}&name=crm"
            assert owner.post(path, form, Origin="https://evil.example").status == 403, path
    assert len(paths) > 12, "every action that there is was tried"
    assert site.house.app.lane_of("crm").state == "ok"


def test_quotas_jobs_and_last_errors_are_shown(site, words):
    house = site.house
    resets = house.clock.now() + timedelta(hours=1)
    house.crm.budgets = lambda: [Allowance(label="calls a day", used=250, limit=1000, resets_at=resets)]
    house.park(1, "too <long>")
    house.crm.job_from = 1
    house.deliver(2)
    text = words(site.visitor().get("/plugins/crm"))
    assert "calls a day 250 used, 750 left of 1 000" in text
    assert "Job job-1: 2 records" in text
    assert "parked too <long>" in text


def test_a_plugin_that_cannot_tell_its_quotas_harms_nobody(site):
    def fail():
        raise ValueError("x")

    site.house.crm.budgets = fail
    assert site.visitor().get("/plugins/crm").status == 200


def test_whom_it_is_connected_to_is_named(site, words):
    site.house.crm.connect = lambda _: Account(id="1", label="Ada <x>", detail="sandbox")
    visitor = site.visitor()
    visitor.act("/connect/crm")
    answer = visitor.get("/plugins/crm")
    assert "connected to Ada <x> sandbox" in words(answer)
    assert "last connected to Ada <x>" in words(visitor.act("/disconnect", name="crm"))
    assert "<x>" not in answer.text


def test_another_account_is_taken_only_where_a_person_says_so(site, words):
    """As with `--switch-account`: the links to the old account's records are kept apart."""
    house, visitor = site.house, site.visitor()
    reached = [Account(id="1", label="Ada")]
    house.crm.connect = lambda _: reached[0]
    house.crm.check = lambda: Check(account=reached[0])
    visitor.act("/connect/crm")
    house.deliver(2)
    assert len(house.app.store.links("people")) == 2
    reached[0] = Account(id="2", label="Bea")
    refused = words(visitor.act("/connect/crm"))
    assert "another account (Bea)" in refused
    assert len(house.app.store.links("people")) == 2
    assert "Connect another account" in words(visitor.get("/plugins/crm"))
    said = words(visitor.act("/connect/crm", switch="yes"))
    assert "crm is connected to Bea" in said
    assert "2 links to records of Ada are kept apart" in said
    assert "synccore backfill shop customer --route people" in said
    assert house.app.store.links("people") == []
    assert "connected to Bea" in words(visitor.get("/plugins/crm"))


def test_records_that_could_not_be_read_are_on_the_shops_page(site, words):
    from synccore.store import Ingest
    from synccore.types import Unreadable

    bad = Unreadable(where="page 3, row <17>", reason="no id", entity="customer")
    site.house.app.intake.submit(Ingest(source="shop", changes=[], rules={}, unreadable=[bad]))
    site.house.emit(customer("1", email="a@shop.test"))
    assert "customer, page 3, row <17>: no id 1 times" in words(site.visitor().get("/plugins/shop"))
