"""What changes hands, an order or a number, as Klaviyo's own profiles and events have it."""

from synccore._verbs.preview import preview
from synccore._verbs.verify import verify

ROUTE = {
    "profiles": {
        "entity": "customer",
        "sink": "marketing",
        "object": "profile",
        "include": ["order"],
        "fields": {"email": "customer.email", "Orders": "orders | map(attribute='number') | list"},
    }
}


PEOPLE = {"guest:1": "gus@shop.test", "1": "ada@shop.test", "2": "ben@shop.test"}


def bought(klaviyo):
    return {p.attributes["email"]: p.properties.get("Orders") or [] for p in klaviyo.store.people.values()}


def test_both_owners_profiles_follow_an_order_that_changes_hands(open_app, shop, klaviyo):
    app = open_app(ROUTE)
    app.emit(*(shop.customer(key, email=email) for key, email in PEOPLE.items()), shop.order(owner="guest:1"))
    app.settle_down()
    assert bought(klaviyo) == {"gus@shop.test": ["900"], "ada@shop.test": [], "ben@shop.test": []}
    for old, new in (("guest:1", "1"), ("1", "2")):
        app.emit(shop.order(owner=new))
        assert preview(app.app, "profiles", new, live=True).fields["Orders"] == ["900"]
        assert not verify(app.app, "profiles").ok
        app.settle_down()
        held = bought(klaviyo)
        assert held[PEOPLE[new]] == ["900"]
        assert not held[PEOPLE[old]]
        assert verify(app.app, "profiles").ok


def test_what_was_told_of_an_order_stays_told_and_is_not_told_again(start, shop, klaviyo):
    """Klaviyo's events are final: a placed order is one fact, whoever the shop says it belongs to later."""
    app = start("profiles", "orders")
    app.emit(shop.customer("1"), shop.customer("2"), shop.order(owner="1"))
    app.settle_down()
    before = [(e["metric"], e["email"]) for e in klaviyo.events()]
    assert ("Placed Order", "c1@shop.test") in before
    app.emit(shop.order(owner="2"))
    app.settle_down()
    assert [(e["metric"], e["email"]) for e in klaviyo.events()] == before
    app.emit(shop.order(owner="2", status="completed", completed_at=shop.clock.now()))
    app.settle_down()
    new = [e["email"] for e in klaviyo.events()[len(before) :]]
    assert set(new) == {"c2@shop.test"}


def test_a_number_that_somebody_gave_up_goes_to_who_has_it(start, shop, klaviyo):
    app = start("profiles")
    phone = "+4915123456789"
    app.emit(shop.customer("1", phone=phone))
    app.settle_down()
    app.emit(shop.customer("2", phone=phone))
    app.settle_down()
    assert verify(app.app, "profiles").ok
    app.emit(shop.customer("1", phone=None))
    app.settle_down()
    assert klaviyo.person("c2@shop.test").attributes["phone_number"] == phone
    assert verify(app.app, "profiles").ok


def test_a_number_that_was_freed_at_klaviyo_goes_to_who_has_it_once_verify_looked(start, shop, klaviyo):
    app = start("profiles")
    phone = "+4915123456789"
    stranger = klaviyo.add_person(email="stranger@shop.test", phone_number=phone)
    app.emit(shop.customer("2", phone=phone))
    app.settle_down()
    assert verify(app.app, "profiles").ok
    klaviyo.store.delete(stranger)
    proof = verify(app.app, "profiles", repair=True)
    assert proof.drift == {"2": ["phone_number"]}
    app.settle_down()
    assert klaviyo.person("c2@shop.test").attributes["phone_number"] == phone
    assert verify(app.app, "profiles").ok
