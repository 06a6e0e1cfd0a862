"""Write-back that is switched on when much is linked already: owed once, behind everything else."""

import pytest

from synccore._daemon.sources import SourceWorker
from synccore._verbs.backfill import ask_backfill
from synccore.errors import ConfigError
from synccore.testing import Harness, customer

PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}
WRITE_BACK = "shop.write_back.customer"


@pytest.fixture
def shop(tmp_path):
    """Opens the same folder again and again: `shop(write_back=True)`."""
    opened = []

    def open_(*, write_back):
        if opened:
            opened.pop().close()
        table = {"entities": ["customer"], "write_back": write_back}
        opened.append(Harness(tmp_path, PEOPLE, source_table=table))
        return opened[-1]

    yield open_
    for harness in opened:
        harness.close()


def start(harness):
    worker = SourceWorker(harness.app, harness.app.sources["shop"])
    worker.poll_due()
    return worker


def written(harness):
    return sorted(w.key for w in harness.source.written_back)


def owed(harness):
    return sorted((d.key, d.bulk) for d in harness.deliveries(state="ready") if d.route == WRITE_BACK)


def sell(harness, *keys):
    for key in keys:
        harness.emit(customer(key, email=f"{key.replace(':', '')}@shop.test"))
    harness.drain()


def test_what_is_linked_already_is_owed_once_and_behind_everything_else(shop):
    sell(shop(write_back=False), "1", "2", "guest:ab")
    harness = shop(write_back=True)
    start(harness)
    assert owed(harness) == [("1", True), ("2", True)]
    start(harness)
    harness.drain()
    assert written(harness) == ["1", "2"]
    start(harness)
    assert owed(harness) == []


def test_switched_off_and_on_again_what_came_meanwhile_is_owed(shop):
    harness = shop(write_back=True)
    start(harness)
    sell(harness, "1")
    assert written(harness) == ["1"]
    harness = shop(write_back=False)
    start(harness)
    sell(harness, "2")
    harness = shop(write_back=True)
    start(harness)
    assert owed(harness) == [("2", True)]


def test_a_backfill_of_it_can_be_asked_for_and_lists_nothing(shop):
    sell(shop(write_back=False), "1", "2")
    harness = shop(write_back=True)
    worker = SourceWorker(harness.app, harness.app.sources["shop"])
    [job] = ask_backfill(harness.app, "shop", None, {}, WRITE_BACK).jobs
    assert worker.run_job(job).seen == 2
    harness.drain()
    assert written(harness) == ["1", "2"]


def test_without_write_back_there_is_nothing_to_ask_for(shop):
    with pytest.raises(ConfigError, match="no route"):
        ask_backfill(shop(write_back=False).app, "shop", None, {}, WRITE_BACK)
