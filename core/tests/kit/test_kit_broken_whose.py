"""Cases for whose a record is (found, matched, shared, merged, let go of): a sound sink and a broken one."""

from attrs import evolve

from synccore.types import Delivered, Erased, Link


def test_finding_a_person(sample, finding, contract_of, passes, fails, tmp_path):
    class Greedy(finding):
        def by(self, name, values):
            return super().by(name, [*values, *(value.replace("0", "1") for value in values)])

    class KnowsIdsAlone(finding):
        def by(self, name, values):
            return super().by(name, values) if name == "external_id" else []

    class KnowsAddressesAlone(finding):
        def by(self, name, values):
            return super().by(name, values) if name == "email" else []

    for case, broken in (
        ("a_person_is_found_by_who_they_are", Greedy),
        ("a_person_is_found_by_an_address_alone", KnowsIdsAlone),
        ("a_person_is_found_by_our_own_id_alone", KnowsAddressesAlone),
    ):
        passes(contract_of(sample, finding), case, tmp_path / f"{case}-sound")
        fails(contract_of(sample, broken), case, tmp_path / case)


def test_erasing_what_is_not_ours(sample, sound, contract_of, passes, fails, tmp_path):
    class Sparing(sound):
        leaves = ("keep", "delete")

        def erase(self, link):
            return super().erase(link) if link.ours else Erased("released")

    class Deleting(sound):
        leaves = ("keep", "delete")

    class Leaving(Sparing):
        """Does what `on_leave` says, whoever made the record."""

        def _write(self, operation):
            return super()._write(evolve(operation, op="delete") if operation.op == "leave" else operation)

    case = "what_is_not_ours_alone_is_not_erased"
    for kind, verdict in ((Sparing, passes), (Deleting, fails), (Leaving, fails)):
        contract = contract_of(sample, kind)
        one = getattr(contract, f"test_{case}")
        setattr(contract, f"test_{case}", lambda on, one=one: one(on, {"adopted": True}))
        verdict(contract, case, tmp_path / kind.__name__)


def test_emptying_what_several_share(sample, sound, contract_of, passes, fails, tmp_path):
    class Careful(sound):
        leaves = ("keep", "clear")

        def erase(self, link):
            self.empty(link)
            return Erased("released")

        def _write(self, operation):
            if operation.op != "leave":
                return super()._write(operation)
            self.empty(operation.link)
            return Delivered(remote_id=operation.link.remote_id)

        def empty(self, link):
            names = [n for n in ("first_name", "last_name") if not link.wanted(n, link.fields.get(n))]
            self._client.call("PATCH", f"/people/{link.remote_id}", json=dict.fromkeys(names))

    class Careless(Careful):
        def empty(self, link):
            super().empty(evolve(link, others=()))

    case = "what_others_of_a_shared_record_want_there_stays"
    for way in ("erase", "clear"):
        passes(contract_of(sample, Careful), case, tmp_path / f"{way}-careful", way=way)
        fails(contract_of(sample, Careless), case, tmp_path / f"{way}-careless", way=way)


def test_who_was_there_before_us(sample, sound, contract_of, passes, fails, tmp_path):
    class Silent(sound):
        """Writes over whoever has the address."""

        def _write(self, operation):
            there = self._client.call("GET", "/people", params={"email": operation.fields["email"]})
            if not there or operation.link:
                return super()._write(operation)
            link = Link(object="person", remote_id=there[0]["id"])
            return self.say(super()._write(evolve(operation, link=link)))

        def say(self, outcome):
            return outcome

    class Says(Silent):
        def say(self, outcome):
            return evolve(outcome, adopted=True)

    class Always(sound):
        def _write(self, operation):
            return evolve(super()._write(operation), adopted=True)

    case = "who_was_there_before_us_is_said_to_be_adopted"
    passes(contract_of(sample, Says), case, tmp_path / "says")
    fails(contract_of(sample, Silent), case, tmp_path / "silent")
    fails(contract_of(sample, Always), case, tmp_path / "always")


