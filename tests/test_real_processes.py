"""The installed daemon, the real operating system: killed, stopped, without room, a disk that fails, its file gone.

A shop sends signed webhooks all the while. Its journal of them, with what each was answered, is held against what an
org holds, and a ledger that makes whatever it is told to make. The daemon polls nothing: what was answered 200
and is not kept comes from nowhere else.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.request
from collections import defaultdict
from http.client import HTTPException

import pytest
from failing_disk import FailingDisk

from synccore._app.app import App
from synccore._verbs.connect import connect
from synccore.testing import AutoBrowser, LoopbackServer, Reply
from synccore_salesforce.testing import FakeSalesforce

#: Seconds for which the shop waits for an answer.
PATIENCE = 2.0
#: Seconds for which these tests wait for another process, on a machine that has much to do.
LONG = 90.0


class Trade:
    """The shop at work: at each of its tills people register and change, one after the other, until it ends."""

    def __init__(self, world, seed, tills=3):
        self._world = world
        self._ended = threading.Event()
        self._guard = threading.Lock()
        self._tills = [threading.Thread(target=self._till, args=(random.Random(f"{seed} {n}"),)) for n in range(tills)]

    def __enter__(self):
        for till in self._tills:
            till.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for till in self._tills:
            till.join()

    def _till(self, chance):
        own = []
        while not self._ended.is_set():
            self._send(self._something(chance, own))
            self._ended.wait(0.02)

    def _something(self, chance, own):
        """Somebody registers, or one of this till's people changes; the webhooks that tell of it."""
        shop = self._world.shop
        with self._guard:
            if len(own) < 8 or chance.random() < 0.1:
                own.append(shop.add_customer(f"{chance.randrange(10**9)}@shop.test", first_name="V0", last_name="Last"))
            else:
                shop.edit_customer(chance.choice(own), first_name=f"V{len(shop.hooks.sent)}")
            waiting, shop.hooks.waiting = shop.hooks.waiting, {}
        return waiting

    def _send(self, waiting):
        hooks = self._world.shop.hooks
        for (webhook, number), topic in waiting.items():
            hooks._deliver(webhook, topic, number)
            hooks.failures[webhook] = 0  # else the shop switches it off after the seventh


