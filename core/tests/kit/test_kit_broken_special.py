"""Cases for what not every target has (jobs, children, events, automations): a sound sink and a broken one."""

from itertools import zip_longest

import pytest
from attrs import evolve

from synccore.errors import BatchRejected, Rejected, Transient, WaitFor
from synccore.types import Delivered, FieldInfo, Hanging, Limits, Link, ObjectInfo, Roomier, Submitted, Unchanged


def test_jobs(sample, sound, jobs, contract_of, passes, fails, tmp_path):
    class Forgetful(jobs):
        """The ids of a job are in memory."""

        def keep(self, job, ids):
            self.kept = {**(self.kept if isinstance(self.kept, dict) else {}), job: ids}

    class Mixed(jobs):
        """Takes the vendor's order of rows for its own."""

        def collect(self, job):
            return super().collect(job)[::-1]

    case = "a_job_outlives_trouble_and_a_restart"
    passes(contract_of(sample, jobs, jobs_from=5), case, tmp_path / "sound")
    fails(contract_of(sample, Forgetful, jobs_from=5), case, tmp_path / "forgetful")
    fails(contract_of(sample, Mixed, jobs_from=5), case, tmp_path / "mixed")
    fails(contract_of(sample, sound, jobs_from=5), case, tmp_path / "without")

    class Blind(jobs):
        """Finds nobody whom a job is making, and keeps no note that it was sent."""

        def lookup(self, operations):
            return [None] * len(operations)

    case = "a_job_whose_answer_was_lost_is_not_made_twice"
    passes(contract_of(sample, jobs, jobs_from=5), case, tmp_path / "noted", lost="first")
    fails(contract_of(sample, Blind, jobs_from=5), case, tmp_path / "blind", lost="first")

    class Hasty(jobs):
        """A job that was asked for once is over as a whole."""

        def told(self, keys, ids):
            super().told(list(ids), ids)

    case = "a_job_that_is_known_in_part_is_submitted_once"
    passes(contract_of(sample, jobs, jobs_from=5), case, tmp_path / "known")
    fails(contract_of(sample, Hasty, jobs_from=5), case, tmp_path / "hasty")


def test_rows_that_a_job_refuses(sample, jobs, contract_of, passes, fails, tmp_path):
    class Silent(jobs):
        """What is in no list of successes was equal already."""

        def refused(self):
            return Unchanged()

    class Shifted(jobs):
        """Leaves the refused row out, so that those behind it move up."""

        def keep(self, job, ids):
            there = [i for i in ids.values() if i]
            super().keep(job, dict(zip_longest(ids, there)))

    def refuse(contract, stand_in, email):
        stand_in.refused.add(email)
        return True

    case = "a_job_parks_whom_it_refuses_and_delivers_the_others"
    passes(contract_of(sample, jobs, jobs_from=5, refuse=refuse), case, tmp_path / "sound")
    fails(contract_of(sample, Silent, jobs_from=5, refuse=refuse), case, tmp_path / "silent")
    fails(contract_of(sample, Shifted, jobs_from=5, refuse=refuse), case, tmp_path / "shifted")


def test_the_size_of_a_job(sample, sound, contract_of, passes, fails, tmp_path):
    class Large(sound):
        """Hands over as many rows as `bulk_batch` says; the target takes 500."""

        def deliver(self, operations):
            if len(operations) > 500:
                raise BatchRejected("at most 500 rows")
            return [Submitted("job")] * len(operations)

    case = "a_whole_job_is_one_that_the_target_takes"
    for size, verdict in ((500, passes), (501, fails)):
        limits = Limits(max_batch=20, bulk_batch=size, bulk_threshold=5)
        verdict(contract_of(sample, Large, limits=limits, jobs_from=5), case, tmp_path / str(size))