def test_matching_and_its_ways(sample, sound, contract_of, passes, fails, tmp_path):
    class Matching(sound):
        """By its own id, else by address, else by last name (which stands for a telephone number here)."""

        keys = ("email", "last_name")

        def _find(self, operation):
            ours = super()._find(operation)
            return (ours and evolve(ours, marked=True)) or self.by(operation)

        def by(self, operation):
            for name in self.keys:
                if found := self._client.call("GET", "/people", params={name: operation.fields[name]}):
                    return Link(object="person", remote_id=found[0]["id"])
            return None

    class Misses(Matching):
        keys = ("email",)

    class Mistakes(Matching):
        keys = ("email", "last_name", "first_name")

    class Claims(Matching):
        def by(self, operation):
            found = super().by(operation)
            return found and evolve(found, marked=True)

    class Hides(Matching):
        """Reads the first page of the people with its ids; the others are found by their addresses."""

        def _find(self, operation):
            return super()._find(operation) if int(operation.key) % 9000000 < 20 else self.by(operation)

    class Folding(Matching):
        def by(self, operation):
            address = operation.fields["email"].casefold()
            there = [p for p in self._client.call("GET", "/people") if p["email"].casefold() == address]
            return Link(object="person", remote_id=there[0]["id"]) if there else None

    route = {"match": ["email", "last_name"]}
    case = "a_twin_is_found_however_its_address_is_written"
    passes(contract_of(sample, Folding, route=route), case, tmp_path / "folding")
    fails(contract_of(sample, Matching, route=route), case, tmp_path / "exact")
    case = "a_twin_is_found_by_each_key_it_is_matched_by"
    passes(contract_of(sample, Matching, route=route), case, tmp_path / "sound")
    for kind in (Misses, Mistakes, Claims):
        fails(contract_of(sample, kind, route=route), case, tmp_path / kind.__name__)
    case = "one_way_of_looking_up_does_not_hide_another"
    passes(contract_of(sample, Matching, route=route), case, tmp_path / "open")
    fails(contract_of(sample, Hides, route=route), case, tmp_path / "hides")


def test_letting_go_of_a_record(sample, sound, contract_of, passes, fails, tmp_path):
    class Leaving(sound):
        leaves = ("keep", "unlabel", "clear", "delete")

        def _write(self, operation):
            if operation.op != "leave":
                return super()._write(operation)
            path = f"/people/{operation.link.remote_id}"
            self.leave(path, operation.on_leave)
            return Delivered(remote_id=operation.link.remote_id)

        def leave(self, path, way):
            method, body = {
                "unlabel": ("PATCH", {"label": None}),
                "clear": ("PATCH", {"first_name": None, "last_name": None}),
                "delete": ("DELETE", None),
            }[way]
            self._client.call(method, path, json=body)

    class Ignoring(Leaving):
        def leave(self, path, way):
            pass

    class Pretending(Leaving):
        """Sends something else than it was asked for."""

        other = {"unlabel": "clear", "clear": "unlabel", "delete": "clear"}

        def leave(self, path, way):
            super().leave(path, self.other[way])

    case = "what_a_route_lets_go_of_is_let_go_of"
    for way in ("unlabel", "clear", "delete"):
        for kind, verdict in ((Leaving, passes), (Ignoring, fails), (Pretending, fails)):
            verdict(contract_of(sample, kind), case, tmp_path / f"{way}-{kind.__name__}", way=way)


def test_what_vanished_at_the_target(sample, sound, contract_of, passes, fails, tmp_path):
    class Following(sound):
        """Whoever carries our own id is the record, wherever the link leads."""

        def _write(self, operation):
            there = self._find(operation)
            return super()._write(evolve(operation, link=there) if there else operation)

    class Forgiving(sound):
        """A record that is not there any more needs no change."""

        def _write(self, operation):
            link = operation.link
            if link and self._client.call("PATCH", f"/people/{link.remote_id}", json=dict(operation.fields)) is None:
                return Delivered(remote_id=link.remote_id)
            return super()._write(operation)

    def vanish(_, stand_in, remote_id):
        return stand_in.people.pop(remote_id) is not None

    def merge(_, stand_in, kept, other):
        stand_in.people[kept]["external_id"] = stand_in.people.pop(other)["external_id"]
        return kept

    case = "who_was_deleted_at_the_target_is_there_once_after_a_change"
    passes(contract_of(sample, sound, vanish=vanish), case, tmp_path / "sound")
    fails(contract_of(sample, Forgiving, vanish=vanish), case, tmp_path / "forgiving")
    case = "who_was_merged_at_the_target_is_there_once_after_a_change"
    passes(contract_of(sample, Following, merge=merge), case, tmp_path / "following")
    fails(contract_of(sample, sound, merge=merge), case, tmp_path / "twice")


def test_what_was_merged_before_it_was_heard_of(sample, sound, contract_of, passes, fails, tmp_path):
    class Finding(sound):
        """Whoever has the address is the record, where nobody carries our own id."""

        def _find(self, operation):
            there = self._client.call("GET", "/people", params={"email": operation.fields["email"]})
            by_address = Link(object="person", remote_id=there[0]["id"]) if there else None
            return super()._find(operation) or by_address

    def merge(_, stand_in, kept, other):
        stand_in.people[kept]["email"] = stand_in.people.pop(other)["email"]
        return kept

    case = "whose_lost_create_was_merged_at_the_target_is_there_once"
    passes(contract_of(sample, Finding, merge=merge), case, tmp_path / "finding")
    fails(contract_of(sample, sound, merge=merge), case, tmp_path / "twice")
