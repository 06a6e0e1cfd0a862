"""Cases about whose a record is: who was there before us, who is found by which key, what stays after a release."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import attrs
import pytest

from ...store import email_digest
from ...types import Identity, Link, Operation
from ..harness import upsert
from ..server import Fault
from ._stage import Stage
from ._truth import TruthSinkCases

__all__ = ["WhoseSinkCases"]

#: Numbers of customers who are nobody else in a case.
_FAR = 5000


class WhoseSinkCases(TruthSinkCases):
    """Part of `SinkContract`."""

    def test_who_was_there_before_us_is_said_to_be_adopted(self, on: Stage) -> None:
        """What is taken for made by us is deleted with the person; what is taken for found stays for ever."""
        (operation,) = self._operations(on, 1)
        there = self._theirs(on, self._another(operation, 0))
        on.app.clock.advance(timedelta(days=1))  # it is no record of a moment ago, which we may have made ourselves
        on.emit(1, first=_FAR)
        on.deliver()
        link = on.link(_FAR)
        if link.remote_id == there:
            assert link.adopted, "took over a record that it did not make, without Delivered(adopted=True)"
        assert not on.link(0).adopted, "made a record and says that it was there before"

    def test_a_twin_is_found_by_each_key_it_is_matched_by(self, on: Stage) -> None:
        """A record with one of the route's `match` keys is the twin, without any of them it is a stranger."""
        self._needs(on, "lookup")
        (first,) = self._operations(on, 1)
        keys = [n for n in first.match if first.fields.get(n) and first.uid not in str(first.fields[n])]
        if not keys:
            pytest.skip("the route matches by nothing but our own id")
        asked = self._operations(on, 2 * len(keys) + 2)
        others = iter(asked[len(keys) + 1 :])
        for name, operation in zip(keys, asked, strict=False):
            shared = {**dict.fromkeys(first.match), name: operation.fields[name]}
            there = self._theirs(on, {**next(others).fields, **shared})
            on.app.clock.advance(self.lag)
            (found,) = on.sink.lookup([operation])
            assert getattr(found, "remote_id", None) == there, f"lookup() does not find who shares {name}"
            assert not (isinstance(found, Link) and found.marked), f"found by {name}: that is no marker of ours"
        operation = asked[len(keys)]
        self._theirs(on, {**operation.fields, **dict.fromkeys(first.match), keys[0]: next(others).fields[keys[0]]})
        on.app.clock.advance(self.lag)
        (found,) = on.sink.lookup([operation])
        assert found is None, f"lookup() takes somebody for the twin who shares none of {', '.join(keys)}"

    def test_a_twin_is_found_however_its_address_is_written(self, on: Stage) -> None:
        """Its owner wrote Anna@Shop.Test; hosts of mail know no difference. A second record would get the same mail."""
        self._needs(on, "lookup")
        (operation,) = self._operations(on, 1)
        name = next((n for n in operation.match if "@" in str(operation.fields.get(n) or "")), None)
        if name is None:
            pytest.skip("the route matches by no address")
        address = str(operation.fields[name])
        there = self._theirs(on, {**self._another(operation, 0), name: address.title()})
        on.app.clock.advance(max(self.lag, timedelta(days=1)))
        (found,) = on.sink.lookup([operation])
        assert getattr(found, "remote_id", None) == there, "lookup() finds nobody: the address has capitals there"

    def test_one_way_of_looking_up_does_not_hide_another(self, on: Stage) -> None:
        """A second question covers what the first one's unread page would have told, until it fails as well."""
        self._needs(on, "lookup")
        on.emit(self.many)
        on.deliver()
        on.app.clock.advance(self.lag)
        asked = self._operations(on, self.many)
        others = [attrs.evolve(o, fields=self._another(o, number)) for number, o in enumerate(asked)]
        self._all_or_none(on, others, "by its own id alone")
        self._all_or_none(on, [attrs.evolve(o, key=f"9{n:06}") for n, o in enumerate(asked)], "by its fields alone")

    def _another(self, operation: Operation, number: int) -> Mapping[str, Any]:
        """The mapped fields with none of the addresses and numbers that are at the target."""
        ours, theirs = self.customer(number), self.customer(number + _FAR)
        values = {ours.email: theirs.email, ours.phone: theirs.phone, ours.last_name: theirs.last_name}
        return {
            n: values.get(v, None if n in operation.match else v) if isinstance(v, str) else v
            for n, v in operation.fields.items()
        }

    def _all_or_none(self, on: Stage, operations: list[Operation], how: str) -> None:
        missing = self._looked_up(on, operations).count(None)
        assert missing in (0, self.many), f"{how} lookup() does not find {missing} of {self.many}"

    def test_what_is_let_go_of_keeps_none_of_our_values(self, on: Stage) -> None:
        """A record that others use stays; what we wrote of the person goes."""
        link = self._not_ours(on, adopted=True)
        on.sink.erase(link)
        (remote,) = on.sink.read([link])
        left = self._ours_in(on, link, remote)
        assert not left, f"let go of, and still there: {', '.join(left)}"
        self._carries_nothing_of_ours(on, link)

    def _carries_nothing_of_ours(self, on: Stage, link: Link) -> None:
        """Whoever is found by our id is taken for made by us: deleted with the person, written over with the next."""
        on.app.clock.advance(self.lag)
        (operation,) = self._operations(on, 1)
        found: list[Any] = list(on.sink.lookup([operation])) if callable(getattr(on.sink, "lookup", None)) else []
        assert not [f for f in found if isinstance(f, Link) and f.marked], "let go of, and still marked as ours"
        if callable(getattr(on.sink, "find", None)):
            known = {f.remote_id for f in on.sink.find(Identity(uids=(operation.uid,)))}
            assert link.remote_id not in known, "let go of, and still found by our own id"

    def test_what_its_owner_wrote_since_is_let_go_of_as_it_is(self, on: Stage) -> None:
        """Emptied is what we wrote; what somebody else wrote over it is theirs."""
        link = self._not_ours(on, adopted=True)
        name = next((n for n, value in link.fields.items() if value == self.customer(0).last_name), None)
        if name is None or not self.rewrite(on.stand_in, link.remote_id, {name: "Rewritten"}):
            pytest.skip("nobody else writes there (else write rewrite, and map the last name)")
        on.sink.erase(link)
        (remote,) = on.sink.read([link])
        assert (remote or {}).get(name) == "Rewritten", f"let go of, and {name} is not as its owner wrote it"

    def test_who_exchange_their_addresses_are_both_there(self, on: Stage) -> None:
        """A target that has one record for an address makes one of two, unless `ObjectType.by_address` says so: core
        exchanges their links then, and each is delivered to the record that has the new address."""
        on.emit(2)
        on.deliver()
        swapped = [self.customer(n, email=self.customer(1 - n).email) for n in (0, 1)]
        on.app.emit(*(upsert(one) for one in swapped))
        on.app.follow()
        on.deliver()
        assert on.held() == on.expected(2), "two people exchanged their addresses: somebody is missing, or there twice"
        if callable(getattr(on.sink, "read", None)):
            links = [on.link(0), on.link(1)]
            there = zip(links, on.sink.read(links), strict=True)
            wrong = {n for link, held in there for n, v in link.fields.items() if (held or {}).get(n, v) != v}
            assert not wrong, (
                f"two people exchanged their addresses, and one has the other's {', '.join(sorted(wrong))}"
            )

    def test_who_was_deleted_at_the_target_is_there_once_after_a_change(self, on: Stage) -> None:
        """A moment ago: the link leads nowhere, and whatever lists the records may not know it yet."""
        on.emit(2)
        on.deliver()
        if not self.vanish(on.stand_in, on.link(0).remote_id):
            pytest.skip("nobody deletes anything there (else write vanish)")
        on.emit(1, last_name="Since")
        on.deliver()
        if {d.key for d in on.app.deliveries(state="parked")} == {"0"}:
            assert on.held() == on.expected(2)[1:], "parked, and made nevertheless"
            return  # a person is asked whether it is to come back
        assert on.held() == on.expected(2), "deleted at the target a moment before a change: lost, or there twice"
        self._leads_somewhere(on)

    def test_who_was_merged_at_the_target_is_there_once_after_a_change(self, on: Stage) -> None:
        """Into a record of its owner's, a moment ago: the change goes there, and makes no second one."""
        on.emit(2)
        on.deliver()
        (operation,) = self._operations(on, 1)
        there = self._theirs(on, self._another(operation, 0))
        left = self.merge(on.stand_in, there, on.link(0).remote_id)
        if left is None:
            pytest.skip("nobody merges anything there (else write merge)")
        before = len(on.held())
        on.emit(1, last_name="Since")
        on.deliver()
        assert len(on.held()) == before, "merged at the target a moment before a change: made a second time, or lost"
        assert on.link(0).remote_id == left, "merged at the target, and the link does not lead to what is left"
        self._leads_somewhere(on)

    def test_whose_lost_create_was_merged_at_the_target_is_there_once(self, on: Stage) -> None:
        """Into the record of another customer, before anybody heard of it: that record is theirs as well."""
        self._needs(on, "lookup")
        on.emit()
        on.deliver()
        on.stand_in.fail_next(self._only_writes(Fault.commit_then_drop()))
        on.emit(1, first=1)
        on.app.drain()
        on.app.clock.advance(self.lag)
        (made,) = on.sink.lookup(self._operations(on, 2)[1:])
        assert isinstance(made, Link), "a create without an answer was carried out, and lookup() does not find it"
        if self.merge(on.stand_in, on.link(0).remote_id, made.remote_id) is None:
            pytest.skip("nobody merges anything there (else write merge)")
        on.deliver()
        assert len(set(on.held())) == len(on.held()), "merged at the target before it was heard of: made a second time"

    def _leads_somewhere(self, on: Stage) -> None:
        if callable(getattr(on.sink, "read", None)):
            assert None not in on.sink.read([on.link(0), on.link(1)]), "the link leads to nothing"

    def test_who_is_found_by_address_is_named_by_the_id_there(self, on: Stage) -> None:
        """A backup that came back may not know them: core forgets whose id `find` names, and nobody else."""
        self._needs(on, "find")
        on.emit(1)
        on.deliver()
        on.app.clock.advance(self.lag)
        (operation,) = self._operations(on, 1)
        ours = {found.remote_id for found in on.sink.find(Identity(uids=(operation.uid,)))}
        if not ours:
            pytest.skip("what is at the target bears no id of ours")
        found = on.sink.find(Identity(emails=(self.customer(0).email or "",)))
        named = {link.uid for link in found if link.remote_id in ours}
        assert named == {operation.uid}, f"find() names {named or 'nobody'} for who bears {operation.uid}"

    def test_nobody_is_remembered_who_was_erased(self, on: Stage) -> None:
        """`context.state()` is kept in plain, and core erases nothing there: key by ids, or let `erase` do it."""
        on.emit(2)
        on.deliver()
        on.emit(2, last_name="Again")
        on.stand_in.fail_next(self._only_writes(Fault.commit_then_drop()))
        on.deliver()
        on.sink.erase(on.link(1))
        email = self.customer(1).email or ""
        kept = on.app.app.store.held(email, email_digest(email))["plugin_state"]
        assert not [row["key"] for row in kept if email in str(row)], "erased, and the address is in context.state()"

    def _ours_in(self, on: Stage, link: Link, remote: Mapping[str, Any] | None) -> list[str]:
        """The fields that still hold what we wrote, but for those without which there would be no record."""
        needed = {*on.app.app.routes["people"].match, *self._required(on)}
        ours = {
            n: v for n, v in link.fields.items() if v and v != self.customer(int(link.key)).email and n not in needed
        }
        return [name for name, value in ours.items() if (remote or {}).get(name) == value]

    def _required(self, on: Stage) -> set[str]:
        return {f.name for o in on.sink.describe() if o.name == self.object for f in o.fields if f.required}

    def _theirs(self, on: Stage, fields: Mapping[str, Any]) -> str:
        there = self.theirs(on.stand_in, fields)
        if there is None:
            pytest.skip("the stand-in holds nobody but whom we made (else write theirs)")
        return there
