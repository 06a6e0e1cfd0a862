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
    # Found by lives of two hundred steps, none of which is lived by CI: whether others see them was not tried.
    core(
        "take back: leave the one record for an address to who was joined with it, also as they have moved on",
        "_delivery/lane.py",
        "beside(prepared.operation, self._store, by_address=preparer.by_address)",
        "beside(prepared.operation, self._store)",
        "plugins/klaviyo/tests/test_klaviyo_app_moves.py",
    ),
    plugin(
        "klaviyo",
        "take back: take a yes for no news that was told before a state without a word",
        "consent.py",
        "    if word is None or link is None or not silent or not isinstance(outcome, Delivered):",
        "    if True or word is None or link is None or not isinstance(outcome, Delivered):",
        "plugins/klaviyo/tests/test_klaviyo_app_moves.py",
    ),
    plugin(
        "klaviyo",
        "take back: who is found at a profile that we subscribed for another record takes that yes over",
        "consent.py",
        'if op.op == "upsert" and op.maybe_applied and not op.previous and refusal(op) is None:',
        "if False:",
        "plugins/klaviyo/tests/test_klaviyo_consent.py",
    ),
    core(
        "take back: of two who go from one record it is who it was made for who has it to themselves",
        "store/_rules/claim.py",
        "(o.adopted > l.adopted OR (o.adopted = l.adopted AND o.key < l.key))",
        "o.key < l.key",
        "core/tests/delivery/test_delivery_truth.py",
    ),
    plugin(
        "google_contacts",
        "take back: take off a merged contact what an update without an answer had written there",
        "write/plan.py",
        "for name, value in surviving(built(unsure), person).items() if unsure else ():",
        "for name, value in ():",
        "plugins/google_contacts/tests/test_google_merged.py",
    ),
    plugin(
        "google_contacts",
        "take back: tell who goes last from a contact of two what the first one left there",
        "write/plan.py",
        "                self.index.store((), {name: own})",
        "                pass",
        "plugins/google_contacts/tests/test_google_merged.py",
    ),
    plugin(
        "google_contacts",
        "take back: take off what was left there for one of whom nothing was known, once it is nobody's",
        "write/plan.py",
        "inherited=holders.wanted(heirlooms) | nobodys,",
        "inherited=holders.wanted(heirlooms),",
        "plugins/google_contacts/tests/test_google_restored.py",
    ),
    plugin(
        "google_contacts",
        "take back: believe a listing that shows a former name of a contact that is gone",
        "index.py",
        "            if name in over or self._is_dropped(person):",
        "            if self._is_dropped(person):",
        "plugins/google_contacts/tests/test_google_sync.py::test_a_former_name_that_a_listing_shows_late_is_not_kept_for_a_contact",
    ),
    plugin(
        "google_contacts",
        "take back: believe a listing that shows a contact that we deleted",
        "index.py",
        "            if name in over or self._is_dropped(person):",
        "            if name in over:",
        "plugins/google_contacts/tests/test_google_sync.py::test_a_contact_that_we_deleted_and_a_listing_shows_late_went_into_no_other",
    ),
    plugin(
        "google_contacts",
        "take back: keep contacts whose end no listing tells",
        "index.py",
        'self._bury_vanished({name: record["person"] for name, record in self._over("vanished:", moment)})',
        "pass",
        "plugins/google_contacts/tests/test_google_sync.py"
        "::test_a_contact_whose_end_no_listing_tells_is_kept_no_longer_than_one_may_lag",
    ),
    core(
        "take back: take nothing that looks like the guest for the twin of who has moved on",
        "_delivery/doubtful.py",
        "if marked or (found[at] is None and alike):",
        "if marked or found[at] is None:",
        "core/tests/delivery/test_delivery_doubtful.py"
        "::test_what_looks_like_the_guest_is_nobodys_twin_who_has_another_address_by_now",
    ),
)