def post(url, body, headers):
    """As the shop sends a webhook; it waits less long than most."""
    request = urllib.request.Request(url, body, headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (OSError, HTTPException):
        return None


class Org(FakeSalesforce):
    """A target that may be slow."""

    def __init__(self):
        self.under_way, self.let_go = threading.Event(), threading.Event()
        self.let_go.set()
        super().__init__()

    def handle(self, request):
        reply = super().handle(request)
        if request.method == "POST" and "/composite" in request.path:
            self.under_way.set()
            assert self.let_go.wait(LONG)
        return reply


#: A plugin that leaves it to synccore whether somebody is made once or twice.
PLUGIN = """
from attrs import frozen

from synccore import hookimpl
from synccore.config import option
from synccore.hookspecs import SinkType
from synccore.http import Client, target_fault
from synccore.types import Delivered, Link, ObjectType, each


@frozen
class Settings:
    url: str = option(help="where it is")


class Sink:
    def __init__(self, config, context):
        self._clock, self._http = context.clock, Client(context, config.url)

    def _post(self, path, said):
        answer = self._http.post(path, json=said)
        if (fault := target_fault(answer, self._clock.now())) is not None:
            raise fault
        return answer.json()["id"]

    def deliver(self, operations):
        return each(operations, self._write)

    def _write(self, operation):
        place = operation.link.remote_id if operation.link is not None else "new"
        return Delivered(remote_id=self._post(f"/{place}", {"key": operation.key, **operation.fields}))

    def lookup(self, operations):
        found = [self._post("/find", {"key": operation.key}) for operation in operations]
        return [id and Link(object="person", remote_id=id, marked=True) for id in found]

    def close(self):
        self._http.close()


@hookimpl
def synccore_sinks():
    person = ObjectType(name="person", summary="Somebody.")
    return [SinkType(name="real_ledger", summary="A ledger.", config=Settings, open=Sink, objects=(person,))]
"""


class Ledger(LoopbackServer):
    """Another target: nothing stops a second entry of the same person."""

    def __init__(self):
        self.entries = []
        super().__init__()

    def handle(self, request):
        told, place = json.loads(request.body), request.path[1:]
        if place == "find":
            at = [n for n, entry in enumerate(self.entries) if entry["key"] == told["key"]]
            return Reply(200, {"id": str(at[0]) if at else None})
        if place == "new":
            place = str(len(self.entries))
            self.entries.append({})
        self.entries[int(place)] |= told
        return Reply(200, {"id": place})


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """`PLUGIN`, for this process and those it starts."""
    place = tmp_path / "installed"
    about = place / "real_ledger-1.dist-info"
    about.mkdir(parents=True)
    (place / "real_ledger.py").write_text(PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: real-ledger\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[synccore]\nreal_ledger = real_ledger\n")
    monkeypatch.setenv("PYTHONPATH", str(place))
    monkeypatch.syspath_prepend(place)


@pytest.fixture
def house(world, installed):
    """A shop and its targets, and nothing but webhooks that tells the daemon of the shop."""
    with Org() as org, Ledger() as ledger:
        world.org, world.ledger = org, ledger
        world.config["sources"]["shop"] |= {"poll": False, "reconcile": False}
        crm = {
            "type": "salesforce",
            "login_url": org.url,
            "client_id": org.client_id,
            "client_secret": org.client_secret,
        }
        world.config["sinks"] = {"crm": crm, "ledger": {"type": "real_ledger", "url": ledger.url}}
        # Without our key a contact that a killed process made is found by its address, and taken for the owner's.
        found = {"match": ["Email"], "existing": "overwrite"}
        fields = {"email": "customer.email", "first": "customer.first_name"}
        customers = {"source": "shop", "entity": "customer"}
        world.config["routes"] = {
            "people": customers | {"sink": "crm", "object": "Contact"} | found,
            "entries": customers | {"sink": "ledger", "object": "person", "fields": fields},
        }
        world.hooks_to_daemon()
        world.shop.hooks.post = post
        connected(world)
        yield world


def connected(house):
    """As `synccore connect crm`, with a person who agrees."""
    house.write_config()
    with App.open(house.path, environ={}) as app:
        connect(app, "crm", AutoBrowser(house.org.approve))


def answers(house, since=0):
    return [answer for *_, answer in house.shop.hooks.sent[since:]]


def more(house, status, count):
    """Whether so many webhooks more than now were answered so; to be asked again and again."""
    since = len(house.shop.hooks.sent)
    return lambda: answers(house, since).count(status) >= count


def wrong(house):
    """What the shop's journal and a target disagree on."""
    told = defaultdict(list)
    for _, _, body, answer in house.shop.hooks.sent:
        record = json.loads(body)
        told[record["email"]].append((record["first_name"], answer))
    contacts = [(contact["Email"], contact["FirstName"]) for contact in house.org.records("Contact")]
    entries = [(entry["email"], entry["first"]) for entry in house.ledger.entries]
    return [f"{name}: {what}" for name, held in (("crm", contacts), ("ledger", entries)) for what in amiss(told, held)]


def amiss(told, held):
    """Who is there twice, and who is not as the shop was told that it is kept."""
    there = defaultdict(list)
    for email, first in held:
        there[email].append(first)
    yield from (f"{email} is there {len(names)} times" for email, names in there.items() if len(names) > 1)
    for email, states in told.items():
        kept = [n for n, (_, answer) in enumerate(states) if answer == 200]
        # What came after the last 200 may have been kept without an answer.
        allowed = {name for name, _ in states[kept[-1] :]} if kept else set()
        if kept and not allowed & set(there[email]):
            yield f"{email} was told to be {allowed}, and is {there[email]}"


def quiet(daemon):
    status, text = daemon.ask("/metrics")
    owed = [line for line in text.splitlines() if line.startswith("synccore_owed{")]
    return status == 200 and owed and not any(float(line.rsplit(" ", 1)[1]) for line in owed)


def proved(house, daemon, until):
    """Nothing that was answered 200 is lost, nobody is there twice; nor is anybody after all was compared."""
    until(lambda: quiet(daemon), LONG, "nothing owed")
    assert wrong(house) == []
    status = house.cli("status", "--json").json
    assert {(sink["state"], sink["parked"]) for sink in status["sinks"].values()} == {("ok", 0)}
    assert daemon.ask("/readyz") == (200, "ready")
    done = house.cli("backfill", "shop", "customer")
    assert done.code == 0, done
    people = sorted(c["email"] for c in house.shop.shop.customers.values() if c["role"] == "customer")
    assert sorted(contact["Email"] for contact in house.org.records("Contact")) == people
    assert sorted(entry["email"] for entry in house.ledger.entries) == people
    assert wrong(house) == []


def test_kill_9_under_webhooks_loses_and_doubles_nothing(house, until):
    chance = random.Random(17)
    with Trade(house, 17):
        for _ in range(4):
            with house.daemon() as daemon:
                until(more(house, 200, chance.randrange(1, 25)), LONG, "webhooks")
                daemon.kill()
    with house.daemon() as daemon:
        proved(house, daemon, until)


def test_a_process_that_is_stopped_for_a_while_goes_on_as_if_nothing_had_been(house, until):
    with house.daemon() as daemon:
        with Trade(house, 18):
            house.org.let_go.clear()
            house.org.under_way.clear()
            assert house.org.under_way.wait(LONG)
            # In the middle of a call, whose answer comes while it stands still.
            daemon.process.send_signal(signal.SIGSTOP)
            until(more(house, None, 3), LONG, "webhooks without an answer")
            house.org.let_go.set()
            until(more(house, None, 1), LONG, "one more")
            daemon.process.send_signal(signal.SIGCONT)
            for _ in range(3):
                until(more(house, 200, 10), LONG, "webhooks")
                daemon.process.send_signal(signal.SIGSTOP)
                until(more(house, None, 1), LONG, "webhooks without an answer")
                daemon.process.send_signal(signal.SIGCONT)
        proved(house, daemon, until)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 64 MB: the log of a database takes 16 before it is brought into the file."""
    if shutil.which("mount") is None:
        pytest.skip("no mount, which makes a file system of its own")
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip(f"a file system can be mounted by root alone: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def fill(path):
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    assert os.statvfs(path).f_bavail == 0


def test_a_disk_that_is_full_keeps_what_was_answered_and_goes_on_when_there_is_room(house, small_disk, until):
    database = small_disk / "synccore.db"
    house.config["synccore"] = {"database": str(database)}
    connected(house)
    with house.daemon() as daemon:
        with Trade(house, 19):
            for _ in range(2):
                until(more(house, 200, 10), LONG, "webhooks")
                fill(small_disk / "filler")
                since, told = len(house.shop.hooks.sent), len(daemon.output())
                until(more(house, 503, 10), LONG, "refused webhooks")
                until(lambda at=told: "lane trouble" in daemon.output()[at:], LONG, "a delivery that is held up")
                assert set(answers(house, since)) <= {200, 503}
                status, reason = daemon.ask("/readyz")
                assert status == 503
                assert str(database) in reason
                (small_disk / "filler").unlink()
                until(lambda: daemon.ask("/readyz")[0] == 200, LONG, "ready again")
            until(more(house, 200, 10), LONG, "webhooks")
        proved(house, daemon, until)
    assert "is full" in daemon.output()


def test_a_disk_that_fails_every_so_often_keeps_what_was_answered(house, tmp_path, until):
    disk = FailingDisk(tmp_path, house.folder / "synccore.db")
    house.daemons_environ = disk.environ
    with Trade(house, 20):
        with house.daemon() as daemon:
            until(more(house, 200, 5), LONG, "webhooks")
            disk.fail()
            enough, refused = more(house, 200, 30), more(house, 503, 5)
            until(lambda: enough() and refused() and disk.failed(), LONG, "webhooks taken and refused")
            disk.work()
            # It goes on by itself.
            until(more(house, 200, 10), LONG, "webhooks")
            until(lambda: daemon.ask("/readyz")[0] == 200, LONG, "ready again")
            disk.fail()
            until(more(house, 200, 10), LONG, "webhooks")
            daemon.kill()
        disk.work()
        with house.daemon() as daemon:
            until(more(house, 200, 5), LONG, "webhooks")
            disk.fail()
            until(more(house, 200, 10), LONG, "webhooks")
            # What is in the log is brought into the file now, as far as that goes.
            daemon.stop()
        disk.work()
    with house.daemon() as daemon:
        proved(house, daemon, until)


def test_a_database_that_is_moved_away_takes_nothing_in_until_it_is_back(house, until):
    database, elsewhere = house.folder / "synccore.db", house.folder / "elsewhere.db"
    with Trade(house, 21):
        with house.daemon() as daemon:
            until(more(house, 200, 10), LONG, "webhooks")
            database.rename(elsewhere)
            gone = f"{database} is not there any more"
            until(more(house, 503, 10), LONG, "refused webhooks")
            since = len(house.shop.hooks.sent)
            until(more(house, 503, 10), LONG, "refused webhooks")
            assert set(answers(house, since)) == {503}
            assert daemon.ask("/readyz")[0] == 503
            assert gone in daemon.ask("/readyz")[1]
            assert house.cli("status").code != 0
            elsewhere.rename(database)
            # It goes on by itself.
            until(more(house, 200, 10), LONG, "webhooks")
            database.rename(elsewhere)
            until(more(house, 503, 3), LONG, "refused webhooks")
            daemon.kill()
            assert gone in daemon.output()
        # Nor does the next one begin with an empty file in its place.
        ended = house.program("run", timeout=60)
        assert ended.code == 1
        assert f"{database} is not there, but its log" in ended.err
        assert not database.exists()
        elsewhere.rename(database)
        with house.daemon() as daemon:
            until(more(house, 200, 10), LONG, "webhooks")
    with house.daemon() as daemon:
        proved(house, daemon, until)


def test_another_file_in_the_databases_place_is_not_written_to(house, until):
    database, copy = house.folder / "synccore.db", house.folder / "copy.db"
    with house.daemon() as daemon:
        with Trade(house, 22):
            until(more(house, 200, 5), LONG, "webhooks")
            assert house.cli("db", "backup", str(copy)).code == 0
            before = copy.read_bytes()
            (house.folder / "kept.db").hardlink_to(database)
            copy.rename(database)  # at once: it is never seen to be gone
            until(more(house, 503, 5), LONG, "refused webhooks")
            assert "is another file than the one synccore opened" in daemon.ask("/readyz")[1]
            assert database.read_bytes() == before
            (house.folder / "kept.db").rename(database)
            until(more(house, 200, 5), LONG, "webhooks")
        proved(house, daemon, until)
