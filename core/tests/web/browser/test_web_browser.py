"""The dashboard in a real browser."""

import pytest

from synccore.types import Account

pytestmark = pytest.mark.browser


def test_the_first_page_fits_a_phone_and_a_desk(open_site, tab):
    site = open_site()
    site.house.reached()
    site.house.lane("error", "x" * 300)
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        for width in (320, 1200):
            tab.set_viewport_size({"width": width, "height": 700})
            tab.goto(site.server.url)
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert tab.get_by_role("heading", level=1).inner_text() == "crm needs you"
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.emulate_media(color_scheme="light")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def test_the_page_follows_by_itself(open_site, tab):
    site = open_site()
    site.house.reached()
    tab.clock.install()
    tab.goto(site.server.url)
    assert tab.get_by_role("heading", level=1).inner_text() == "Everything works"
    site.house.park(2)
    tab.clock.run_for(6000)
    tab.get_by_role("heading", name="Working, with a note on crm").wait_for()


def test_text_is_legible_in_both_schemes(open_site, tab):
    """WCAG AA: 4.5 to 1 for every text."""
    site = open_site()
    site.house.lane("needs_auth", "the grant was revoked")
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        for path in ("/", "/plugins/crm"):
            tab.goto(site.server.url + path)
            assert tab.evaluate(CONTRAST) == []


CONTRAST = """() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const lum = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) {
    const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > 0) return c;
  } return [255, 255, 255]; };
  const bad = [];
  for (const e of document.querySelectorAll("main *, header *")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [lum(parse(getComputedStyle(e).color)), lum(ground(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) bad.push(e.outerHTML.slice(0, 80));
  }
  return bad;
}"""


def test_logging_in_by_keyboard(open_site, tab, enter):
    site = open_site(dashboard_password="open sesame")
    site.house.reached()
    tab.goto(site.server.url)
    enter("Password", "wrong")
    tab.get_by_role("alert").wait_for()
    enter("Password", "open sesame")
    tab.get_by_role("heading", name="Everything works").wait_for()
    tab.get_by_role("button", name="Log out").click()
    tab.get_by_label("Password").wait_for()


def test_a_video_loads_only_when_chosen(open_site, tab, video):
    site = open_site()
    site.house.crm.videos = (
        video(
            title="Setting up",
            preview_url="https://drive.google.com/file/d/x/preview",
            view_url="https://drive.google.com/file/d/x/view",
        ),
    )
    asked = []
    tab.route("https://drive.google.com/**", lambda route: asked.append(route.request.url) or route.fulfill(body="hi"))
    tab.goto(site.server.url + "/plugins/crm")
    assert asked == []
    tab.get_by_role("link", name="Setting up").click()
    tab.frame_locator("iframe").get_by_text("hi").wait_for()
    assert asked == ["https://drive.google.com/file/d/x/preview"]


def test_connecting_leads_to_the_vendor_and_back(open_site, tab):
    """The content policy must let the way to the vendor pass."""
    site = open_site()

    def connect(browser):
        browser.authorize(lambda uri: f"https://vendor.test/auth?redirect_uri={uri}&state=s")
        return Account(id="1", label="Ada")

    site.house.crm.connect = connect
    site.house.lane("ok", name="source:shop")
    back = f'<a href="http://127.0.0.1:{site.server.port}/oauth/callback?state=s&code=c">Allow</a>'
    tab.route("https://vendor.test/**", lambda route: route.fulfill(body=back, content_type="text/html"))
    tab.goto(site.server.url + "/plugins/crm")
    tab.get_by_role("button", name="Connect").click()
    tab.get_by_role("link", name="Allow").click()
    tab.get_by_text("crm is connected to Ada.").wait_for()
    tab.get_by_role("link", name="To the dashboard").click()
    tab.get_by_role("heading", name="Everything works").wait_for()


@pytest.mark.parametrize("behind", ["public_url", "rewriting proxy", "forwarding proxy"])
def test_log_in_connect_and_log_out_work_with_a_public_address(open_site, tab, proxy, behind):
    at = f"http://localhost:{proxy.server_port}"
    site = open_site(dashboard_password="open sesame", public_url=at, trusted_proxies=["127.0.0.1"])
    proxy.upstream = site.server.port
    if behind == "forwarding proxy":
        proxy.adds = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http"}
    site.house.reached()
    start = site.server.url if behind == "public_url" else at

    def connect(browser):
        browser.authorize(lambda uri: f"https://vendor.test/auth?redirect_uri={uri}&state=s")
        return Account(id="1", label="Ada")

    site.house.crm.connect = connect
    back = f'<a href="{start}/oauth/callback?state=s&code=c">Allow</a>'
    referrers = []
    tab.route(
        "https://vendor.test/**",
        lambda route: (
            referrers.append(route.request.headers.get("referer")) or route.fulfill(body=back, content_type="text/html")
        ),
    )
    tab.goto(start)
    tab.get_by_label("Password").fill("open sesame")
    tab.keyboard.press("Enter")
    tab.get_by_role("heading", name="Everything works").wait_for()
    tab.goto(start + "/plugins/crm")
    tab.get_by_role("button", name="Connect").click()
    tab.get_by_role("link", name="Allow").click()
    tab.get_by_text("crm is connected to Ada.").wait_for()
    tab.get_by_role("link", name="To the dashboard").click()
    tab.get_by_role("button", name="Log out").click()
    tab.get_by_label("Password").wait_for()
    assert not any(referrers), "the vendor learns the dashboard's address"


def test_a_secure_cookie_is_kept_on_this_machine(open_site, tab):
    site = open_site(dashboard_password="open sesame", public_url="https://sync.example.com")
    site.house.reached()
    tab.goto(site.server.url.replace("127.0.0.1", "localhost"))
    tab.get_by_label("Password").fill("open sesame")
    tab.keyboard.press("Enter")
    tab.get_by_role("heading", name="Everything works").wait_for()
