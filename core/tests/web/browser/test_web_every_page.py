"""Every page in a real browser, as people meet it: behind a proxy, with a password, on a phone and at night.

One browser, one endpoint and one log-in for all pages: what takes long is begun once.
"""

import importlib.resources
import json
from collections.abc import Iterator
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from synccore._verbs.parked import cause_id
from synccore.entities import Address, Order
from synccore.errors import Rejected
from synccore.testing import customer, upsert

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=alert(1)>\"'><script>alert(2)</script>"


def record(key, entity="customer", **more):
    return "/people/record?" + urlencode({"source": "shop", "entity": entity, "key": key, **more})


REFUSAL = "refused <b onclick=alert(3)>so</b>"
PARKED = "/parked/cause?" + urlencode({"route": "people", "cause": cause_id("rejected", REFUSAL)})

#: Path -> a heading it must have.
PAGES = {
    "/people": "People",
    record("1", live="people"): "Ada",
    record("2"): HOSTILE,
    record("7", "order"): "order 7",
    "/parked": "Parked",
    PARKED: "parked on people",
    "/activity": "Activity",
    "/work": "Work under way",
    "/glossary": "What the words mean",
    "/": "crm",
    "/routes": "Routes",
    "/routes/people": "people",
    "/plugins": "Instances",
    "/plugins/crm": "crm",
    "/plugins/shop": "shop",
}


def fill(house):
    """People, an order, one that was refused, names that would like to be markup."""
    house.reached()
    house.crm.always(lambda operation: Rejected(REFUSAL) if operation.key == "2" else None)
    house.emit(
        customer("1", email="ada@shop.test", first_name="Ada", phone="+49 30 1", billing=Address(line1="x" * 80)),
        customer("2", email="b@shop.test", first_name=HOSTILE),
        upsert(Order(key="7", number="7", status=HOSTILE, currency="EUR", total=None), owner="1"),
    )
    house.drain()
    house.emit(customer("1", email="ada@shop.test", first_name="Ada", last_name="Lovelace"))


@pytest.fixture
def logged_in(open_site, tab, proxy, full) -> Iterator[SimpleNamespace]:
    at = f"http://localhost:{proxy.server_port}"
    site = open_site(routes=full, dashboard_password="open sesame", public_url=at, trusted_proxies=["127.0.0.1"])
    proxy.upstream = site.server.port
    proxy.adds = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
    fill(site.house)
    tab.goto(at)
    tab.get_by_label("Password").fill("open sesame")
    tab.keyboard.press("Enter")
    tab.get_by_role("navigation", name="Main").wait_for()
    return SimpleNamespace(at=at, site=site, tab=tab)


def axe():
    try:
        return importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    except ModuleNotFoundError:
        pytest.skip("axe-playwright-python is not installed: uv sync --group browser")


def test_every_page_fits_and_is_there_for_everybody(logged_in):
    tab, script, found = logged_in.tab, axe(), []
    for path, heading in PAGES.items():
        tab.goto(logged_in.at + path)
        assert heading in tab.get_by_role("heading", level=1).inner_text(), path
        tab.evaluate(script)
        for scheme, width in (("light", 1280), ("dark", 390)):
            tab.emulate_media(color_scheme=scheme)
            tab.set_viewport_size({"width": width, "height": 800})
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
            # What does not depend on colour and width is looked at once.
            rules = {} if scheme == "light" else {"runOnly": ["color-contrast", "target-size"]}
            result = tab.evaluate("options => axe.run(options)", {"resultTypes": ["violations"], **rules})
            serious = [v for v in result["violations"] if v["impact"] in ("serious", "critical")]
            found += [(path, scheme, width, v["id"], [n["html"] for n in v["nodes"]][:3]) for v in serious]
    assert not found, json.dumps(found, indent=1)


def test_the_axe_check_sees_what_is_wrong(logged_in):
    tab = logged_in.tab
    tab.evaluate("document.querySelector('main').innerHTML = '<h1>Hard to read</h1><input>'")
    tab.evaluate("document.querySelector('h1').style.color = '#e4e4e4'")
    tab.evaluate(axe())
    result = tab.evaluate("axe.run({resultTypes: ['violations']})")
    assert {"label", "color-contrast"} <= {v["id"] for v in result["violations"]}


def test_from_a_question_to_a_repair_by_keyboard(logged_in, enter):
    """Customer 2 is not at the target: found, the reason read, the cause mended, sent, there."""
    tab, house = logged_in.tab, logged_in.site.house
    tab.goto(logged_in.at + "/people")
    enter("E-mail, name, key", "b@shop.test")
    tab.get_by_role("heading", level=1, name="<img").wait_for()
    assert "refused" in tab.locator("article").inner_text()
    assert tab.locator("main img, main script").count() == 0
    house.crm.always(None)
    tab.get_by_role("button", name="Retry").focus()
    tab.keyboard.press("Enter")
    tab.get_by_role("status").get_by_text("1 parked one is owed again").wait_for()
    house.drain()
    tab.reload()
    assert "delivered" in tab.locator("article").inner_text()
    assert house.crm.by_uid()["shop:customer:2"]["name"] == HOSTILE
