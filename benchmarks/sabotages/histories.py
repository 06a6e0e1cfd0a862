"""Mends of single faults taken back: short histories have to see them, whatever they are made of."""

from .form import core, plugin

__all__ = ["HISTORIES"]

TEST = "tests/test_histories.py::test_after_any_short_history_the_target_is_as_the_shop_is_and_knows_what_happened"

HISTORIES = (
    plugin(
        "woocommerce",
        "let a deleted account come back as a guest of an order it left behind",
        "changes/__init__.py",
        "if guest is None or self._is_remnant(record):",
        "if guest is None:",
        "tests/test_histories.py",
    ),
    plugin(
        "woocommerce",
        "take a failed renewal that is cancelled and put back by hand for a second failure",
        "changes/attempts.py",
        "if not _is_told(sight) and (last := self._last(place)):",
        "if False and (last := self._last(place)):",
        "tests/test_histories.py",
    ),
    core(
        "take in an order of who was forgotten that bears another address",
        "store/_rules/ingest.py",
        "one that they had before, or of whoever it is billed to.\n        if (owner",
        "one that they had before, or of whoever it is billed to.\n        elif (owner",
        "tests/test_histories.py",
    ),
    plugin(
        "woocommerce",
        "take a wait for the same retry for a second failure",
        "changes/attempts.py",
        "if sight.retry and (waits := self._waits_for(sight.retry)):",
        "if False and (waits := self._waits_for(sight.retry)):",
        "tests/test_histories.py",
    ),
    plugin(
        "woocommerce",
        "take the retry of another renewal for a failure of this one",
        "changes/attempts.py",
        "if seen or self._retry_of(before.failure)",
        "if self._retry_of(before.failure)",
        "tests/test_histories.py",
    ),
    core(
        "take back: know somebody who was forgotten by what they were before, whatever address that bears",
        "store/_rules/ingest.py",
        " or self._is_from_before(change)",
        "",
        f"{TEST}[registers and buys-at once]",
    ),
    plugin(
        "woocommerce",
        "take back: tell of no renewal that a deleted account left behind",
        "changes/__init__.py",
        " and (owner is not None or not self._is_remnant(record)):",
        ":",
        "tests/test_histories.py",
    ),
    plugin(
        "woocommerce",
        "take back: take a paid renewal that is moved back by hand for no new failure",
        "changes/__init__.py",
        ' and date_of(record, "date_paid", self.zone()) is None',
        "",
        "tests/test_histories.py",
    ),
    plugin(
        "woocommerce",
        "take back: poll from no later than now, for a shop's clock that was ahead is set right",
        "listing/__init__.py",
        "min(newest, _gmt(read_at))",
        "newest",
        f"{TEST}[the clock goes wrong and registers and buys and the clock is set right-by polls alone]",
    ),
    core(
        "tell facts that are asked for together in the order in which they happened",
        "_ingest/hints.py",
        "key=lambda fact: fact.at or read_at",
        "key=lambda fact: 0",
        f"{TEST}[registers and pays-in the end]",
    ),
)
