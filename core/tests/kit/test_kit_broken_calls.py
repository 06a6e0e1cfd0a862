"""Every case about one record, webhooks and write-back finds the source that it is there to find."""

import base64
import hmac
import inspect

import pytest
from attrs import evolve

from synccore.entities import Customer
from synccore.errors import RateLimited, SignatureError, Transient
from synccore.testing.contracts._source_calls import CallSourceCases
from synccore.testing.contracts._source_stage import SLOW_DOWN
from synccore.types import Change, Delivered, Failed, Unchanged, Unreadable


def gone_when_slowed_down(real, source, entity, key):
    try:
        return real(source, entity, key)
    except RateLimited:
        return None


def gone_in_any_case(real, source, entity, key):
    try:
        return real(source, entity, key)
    except Transient:
        return None


def fetches_otherwise(real, source, entity, key):
    change = real(source, entity, key)
    return change and _other(change, first_name="fetched")


def never_gone(real, source, entity, key):
    found = real(source, entity, key)
    if found is None:
        raise LookupError(key)
    return found


def believes(real, source, request):
    import json

    return [shop_change(json.loads(request.body))]


def other_data(real, source, request):
    return [_other(c, last_name="of the webhook") for c in real(source, request)]


def unsigned_is_fine(real, source, request):
    import json

    if "x-signature" not in request.headers:
        return [shop_change(json.loads(request.body))]
    return real(source, request)


def tells_no_version(real, source, request):
    return [evolve(c, version=None) for c in real(source, request)]


def fetches_without_a_version(real, source, entity, key):
    found = real(source, entity, key)
    return found and evolve(found, version=None)


def hints_at_another(real, source, request):
    return [Change(entity=c.entity, key="0", op="touch") for c in real(source, request)]


def signs_the_key_only(real, source, request):
    import json

    return (
        [shop_change({"id": json.loads(request.body)["id"]})] if b'"id": "1"' in request.body else real(source, request)
    )


def claims_to_have_written(real, source, links):
    return [Delivered() for _ in links]


def notes(source, links, known=lambda noted, link: noted == link.links):
    """A shop with a place for remote ids. The sample's stand-in takes any POST to a customer."""
    noted = source.__dict__.setdefault("noted", {})
    outcomes = []
    for link in links:
        if known(noted.get(link.key), link):
            outcomes.append(Unchanged())
        elif (answer := source._client._http.post(f"/customers/{link.key}", json=dict(link.links))).ok:
            noted[link.key] = link.links
            outcomes.append(Delivered())
        else:
            outcomes.append(Failed(Transient(f"HTTP {answer.status}")))
    return outcomes


def notes_once(real, source, links):
    return notes(source, links, lambda noted, link: noted is not None)


def hears_each_once(real, source, request):
    """Deliveries that come again are told apart by the record's id: its later changes are none any more."""
    told = real(source, request)
    heard = source.__dict__.setdefault("heard", set())
    new = [t for t in told if t.key not in heard]
    heard.update(t.key for t in new)
    return new


def quotes_the_body(real, source, request):
    told = real(source, request)
    return [evolve(t, reason=request.body.decode()) if isinstance(t, Unreadable) else t for t in told]


def fetches_once(real, source, entity, key):
    """From a cache that nobody empties."""
    known = source.__dict__.setdefault("known", {})
    return known.setdefault(key, real(source, entity, key))


def compares_the_first_half(real, source, request):
    try:
        return real(source, request)
    except SignatureError:
        secret = source._config.webhook_secret.reveal().encode()
        expected = base64.b64encode(hmac.digest(secret, request.body, "sha256")).decode()
        if request.headers.get("x-signature", "")[:22] != expected[:22]:
            raise
        return [Change(entity="customer", key="1", op="touch")]


def hears_no_deletion(real, source, request):
    return [c for c in real(source, request) if isinstance(c, Change) and c.op != "delete"]


def looks_again(real, source, request):
    source.fetch("customer", "1")
    return real(source, request)


def writes_each_time(real, source, links):
    source._client._http.post("/customers")
    return [Delivered() for _ in links]


def _other(change, **values):
    return evolve(change, data=evolve(change.data, **values))


def shop_change(row):

    return Change(entity="customer", key=str(row["id"]), op="upsert", data=Customer(key=str(row["id"])))


