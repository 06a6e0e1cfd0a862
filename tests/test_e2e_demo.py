"""`synccore demo`, as the README tells people to try it."""

import os
import pty
import re
import signal
import subprocess
import sys
import threading

import pytest

COMMAND = [sys.executable, "-m", "synccore", "demo"]


@pytest.fixture
def environ(tmp_path):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SYNCCORE_")}
    return kept | {"TMPDIR": str(tmp_path), "TERM": "xterm", "COLUMNS": "120", "LINES": "50"}


def once(environ, customers):
    return subprocess.run(
        [*COMMAND, "--once", "--customers", str(customers)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_once_delivers_everything_and_sums_it_up(environ, tmp_path):
    done = once(environ, 12)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch("starting .+\n", done.stderr)
    routes = re.findall(r"(?m)^(\w+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d*)", done.stdout)
    assert {r[0] for r in routes} >= {"contacts_customers", "marketing_profiles", "crm_customers"}
    for name, owed, delivered, _, parked, _ in routes:
        assert (owed, parked) == ("0", "0"), name
        assert int(delivered) > 0, name
    assert "12 contacts" in done.stdout
    assert "got a new phone number" in done.stdout
    assert list(tmp_path.iterdir()) == [], "the demo left something behind"


def test_two_demos_at_once_do_not_meet(environ):
    from concurrent.futures import ThreadPoolExecutor

    def play(_):
        return once(environ, 3)

    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(play, range(2)):
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_live_one_ends_cleanly(environ, tmp_path, number):
    """On a terminal: it draws, changes a customer by itself, and ends on a signal with a summary."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "--customers", "5"], env=environ, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    screen, edited = bytearray(), threading.Event()

    def read():
        try:
            while data := os.read(master, 65536):
                screen.extend(data)
                if b"got a new phone number: " in screen and b" s" in screen:
                    edited.set()
        except OSError:  # the terminal is gone: it ended
            pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert edited.wait(120), screen.decode(errors="replace")
        process.send_signal(number)
        assert process.wait(60) == 0, screen.decode(errors="replace")
    finally:
        process.kill()
        process.wait(10)
        reader.join(10)
        os.close(master)
    text = screen.decode(errors="replace")
    assert "Traceback" not in text
    assert "HTTP calls" in text.rsplit("dashboard", 1)[1]
    assert list(tmp_path.iterdir()) == []