def test_what_is_made_again(sample, sound, contract_of, passes, fails, tmp_path):
    class Sparing(sound):
        """Sends what changed alone, also where all of it has to be made again."""

        def _write(self, operation):
            sent = {n: v for n, v in operation.fields.items() if n in operation.changed or n == "email"}
            return evolve(super()._write(evolve(operation, fields=sent)), fields=operation.fields)

    case = "a_record_deleted_at_the_target_is_made_again_or_refused"
    fails(contract_of(sample, Sparing), case, tmp_path / "sparing")


def test_who_has_a_name_in_common(sample, sound, contract_of, passes, fails, tmp_path):
    class Guessing(sound):
        """Takes whoever has the name for the person."""

        def _write(self, operation):
            names = {n: operation.fields[n] for n in ("first_name", "last_name")}
            there = None if operation.link else self._client.call("GET", "/people", params=names)
            link = Link(object="person", remote_id=there[0]["id"]) if there else operation.link
            return super()._write(evolve(operation, link=link))

    case = "two_who_share_a_telephone_stay_two"
    fails(contract_of(sample, Guessing), case, tmp_path / "guessing")


def test_a_number_that_cannot_be_sent(sample, sound, contract_of, passes, fails, tmp_path):
    class Emptying(sound):
        """Takes long numbers alone (`last_name` stands for one here), and the former one out where one is left out."""

        def _write(self, operation):
            number = operation.fields.get("last_name") or ""
            if len(number) > 2:
                return super()._write(operation)
            held = {n: v for n, v in operation.fields.items() if n != "last_name"}
            sent = {**held, "last_name": self.instead_of(operation)}
            return evolve(
                super()._write(evolve(operation, fields=sent)), fields=held, left_out={"last_name": "not a number"}
            )

        def instead_of(self, operation):
            return None

    class Keeping(Emptying):
        def instead_of(self, operation):
            return operation.link and operation.link.fields.get("last_name")

    route = {"fields": {"last_name": "customer.phone"}}
    case = "a_telephone_that_is_left_out_leaves_no_former_one"
    passes(contract_of(sample, Emptying, route=route), case, tmp_path / "sound", number="12")
    fails(contract_of(sample, Keeping, route=route), case, tmp_path / "keeping", number="12")


def test_children(sample, sound, contract_of, passes, fails, tmp_path):
    def hangs_on(parent_of):
        class Children(sound):
            def _write(self, operation):
                if operation.entity != "order":
                    return super()._write(operation)
                fields = {**operation.fields, "kind": "child", "parent": parent_of(operation)}
                return super()._write(evolve(operation, fields=fields))

        route = {"entity": "order", "object": "person", "defaults": False, "fields": {"email": "'o@shop.test'"}}
        return contract_of(sample, Children, child=route)

    case = "a_child_waits_for_its_parent_and_hangs_on_it"
    passes(hangs_on(lambda operation: operation.parent.remote_id), case, tmp_path / "sound")
    fails(hangs_on(lambda operation: operation.link and operation.link.remote_id), case, tmp_path / "orphans")
    case = "a_child_that_changes_hands_hangs_on_its_new_owner"
    first = {}
    passes(hangs_on(lambda operation: operation.parent.remote_id), case, tmp_path / "moved")
    fails(hangs_on(lambda op: first.setdefault(op.key, op.parent.remote_id)), case, tmp_path / "stays")


@pytest.fixture
def hanging(sound):
    """A sink whose orders hang on people, and which says on whom."""

    class Children(sound):
        def _write(self, operation):
            if operation.entity != "order":
                return super()._write(operation)
            fields = {**operation.fields, "kind": "child"}
            if self.hangs(operation):
                fields["parent"] = operation.parent.remote_id
            return super()._write(evolve(operation, fields=fields))

        def hangs(self, operation):
            return operation.link is None or operation.link.parent_id != operation.parent.remote_id

        def read(self, links):
            return [x and self.told(link, x) for link, x in zip(links, super().read(links), strict=True)]

        def told(self, link, there):
            return Hanging(there, parent_id=there["parent"]) if "parent" in there else there

    return Children


def hangs_when_made(real, sink, operation):
    return operation.link is None


def takes_none_for_its_own(real, sink, operation):
    return real(sink, operation) and (operation.link is None or operation.link.parent_id != "")


