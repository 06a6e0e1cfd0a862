"""The server in its thread; health and metrics."""

import threading
from datetime import timedelta

import pytest
from attrs import evolve
from structlog.testing import capture_logs

from synccore._web import WebServer, create_web
from synccore.errors import ConfigError
from synccore.types import Settled

pytestmark = pytest.mark.filterwarnings("error")


def test_a_free_port_is_chosen_and_freed(new_house):
    house = new_house()
    with WebServer(create_web(house.door), "127.0.0.1", 0) as server:
        port = server.port
        assert port > 0
    again = WebServer(create_web(house.door), "127.0.0.1", port)
    again.start()
    again.stop()


def test_a_taken_port_is_a_config_error(new_house):
    house = new_house()
    with (
        WebServer(create_web(house.door), "127.0.0.1", 0) as server,
        pytest.raises(ConfigError, match="cannot listen") as caught,
    ):
        WebServer(create_web(house.door), "127.0.0.1", server.port)
    assert caught.value.path == "server.listen"


def test_stop_lets_a_running_webhook_finish(open_site):
    site = open_site()
    inside, go = threading.Event(), threading.Event()

    def slow(source, request):
        inside.set()
        assert go.wait(10)

    site.house.door.on_receive = slow
    answers = []
    caller = threading.Thread(target=lambda: answers.append(site.visitor().ask("POST", "/hooks/shop", b"{}").status))
    caller.start()
    assert inside.wait(10)
    stopper = threading.Thread(target=site.server.stop)
    stopper.start()
    go.set()
    caller.join(10)
    stopper.join(10)
    assert answers == [200]


def test_ready_says_why_not(open_site):
    site = open_site()
    assert site.visitor().get("/readyz").status == 200
    site.house.door.waiting = "stopping"
    answer = site.visitor().get("/readyz")
    assert (answer.status, answer.text) == (503, "stopping")
    assert site.visitor().get("/healthz").status == 200


def test_metrics_tell_what_is_owed_and_what_was_done(open_site):
    site = open_site()
    metrics = site.house.door.metrics
    metrics.settled(Settled(at=site.house.clock.now(), sink="crm", outcome="delivered"))
    metrics.settled(Settled(at=site.house.clock.now(), sink="crm", outcome="lane", lane_state="paused"))
    metrics.batch("crm", 200, timedelta(seconds=1))
    site.house.crm.job_from = 2
    site.house.deliver(2)  # handed to a bulk job of the target
    site.house.owe(3)
    site.house.clock.advance(timedelta(seconds=5))
    site.house.app.unit("crm").context.calls = 17
    lines = site.visitor().get("/metrics").text.splitlines()
    assert 'synccore_webhooks_refused_total{reason="signature",source="shop"} 0.0' in lines, "its first one is a growth"
    for expected in (
        'synccore_deliveries_total{outcome="delivered",sink="crm"} 1.0',
        'synccore_owed{sink="crm",state="ready"} 3.0',
        'synccore_owed{sink="crm",state="submitted"} 2.0',
        'synccore_owed{sink="crm",state="running"} 0.0',
        'synccore_oldest_ready_seconds{sink="crm"} 5.0',
        'synccore_lane_state{sink="crm",state="ok"} 1.0',
        'synccore_lane_state{sink="crm",state="needs_auth"} 0.0',
        'synccore_http_calls_total{instance="crm"} 17.0',
        'synccore_batch_size_bucket{le="200.0",sink="crm"} 1.0',
        'synccore_batch_size_bucket{le="100.0",sink="crm"} 0.0',
        'synccore_deliver_seconds_count{sink="crm"} 1.0',
        'synccore_snapshots{entity="customer",source="shop"} 5.0',
    ):
        assert expected in lines
    assert not [line for line in lines if 'outcome="lane"' in line]


def test_two_daemons_in_one_process_share_no_counter(open_site):
    one, two = open_site(), open_site()
    one.house.door.metrics.received("shop")
    assert 'received_total{source="shop"} 0.0' in two.visitor().get("/metrics").text


def test_every_answer_carries_the_security_headers(open_site):
    site = open_site()
    for path in ("/", "/healthz", "/static/style.css", "/nothing"):
        headers = site.visitor().get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in headers


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "shop.example.com"])  # noqa: S104
def test_an_open_address_without_a_password_is_refused(new_house, host):
    open_, locked = new_house(), new_house(dashboard_password="long enough")
    for house in (open_, locked):
        house.app.settings = evolve(house.app.settings, server=evolve(house.app.settings.server, host=host))
    with pytest.raises(ConfigError) as caught:
        create_web(open_.door)
    assert caught.value.path == "server.dashboard_password"
    create_web(locked.door)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0", "[::1]:0", "127.8.8.8:0"])
def test_loopback_needs_no_password(new_house, listen):
    house = new_house(listen=listen)
    create_web(house.door)


def test_a_bug_in_a_page_is_a_500_without_its_words(open_site, monkeypatch):
    site = open_site()

    def fail(*_, **__):
        raise ValueError("ada@shop.test")

    monkeypatch.setattr("synccore._web.dashboard.home.overview", fail)
    with capture_logs() as logs:
        answer = site.visitor().get("/")
    assert (answer.status, "ada" in answer.text, "ada" in str(logs)) == (500, False, False)
    assert logs[0]["path"] == "/"
    assert answer.headers["x-frame-options"] == "DENY"
