"""A real browser, and a proxy as people put before the endpoint."""

import http.client
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def chromium():
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium):
    """A page that must never break its own content policy."""
    context = chromium.new_context(viewport={"width": 1200, "height": 800})
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    yield page
    assert not [c for c in page.complaints if "Content Security Policy" in c or "Error" in c]
    context.close()


@pytest.fixture
def enter(tab):
    """Types into the field that has the focus by itself, and sends it.

    A page has loaded some frames before its `autofocus` is obeyed: what is typed earlier is lost.
    """

    def type_and_send(label, text):
        sync_api = pytest.importorskip("playwright.sync_api")
        field = tab.get_by_label(label)
        sync_api.expect(field).to_be_focused(timeout=30_000)
        tab.keyboard.type(text)
        sync_api.expect(field).to_have_value(text, timeout=30_000)
        tab.keyboard.press("Enter")

    return type_and_send


class _Forward(BaseHTTPRequestHandler):
    """A reverse proxy as plain as they come: Host is the upstream's."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Nothing."""

    def forward(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=10)
        sent = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        upstream.request(self.command, self.path, body, sent | self.server.adds)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = forward  # noqa: N815  the base class's names


@pytest.fixture
def proxy():
    """A reverse proxy on a port of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Forward)
    server.daemon_threads = True
    server.adds = {}
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