def says_nothing_of_it(real, sink, link, there):
    return there


def says_what_was_remembered(real, sink, link, there):
    return Hanging(there, parent_id=link.parent_id)


@pytest.mark.parametrize(
    ("method", "bug"),
    [
        ("hangs", hangs_when_made),
        ("hangs", takes_none_for_its_own),
        ("told", says_nothing_of_it),
        ("told", says_what_was_remembered),
    ],
)
def test_children_that_were_hung_elsewhere(sample, hanging, contract_of, passes, fails, tmp_path, method, bug):
    def rehang(self, stand_in, remote_id, parent_id):
        stand_in.people[remote_id]["parent"] = parent_id
        return True

    real = getattr(hanging, method)
    broken = type("Broken", (hanging,), {method: lambda self, *args: bug(real, self, *args)})
    case = "a_child_that_was_hung_elsewhere_is_named_and_hung_back"
    route = {"entity": "order", "object": "person", "defaults": False, "fields": {"email": "'o@shop.test'"}}
    passes(contract_of(sample, hanging, child=route, rehang=rehang), case, tmp_path / "sound")
    fails(contract_of(sample, broken, child=route, rehang=rehang), case, tmp_path / "broken")


@pytest.mark.parametrize(
    ("word", "tried"), [(Rejected, "fails"), (lambda text: WaitFor("customer", "0", text), "passes")]
)
def test_children_whose_parent_is_gone(sample, sound, contract_of, passes, fails, tmp_path, word, tried):
    gone = set()

    def vanish(self, stand_in, remote_id):
        gone.add(remote_id)
        return stand_in.people.pop(remote_id) is not None

    class Children(sound):
        def _write(self, operation):
            if operation.entity != "order":
                return super()._write(operation)
            if operation.parent.remote_id in gone:
                raise word("no such parent")
            fields = {**operation.fields, "kind": "child", "parent": operation.parent.remote_id}
            return super()._write(evolve(operation, fields=fields))

    route = {"entity": "order", "object": "person", "defaults": False, "fields": {"email": "'o@shop.test'"}}
    contract = contract_of(sample, Children, child=route, vanish=vanish)
    {"passes": passes, "fails": fails}[tried](
        contract, "a_child_whose_parent_is_gone_waits_for_another_one", tmp_path / tried
    )


def test_events(sample, sound, contract_of, passes, fails, tmp_path):
    def telling(is_new, fact=lambda operation: operation.idempotency_key):
        class Events(sound):
            def _write(self, operation):
                if operation.op != "event":
                    return super()._write(operation)
                known = self._client.call("GET", "/people", params={"fact": fact(operation)})
                if is_new(known):
                    fields = {**operation.fields, "kind": "event", "fact": fact(operation)}
                    super()._write(evolve(operation, op="upsert", fields=fields))
                return Delivered()

        route = {"object": "person", "defaults": False, "fields": {"email": "payment.email"}}
        return contract_of(sample, Events, event=route)

    def swallowing(sink, operation, real):
        try:
            return real(sink, operation)
        except Transient:
            return Delivered()

    case = "an_event_is_told_once"
    passes(telling(lambda known: not known), case, tmp_path / "sound")
    fails(telling(lambda known: True), case, tmp_path / "repeats")
    fails(telling(lambda known: not known, lambda operation: operation.key), case, tmp_path / "by-key")
    careless = telling(lambda known: not known)
    real = careless.sink_type.open._write
    careless.sink_type.open._write = lambda sink, operation: swallowing(sink, operation, real)
    fails(careless, case, tmp_path / "careless")


def test_automations(sample, sound, contract_of, passes, fails, tmp_path):
    class Quiet(sound):
        def _write(self, operation):
            return super()._write(evolve(operation, fields={**operation.fields, "quiet": operation.bulk}))

    class Greeting(Quiet):
        """Greets whom it has to make again."""

        def _write(self, operation):
            return super()._write(evolve(operation, bulk=operation.bulk and operation.link is None))

    case = "the_past_fires_no_automation"
    passes(contract_of(sample, Quiet), case, tmp_path / "sound")
    fails(contract_of(sample, sound), case, tmp_path / "loud")
    fails(contract_of(sample, Greeting), case, tmp_path / "greeting")


