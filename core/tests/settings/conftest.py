"""A made-up shop and two made-up targets, and a way to write and read a configuration file."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from attrs import frozen, validators

from synccore import hookimpl
from synccore._plugins import load_plugins
from synccore._settings import SettingsError, load_settings
from synccore.config import SourceSettings, option
from synccore.hookspecs import SinkType, SourceType
from synccore.secrets import Secret
from synccore.types import Defaults, ObjectType


@frozen(kw_only=True)
class ShopConfig(SourceSettings):
    """A shop with every kind of setting."""

    url: str = option(help="address of the shop", validator=validators.matches_re(r"https?://.+"))
    consumer_key: Secret = option(help="its key")
    webhook_secret: Secret | None = option(default=None, help="made when left out")
    pause: timedelta = option(default=timedelta(0), help="wait between two pages")
    share: float = option(default=0.8, help="of the limit")
    price: Decimal = option(default=Decimal(1), help="of a call")
    tries: int = option(default=3, help="how many", validator=validators.ge(1))
    ca_file: Path | None = option(default=None, help="certificate")
    mode: Literal["fast", "slow"] = option(default="slow", help="how")
    labels: Mapping[str, str] = option(factory=dict, help="names")


@frozen(kw_only=True)
class Limit:
    """A nested table."""

    calls: int = option(help="how many")
    per: timedelta = option(default=timedelta(minutes=1), help="in which time")


@frozen(kw_only=True)
class CrmConfig:
    """A target with a nested table and a rule over several settings."""

    token: Secret = option(help="its token")
    auth: Literal["web", "key"] = option(default="web", help="how to sign in")
    user: str | None = option(default=None, help="for key")
    limit: Limit | None = option(default=None, help="calls")
    port: int | str = option(default=80, help="number or name")

    def __attrs_post_init__(self) -> None:
        if self.auth == "key" and self.user is None:
            raise ValueError('auth = "key" needs user')


CONTACT = ObjectType(
    name="Contact",
    summary="a person",
    defaults={
        "customer": Defaults(
            fields={
                "Email": "customer.email",
                "Phone": {"value": "customer.phone | e164(customer.billing.country)", "keep_existing": True},
                "Orders": "orders | length",
            },
            match=("Email",),
            include=("order", "subscription"),
            compare=("Email",),
            when="customer.email",
            delay=timedelta(minutes=1),
        )
    },
    options={
        "on_delete": (Literal["keep", "erase"], "keep", "what a deleted customer means"),
        "grace": (timedelta, timedelta(0), "how long to wait"),
    },
)
ANY = ObjectType(name="*", summary="anything", options={"deep": (bool, False, "look deeper")})


class Files:
    """Writes and reads configuration files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {"KEY": "k-1", "TOKEN": "t-1"}
        self.stored: dict[str, str] = {}
        self.points: list[Any] = [
            _point(
                "acme",
                synccore_sources=[
                    SourceType(
                        name="acme_shop",
                        summary="a shop",
                        config=ShopConfig,
                        open=lambda *_: None,
                        entities=("customer", "order", "membership"),
                    )
                ],
                synccore_sinks=[
                    SinkType(
                        name="acme_crm",
                        summary="a CRM",
                        config=CrmConfig,
                        open=lambda *_: None,
                        objects=(CONTACT, ANY),
                        any_object=True,
                    ),
                    SinkType(
                        name="acme_list",
                        summary="a list",
                        config=Empty,
                        open=lambda *_: None,
                        objects=(ObjectType(name="entry", summary="", defaults=CONTACT.defaults),),
                        leaves=("keep", "unlabel"),
                    ),
                ],
            )
        ]

    def plugins(self) -> Any:
        return load_plugins(environ={}, entry_points=self.points)

    def load(self, text: str, **more: Any) -> Any:
        """The settings of this text."""
        path = self.folder / "synccore.toml"
        path.write_text(text, encoding="utf-8")
        return load_settings(path, self.plugins(), environ=self.environ, stored_secret=self.stored.get, **more)

    def problems(self, text: str, **more: Any) -> list[str]:
        """What is wrong with this text; it must be something."""
        with pytest.raises(SettingsError) as caught:
            self.load(text, **more)
        assert str(caught.value) == "\n".join(map(str, caught.value.problems))
        return [str(p) for p in caught.value.problems]


@frozen
class Empty:
    """No settings."""


def _point(name: str, **hooks: Any) -> Any:
    module = SimpleNamespace()
    for hook, result in hooks.items():
        setattr(module, hook, hookimpl(_named(hook, result)))
    return SimpleNamespace(name=name, value=name, dist=None, load=lambda: module)


def _named(name: str, result: Any) -> Any:
    def hook() -> Any:
        return result

    if callable(result):
        result.__name__ = name
        return result
    hook.__name__ = name
    return hook


SHOP = """
[sources.shop]
type = "acme_shop"
url = "https://shop.test"
consumer_key = { env = "KEY" }
"""
CRM = """
[sinks.crm]
type = "acme_crm"
token = { env = "TOKEN" }
"""
ROUTE = """
[routes.people]
source = "shop"
entity = "customer"
sink = "crm"
object = "Contact"
"""


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A folder for configuration files."""
    return Files(tmp_path)


@pytest.fixture
def point() -> Any:
    """Makes an entry point of hooks."""
    return _point


@pytest.fixture
def base() -> str:
    """A shop and a CRM."""
    return SHOP + CRM


@pytest.fixture
def route() -> str:
    """The beginning of a route; further keys may follow."""
    return SHOP + CRM + ROUTE
