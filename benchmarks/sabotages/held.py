"""Mends of single faults taken back that only tests of their own are known to see.

Whoever makes lives, call points, histories or the contract kit see one of these moves it to `mends` or `points`.
"""

from .form import plugin

__all__ = ["HELD"]

HELD = (
    plugin(
        "google_contacts",
        "take back: delete a contact on which nothing but ours was, also where a backup does not know that we made it",
        "write/plan.py",
        'if policy == "delete" and not (shared or link.adopted) and bare(',
        "if False and bare(",
        "plugins/google_contacts/tests/test_google_restored.py::test_a_contact_that_was_made_or_renamed_since_the_backup_goes_as_a_whole",
        "plugins/google_contacts/tests/test_google_restored.py::test_what_the_owner_added_since_stays_when_they_are_forgotten",
    ),
    plugin(
        "google_contacts",
        "take back: take the address of who is forgotten off another customer's contact, however it came there",
        "write/plan.py",
        "            merge.claim_addresses()\n",
        "            pass\n",
        "plugins/google_contacts/tests/test_google_merged.py::test_an_address_that_came_to_another_customers_contact_by_a_merge_goes_with_its_person",
    ),
    plugin(
        "google_contacts",
        "take back: search for whose contact is gone at the write before making another",
        "write/__init__.py",
        "late = [*late, *gone]",
        "late = [*late]",
        "plugins/google_contacts/tests/test_google_moved.py::test_whose_contact_is_gone_when_it_is_written_is_searched_for_before_another_is_made",
    ),
)
