"""What a marketer's flow sees of one person: payments as they happened, whichever of their orders each is of.

Shop and target are the plugins' own stand-ins; the target's list of events is what contradicts.
"""

from datetime import timedelta

import tomlkit

from synccore._app.app import App
from synccore.testing import FakeClock, Fault
from synccore_klaviyo.testing import FakeKlaviyo
from synccore_woocommerce.testing.rest import FakeWooCommerce
from synccore_woocommerce.testing.rest import settings as woocommerce_settings

ENTITIES = ["customer", "order", "subscription", "payment"]


def configure(folder, shop, klaviyo):
    document = {
        "sources": {"shop": woocommerce_settings(shop, "a webhook secret for tests", ENTITIES)},
        "sinks": {"marketing": {"type": "klaviyo", "api_key": klaviyo.key, "api_url": klaviyo.url}},
        "routes": {
            "people": {"source": "shop", "entity": "customer", "sink": "marketing", "object": "profile"},
            "payments": {"source": "shop", "entity": "payment", "sink": "marketing", "object": "event"},
        },
    }
    path = folder / "synccore.toml"
    path.write_text(tomlkit.dumps(document), encoding="utf-8")
    return path


def poll(app):
    for entity in ENTITIES:
        app.lister("shop").poll(entity)


def test_a_payment_waits_for_the_one_before_it_of_the_same_person(tmp_path, settle_down):
    clock = FakeClock()
    with FakeWooCommerce(clock=clock) as shop, FakeKlaviyo(clock=clock.now) as klaviyo:
        ada, ben = shop.add_customer("ada@shop.test"), shop.add_customer("ben@shop.test")
        boxes = shop.subscribe(ada), shop.subscribe(ada), shop.subscribe(ben)
        with App.open(configure(tmp_path, shop, klaviyo), environ={}, clock=clock) as app:
            poll(app)
            settle_down(app, clock)
            told = []
            for box, paid in ((boxes[0], False), (boxes[1], True), (boxes[2], True), (boxes[0], True)):
                clock.advance(timedelta(minutes=2))
                told.append(str(shop.renew(box, paid=paid)))
            poll(app)
            first = told[0].encode()
            klaviyo.fail_next(*[Fault.status(429, when=lambda r: "event" in r.path and first in r.body)] * 3)
            app.engine.drain()
            assert not {told[0], told[1], told[3]} & set(orders(klaviyo, told))
            settle_down(app, clock)
            arrived = orders(klaviyo, told)
            assert sorted(arrived) == sorted(told)
            assert [o for o in arrived if o != told[2]] == [told[0], told[1], told[3]]
            assert {d.state for d in app.store.deliveries(limit=None)} <= {"done", "skipped"}


def orders(klaviyo, told):
    """The orders of the renewals that the target was told of, in its own order of arrival."""
    return [next((o for o in told if o in event["unique_id"]), "?") for event in klaviyo.store.events]
