"""What the verbs share: which configuration is meant, and how the app behind it is opened."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ._examples import EXAMPLES

if TYPE_CHECKING:
    from .._app.app import App
    from .._app.base import Base
    from .._app.logs import Logs
    from .._plugins import Plugins
    from ..secrets import Secret
    from ..types import Clock

__all__ = [
    "Group",
    "Session",
    "config_option",
    "confirm",
    "current",
    "json_option",
    "named",
    "named_lane",
    "named_route",
    "named_unit",
    "stopping",
    "tell_notes",
    "verb",
    "with_example",
]

_Base = TypeVar("_Base", bound="Base")
_Command = TypeVar("_Command", bound=click.Command)


class Session:
    """One call of the command line. Tests and the demo bring plugins and a clock of their own."""

    def __init__(
        self,
        environ: Mapping[str, str] = os.environ,
        *,
        plugins: Plugins | None = None,
        clock: Clock | None = None,
        interactive: bool | None = None,
        alone: bool = False,
    ) -> None:
        self.environ = environ
        #: Whether the process is this call's own, to be set up as suits the work.
        self._alone = alone
        #: Whether somebody can answer a question.
        self.interactive = sys.stdin.isatty() if interactive is None else interactive
        #: What `-c/--config` says; None leaves it to SYNCCORE_CONFIG and ./synccore.toml.
        self.config: Path | None = None
        #: True once a verb was told `--json`: errors then become a document too.
        self.json = False
        #: What the log says: warnings only, unless a verb wants more.
        self.log_level = logging.WARNING
        self._plugins = plugins
        self._clock = clock

    @classmethod
    def of(cls, ctx: click.Context) -> Session:
        """The session a click context belongs to."""
        return ctx.find_root().ensure_object(cls)

    def plugins(self) -> Plugins:
        """The installed plugins, loaded once."""
        if self._plugins is None:
            from .._plugins import load_plugins

            self._plugins = load_plugins(environ=self.environ)
        return self._plugins

    def open(self) -> App:
        """The app of the configuration in force. Raises ConfigError, with all problems at once."""
        from .._app.app import App

        return self._started(partial(App.open, logs=self._logs()))

    def look(self) -> App:
        """The app for a verb that only looks: no secret has to be there, mistakes elsewhere are told and left out."""
        from .._app.app import App

        return self._started(partial(App.look, logs=self._logs()))

    def open_store(self) -> Base:
        """Only the store behind the configuration in force, whatever else is wrong in it. Raises ConfigError."""
        from .._app.base import Base

        self._logs()
        return self._started(Base.open_store)

    def _logs(self) -> Logs:
        """The log of this call, set up with the first line; of who writes a document a line, now."""
        from .._app.logs import Logs
        from ._logging import as_json, configure_logging, first_foreign_line

        logs = Logs(lambda: configure_logging(self.environ, level=self.log_level))
        if as_json(self.environ):
            logs.begin()
        else:
            first_foreign_line(logs.begin)
        return logs

    def _started(self, start: Callable[..., _Base]) -> _Base:
        """Told on stderr: what is doubtful about what will be shown or made."""
        from .._app.owners import root_warning
        from ._logging import say

        app = start(self.config, environ=self.environ, plugins=self.plugins(), clock=self._clock)
        for doubt in (*app.doubts, root_warning(app.database_file, os.geteuid())):
            if doubt is not None:
                say(self.environ, f"note: {doubt}")
        if self._alone:
            # What is loaded by now stays, and records come and go by the hundred: Python's collector, made for small
            # programs, would look through all of it hundreds of times a second.
            gc.freeze()
            gc.set_threshold(20_000, 20, 100)
        return app

    def database_password(self) -> Secret | None:
        """`database_password` of the configuration in force, where there is one that can be read."""
        from .._settings import find_config, load_outline
        from ..errors import SynccoreError

        try:
            path = find_config(self.config, self.environ, Path.cwd())
            return load_outline(path, self.plugins(), environ=self.environ).password
        except SynccoreError:
            return None

    def has_config(self) -> bool:
        """Whether there is a configuration at all (`plugins show` works without one)."""
        from .._settings import find_config
        from ..errors import ConfigError

        try:
            return find_config(self.config, self.environ, Path.cwd()).exists()
        except ConfigError:
            return False


def confirm(question: str) -> None:
    """Ask on stderr. Raises Abort for a no, UsageError where nobody can answer."""
    if not current().interactive:
        raise click.UsageError(f"{question} There is no terminal to answer on: add --yes")
    click.confirm(question, abort=True, err=True)


def tell_notes(notes: Iterable[str]) -> None:
    """What is to be known beside an answer: on stderr, whether a person or a program reads the answer."""
    for text in notes:
        click.echo(f"note: {text}", err=True)


def current() -> Session:
    """The session of the command that runs."""
    return Session.of(click.get_current_context())


def _set_config(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    if value is not None:
        Session.of(ctx).config = value


def _set_json(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
    if value:
        Session.of(ctx).json = True
    return value


#: Global, and accepted after the verb as well.
config_option = click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    expose_value=False,
    callback=_set_config,
    help="Configuration file.  [default: $SYNCCORE_CONFIG or ./synccore.toml]",
)

#: Gives the command a parameter `as_json`.
json_option = click.option(
    "--json", "as_json", is_flag=True, is_eager=True, callback=_set_json, help="One JSON document on stdout."
)


def verb(name: str | None = None, *, below: str = "") -> Callable[[Callable[..., Any]], click.Command]:
    """A verb of its own, or one `below` a group: a click command that takes `-c/--config` too, with its example."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        command = click.command(name)(config_option(function))
        return with_example(command, f"{below} {command.name}".strip())

    return decorate


