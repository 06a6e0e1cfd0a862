"""Mends of single faults taken back that only tests of their own are known to see.

Whoever makes lives, call points, histories or the contract kit see one of these moves it to `mends` or `points`.
"""

from .form import VERBS, Sabotage, core, plugin

__all__ = ["HELD"]

HELD: tuple[Sabotage, ...] = (
    # What is wrong for some minutes is right afterwards, and is said to be so all the time.
    core(
        "take back: give whoever exchanged their address nothing that waits of the former owner's",
        "_delivery/prepare.py",
        "        if link.delivered_at is None:\n            return {}\n",
        "",
        "core/tests/delivery/test_delivery_delays.py",
    ),
    core(
        "take back: advise nobody to repair once more what was refused",
        "_verbs/verify.py",
        "self._repairs.keys() - self._refused",
        "self._repairs.keys()",
        VERBS,
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
    plugin(
        "google_contacts",
        "call a contact gone of which an answer says nothing",
        "client.py",
        'if len(answer["responses"]) < len(set(names[start : start + READ_BATCH])):',
        "if False:",
        "plugins/google_contacts/tests/test_google_answers.py",
    ),
    plugin(
        "salesforce",
        "take a column that is missing for one that is empty",
        "shapes.py",
        "_within(record, relations)[name] = _cell(name)",
        '_within(record, relations)[f"{name}?"] = _cell(name)',
        "plugins/salesforce/tests/test_salesforce_answers.py",
    ),
)