def gone_when_it_cannot_be_read(real, source, entity, key):
    try:
        return real(source, entity, key)
    except (KeyError, ValueError):
        return None


def believes_deletions(real, source, request):
    import json

    data = json.loads(request.body)
    if "deleted" in data:
        return [Change(entity="customer", key=str(data["deleted"]), op="delete")]
    return real(source, request)


BUGS = [
    ("what_cannot_be_read_is_not_gone", "fetch", gone_when_it_cannot_be_read, {}),
    ("a_webhook_of_a_deletion_is_followed", "receive", believes_deletions, {}),
    ("what_cannot_be_read_is_told_without_quoting_it", "receive", quotes_the_body, {}),
    ("the_id_of_a_record_that_was_made_anew_is_written_too", "write_back", notes_once, {}),
    ("what_could_not_be_written_back_is_written_later", "write_back", claims_to_have_written, {}),
    ("a_webhook_of_a_deletion_is_followed", "receive", hears_no_deletion, {}),
    ("an_older_webhook_says_that_it_is_older", "receive", tells_no_version, {}),
    ("a_webhook_without_signature_is_refused", "receive", unsigned_is_fine, {}),
    ("fetching_gives_the_record_as_the_listing_does", "fetch", fetches_otherwise, {}),
    ("fetching_what_is_gone_gives_none", "fetch", never_gone, {}),
    ("an_outage_does_not_look_like_a_deletion", "fetch", gone_in_any_case, {}),
    ("a_webhook_says_what_the_listing_says", "receive", looks_again, {}),
    ("a_tampered_webhook_is_refused", "receive", believes, {}),
    ("a_signed_body_that_is_no_record_is_told", "receive", believes, {}),
    ("writing_back_the_same_ids_twice_writes_once", "write_back", writes_each_time, {}),
    ("a_webhook_says_what_the_listing_says", "receive", other_data, {}),
    ("a_webhook_says_what_the_listing_says", "receive", hints_at_another, {}),
    ("a_webhook_says_what_the_listing_says", "receive", hears_each_once, {}),
    ("a_tampered_webhook_is_refused", "receive", signs_the_key_only, {}),
    ("a_tampered_webhook_is_refused", "receive", compares_the_first_half, {}),
    ("fetching_gives_the_record_as_the_listing_does", "fetch", fetches_once, {}),
    ("fetching_gives_the_record_as_the_listing_does", "fetch", fetches_without_a_version, {}),
    ("writing_back_the_same_ids_twice_writes_once", "write_back", claims_to_have_written, {}),
    ("an_outage_does_not_look_like_a_deletion", "fetch", gone_when_slowed_down, {"fault": SLOW_DOWN}),
]


CASES = {n.removeprefix("test_") for n, _ in inspect.getmembers(CallSourceCases) if n.startswith("test_")}


def test_every_case_has_a_source_that_fails_it():
    assert {case for case, *_ in BUGS} == CASES


@pytest.mark.parametrize("case", sorted(CASES))
def test_the_generated_source_passes(source_contract, run_source, case):
    run_source(source_contract(), case)


@pytest.mark.parametrize(("case", "method", "bug", "asked"), BUGS)
def test_the_case_finds_its_bug(finds, case, method, bug, asked):
    finds(case, method, bug, **asked)


def test_a_webhook_that_carries_no_more_than_an_id_passes(shop, source_contract, run_source):
    sound = shop["source"].SampleShopSource

    def hint(self, request):
        return [Change(entity=c.entity, key=c.key, op="touch") for c in sound.receive(self, request)]

    kind = type("Thin", (sound,), {"receive": hint})
    contract = source_contract(kind)
    for case in ("a_webhook_says_what_the_listing_says", "a_tampered_webhook_is_refused"):
        run_source(contract, case)


def test_a_shop_that_takes_remote_ids_passes(shop, source_contract, run_source):
    kind = type("Noting", (shop["source"].SampleShopSource,), {"write_back": notes})
    contract = source_contract(kind)
    run_source(contract, "writing_back_the_same_ids_twice_writes_once")
    run_source(contract, "the_id_of_a_record_that_was_made_anew_is_written_too")
    run_source(contract, "what_could_not_be_written_back_is_written_later")
