"""What is remembered of a shop's people is read and written by the page."""

from contextlib import suppress

import pytest

from synccore.testing import FakeClock
from synccore.testing.context import MemoryState
from synccore_woocommerce.changes import Translator
from synccore_woocommerce.changes.notes import Notes
from synccore_woocommerce.config import Config


class Counted(MemoryState):
    """Says how often it was asked, and how often written to."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def get(self, key):
        self.calls.append("get")
        return super().get(key)

    def get_all(self, keys):
        self.calls.append("get_all")
        return {key: value for key in keys if (value := super(Counted, self).get(key)) is not None}

    def put(self, items):
        self.calls.append("put")
        super().put(items)


@pytest.fixture
def state():
    return Counted()


def test_a_page_of_accounts_is_one_read_and_one_write(state):
    config = Config(url="https://shop.test", consumer_key="ck", consumer_secret="cs")
    translator = Translator(config, state, FakeClock())
    accounts = [{"id": n, "email": f"{n}@x.test", "role": "customer"} for n in range(1, 101)]
    assert len(translator.customers(accounts)) == 100
    assert state.calls == ["get_all", "put"]
    state.calls.clear()
    assert translator.strangers([{"id": n, "customer_id": n} for n in range(50, 150)]) == [
        str(n) for n in range(101, 150)
    ]
    assert len(translator.customers(accounts)) == 100
    assert state.calls == ["get_all", "get_all"]


def test_what_a_page_puts_is_seen_in_it_and_lost_with_it(state):
    notes = Notes(state)
    notes.put({"a": 1})
    with notes.page(["a"]):
        notes.put({"a": 2, "b": 3})
        assert (notes.get("a"), notes.get("b")) == (2, 3)
        assert (state.get("a"), state.get("b")) == (1, None)
    assert dict(state.scan()) == {"a": 2, "b": 3}
    with suppress(KeyError), notes.page(["a"]):
        notes.put({"a": None})
        raise KeyError
    assert notes.get("a") == 2
