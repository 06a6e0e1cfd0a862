"""Mends of single faults taken back that only tests of their own are known to see.

Whoever makes lives, call points, histories or the contract kit see one of these moves it to `mends` or `points`.
"""

from .form import VERBS, Sabotage, core, plugin

__all__ = ["HELD"]

HELD: tuple[Sabotage, ...] = (
    # In lives a comparison brings what no poll lists.
    plugin(
        "woocommerce",
        "take back: poll from no later than now, for a shop's clock that was ahead is set right",
        "listing/__init__.py",
        "min(newest, _gmt(read_at))",
        "newest",
        "plugins/woocommerce/tests/test_woocommerce_purchases.py",
    ),
    plugin(
        "klaviyo",
        "take the profile of another record for what a lost create made",
        "match.py",
        "{n: v for n, v in sent.items() if v == operation.key} or {",
        "{",
        "plugins/klaviyo/tests/test_klaviyo_profiles.py",
    ),
    plugin(
        "klaviyo",
        "leave a number that nobody heard of on the profile it was exchanged with",
        "phones.py",
        "value = may_be_there(link, name)",
        "value = link.fields.get(name)",
        "plugins/klaviyo/tests/test_klaviyo_truth.py",
    ),
    plugin(
        "google_contacts",
        "leave what the link does not know on a merged contact of who is forgotten",
        "write/plan.py",
        "shared=shared, theirs=theirs, inherited=gone\n",
        "shared=shared, theirs=theirs\n",
        "plugins/google_contacts/tests/test_google_merged.py",
    ),
    core(
        "keep erased what a forgetting took from somebody whose address it is no more",
        "_verbs/forget.py",
        "    give_back(app, email_digest(email))\n",
        "",
        VERBS,
    ),
    # Words of the shop say by themselves what happened: histories hear of facts in their order without this.
    core(
        "tell facts that are asked for together in the order in which they happened",
        "_ingest/hints.py",
        "key=lambda fact: fact.at or read_at",
        "key=lambda fact: 0",
        "core/tests/daemon/test_daemon_hints.py",
    ),
)
