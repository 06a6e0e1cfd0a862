"""What `synccore check` says about an account, and what the sink tells of itself."""

from datetime import timedelta

import pytest

from synccore.errors import AuthError, ConfigError
from synccore.types import RouteSpec
from synccore_klaviyo.config import REVISION, KlaviyoConfig
from synccore_klaviyo.sink import SINK


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
    assert [f.level for f in check.findings] == ["info"]


def test_the_write_scopes_to_grant_are_listed(open_sink):
    (line,) = said(open_sink((PROFILES, EVENTS)).check(), "info")
    for scope in ("profiles:write", "lists:write", "subscriptions:write", "events:write", "data-privacy:write"):
        assert scope in line


def test_a_wrong_key_is_an_error(open_sink):
    with pytest.raises(AuthError, match="private key"):
        open_sink(key="pk_wrong").check()


@pytest.mark.parametrize("scope", ["accounts:read", "profiles:read", "lists:read", "metrics:read"])
def test_each_missing_scope_is_named(open_sink, klaviyo, scope):
    klaviyo.scopes.remove(scope)
    found = [f for f in open_sink((PROFILES,)).check().findings if f.level != "info"]
    assert len(found) == 1
    assert scope in found[0].message
    assert found[0].path == "sinks.marketing.api_key"


def test_all_missing_scopes_are_named_one_by_one(open_sink, klaviyo):
    klaviyo.scopes = {"profiles:write"}
    lines = " ".join(said(open_sink((PROFILES,)).check()))
    assert all(s in lines for s in ("accounts:read", "profiles:read", "lists:read", "metrics:read"))


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

    assert all(f.metadata.get("help") for f in attrs.fields(KlaviyoConfig))


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
