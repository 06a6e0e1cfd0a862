"""A generated sink, imported from where `plugins new` wrote it."""

import importlib
import sys
from contextlib import contextmanager, suppress

import pytest
from attrs import evolve

from synccore._workshop.scaffold import write
from synccore.errors import Rejected, Transient
from synccore.testing import FakeClock, FakeContext, SinkContract
from synccore.testing.contracts import SourceStage
from synccore.types import Delivered, Failed, Link, Submitted


@pytest.fixture(scope="session")
def generated(tmp_path_factory):
    """Makes a distribution and gives its modules by name, for as long as the context lasts."""

    @contextmanager
    def make(name, kind, modules):
        folder = tmp_path_factory.mktemp(name)
        write(name, kind, folder)
        sys.path.insert(0, str(folder / "src"))
        try:
            yield {module: importlib.import_module(f"synccore_{name}.{module}") for module in modules}
        finally:
            sys.path.remove(str(folder / "src"))
            for module in [m for m in sys.modules if m.startswith(f"synccore_{name}")]:
                del sys.modules[module]

    return make


@pytest.fixture(scope="session")
def sample(generated):
    """Modules of a freshly generated sink distribution `sample_crm`, and its contract as the author would begin it."""
    with generated("sample_crm", "sink", ("sink", "testing", "client")) as modules:
        yield modules | {"contract": _contract(modules["testing"])}


def _contract(testing):
    class Contract(SinkContract):
        object = "person"

        def start(self, clock):
            return testing.FakeSampleCrm()

        def config(self, stand_in):
            return {"token": testing.TOKEN, "api_url": stand_in.url}

        def held(self, stand_in):
            return [person["email"] for person in stand_in.people.values()]

        def theirs(self, stand_in, fields):
            return stand_in.add(**fields)

        def rewrite(self, stand_in, remote_id, fields):
            stand_in.people[remote_id].update(fields)
            return True

        def exchange_account(self, stand_in):
            stand_in.account = "a2"
            return True

    return Contract


# -- what tries a sound sink and a broken one


def _contract_of(sample, kind, limits=None, **attributes):
    class Contract(sample["contract"]):
        def held(self, stand_in):
            return [p["email"] for p in stand_in.people.values() if "kind" not in p]

        def parents(self, stand_in):
            return [p["parent"] for p in stand_in.people.values() if p.get("kind") == "child"]

        def events(self, stand_in):
            return [p["fact"] for p in stand_in.people.values() if p.get("kind") == "event"]

        def fired(self, stand_in):
            return sum(1 for p in stand_in.people.values() if not p.get("quiet"))

    for name, value in attributes.items():
        setattr(Contract, name, value)
    sound = sample["sink"].SINK
    Contract.sink_type = evolve(sound, open=kind, limits=limits or sound.limits)
    return Contract()


def _passes(contract, case, folder, **values):
    folder.mkdir()
    with contract.stage(folder) as on:
        getattr(contract, f"test_{case}")(on, **values)


def _fails(contract, case, folder, **values):
    with pytest.raises(Exception):  # noqa: B017, PT011  a bug fails a case in its own way; a skip is no Exception
        _passes(contract, case, folder, **values)


@pytest.fixture
def contract_of():
    """The contract of a kind of sink: (sample, kind, limits=None, **what the contract has of its own)."""
    return _contract_of


@pytest.fixture
def passes():
    """Runs a case: (contract, case, folder, **parameters)."""
    return _passes


@pytest.fixture
def fails():
    """Runs a case that has to find a bug."""
    return _fails


@pytest.fixture
def sound(sample):
    return sample["sink"].SampleCrmSink


@pytest.fixture
def jobs(sound):
    class Jobs(sound):
        """Outcomes wait where a restart finds them."""

        def __init__(self, config, context):
            super().__init__(config, context)
            self.kept = context.state()

        def deliver(self, operations):
            known = {o.id: job for o in operations if (job := self.kept.get(f"in:{o.idempotency_key}"))}
            if known:
                return [Submitted(known[o.id]) for o in operations]
            outcomes = super().deliver(operations)
            if len(operations) < 5 or any(isinstance(o, Failed) and isinstance(o.error, Transient) for o in outcomes):
                return outcomes
            job = f"job-{operations[0].key}"
            ids = {
                o.idempotency_key: None if isinstance(r, Failed) else r.remote_id
                for o, r in zip(operations, outcomes, strict=True)
            }
            self.keep(job, ids)
            return [Submitted(job)] * len(operations)

        def keep(self, job, ids):
            self.kept.put({job: ids} | {f"in:{key}": job for key in ids})

        def collect(self, job):
            ids = self.kept.get(job.id)
            self.told([o.idempotency_key for o in job.operations], ids)
            found = [ids[o.idempotency_key] for o in job.operations]
            return [Delivered(remote_id=i) if i else self.refused() for i in found]

        def told(self, keys, ids):
            self.kept.put({f"in:{key}": None for key in keys})

        def refused(self):
            return Failed(Rejected("email is not valid"))

    return Jobs


@pytest.fixture
def finding(sound):
    class Finding(sound):
        def find(self, identity):
            known = [*self.by("external_id", identity.uids), *self.by("email", identity.emails)]
            return [Link(object="person", remote_id=str(p["id"]), adopted=not p.get("external_id")) for p in known]

        def by(self, name, values):
            return [p for value in values for p in self._client.call("GET", "/people", params={name: value})]

    return Finding


# -- sources


@pytest.fixture(scope="session")
def shop(generated):
    """Modules of a freshly generated source distribution `sample_shop`."""
    with generated("sample_shop", "source", ("source", "testing", "config", "contract")) as modules:
        yield modules


@pytest.fixture
def source_contract(shop):
    """The contract of the generated source, or of a kind of it: (kind=None)."""

    def make(kind=None):
        sound = shop["source"].SOURCE
        source_type = evolve(sound, open=kind) if kind else sound
        return type("Contract", (shop["contract"].TestSampleShop,), {"source_type": source_type})()

    return make


@pytest.fixture
def run_source():
    """Runs a case as pytest would, with what is asked or else the first value of each parameter: (contract, case)."""

    def run(contract, case, **asked):
        method = getattr(contract, f"test_{case}")
        values = {}
        for mark in getattr(method, "pytestmark", ()):
            first = mark.args[1][0]
            values[mark.args[0]] = first if isinstance(first, str) else first.values[0]
        clock = FakeClock()
        with contract.start(clock) as stand_in:
            context = FakeContext("shop", "sample_shop", clock=clock)
            source = contract.source_type.open(contract.config(stand_in), context)
            on = SourceStage(source, stand_in, contract, context)
            try:
                method(on=on, **{**values, **asked})
            finally:
                with suppress(KeyError):  # a broken one may have nothing left to close
                    on.source.close()

    return run


@pytest.fixture
def finds(shop, source_contract, run_source):
    """A case has to find what a method is replaced by: (case, method, bug, **parameters)."""

    def fails(case, method, bug, **asked):
        sound = shop["source"].SampleShopSource
        real = getattr(sound, method)
        kind = type("Broken", (sound,), {method: lambda self, *args: bug(real, self, *args)})
        with pytest.raises((Exception, pytest.fail.Exception)):
            run_source(source_contract(kind), case, **asked)

    return fails
