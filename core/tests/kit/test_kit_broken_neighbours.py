"""Sinks that are sound where a fault is looked for first, and broken next to it: a sound one passes, they fail."""

from attrs import evolve

from synccore.errors import AuthError, Rejected
from synccore.testing import Fault
from synccore.types import Delivered, Erased, FieldInfo, Link, ObjectInfo


def test_a_twin_by_telephone(sample, sound, contract_of, passes, fails, tmp_path):
    class Matching(sound):
        """`lookup` finds by last name too (which stands for a telephone number here) whoever has no id of ours."""

        def _find(self, operation):
            there = self._client.call("GET", "/people", params={"last_name": operation.fields["last_name"]})
            others = [Link(object="person", remote_id=p["id"]) for p in there if self.may_be(p)]
            return super()._find(operation) or next(iter(others), None)

        def may_be(self, person):
            return person["external_id"] is None

    class Guessing(Matching):
        """Takes another customer's own record for a twin."""

        def may_be(self, person):
            return True

    case = "two_who_share_a_telephone_stay_two"
    passes(contract_of(sample, Matching), case, tmp_path / "sound", asked=True)
    passes(contract_of(sample, Guessing), case, tmp_path / "new", asked=False)
    fails(contract_of(sample, Guessing), case, tmp_path / "looked-up", asked=True)


def test_a_missing_permission(sample, sound, contract_of, passes, fails, tmp_path):
    class Blaming(sound):
        """Takes a 403 for the record's fault."""

        def _write(self, operation):
            try:
                return super()._write(operation)
            except AuthError as error:
                if self._client._http.get("/account").status != 403:
                    raise
                raise Rejected("forbidden") from error

    case = "lost_credentials_pause_the_lane"
    passes(contract_of(sample, sound), case, tmp_path / "sound", refusal="forbidden")
    passes(contract_of(sample, Blaming), case, tmp_path / "lost", refusal="unauthorised")
    fails(contract_of(sample, Blaming), case, tmp_path / "forbidden", refusal="forbidden")


def test_what_stays_of_us_when_a_record_is_let_go_of(sample, sound, contract_of, passes, fails, tmp_path):
    class Emptying(sound):
        leaves = ("keep", "clear")
        gone = ("first_name", "last_name", "external_id")

        def erase(self, link):
            (there,) = self.read([link])
            ours = [n for n in self.gone if n not in link.fields or self.is_ours(there[n], link.fields[n])]
            self._client.call("PATCH", f"/people/{link.remote_id}", json=dict.fromkeys(ours))
            return Erased("released")

        def is_ours(self, there, written):
            return there == written

    class Marked(Emptying):
        """Keeps our own id: the record is taken for ours by whoever looks next."""

        gone = ("first_name", "last_name")

    class Wiping(Emptying):
        """Empties what the owner wrote over ours."""

        def is_ours(self, there, written):
            return True

    class Leaving(Emptying):
        gone = ("first_name", "external_id")

    case = "what_is_let_go_of_keeps_none_of_our_values"
    passes(contract_of(sample, Emptying), case, tmp_path / "sound")
    fails(contract_of(sample, Marked), case, tmp_path / "marked")
    fails(contract_of(sample, Leaving), case, tmp_path / "leaving")
    case = "what_its_owner_wrote_since_is_let_go_of_as_it_is"
    passes(contract_of(sample, Emptying), case, tmp_path / "as-it-is")
    fails(contract_of(sample, Wiping), case, tmp_path / "wiping")


def test_answers_that_do_not_name_everybody(sample, sound, contract_of, passes, fails, tmp_path):
    class Believing(sound):
        """Whom the answer does not name was delivered."""

        def _write(self, operation):
            if operation.op == "delete":
                return super()._write(operation)
            body = {**operation.fields, "external_id": operation.uid}
            self._client.call("POST", "/people", json=body)
            found = self._client.call("POST", "/search", json={"external_id": operation.uid})
            return Delivered(remote_id=found[0]["id"] if found else self.guess(operation))

        def guess(self, operation):
            return operation.uid

    class Asking(Believing):
        def guess(self, operation):
            return self._client.call("GET", "/people", params={"external_id": operation.uid})[0]["id"]

    testing = sample["testing"]

    class Searching(testing.FakeSampleCrm):
        def handle(self, request):
            if request.path == "/search":
                wanted = request.json().items()
                return testing.Reply(200, [p for p in self.people.values() if wanted <= p.items()])
            return super().handle(request)

    told = {
        "start": lambda contract, clock: Searching(),
        "is_write": lambda contract, request: request.path == "/search",
    }

    case = "a_lost_answer_makes_no_second_record"
    passes(contract_of(sample, Asking, **told), case, tmp_path / "sound", fault=Fault.shortened())
    fails(contract_of(sample, Believing, **told), case, tmp_path / "believing", fault=Fault.shortened())


def test_texts_past_their_limit_in_a_change(sample, sound, contract_of, passes, fails, tmp_path):
    class Cutting(sound):
        """Cuts what changes, and claims the whole."""

        def describe(self):
            names = ("email", "first_name", "last_name")
            return [ObjectInfo(name="person", fields=tuple(FieldInfo(name=n, length=30) for n in names))]

        def _write(self, operation):
            fields = operation.fields
            cut = {n: v[:30] if "@" not in v and self.cuts(operation) else v for n, v in fields.items()}
            return evolve(super()._write(evolve(operation, fields=cut)), fields=fields)

        def cuts(self, operation):
            return operation.link is not None

    class CuttingInBulk(Cutting):
        def cuts(self, operation):
            return operation.bulk

    class Whole(Cutting):
        def cuts(self, operation):
            return False

    case = "a_text_past_its_limit_is_not_cut_in_silence"
    passes(contract_of(sample, Whole), case, tmp_path / "sound")
    for kind in (Cutting, CuttingInBulk):
        fails(contract_of(sample, kind), case, tmp_path / kind.__name__)
