"""The log: on stderr, in two forms, with nothing in it that belongs to a person or opens a door."""

import json
import logging

import pytest
import structlog

from synccore._app.logs import Logs
from synccore._cli._logging import configure_logging, first_foreign_line, redacting


def test_lines_are_key_value_pairs_on_stderr(capsys):
    configure_logging({}, level=logging.INFO)
    structlog.get_logger().info("page listed", source="shop", seen=100)
    out, told = capsys.readouterr()
    assert out == ""
    assert "event='page listed'" in told
    assert "seen=100" in told


def test_json_lines_are_asked_for_by_a_variable(capsys):
    configure_logging({"SYNCCORE_LOG": "json"})
    structlog.get_logger().warning("prune failed", error="OSError")
    logging.getLogger("synccore.plugins").warning("plugin %s is slow", "crm")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in lines] == ["prune failed", "plugin crm is slow"]
    assert {line["level"] for line in lines} == {"warning"}


def test_verbs_say_warnings_only(capsys):
    configure_logging({}, level=logging.WARNING)
    structlog.get_logger().info("page listed")
    assert capsys.readouterr().err == ""


def test_no_address_number_or_key_gets_through(capsys):
    configure_logging({})
    try:
        raise ValueError("anna@shop.test has no account")
    except ValueError:
        structlog.get_logger().exception(
            "call failed", about="+49 171 1234567", header="Bearer abcdefgh12345", person={"email": "anna@shop.test"}
        )
    told = capsys.readouterr().err
    assert "call failed" in told
    for secret in ("anna@shop.test", "1234567", "abcdefgh12345"):
        assert secret not in told


def test_setting_up_twice_says_everything_once(capsys):
    configure_logging({})
    configure_logging({})
    logging.getLogger("x").warning("once")
    assert capsys.readouterr().err.count("once") == 1


def test_redaction_leaves_facts_alone():
    event = {"at": "2026-01-01T12:00:00Z", "seen": 12345678, "ok": True, "ratio": 0.5, "none": None}
    assert redacting(None, "info", dict(event)) == event


def test_with_json_every_line_of_a_run_is_a_document(world, capfd):
    import synccore._daemon.run as daemon

    world.write(sinks={"crm": {"type": "crm", "key": "plain text"}})
    stopped = []

    def attend(running, _timeout):
        stopped.append(running.url)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daemon, "_attend", attend)
        world.write(server={"listen": "127.0.0.1:0"})
        result = world.run("run", "--log", "json")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert (f"ready: listening on {stopped[0]}", "info") in [(line["event"], line["level"]) for line in lines]


def test_a_log_on_a_full_disk_stops_nobodys_work(monkeypatch):
    class Full:
        def write(self, _):
            raise OSError(28, "No space left on device")

        def flush(self):
            self.write("")

    configure_logging({})
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", Full())
        structlog.get_logger().warning("webhook failed")
        logging.getLogger("synccore.plugins").warning("slow")


def test_a_verb_that_says_nothing_sets_up_no_log(capsys):
    """structlog takes a fifth of the time of a command; the first line of anybody brings it."""
    begun = []

    def begin():
        begun.append(True)
        configure_logging({})

    logs = Logs(begin)
    first_foreign_line(logs.begin)
    log = logs.of("synccore.plugin", instance="crm")
    assert not begun
    logging.getLogger("httpx").warning("slow: %s", "anna@shop.test")
    log.warning("no time zone")
    log.error("gone")
    lines = capsys.readouterr().err.splitlines()
    assert len(begun) == 1
    assert ["slow" in lines[0], "instance='crm'" in lines[1], "gone" in lines[2], len(lines)] == [True, True, True, 3]
    assert "anna" not in lines[0]
