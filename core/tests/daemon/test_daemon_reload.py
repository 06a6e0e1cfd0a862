"""The daemon and its file: what it works with, reading it again, and a store that refuses writes.

Contradicted from outside by what the target's own records hold, and by what the endpoint answers.
"""

import http.client
import json
import os
import signal
import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest
import tomlkit

from synccore._app.context import SystemClock
from synccore._daemon.run import Daemon, run_daemon
from synccore._verbs.deliveries import retry
from synccore._verbs.parts.changed import changed_routes
from synccore._verbs.reload import reload
from synccore._verbs.status import overview
from synccore.store import StoreError
from synccore.testing import FakeClock, Harness, customer

ROUTE = {"entity": "customer", "fields": {"email": "customer.email"}}


class UnhurriedClock(FakeClock):
    """Threads that sleep leave the others room; `still`: time stands still meanwhile."""

    still = False

    def sleep(self, duration):
        threading.Event().wait(0.005)
        if not self.still:
            super().sleep(duration)


@pytest.fixture
def house(tmp_path):
    shop, server = {"entities": ["customer"]}, {"listen": "127.0.0.1:0"}
    with Harness(tmp_path, {"people": ROUTE}, server=server, source_table=shop, clock=UnhurriedClock()) as house:
        yield house


@pytest.fixture
def daemon(house):
    with house.app.store.daemon_lock():
        daemon = Daemon(house.app)
        daemon.start()
        yield daemon
        daemon.stop()


def rewrite(house, **routes):
    path = house.folder / "synccore.toml"
    document = tomlkit.parse(path.read_text())
    for name, table in routes.items():
        document["routes"][name] = {"source": "shop", "sink": "crm", "object": "thing", **table}
    path.write_text(tomlkit.dumps(document))


def ask(daemon, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", daemon.web.port, timeout=20)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def hook(daemon, house, change):
    house.source.put(change)
    return ask(daemon, "POST", "/hooks/shop", json.dumps([change.entity, change.key]))[0]


def eventually(what):
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, "it never came"
        threading.Event().wait(0.02)


def test_a_mended_mapping_is_delivered_after_a_reload_and_the_rest_is_named(house, daemon):
    assert hook(daemon, house, customer("1", email="a@shop.test", first_name="Ann")) == 200
    assert hook(daemon, house, customer("2", email="b@shop.test", first_name="Bob")) == 200
    eventually(lambda: len(house.sink.records) == 2)
    rewrite(house, people={**ROUTE, "fields": {"email": "customer.email", "name": "customer.first_name"}})
    assert "synccore reload" in daemon.app.running.behind(daemon.app.path)
    answer = daemon.reload()
    assert (answer.problems, answer.notes) == ((), ())
    assert daemon.app.running.behind(daemon.app.path) is None
    [changed] = changed_routes(daemon.app)
    assert (changed.parts, changed.records) == (("mapping",), 2)
    assert changed.command == "synccore backfill shop customer --route people"
    assert any(changed.command in note for note in overview(daemon.app).notes)
    assert hook(daemon, house, customer("1", email="a2@shop.test", first_name="Ann")) == 200
    eventually(lambda: {"email": "a2@shop.test", "name": "Ann"} in house.sink.records.values())
    eventually(lambda: changed_routes(daemon.app)[0].records == 1)
    assert {"email": "b@shop.test"} in house.sink.records.values(), "the target itself holds one under the old mapping"


def test_what_an_old_mapping_parked_is_delivered_by_a_retry_after_the_reload(house, daemon):
    rewrite(house, people={**ROUTE, "fields": {"email": "customer.email", "plan": "customer.meta.plan"}})
    daemon.reload()
    assert hook(daemon, house, customer("1", email="a@shop.test")) == 200
    eventually(lambda: house.states() == {"parked": 1})
    rewrite(house, people=ROUTE)
    retry(daemon.app, [], None)
    eventually(lambda: house.states() == {"parked": 1} and len(house.history(key="1")) > 3)
    assert house.sink.records == {}, "the daemon still works with what it read"
    daemon.reload()
    assert retry(daemon.app, [], None).count == 1
    eventually(lambda: list(house.sink.records.values()) == [{"email": "a@shop.test"}])


def test_people_whom_an_older_filter_skipped_are_counted_too(house, daemon):
    rewrite(house, people={**ROUTE, "when": "customer.email != 'b@shop.test'"})
    daemon.reload()
    assert hook(daemon, house, customer("1", email="a@shop.test")) == 200
    assert hook(daemon, house, customer("2", email="b@shop.test")) == 200
    eventually(lambda: house.states() == {"done": 1, "skipped": 1})
    rewrite(house, people=ROUTE)
    daemon.reload()
    [changed] = changed_routes(daemon.app)
    assert (changed.parts, changed.records) == (("filter",), 2)


def test_a_mistake_keeps_the_old_configuration_and_the_webhooks(house, daemon):
    works = daemon.app
    rewrite(house, people={**ROUTE, "wehn": "true"})
    answer = daemon.reload()
    assert [path for path, _ in answer.problems] == ["routes.people.wehn"]
    assert daemon.app is works
    assert hook(daemon, house, customer("3", email="c@shop.test")) == 200
    eventually(lambda: {"email": "c@shop.test"} in house.sink.records.values())


def test_webhooks_are_taken_while_it_is_read_again(house, daemon):
    stop, answers = threading.Event(), []

    def knock():
        number = 100
        while not stop.is_set():
            number += 1
            answers.append(hook(daemon, house, customer(str(number), email=f"p{number}@shop.test")))

    caller = threading.Thread(target=knock)
    caller.start()
    eventually(lambda: len(answers) > 5)
    before = len(answers)
    for _ in range(3):
        daemon.reload()
    eventually(lambda: len(answers) > before + 5)
    stop.set()
    caller.join(20)
    assert set(answers) == {200}
    eventually(lambda: len(house.sink.records) == len(answers))


def test_nothing_new_begins_where_it_was_asked_to_stop_meanwhile(house, daemon):
    daemon.ending.set()
    calls = len(house.sink.calls)
    daemon.reload()
    assert hook(daemon, house, customer("1", email="a@shop.test")) == 200, "what arrives is kept for the next start"
    house.clock.advance(timedelta(minutes=5))
    assert house.states() == {"ready": 1}
    assert len(house.sink.calls) == calls


def test_what_needs_a_restart_is_said(house, daemon):
    path = house.folder / "synccore.toml"
    document = tomlkit.parse(path.read_text())
    document["server"]["listen"] = "127.0.0.1:18484"
    path.write_text(tomlkit.dumps(document))
    assert daemon.reload().notes == ("[server] port takes effect when the daemon is started again",)
    document["synccore"] = {"database": "other.db"}
    path.write_text(tomlkit.dumps(document))
    assert [p for p, _ in daemon.reload().problems] == ["synccore.database"]


def test_the_command_is_answered_by_the_daemon(house, daemon):
    answers = []
    command = SimpleNamespace(store=house.app.store, running=house.app.running, clock=SystemClock(threading.Event()))
    asking = threading.Thread(target=lambda: answers.append(reload(command)))
    asking.start()
    eventually(lambda: house.app.running.wish == 1)
    daemon.look_for_wishes()
    asking.join(20)
    assert (answers[0].done, answers[0].problems) == (True, ())


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals reach the main thread")
def test_sighup_reads_it_again_and_sigterm_ends_it(house):
    seen = []

    def play(_):
        def act():
            rewrite(house, second={**ROUTE, "fields": {"email": "'x'"}})
            os.kill(os.getpid(), signal.SIGHUP)
            eventually(lambda: house.app.store.state("synccore:daemon").get("answer") is not None)
            seen.append(house.app.store.state("synccore:routes").get("second"))
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=act).start()

    assert run_daemon(house.app, on_ready=play) == 0
    assert seen[0] is not None