def test_texts_past_their_limit(sample, sound, contract_of, passes, fails, tmp_path):
    class Cutting(sound):
        """Cuts and claims the whole."""

        def describe(self):
            names = ("email", "first_name", "last_name")
            return [ObjectInfo(name="person", fields=tuple(FieldInfo(name=n, length=12) for n in names))]

        def _write(self, operation):
            whole = operation.fields
            cut = {n: v[:12] if isinstance(v, str) and "@" not in v else v for n, v in whole.items()}
            return evolve(super()._write(evolve(operation, fields=cut)), fields=self.claim(whole, cut))

        def claim(self, whole, cut):
            return whole

    class Honest(Cutting):
        def claim(self, whole, cut):
            return cut

    class Short(Honest):
        """Cuts at half the limit that it describes, and says so."""

        def describe(self):
            names = ("email", "first_name", "last_name")
            return [ObjectInfo(name="person", fields=tuple(FieldInfo(name=n, length=24) for n in names))]

    case = "a_text_past_its_limit_is_not_cut_in_silence"
    fails(contract_of(sample, Short), case, tmp_path / "short")
    passes(contract_of(sample, Honest), case, tmp_path / "honest")
    fails(contract_of(sample, Cutting), case, tmp_path / "cutting")


def test_texts_that_are_cut_where_no_length_is_described(sample, sound, contract_of, passes, fails, tmp_path):
    class Cutting(sound):
        def _write(self, operation):
            cut = {name: value[:250] for name, value in operation.fields.items()}
            return evolve(super()._write(evolve(operation, fields=cut)), fields=operation.fields)

    case = "hostile_text_is_delivered_or_refused"
    passes(contract_of(sample, sound), case, tmp_path / "sound")
    fails(contract_of(sample, Cutting), case, tmp_path / "cutting")


def test_reading_what_was_remembered_of_what_is_there(sample, sound, contract_of, passes, fails, tmp_path):
    class Echo(sound):
        """Asks whether it is there, and gives what the link says."""

        def read(self, links):
            return [there and dict(link.fields) for link, there in zip(links, super().read(links), strict=True)]

    case = "reading_asks_the_target"
    passes(contract_of(sample, sound), case, tmp_path / "sound")
    fails(contract_of(sample, Echo), case, tmp_path / "echo")


def test_what_a_target_takes_now_and_did_not_before(sample, sound, contract_of, passes, fails, tmp_path):
    class Growing(sound):
        """Writes no telephone numbers until the target has a place for them."""

        room = False

        def _write(self, operation):
            if self.room:
                return super()._write(operation)
            fields = {n: v for n, v in operation.fields.items() if n != "phone"}
            outcome = super()._write(evolve(operation, fields=fields))
            return evolve(outcome, fields=fields, left_out={"phone": "the target has no such field"})

        def read(self, links):
            return [self.told(values, link) for values, link in zip(super().read(links), links, strict=True)]

        def told(self, values, link):
            return Roomier(values, lacking=frozenset({"phone"} & link.left_out.keys())) if self.room else values

    class Silent(Growing):
        def told(self, values, link):
            return values

    class Stubborn(Growing):
        """Says so, and leaves it out again."""

        def _write(self, operation):
            self.room, room = False, self.room
            try:
                return super()._write(operation)
            finally:
                self.room = room

    case = "what_the_target_takes_now_is_said"
    for kind, verdict in ((Growing, passes), (Silent, fails), (Stubborn, fails)):
        grown = type(kind.__name__, (kind,), {})

        def enlarge(self, stand_in, grown=grown):
            grown.room = True
            return True

        route = {"fields": {"phone": "customer.phone"}}
        verdict(contract_of(sample, grown, enlarge=enlarge, route=route), case, tmp_path / kind.__name__)
