"""Notices through the real Apprise, to a server on this machine."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from synccore.errors import ConfigError, Transient
from synccore.secrets import Secret
from synccore.testing import START
from synccore.types import Notice, Trouble
from synccore_apprise.channel import APPRISE, AppriseConfig

#: A part of Apprise imports what Python drops one day.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

TROUBLE = Trouble(kind="needs_auth", name="crm", sentence="crm: needs auth", since=START)


@pytest.fixture
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.server.heard.append(json.loads(body))
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, *_):
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.heard, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def channel(url):
    return APPRISE.open(AppriseConfig(url=Secret(url)), None)


def test_a_notice_arrives_with_subject_and_text(server):
    notice = Notice(at=START, subject="synccore: crm: needs auth", text="- crm: needs auth", troubles=(TROUBLE,))
    channel(f"json://127.0.0.1:{server.server_port}/").send(notice)
    [heard] = server.heard
    assert (heard["title"], heard["message"], heard["type"]) == (notice.subject, notice.text, "warning")


def test_a_recovery_is_good_news_at_every_address(server):
    url = f"json://127.0.0.1:{server.server_port}/a, json://127.0.0.1:{server.server_port}/b"
    channel(url).send(Notice(at=START, subject="crm is well again", text="x", recovered=(TROUBLE,)))
    assert [heard["type"] for heard in server.heard] == ["success", "success"]


def test_a_refusal_is_told_without_the_token(server):
    server.status = 500
    with pytest.raises(Transient) as caught:
        channel(f"json://hunter2:s3cr3t@127.0.0.1:{server.server_port}/").send(Notice(at=START, subject="s", text="t"))
    assert "could not send" in caught.value.message
    assert "s3cr3t" not in caught.value.message


def test_an_address_of_no_kind_is_a_mistake_of_the_file(capfd, caplog):
    with pytest.raises(ConfigError, match="does not know"):
        channel("nonsense-s3cr3t")
    assert "s3cr3t" not in "".join(capfd.readouterr())
    assert "s3cr3t" not in caplog.text