def test_it_is_not_ready_while_the_file_is_not_in_its_place(house, daemon):
    file = house.folder / "synccore.db"
    assert ask(daemon, "GET", "/readyz") == (200, "ready")
    file.rename(house.folder / "elsewhere.db")
    status, text = ask(daemon, "GET", "/readyz")
    assert status == 503
    assert "is not there any more" in text
    assert hook(daemon, house, customer("1", email="a@shop.test")) == 503, "nothing may be acknowledged"
    file.write_bytes(b"")
    assert "is another file" in ask(daemon, "GET", "/readyz")[1]
    file.unlink()
    (house.folder / "elsewhere.db").rename(file)
    assert ask(daemon, "GET", "/readyz") == (200, "ready")
    assert hook(daemon, house, customer("1", email="a@shop.test")) == 200


def test_it_is_not_ready_while_the_disk_is_full_and_again_by_itself(house, daemon):
    with house.app.store._database.exclusive() as writer:
        pages = writer.execute("PRAGMA page_count").fetchone()[0]
        writer.execute(f"PRAGMA max_page_count = {pages}")
    meta = {str(n): "x" * 1000 for n in range(100)}
    house.clock.still = True
    assert hook(daemon, house, customer("1", email="a@shop.test", meta=meta)) == 503
    status, text = ask(daemon, "GET", "/readyz")
    assert status == 503
    assert "is full" in text
    with house.app.store._database.exclusive() as writer:
        writer.execute("PRAGMA max_page_count = 1000000")
    assert hook(daemon, house, customer("1", email="a@shop.test", meta=meta)) == 200
    assert ask(daemon, "GET", "/readyz") == (200, "ready")


@pytest.mark.parametrize("again", [False, True])
def test_a_store_that_is_busy_holds_up_a_beginning_and_does_not_end_it(house, monkeypatch, again):
    """Another daemon's large settle may hold the writers' turn for longer than one waits; also at a reload."""
    daemon, real, refused = Daemon(house.app), type(house.app.store).rescue, []

    def busy(store, *args, **options):
        if len(refused) < 2:
            refused.append(args)
            raise StoreError("no turn to write")
        return real(store, *args, **options)

    with house.app.store.daemon_lock():
        try:
            if again:
                daemon.start()
            monkeypatch.setattr(type(house.app.store), "rescue", busy)
            if again:
                assert daemon.reload().problems == ()
            else:
                daemon.start()
            assert len(refused) == 2
            assert hook(daemon, house, customer("1", email="a@shop.test")) == 200
            eventually(lambda: {"email": "a@shop.test"} in house.sink.records.values())
        finally:
            daemon.stop()
