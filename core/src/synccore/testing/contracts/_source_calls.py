"""One record, webhooks and write-back: the calls of a source beside its listing."""

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from ...errors import RateLimited, SignatureError, SynccoreError, Transient
from ...types import Change, Delivered, Unreadable
from ..server import Fault
from ._source_stage import NAMES, SLOW_DOWN, SourceStage, SourceStand, fingerprint_of, own

__all__ = ["CallSourceCases"]

#: At most so many places of a webhook are tampered with.
_PLACES = 200
#: A header's value longer than this is taken for a signature.
_HEADER = 24
#: What a vendor signed and nobody can read: empty, cut, another shape, deep, endless numbers, not UTF-8.
NO_RECORDS = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"{}",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"id": NaN}',
    b'{"id": ' + b"9" * 5_000 + b"}",
)


class CallSourceCases(SourceStand):
    """Part of `SourceContract`."""

    # -- cases: one record

    def test_fetching_gives_the_record_as_the_listing_does(self, on: SourceStage) -> None:
        """Confirming a deletion rests on it."""
        on.put(3)
        self._fetches_as_listed(on)
        with suppress(pytest.skip.Exception):
            on.contract.edit(on.stand_in, 1)
        self._fetches_as_listed(on)

    def _fetches_as_listed(self, on: SourceStage) -> None:
        for key, change in on.customers().items():
            fetched = own(on.source.fetch("customer", key), key)
            assert fingerprint_of(fetched) == fingerprint_of(change)
            assert fetched.version == change.version, "another version by fetch than by the listing"

    def test_fetching_what_is_gone_gives_none(self, on: SourceStage) -> None:
        """Only a clear answer counts as gone."""
        on.put(3)
        before = set(on.customers())
        on.contract.remove(on.stand_in, 1)
        (gone,) = before - set(on.customers())
        assert on.source.fetch("customer", gone) is None

    @pytest.mark.parametrize(
        "fault",
        [
            pytest.param(Fault.status(503), id="503"),
            pytest.param(Fault.html(404), id="html-404"),
            pytest.param(Fault.status(200, {"status": "ok"}), id="json-200"),
            pytest.param(SLOW_DOWN, id="429"),
        ],
    )
    def test_an_outage_does_not_look_like_a_deletion(self, on: SourceStage, fault: Fault) -> None:
        """`None` from fetch deletes at every target; a proxy's 404 is a page and no word of the shop."""
        on.put(1)
        (key,) = on.customers()
        on.stand_in.fail_always(fault)
        with pytest.raises((Transient, RateLimited)):
            on.source.fetch("customer", key)

    def test_what_cannot_be_read_is_not_gone(self, on: SourceStage) -> None:
        """`None` from fetch deletes at every target: a row without all but its id is no word of that."""
        on.put(1)
        (key,) = on.customers()
        for body in ({"id": key}, {"id": int(key)} if key.isdigit() else {}, {}, [], ["x"], 7):
            on.stand_in.clear_faults()
            on.stand_in.fail_always(Fault.status(200, body))
            with suppress(Exception):
                if on.source.fetch("customer", key) is None:  # a failure of the case passes through: it is no Exception
                    pytest.fail(f"fetch() takes {body!r} for the word that the record is gone")

    # -- cases: webhooks

    def test_a_webhook_says_what_the_listing_says(self, on: SourceStage) -> None:
        """Equal fingerprints, or webhook and poll would fight."""
        on.put(2)
        self._webhook_says_what_is_listed(on, 1)
        with suppress(pytest.skip.Exception):
            on.context.clock.sleep(timedelta(minutes=1))
            on.contract.edit(on.stand_in, 1)  # so that it has a name too, and is told of once more
        self._webhook_says_what_is_listed(on, 1)
        self._webhook_says_what_is_listed(on, 0)

    def _webhook_says_what_is_listed(self, on: SourceStage, number: int) -> None:
        request = on.contract.webhook(on.stand_in, number)
        calls = on.context.calls
        told = [c for c in on.source.receive(request) if isinstance(c, Change) and c.entity == "customer"]
        assert on.context.calls == calls, "receive() used the network"
        assert told, "the webhook gave no customer"
        email = f"person{number}@shop.test"
        whose = {c.key for c in on.customers().values() if getattr(c.data, "email", None) == email}
        assert whose <= {c.key for c in told}, "the webhook of one customer tells of another, or of a key nobody has"
        # A hint brings no data: core fetches the record, and that is what has to be the same.
        changes = [own(on.source.fetch(c.entity, c.key), c.key) if c.op == "touch" else c for c in told]
        listed = on.customers()
        assert [fingerprint_of(c) for c in changes] == [fingerprint_of(listed[c.key]) for c in changes]
        assert [c.version for c in changes] == [listed[c.key].version for c in changes]

    def test_a_webhook_of_a_deletion_is_followed(self, on: SourceStage) -> None:
        """Listings do not show who is gone: without the webhook they stay at every target until the next comparison."""
        on.put(3)
        before = set(on.customers())
        on.contract.remove(on.stand_in, 1)
        (gone,) = before - set(on.customers())
        request = on.contract.deletion(on.stand_in, 1)
        told = [c for c in on.source.receive(request) if isinstance(c, Change)]
        people = [c for c in told if c.entity == "customer"]
        assert {c.key for c in people} == {gone}, "the webhook of a deletion is lost, or tells of somebody else"
        assert {c.op for c in people} <= {"delete", "touch"}, "the webhook of a deletion is taken for a change"
        if request.headers:  # else the vendor signs in the body or the address
            with pytest.raises(SignatureError):
                on.source.receive(evolve(request, headers={}))
            with pytest.raises(SignatureError):
                on.source.receive(evolve(request, body=request.body + b" "))

    def test_an_older_webhook_says_that_it_is_older(self, on: SourceStage) -> None:
        """Webhooks overtake each other and are sent again: core drops the older state, if it can tell."""
        on.put(2)
        on.customers()
        request = on.contract.webhook(on.stand_in, 1)
        on.context.clock.sleep(timedelta(minutes=1))
        on.contract.edit(on.stand_in, 1)
        newest = {c.key: c.version for c in on.customers().values()}
        told = [c for c in on.source.receive(request) if isinstance(c, Change) and c.op != "touch"]
        older = [c.version is not None and c.version < (newest[c.key] or 0) for c in told if c.entity == "customer"]
        assert all(older), "an older webhook, sent again, takes back what is newer: give it its version, or hint"

    def test_a_webhook_without_signature_is_refused(self, on: SourceStage) -> None:
        """Whoever finds the address can leave the header out."""
        on.put(2)
        request = on.contract.webhook(on.stand_in, 1)
        if not request.headers:
            pytest.skip("the vendor signs in the body or the address")
        with pytest.raises(SignatureError):
            on.source.receive(evolve(request, headers={}))

    def test_a_tampered_webhook_is_refused(self, on: SourceStage) -> None:
        """The signature covers the raw bytes."""
        on.put(2)
        request = on.contract.webhook(on.stand_in, 1)
        with pytest.raises(SignatureError):
            on.source.receive(evolve(request, body=request.body + b" "))
        # A signature that is compared in part can be guessed. (Shorter headers are a topic, a type, a time.)
        halves = {n: v[: len(v) // 2] + v[len(v) // 2 :][::-1] for n, v in request.headers.items() if len(v) > _HEADER}
        with pytest.raises(SignatureError):
            on.source.receive(evolve(request, headers={**request.headers, **halves}))
        step = len(request.body) // _PLACES + 1
        for at in range(0, len(request.body), step):
            other = b"8" if request.body[at : at + 1] == b"9" else b"9"
            with pytest.raises(SignatureError):
                on.source.receive(evolve(request, body=request.body[:at] + other + request.body[at + 1 :]))

    def test_a_signed_body_that_is_no_record_is_told(self, on: SourceStage) -> None:
        """Signed and unreadable (cut by a plugin or a proxy of the shop) is Unreadable or nothing; never raised.

        A vendor that is refused a few times switches its webhooks off.
        """
        for body in NO_RECORDS:
            for told in on.source.receive(on.contract.signed(on.stand_in, body)):
                assert isinstance(told, Unreadable), f"a change was made of {body[:20]!r}"

    def test_what_cannot_be_read_is_told_without_quoting_it(self, on: SourceStage) -> None:
        """Where it was and what is wrong: core knows no values of such a record, and can take none out of the words."""
        on.put(2)
        bodies: list[Any] = [" ".join(NAMES), list(NAMES), dict.fromkeys(("name", "street"), " ".join(NAMES))]
        with suppress(pytest.skip.Exception, ValueError):
            bodies.append(_renamed(json.loads(on.contract.webhook(on.stand_in, 1).body)))
        texts = [json.dumps(body).encode() for body in bodies]
        for text in (*texts, *(text[: len(text) * 2 // 3] for text in texts)):
            told = on.source.receive(on.contract.signed(on.stand_in, text))
            words = "".join(f"{u.where} {u.reason}" for u in told if isinstance(u, Unreadable))
            assert not [name for name in NAMES if name in words], "what cannot be read is quoted: it names people"

    # -- cases: write-back

    def test_writing_back_the_same_ids_twice_writes_once(self, on: SourceStage) -> None:
        """Each write makes the shop send a webhook."""
        on.put(2)
        links = on.links("r")
        written = [o for o in on.source.write_back(links) if isinstance(o, Delivered)]
        before = self._writes(on)
        assert before or not written, "write_back() says that it wrote, and sent nothing"
        on.source.write_back(links)
        assert self._writes(on) == before

    def test_the_id_of_a_record_that_was_made_anew_is_written_too(self, on: SourceStage) -> None:
        """Who was deleted at the target and came back has another id there: what stands in the shop leads nowhere."""
        on.put(2)
        self._written(on, "old")
        seen = len(on.stand_in.requests)
        self._written(on, "remade")
        sent = "".join(f"{r.target} {r.body.decode()}" for r in on.stand_in.requests[seen:])
        missing = [link.key for link in on.links("remade") if link.links["crm"] not in sent]
        assert not missing, "a note that is there is taken for this one: the shop keeps the old id"

    @pytest.mark.parametrize("trouble", ["503", "429", "unauthorised"])
    def test_what_could_not_be_written_back_is_written_later(self, on: SourceStage, trouble: str) -> None:
        """Delivered, or remembered as written, what the shop refused would never stand there."""
        on.put(2)
        links = on.links("r")
        faults = {"503": Fault.status(503), "429": SLOW_DOWN}
        fault = faults.get(trouble) or self.unauthorised()
        on.stand_in.fail_always(evolve(fault, when=lambda request: request.method not in ("GET", "HEAD")))
        with suppress(SynccoreError):
            outcomes = on.source.write_back(links)
            assert not [o for o in outcomes if isinstance(o, Delivered)], "says that it wrote what was refused"
        on.stand_in.clear_faults()
        self._written(on, "r")

    def _written(self, on: SourceStage, remote_id: str) -> None:
        """Skips where the shop takes no ids."""
        before, asked = self._writes(on), len(on.stand_in.requests)
        on.source.write_back(on.links(remote_id))
        if self._writes(on) == before:
            assert not self._writes(on), f"{len(on.stand_in.requests) - asked} requests, and no id was written"
            pytest.skip("this shop takes no remote ids")

    def _writes(self, on: SourceStage) -> int:
        return sum(1 for r in on.stand_in.requests if r.method not in ("GET", "HEAD"))


def _renamed(value: Any) -> Any:
    """The same record, where each text is somebody's name."""
    if isinstance(value, dict):
        return {name: _renamed(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner) for inner in value]
    return " ".join(NAMES) if isinstance(value, str) else value
