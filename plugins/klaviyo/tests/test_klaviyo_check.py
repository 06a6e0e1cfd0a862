"""What `synccore check` says about an account, and what the sink tells of itself."""

from datetime import timedelta

import pytest
from attrs import evolve

from synccore.errors import AnotherAccount, AuthError, ConfigError, RateLimited
from synccore.types import RouteSpec
from synccore_klaviyo.config import REVISION, Config
from synccore_klaviyo.errors import MissingScope
from synccore_klaviyo.sink import SINK
from synccore_klaviyo.testing.transport import SCOPES


def route(target, entity="customer", fields=None, **settings):
    return RouteSpec(
        name=f"{entity}_{target}",
        source="shop",
        entity=entity,
        sink="marketing",
        object=target,
        fields=fields or {},
        settings=settings,
    )


PROFILES, EVENTS, ORDERS = route("profile"), route("event", "membership"), route("event", "order")


def said(check, level=None):
    return [f.message for f in check.findings if level in (None, f.level)]


def test_the_account_is_named_and_the_revision_pinned(open_sink, klaviyo):
    klaviyo.organization = "Tea house"
    check = open_sink((PROFILES, EVENTS)).check()
    assert (check.account.id, check.account.label) == ("AbC123", "Tea house")
    assert REVISION in check.detail
    assert {r.headers["revision"] for r in klaviyo.requests} == {REVISION}
    assert check.findings == ()


def test_the_account_of_another_key_is_not_taken_from_memory(open_sink, klaviyo):
    assert open_sink().account().id == "AbC123"
    klaviyo.throttle("GET", "/api/accounts", timedelta(hours=1))
    assert open_sink().account().id == "AbC123"
    klaviyo.key = "pk_of_somebody_else"
    with pytest.raises(RateLimited):
        open_sink().account()


def test_a_new_key_that_may_not_say_whose_it_is_writes_nothing(open_sink, klaviyo, clock):
    """It may be another account's: what equals the old one's links would be left out, what differs made there."""
    open_sink((PROFILES,)).account()
    clock.advance(timedelta(minutes=2))
    klaviyo.scopes.remove("accounts:read")
    with pytest.raises(MissingScope):
        open_sink((PROFILES,)).account()
    klaviyo.key = "pk_of_somebody"
    clock.advance(timedelta(minutes=2))
    with pytest.raises(AnotherAccount, match=r"accounts:read"):
        open_sink((PROFILES,)).account()
    clock.advance(timedelta(minutes=2))
    (line,) = said(open_sink((PROFILES,)).check(), "error")
    assert "accounts:read" in line


def test_a_scope_that_cannot_be_seen_is_not_called_missing(open_sink, klaviyo):
    """The writing ones are seen by calls that need `profiles:write` too, and a 403 may name all that a call needs."""
    klaviyo.scopes.remove("profiles:write")
    klaviyo.names_scopes = False
    check = open_sink((PROFILES, EVENTS)).check()
    assert {s for s in SCOPES for line in said(check) if f"scope {s}:" in line} == {"profiles:write"}
    assert [line for line in said(check, "warning") if "cannot be seen" in line and "lists:write" in line]


def test_a_check_writes_nothing(open_sink, klaviyo):
    open_sink((PROFILES, EVENTS)).check()
    assert klaviyo.store.writes == klaviyo.store.events == klaviyo.erased == []
    assert (klaviyo.store.people, klaviyo.jobs) == ({}, {})
    assert klaviyo.throttled == 0


def test_sinks_of_one_account_take_turns_where_it_allows_one_call_a_second(open_sink, klaviyo):
    for _ in range(3):
        open_sink().check()
    assert klaviyo.count("GET", "/api/accounts") == 3
    assert klaviyo.throttled == 0


def test_a_wrong_key_is_an_error(open_sink):
    with pytest.raises(AuthError, match="private key"):
        open_sink(key="pk_wrong").check()


@pytest.mark.parametrize("scope", sorted({*SCOPES} - {"events:read", "subscriptions:read"}))
def test_each_missing_scope_is_named_and_no_other(open_sink, klaviyo, scope):
    klaviyo.scopes.remove(scope)
    (found,) = open_sink((PROFILES, EVENTS)).check().findings
    assert {s for s in SCOPES if f"scope {s}:" in found.message} == {scope}
    assert found.path == "sinks.marketing.api_key"
    needed = scope not in ("accounts:read", "metrics:read", "data-privacy:write")
    assert found.level == ("error" if needed else "warning")


@pytest.mark.parametrize("named", [True, False])
def test_all_missing_scopes_are_named_one_by_one(open_sink, klaviyo, named):
    klaviyo.scopes, klaviyo.names_scopes = {"profiles:write"}, named
    lines = said(open_sink((PROFILES, EVENTS)).check())
    missing = {*SCOPES} - {"events:read", "subscriptions:read", "profiles:write"}
    assert {s for s in SCOPES for line in lines if f"scope {s}:" in line} == missing


