"""A generated sink, imported from where `plugins new` wrote it."""

import importlib
import sys
from contextlib import contextmanager

import pytest

from synccore._cli.scaffold.new import write
from synccore.testing import SinkContract


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
