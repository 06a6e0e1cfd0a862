"""What people said about marketing, who a guest is, and what an owner wrote: where one of these is broken, the general
tests have to see it."""

from .form import core, plugin

__all__ = ["DATA"]

POINTS = "tests/test_call_points.py::test_whatever_happens_after_trouble_with_any_call_the_target_ends_as_the_shop_is"
HISTORIES = "tests/test_histories.py"
ALONE = "tests/test_simulation.py::test_whatever_happens_a_target_alone_ends_as_the_shop_is"

DATA = (
    core(
        "let an opt-out wait for the job that holds the person",
        "store/sql.py",
        "WHERE o.sink = :sink AND o.state = 'ready' AND o.blocked = 1 AND o.event IS NULL AND o.op = 'upsert'",
        "WHERE o.sink = :sink AND o.state = 'ready' AND o.blocked = 0 AND o.event IS NULL AND o.op = 'upsert'",
        f"{POINTS}[whose no a job must not hold up-importing]",
    ),
    core(
        "forget what waits for further changes, where the rest was delivered",
        "_delivery/settle.py",
        "        if not operation.later:\n            return ()\n",
        "        if not operation.later or work.delivery.bulk is False:\n            return ()\n",
        "tests/test_simulation.py::test_whatever_happens_a_target_alone_ends_as_the_shop_is",
    ),
    plugin(
        "klaviyo",
        "subscribe again who unsubscribed at Klaviyo",
        "consent.py",
        "            return None\n        return _REFUSED\n",
        "            return None\n        return None\n",
        f"{POINTS}[who unsubscribes at the target-marketing]",
    ),
    plugin(
        "klaviyo",
        "take back: ask after a lost answer who unsubscribed since, also where the last word told was our own no",
        "consent.py",
        "if op.id not in ours or op.maybe_applied]",
        "if op.id not in ours]",
        f"{POINTS}[who unsubscribes at the target-marketing]",
    ),
    plugin(
        "klaviyo",
        "subscribe who said yes long before anybody heard of them",
        "consent.py",
        "if not known and given and operation.at - given > FRESH:",
        "if False:",
        f"{POINTS}[who unsubscribes at the target-marketing]",
    ),
    plugin(
        "salesforce",
        "take a job that the org forgot for one that did nothing",
        "jobs.py",
        'error = Transient("Salesforce no longer knows this job", maybe_applied=True, outage=False)',
        'error = Transient("Salesforce no longer knows this job", outage=False)',
        "tests/test_crash_points.py::test_a_job_that_is_forgotten_once_it_was_carried_out_loses_and_doubles_nobody",
    ),
    plugin(
        "woocommerce",
        "take the word of an older order for the newer one",
        "changes/__init__.py",
        'if known is None or (at, agreed) > (known["at"], known["value"]):',
        'if known is None or agreed != known["value"]:',
        HISTORIES,
    ),
    plugin(
        "woocommerce",
        "take back: read an account again whose owner said another word at a checkout",
        "changes/__init__.py",
        'if known is not None and known["value"] != agreed and self._owner(record) is not None:',
        "if False:",
        HISTORIES,
    ),
    plugin(
        "woocommerce",
        "know a guest as the order says that changed last",
        "changes/__init__.py",
        "return int(placed.timestamp()) * 1_000_000_000 + max(0, min(later, 999_999_999))",
        "return int((modified or placed).timestamp()) * 1_000_000_000",
        HISTORIES,
    ),
    core(
        "take for undecided whom several look like, where one of them was made for the guest they were",
        "_delivery/doubtful.py",
        "result is None or isinstance(result, Ambiguous) or",
        "result is None or",
        "tests/test_simulation.py::test_a_life_in_which_a_fault_was_seen_ends_as_the_shop_is[5248]",
    ),
    plugin(
        "klaviyo",
        "write to a profile that Klaviyo is about to delete",
        "sink.py",
        "waiting = self._dropping.waiting(operations)",
        "waiting: dict[int, Outcome] = {}",
        f"{POINTS}[who left and comes again while they are deleted-dropping]",
    ),
    core(
        "take back: know what was written on the guest's twin that an account without an answer is found on",
        "_delivery/doubtful.py",
        "found[at] = _as_known(result, work.link)",
        "found[at] = result",
        f"{POINTS}[who gets a guest's address, and what comes then-contacts]",
    ),
    core(
        "take back: ask for who moved and is gone as they were sent",
        "_delivery/doubtful.py",
        "sent = item.work.unheard or None",
        "sent = None",
        f"{POINTS}[who gets a guest's address, and what comes then-marketing]",
    ),
)