def with_example(command: _Command, path: str) -> _Command:
    """Ends its help with the example of that path."""
    if (example := EXAMPLES.get(path)) is not None:
        command.epilog = f"\b\nExample: {example}"
    return command


class Group(click.Group):
    """A verb with verbs below it."""

    def __init__(self, name: str | None = None, **more: Any) -> None:
        super().__init__(name, **more)
        with_example(self, name or "")

    def verb(self, name: str | None = None) -> Callable[[Callable[..., Any]], click.Command]:
        """Decorates a function that becomes a verb below this one."""

        def decorate(function: Callable[..., Any]) -> click.Command:
            command = verb(name, below=self.name or "")(function)
            self.add_command(command)
            return command

        return decorate


@contextmanager
def stopping(app: Base) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask long work to end at the next safe point; a second Ctrl-C ends it at once."""
    from .._app.base import on_signals

    def stop() -> None:
        if app.stopping.is_set():
            raise KeyboardInterrupt
        click.echo("stopping (Ctrl-C again: at once)", err=True)
        app.stop()

    with on_signals(stop):
        yield


def named(name: str, there: Iterable[str], what: str) -> str:
    """A name given on the command line that must be one of `there`. Raises UsageError naming those there are."""
    from ..config import suggest

    known = list(there)
    if name not in known:
        raise click.UsageError(
            f"no {what} is called {name!r}{suggest(name, known)} (there are: {', '.join(known) or 'none'})"
        )
    return name


def named_unit(app: App, name: str) -> str:
    """The name of a source or sink."""
    return named(name, [*app.sources, *app.sinks], "source or sink")


def named_route(app: App, name: str) -> str:
    """The name of a route. Raises ConfigError for one that cannot be read here, UsageError naming those there are."""
    from ..errors import ConfigError

    for problem in app.settings.unread:
        if problem.path == f"routes.{name}":
            raise ConfigError(problem.message, path=problem.path)
    if name in app.routes and (sink := app.sinks[app.routes[name].sink]).unasked:
        raise ConfigError(f"needs its secret to be asked what it can write: {sink.error}", path=f"sinks.{sink.name}")
    return named(name, app.routes, "route")


def named_lane(app: Base, name: str, what: str = "lane") -> str:
    """The name of a lane, which is what deliveries are owed to: a sink, or a source that is written back to."""
    return named(name, [*app.sinks, *app.sources], what)