def test_two_shops_with_one_prefix_are_refused_with_the_remedy(open_sink):
    default = open_sink().objects[0].defaults["customer"].fields
    routes = (route("profile", fields=default), evolve(route("profile", fields=default), name="b", source="shop2"))
    with pytest.raises(ConfigError, match=r"last writer wins.*another prefix") as caught:
        open_sink(routes)
    assert caught.value.path == "routes.b"
    own = {**default, "properties": default["properties"].replace("woo_", "two_")}
    assert open_sink((routes[0], evolve(routes[1], fields=own))).check().findings == ()


def test_the_properties_of_a_prefix_are_claimed_for_the_sources_of_the_profiles(open_sink):
    assert open_sink((PROFILES, evolve(EVENTS, source="shop2")), prefix="two_").check().claims == {"two_...": ["shop"]}
    assert open_sink((EVENTS,)).check().claims == {}


def test_another_account_behind_the_same_key_is_another_account(open_sink, klaviyo):
    sink = open_sink()
    before = sink.account()
    klaviyo.become("XyZ789", "Other shop")
    assert (before.id, sink.account().id, sink.account().label) == ("AbC123", "XyZ789", "Other shop")


def test_klaviyos_own_integration_is_a_warning(open_sink, klaviyo):
    klaviyo.install_woocommerce()
    (line,) = said(open_sink((PROFILES,)).check(), "warning")
    assert "WooCommerce integration" in line


def test_and_an_error_beside_commerce_events(open_sink, klaviyo):
    klaviyo.install_woocommerce()
    (line,) = said(open_sink((ORDERS,), commerce_events=True).check(), "error")
    assert "twice" in line


@pytest.mark.parametrize(("used", "level"), [(150, None), (185, "warning"), (199, "warning"), (200, "error")])
def test_room_for_metrics_is_counted(open_sink, klaviyo, used, level):
    for number in range(used):
        klaviyo.store.metric(f"Metric {number}")
    found = [f.level for f in open_sink((EVENTS,)).check().findings if f.level != "info"]
    assert found == ([level] if level else [])


def test_metrics_that_exist_take_no_further_room(open_sink, klaviyo):
    klaviyo.store.metric("Changed Membership Status")
    for number in range(199):
        klaviyo.store.metric(f"Metric {number}")
    assert not said(open_sink((EVENTS,)).check(), "error")


@pytest.mark.parametrize(
    ("revision", "level"), [("2026-01-15", "error"), ("2026-04-15", "warning"), ("2026-10-15", "warning")]
)
def test_another_revision_is_pointed_out(open_sink, revision, level):
    found = [f for f in open_sink((EVENTS,), revision=revision).check().findings if f.level != "info"]
    assert [(f.level, f.path) for f in found] == [(level, "sinks.marketing.revision")]


def test_a_revision_past_its_two_years_is_an_error(open_sink, clock):
    clock.advance(timedelta(days=3 * 365))
    assert "no longer served" in said(open_sink((EVENTS,)).check(), "error")[0]


def test_a_list_that_is_not_there_is_an_error(open_sink, klaviyo):
    assert said(open_sink(list="nope").check(), "error") == ["there is no list with this id"]
    assert said(open_sink(list=klaviyo.add_list("News")).check(), "error") == []


@pytest.mark.parametrize("name", ["on_opt_out", "on_delete", "on_conflict"])
def test_a_route_setting_that_is_no_choice_stops_the_sink(open_sink, name):
    with pytest.raises(ConfigError, match="is one of") as caught:
        open_sink((route("profile", **{name: "maybe"}),))
    assert caught.value.path == f"routes.customer_profile.{name}"


@pytest.mark.parametrize(
    "wrong", [{"headroom": 1.0}, {"headroom": -0.1}, {"revision": "latest"}, {"prefix": "1 x"}, {"bulk_threshold": 0}]
)
def test_settings_that_cannot_work_are_refused(open_sink, wrong):
    with pytest.raises(ValueError, match=r"headroom|revision|prefix|threshold"):
        open_sink(**wrong)


def test_every_setting_has_help():
    import attrs

    assert all(f.metadata.get("help") for f in attrs.fields(Config))


def test_routes_fields_of_their_own_are_described_as_properties(open_sink):
    infos = {i.name: i for i in open_sink((route("profile", fields={"Favourite": "'x'", "email": "''"}),)).describe()}
    names = [f.name for f in infos["profile"].fields]
    assert "Favourite" in names
    assert len(names) == len(set(names))
    assert next(f for f in infos["profile"].fields if f.name == "email").length == 100


def test_every_default_mapping_is_described(open_sink):
    infos = {i.name: {f.name for f in i.fields} for i in open_sink(commerce_events=True).describe()}
    for kind in SINK.objects:
        for defaults in kind.defaults.values():
            steering = {n for n in defaults.fields if n[0].islower()}
            assert steering <= infos[kind.name]
            assert set(defaults.compare) <= set(defaults.fields)


def test_commerce_events_are_off_unless_asked_for(open_sink):
    assert "order" not in next(o for o in open_sink().objects if o.name == "event").defaults
    assert "order" in next(o for o in open_sink(commerce_events=True).objects if o.name == "event").defaults


def test_the_prefix_and_the_external_id_shape_the_mapping(open_sink):
    fields = open_sink(prefix="club_", use_external_id=True).objects[0].defaults["customer"].fields
    assert "'club_'" in fields["properties"]
    assert fields["external_id"] == "uid"
