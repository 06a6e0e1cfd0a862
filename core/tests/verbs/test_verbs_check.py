"""`check`: what two sinks do to each other."""

import pytest

from synccore._verbs.check import InstanceReport, rivals
from synccore.types import Account, Check

OURS, THEIRS = Account(id="1", label="Ours"), Account(id="2", label="Theirs")


def reached(account, what, *sources):
    return InstanceReport(state="ok", found=Check(account=account, claims={what: sources}))


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (reached(OURS, "woo_...", "shop2"), 1),
        (reached(OURS, "woo_...", "shop"), 0),
        (reached(OURS, "two_...", "shop2"), 0),
        (reached(THEIRS, "woo_...", "shop2"), 0),
        (InstanceReport(state="error"), 0),
    ],
    ids=["the same for another shop", "of the same shop", "another prefix", "another account", "not reached"],
)
def test_two_sinks_that_write_the_same_into_one_account_are_pointed_out(second, told):
    """By what they are now: a prefix that was changed as told, or a sink that left, is not warned of any more."""
    instances = {"first": reached(OURS, "woo_...", "shop"), "second": second}
    found = list(rivals({"first": "klaviyo", "second": "klaviyo"}, instances))
    assert len(found) == told
    assert all("sink first writes woo_... of shop" in f.message and f.path == "sinks.second" for f in found)
    assert not list(rivals({"first": "klaviyo", "second": "other"}, instances))
