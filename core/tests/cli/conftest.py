"""A whole command line in one process: a configuration, a source and two sinks that live as long as the test."""

import json
from types import SimpleNamespace

import pytest
import tomlkit
from attrs import frozen
from click.testing import CliRunner

from synccore._cli import cli
from synccore._cli._session import Session
from synccore._plugins import load_plugins
from synccore.config import option
from synccore.errors import ConfigError
from synccore.hookspecs import SinkType, hookimpl
from synccore.secrets import Secret
from synccore.testing import FakeClock, ScriptedSink
from synccore.testing.scripted import EmitterSource, emitter_type, scripted_type
from synccore.types import Account, Ambiguous, Check, Defaults, FieldInfo, Limits, Link, ObjectInfo, ObjectType

FIELDS = {"email": "customer.email", "name": "customer.first_name"}


class Crm(ScriptedSink):
    """A target with a sign-in, described fields, and twins that the test plants."""

    def __init__(self):
        super().__init__()
        self.context = None
        self.account = Account(id="acc-1", label="Shop CRM")
        self.check_error = None
        self.erase_error = None
        self.disconnect_error = None
        #: Accounts whose grant was ended.
        self.ended = []
        self.videos = (("Set up", "https://video.test/1"),)
        self.twins = {}
        #: What it says it can write once its key was read, where that is not what its type says.
        self.own_objects = None
        #: Why it does not open.
        self.broken = None
        self.object = ObjectInfo(
            name="thing",
            fields=(
                FieldInfo(name="email", unique=True, length=80),
                FieldInfo(name="name", length=5),
                FieldInfo(name="stage", picklist=("New", "Old")),
                FieldInfo(name="id", createable=False, updateable=False),
            ),
        )

    def check(self):
        if self.check_error is not None:
            raise self.check_error
        return Check(account=self.account, detail="in memory")

    def describe(self):
        return [self.object]

    def connect(self, browser):
        _, params = browser.authorize(lambda redirect: f"https://crm.test/auth?redirect_uri={redirect}&state=s1")
        self.context.vault.put("token", params["code"])
        return self.account

    def disconnect(self, keep_grant=False):
        if self.disconnect_error is not None:
            raise self.disconnect_error
        self.ended += [] if keep_grant else [self.account.id]
        return "kept the grant" if keep_grant else "ended the grant"

    def lookup(self, operations):
        return [self._twin(o) for o in operations]

    def _twin(self, operation):
        ids = self.twins.get(operation.fields.get("email"), ())
        if len(ids) > 1:
            return Ambiguous(tuple(ids))
        return Link(object="thing", remote_id=ids[0]) if ids else None

    def erase(self, link):
        if self.erase_error is not None:
            raise self.erase_error
        super().erase(link)


@frozen(kw_only=True)
class CrmConfig:
    """Settings of the CRM."""

    key: Secret | None = option(default=None, help="the key to the CRM")
    region: str = option(default="eu", help="where it is")


def crm_type(crm):
    def opened(config, context):
        crm.context = context
        if crm.broken is not None:
            raise ConfigError(crm.broken)
        if crm.own_objects is not None:
            config.key.reveal()
            crm.objects = crm.own_objects
        return crm

    return SinkType(
        name="crm",
        summary="A CRM in memory.",
        config=CrmConfig,
        open=opened,
        objects=(
            ObjectType(
                name="thing",
                summary="A thing.",
                defaults={"customer": Defaults(fields=FIELDS, match=("email",))},
                options={"on_delete": (str, "keep", "what a deletion means")},
                leaves=("keep", "unlabel", "clear", "delete"),
            ),
        ),
        limits=Limits(max_batch=10),
    )


class EntryPoint:
    """An entry point of a distribution that is not there."""

    group = "synccore"
    dist = None

    def __init__(self, name, module):
        self.name = self.value = name
        self._module = module

    def load(self):
        if isinstance(self._module, Exception):
            raise self._module
        return self._module


def hook(name, function):
    function.__name__ = name
    return hookimpl(function)


class World:
    """A shop, a CRM, a plain archive, and the command line that connects them."""

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "synccore.toml"
        self.clock = FakeClock()
        self.source = EmitterSource()
        self.crm = Crm()
        self.archive = ScriptedSink()
        self.broken = ()
        self.extra = {}
        self.config = {
            "sources": {"shop": {"type": "emitter", "entities": ["customer", "order"]}},
            "sinks": {"crm": {"type": "crm"}},
            "routes": {"people": {"source": "shop", "entity": "customer", "sink": "crm", "object": "thing"}},
        }
        self.write()

    def write(self, **sections):
        for name, table in sections.items():
            self.config[name] = table
        self.path.write_text(tomlkit.dumps(self.config))

    def plugins(self):
        sinks = [crm_type(self.crm), scripted_type(self.archive)]
        module = SimpleNamespace(
            synccore_sources=hook("synccore_sources", lambda: [emitter_type(self.source)]),
            synccore_sinks=hook("synccore_sinks", lambda: sinks),
            **self.extra,
        )
        points = [EntryPoint("world", module), *(EntryPoint(f"broken{n}", e) for n, e in enumerate(self.broken))]
        return load_plugins(environ={}, entry_points=points)

    def run(self, *args, code=0, input=None, environ=None, config=True):  # noqa: A002  CliRunner's word
        """Run a verb and check its exit code; gives the result (`stdout`, `stderr`)."""
        environ = {**({"SYNCCORE_CONFIG": str(self.path)} if config else {}), **(environ or {})}
        session = Session(environ, plugins=self.plugins(), clock=self.clock, interactive=input is not None)
        result = CliRunner().invoke(cli, [str(a) for a in args], input=input, obj=session)
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        assert "Traceback" not in result.output
        return result

    def json(self, *args, code=0, **more):
        """Run a verb with --json: exactly one document on stdout."""
        return json.loads(self.run(*args, "--json", code=code, **more).stdout)

    def deliver(self, code=0):
        """Poll and deliver everything."""
        return self.run("run", "--once", "--wait", code=code)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)
