"""Cases at size, of refused questions and of running instances: a sound sink and one that is broken there alone."""

from attrs import evolve

from synccore.errors import RateLimited
from synccore.types import Delivered, Submitted


def test_everybody_who_is_meant(sample, contract_of, passes, fails, finding, tmp_path):
    class First(finding):
        """Asks for the first address."""

        def by(self, name, values):
            return super().by(name, values[:1])

    class Page(finding):
        def by(self, name, values):
            return super().by(name, values)[:20]

    class Ours(finding):
        """Says of whom it finds that we made them."""

        def find(self, identity):
            return [evolve(link, adopted=False) for link in super().find(identity)]

    for case, broken in (
        ("all_of_whom_a_person_is_known_by_are_found", First),
        ("every_record_of_an_address_is_found", Page),
        ("every_record_of_an_address_is_found", Ours),
    ):
        name = f"{case}-{broken.__name__}"
        passes(contract_of(sample, finding), case, tmp_path / f"{name}-sound")
        fails(contract_of(sample, broken), case, tmp_path / name)


def test_a_job_that_is_gone(sample, contract_of, passes, fails, jobs, tmp_path):
    class Waiting(jobs):
        def collect(self, job):
            return None

    case = "a_job_that_the_vendor_forgot_is_not_waited_for_for_ever"
    passes(contract_of(sample, jobs, jobs_from=5), case, tmp_path / "sound")
    fails(contract_of(sample, Waiting, jobs_from=5), case, tmp_path / "waiting")


def test_a_job_that_is_carried_out_late(sample, contract_of, passes, fails, jobs, tmp_path):
    class Late(jobs):
        """The vendor carries a job out after what is written in the meantime."""

        late = ()

        def deliver(self, operations):
            outcomes = super().deliver(operations)
            for operation in self.late:
                self._write(evolve(operation, link=self._find(operation)))
            type(self).late = operations if isinstance(outcomes[0], Submitted) else ()
            return outcomes

    case = "what_changes_before_a_lost_job_ends_is_not_undone_by_it"
    passes(contract_of(sample, jobs, jobs_from=5), case, tmp_path / "sound")
    fails(contract_of(sample, Late, jobs_from=5), case, tmp_path / "late")


def test_children(sample, contract_of, passes, fails, sound, tmp_path):
    class Children(sound):
        def _write(self, operation):
            if operation.entity != "order" or operation.op == "delete":
                return super()._write(operation)
            fields = {**operation.fields, "kind": "child", "parent": operation.parent.remote_id}
            return super()._write(evolve(operation, fields=fields))

    class Claiming(Children):
        """Takes no deletion of an order for its business, and says that it was done."""

        def _write(self, operation):
            return Delivered() if operation.op == "delete" else super()._write(operation)

    route = {"entity": "order", "object": "person", "defaults": False, "fields": {"email": "'o@shop.test'"}}
    case = "a_child_is_deleted_and_erased_as_itself"
    passes(contract_of(sample, Children, child=route), case, tmp_path / "sound")
    fails(contract_of(sample, Claiming, child=route), case, tmp_path / "claiming")

    class Mistaking(Children):
        """Erases among the people whatever it is."""

        def erase(self, link):
            return super().erase(evolve(link, remote_id="of another kind") if link.entity == "order" else link)

    fails(contract_of(sample, Mistaking, child=route), case, tmp_path / "mistaking")


def test_what_an_event_holds(sample, contract_of, passes, fails, sound, tmp_path):
    class Events(sound):
        def _write(self, operation):
            if operation.op == "event":
                fields = {**self.sent(operation.fields), "kind": "event"}
                super()._write(evolve(operation, op="upsert", fields=fields))
                return Delivered()
            return super()._write(operation)

        def sent(self, fields):
            return dict(fields)

    class Rounding(Events):
        def sent(self, fields):
            return {**fields, "amount": fields["amount"].partition(".")[0]}

    def told(contract, stand_in):
        events = [p for p in stand_in.people.values() if p.get("kind") == "event"]
        return [{name: p.get(name) for name in ("email", "amount")} for p in events]

    fields = {"email": "payment.email", "amount": "payment.amount | string"}
    route = {"object": "person", "defaults": False, "fields": fields}
    case = "an_event_holds_what_was_mapped"
    passes(contract_of(sample, Events, event=route, told=told), case, tmp_path / "sound")
    fails(contract_of(sample, Rounding, event=route, told=told), case, tmp_path / "rounding")


def test_another_account_while_it_runs(sample, contract_of, passes, fails, sound, tmp_path):
    class Keeping(sound):
        """Asks once, and answers the same for as long as it lives."""

        kept = None

        def check(self):
            self.kept = self.kept or super().check()
            return self.kept

    case = "another_account_is_written_nothing"
    passes(contract_of(sample, sound), case, tmp_path / "sound", restarted=False)
    passes(contract_of(sample, Keeping), case, tmp_path / "restarted", restarted=True)
    fails(contract_of(sample, Keeping), case, tmp_path / "running", restarted=False)


def test_trying_again_in_bulk(sample, contract_of, passes, fails, sound, tmp_path):
    class Trying(sound):
        def _write(self, operation):
            try:
                return super()._write(operation)
            except RateLimited:
                if not operation.bulk:
                    raise
                return super()._write(operation)

    case = "a_rate_limit_that_lasts_is_not_asked_again_within_the_call"
    passes(contract_of(sample, sound), case, tmp_path / "sound", bulk=True)
    passes(contract_of(sample, Trying), case, tmp_path / "live", bulk=False)
    fails(contract_of(sample, Trying), case, tmp_path / "in-bulk", bulk=True)
