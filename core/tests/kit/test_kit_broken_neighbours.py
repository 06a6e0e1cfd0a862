"""Sinks that are sound where a fault is looked for first, and broken next to it: a sound one passes, they fail."""

import pytest
import structlog
from attrs import evolve

from synccore.errors import AuthError, RateLimited, Rejected, Transient
from synccore.testing import Fault
from synccore.types import Account, Check, Delivered, Erased, Failed, FieldInfo, Link, ObjectInfo, Uid


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


def test_an_address_that_an_older_link_does_not_know(sample, sound, contract_of, passes, fails, tmp_path):
    class Emptying(sound):
        leaves = ("keep", "clear")

        def erase(self, link):
            (there,) = self.read([link])
            empty = {n: "nobody@shop.test" if n == "email" else None for n in self.theirs(link, there)}
            self._client.call("PATCH", f"/people/{link.remote_id}", json=empty)
            return Erased("released")

        def theirs(self, link, there):
            return [n for n, v in there.items() if v is not None and (v == link.fields.get(n) or v in link.addresses)]

    class Trusting(Emptying):
        def theirs(self, link, there):
            return [n for n, v in link.fields.items() if v == there.get(n)]

    case = "who_is_forgotten_leaves_no_address_that_their_link_does_not_know"
    passes(contract_of(sample, Emptying), case, tmp_path / "sound")
    fails(contract_of(sample, Trusting), case, tmp_path / "trusting")


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


# -- one method, one place


def takes_an_outage_for_nobody(real, sink, operations):
    try:
        return real(sink, operations)
    except Transient:
        return [None] * len(operations)


def reads_nothing_when_it_is_down(real, sink, links):
    try:
        return real(sink, links)
    except Transient:
        return [None] * len(links)


def asks_again_when_slowed_down(real, sink, links):
    try:
        return real(sink, links)
    except RateLimited:
        return real(sink, links)


def claims_refused_changes(real, sink, operations):
    outcomes = real(sink, operations)
    known = [op.link and isinstance(o, Failed) for op, o in zip(operations, outcomes, strict=True)]
    return [
        Delivered(remote_id=op.link.remote_id) if k else o for op, o, k in zip(operations, outcomes, known, strict=True)
    ]


def changes_all_but_the_first_name(real, sink, operation):
    if operation.link is None or operation.op != "upsert":
        return real(sink, operation)
    sent = {name: value for name, value in operation.fields.items() if name != "first_name"}
    return evolve(real(sink, evolve(operation, fields=sent)), fields=operation.fields)


def claims_deletions(real, sink, operation):
    return Delivered(remote_id=operation.link.remote_id) if operation.op == "delete" else real(sink, operation)


def answers_deletions_first(real, sink, operations):
    outcomes = {op.id: outcome for op, outcome in zip(operations, real(sink, operations), strict=True)}
    return [outcomes[op.id] for op in sorted(operations, key=lambda op: op.op != "delete")]


def is_well_without_a_permission(real, sink):
    try:
        return real(sink)
    except AuthError:
        if sink._client._http.get("/account").status != 403:
            raise
        return Check(account=Account(id="a1", label="Ours"))


def logs_whom_it_looks_for(real, sink, operation):
    structlog.get_logger().info("looking", **operation.fields)
    return real(sink, operation)


def reads_the_first_page(real, sink, links):
    return [*real(sink, links[:15]), *([None] * len(links[15:]))]


def forgets_later_trouble(real, sink, operation):
    """Finds nobody once the first answer was had and the next one is trouble."""
    try:
        found = real(sink, operation)
    except Transient:
        return None
    return found


def keeps_the_first_line_in_bulk(real, sink, operation):
    if not operation.bulk:
        return real(sink, operation)
    sent = {n: v.splitlines()[0] if isinstance(v, str) and v else v for n, v in operation.fields.items()}
    return evolve(real(sink, evolve(operation, fields=sent)), fields=operation.fields)


def strips_changes(real, sink, operation):
    if operation.link is None or operation.op != "upsert":
        return real(sink, operation)
    sent = {n: v.encode("ascii", "ignore").decode() if isinstance(v, str) else v for n, v in operation.fields.items()}
    return evolve(real(sink, evolve(operation, fields=sent)), fields=operation.fields)


