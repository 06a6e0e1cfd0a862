"""Mends of single faults taken back that only tests of their own are known to see.

Whoever makes lives, call points, histories or the contract kit see one of these moves it to `mends` or `points`.
"""

from .form import STORE, VERBS, Sabotage, core, plugin

__all__ = ["HELD"]

HELD: tuple[Sabotage, ...] = (
    # What is wrong for some minutes is right afterwards, and is said to be so all the time: no route of a life or of a
    # meeting has a field with a delay, and what a target holds is not looked at before that is over.
    core(
        "take back: give whoever exchanged their address nothing that waits of the former owner's",
        "_delivery/prepare.py",
        "        if link.delivered_at is None:\n            return {}\n",
        "",
        "core/tests/delivery/test_delivery_delays.py",
    ),
    # Who goes without a number has it a moment later, where the other one gives it up; and what the link tells, Klaviyo
    # tells as well.
    plugin(
        "klaviyo",
        "leave a number that nobody heard of on the profile it was exchanged with",
        "phones.py",
        "value = may_be_there(link, name)",
        "value = link.fields.get(name)",
        "plugins/klaviyo/tests/test_klaviyo_truth.py",
    ),
    plugin(
        "klaviyo",
        "take back: take off whoever has none from now on a number that only Klaviyo knows to be there",
        "phones.py",
        "for phone in there if mine and phone != number)",
        'for phone in there if number not in ("", phone))',
        "plugins/klaviyo/tests/test_klaviyo_truth.py",
    ),
    # Not seen where a forget has trouble at any call, the order goes to another account, and its former one leaves: in
    # a CRM, with `recreate` and without. Why is not known yet.
    core(
        "take back: let go of what was deleted, though a forgetting is incomplete",
        "_verbs/forget.py",
        '        if one.left == "gone" and link.entity != Customer.entity and',
        "        if False and",
        VERBS,
    ),
    # Not seen either by who looks, before anything is compared, whether anything waits still: at a ledger and in a CRM,
    # of whom something is told, and who leaves after trouble with any call. Why is not known yet.
    core(
        "take back: ask for what waits when somebody leaves",
        "store/_rules/ingest.py",
        "dict.fromkeys(waiting_for(self._tx, self._unit.source, change.entity, change.key), self._now)",
        "{}",
        STORE,
    ),
    core(
        "take back: what an exchanged record was made from is its former owner's",
        "store/_rules/exchange.py",
        "SET key = :between, made_from = NULL, seen = NULL, delivered_at = NULL WHERE",
        "SET key = :between WHERE",
        "tests/test_round.py",
    ),
    # Whom somebody else's move took along has a profile of their own all the same; life 2864 saw it before that was so.
    # What is told of them until then is at the other one's, where nobody looks.
    plugin(
        "klaviyo",
        "take back: join nobody into a profile that another one is being joined into",
        "merges.py",
        "if any(m.into == into and m.source",
        "if False and any(m.into == into and m.source",
        "plugins/klaviyo/tests/test_klaviyo_profiles.py",
    ),
)
