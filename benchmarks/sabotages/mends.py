"""Mends of single faults taken back: lives, meetings and crash points have to see them, not their own tests."""

from .form import LIVES, core, plugin

__all__ = ["MENDS"]

MENDS = (
    core(
        "forget somebody whom a call makes anew at this moment",
        "store/_rules/people.py",
        "sinks = _sent_to_now(tx, refs, lease_clock)",
        "sinks: list[str] = []",
        "tests/test_interleavings.py",
    ),
    core(
        "delete before the facts are told, seen by whole lives",
        "_delivery/namesakes.py",
        "self._behind(route, items) | self._before_facts(items) | self._facts(items)",
        "self._behind(route, items) | self._facts(items)",
        *LIVES,
    ),
    core(
        "take what a comparison finds for the past, seen by whole lives",
        "store/_rules/ingest.py",
        "since = self._facts.news_since.get(change.entity)",
        "since = None",
        *LIVES,
    ),
    core(
        "forget what an update without an answer may have written, seen by whole lives",
        "_delivery/settle.py",
        "return evolve(settlement, may_hold={**link.mapped, **more}) if more else settlement",
        "return settlement",
        *LIVES,
    ),
    core(
        "keep at the target what the shop emptied, seen by whole lives",
        "_mapping/shape.py",
        "clear = link is not None and name in link.mapped and name not in link.left_out",
        "clear = False",
        *LIVES,
    ),
    core(
        "lose an opt-out from before the first delivery, seen by whole lives",
        "_delivery/prepare.py",
        "before=self._before(work) if op is None and not (work.link and work.link.previous) else None,",
        "before=None,",
        *LIVES,
    ),
    core(
        "make one record of two people who exchange their addresses",
        "_delivery/namesakes.py",
        "if route in self._by_address:",
        "if route in ():",
        "tests/test_round.py",
    ),
    core(
        "exchange the records of people while one of them is being sent",
        "store/_rules/exchange.py",
        "if tx.execute(UNDER_WAY, at).fetchone() is not None:",
        "if tx.execute(UNDER_WAY, at).fetchone() == ():",
        "core/tests/delivery/test_delivery_handover.py",
    ),
    plugin(
        "klaviyo",
        "lose a number that goes from one profile to another",
        "phones.py",
        "        self._take_off(operations, profiles)\n",
        "",
        "tests/test_round.py",
    ),
    plugin(
        "woocommerce",
        "tell of a payment by the state of its order, seen by whole lives",
        "changes/__init__.py",
        "        if paid is not None:  # whatever became of the order since\n",
        '        if paid is not None and record.get("status") in ("processing", "completed", "refunded"):\n',
        *LIVES,
    ),
    plugin(
        "klaviyo",
        "leave a former number on a profile, seen by whole lives",
        "profile.py",
        'frozenset({"phone_number"} if mine else ())',
        "frozenset()",
        *LIVES,
    ),
    plugin(
        "google_contacts",
        "forget nobody who has no link on a merged contact, seen by whole lives",
        "erase.py",
        "fields={n: v for n, v in held.items() if v})",
        "fields={})",
        *LIVES,
    ),
    core(
        "lose maybe_applied on a failure, seen by whole lives",
        "_delivery/lane.py",
        "return in_doubt(error) or work.delivery.maybe_applied or (answer is not None and answer.unsure_of_it)",
        "return False",
        *LIVES,
    ),
    core(
        "believe a time that is yet to come, seen by whole lives",
        "store/_rules/ingest.py",
        'self._read_at < int(known["known_at"]) <= self._now',
        'self._read_at < int(known["known_at"])',
        *LIVES,
    ),
    plugin(
        "salesforce",
        "delete a contact into which somebody merged another one's, seen by whole lives",
        "remove.py",
        'if self._schema.get("MasterRecordId") is None or not links:',
        "if True:",
        *LIVES,
    ),
)