@pytest.mark.parametrize(
    ("case", "method", "bug", "asked"),
    [
        ("a_page_in_between_makes_nobody_gone", "lookup", takes_an_outage_for_nobody, {}),
        ("a_page_in_between_makes_nobody_gone", "read", reads_nothing_when_it_is_down, {}),
        ("a_refusal_is_no_answer", "read", asks_again_when_slowed_down, {"refusal": "rate_limited"}),
        ("one_refused_record_leaves_its_mates_alone", "deliver", claims_refused_changes, {"known": True}),
        ("a_change_updates_the_same_record", "_write", changes_all_but_the_first_name, {}),
        ("a_deletion_of_what_is_gone_already_is_fine", "_write", claims_deletions, {}),
        ("outcomes_keep_the_order_of_operations", "deliver", answers_deletions_first, {}),
        ("outcomes_keep_the_order_of_operations", "read", reads_the_first_page, {}),
        ("checking_asks_the_target", "check", is_well_without_a_permission, {}),
        ("logs_hold_no_personal_data", "_find", logs_whom_it_looks_for, {}),
        ("odd_texts_and_a_lost_answer_in_bulk_double_nobody", "_write", keeps_the_first_line_in_bulk, {}),
        ("odd_texts_and_a_lost_answer_in_bulk_double_nobody", "lookup", lambda real, sink, ops: [None] * len(ops), {}),
        ("hostile_text_is_delivered_or_refused", "_write", strips_changes, {}),
        ("looking_up_finds_everybody", "_find", forgets_later_trouble, {}),
    ],
)
def test_a_neighbour_is_found(sample, sound, contract_of, fails, tmp_path, case, method, bug, asked):
    def refuse(contract, stand_in, email):
        stand_in.refused.add(email)
        return True

    real = getattr(sound, method)
    kind = type("Broken", (sound,), {method: lambda self, *args: bug(real, self, *args)})
    fails(contract_of(sample, kind, refuse=refuse), case, tmp_path / "broken", **asked)


def test_children_that_are_handled_worse_than_their_parents(sample, sound, contract_of, passes, fails, tmp_path):
    class Children(sound):
        def _write(self, operation):
            if operation.entity != "order" or operation.op == "delete":
                return super()._write(operation)
            fields = {**operation.fields, "kind": "child", "parent": operation.parent.remote_id}
            sent = {n: v for n, v in fields.items() if self.sends(operation, n)}
            outcome = super()._write(evolve(operation, fields=sent))
            return evolve(outcome, fields=operation.fields) if isinstance(outcome, Delivered) else outcome

        def sends(self, operation, name):
            return True

    class Doubling(Children):
        def _find(self, operation):
            return None if operation.entity == "order" else super()._find(operation)

    class Standing(Children):
        """Changes of an order stop at its total."""

        def sends(self, operation, name):
            return operation.link is None or name != "first_name"

    class StandingInBulk(Children):
        def sends(self, operation, name):
            return not operation.bulk or name != "first_name"

    fields = {"email": "'o@shop.test'", "first_name": "order.total | string"}
    route = {"entity": "order", "object": "person", "defaults": False, "fields": fields}
    case = "a_child_is_as_sound_as_its_parent"
    passes(contract_of(sample, Children, child=route), case, tmp_path / "sound")
    for kind in (Doubling, Standing, StandingInBulk):
        fails(contract_of(sample, kind, child=route), case, tmp_path / kind.__name__)


def test_whose_id_is_found_by_an_address(sample, finding, contract_of, passes, fails, tmp_path):
    class Naming(finding):
        def find(self, identity):
            ids = {str(p["id"]): p["external_id"] for p in self._client.call("GET", "/people")}
            return [self.named(link, Uid.parse(ids[link.remote_id])) for link in super().find(identity)]

        def named(self, link, who):
            return evolve(link, source=who.source, entity=who.entity, key=who.key)

    class Misnaming(Naming):
        """Whose an address is, and not which account's."""

        def named(self, link, who):
            return super().named(link, evolve(who, key="1" if who.key == "0" else who.key))

    case = "who_is_found_by_address_is_named_by_the_id_there"
    passes(contract_of(sample, Naming), case, tmp_path / "sound")
    fails(contract_of(sample, finding), case, tmp_path / "silent")
    fails(contract_of(sample, Misnaming), case, tmp_path / "another")


def test_one_record_for_an_address(sample, sound, contract_of, passes, fails, tmp_path):
    class ByAddress(sound):
        """Who gets an address that has a record goes on with that one; the one they had is gone."""

        def _write(self, operation):
            link = operation.link
            for person in self._client.call("GET", "/people", params={"email": operation.fields["email"]}):
                if link is not None and (there := str(person["id"])) != link.remote_id:
                    self._delete(link)
                    return super()._write(evolve(operation, link=evolve(link, remote_id=there)))
            return super()._write(operation)

    case = "who_exchange_their_addresses_are_both_there"
    silent, telling = contract_of(sample, ByAddress), contract_of(sample, ByAddress)
    objects = tuple(evolve(o, by_address=True) for o in telling.sink_type.objects)
    telling.sink_type = evolve(telling.sink_type, objects=objects)
    passes(telling, case, tmp_path / "telling")
    fails(silent, case, tmp_path / "silent")
