"""A generated sink, imported from where `plugins new` wrote it."""

import importlib
import sys

import pytest

from synccore._cli.new import write


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """Modules of a freshly generated sink distribution `sample_crm`."""
    folder = tmp_path_factory.mktemp("sample")
    write("sample_crm", "sink", folder)
    sys.path.insert(0, str(folder / "src"))
    try:
        yield {name: importlib.import_module(f"synccore_sample_crm.{name}") for name in ("sink", "testing", "client")}
    finally:
        sys.path.remove(str(folder / "src"))
        for name in [n for n in sys.modules if n.startswith("synccore_sample_crm")]:
            del sys.modules[name]
