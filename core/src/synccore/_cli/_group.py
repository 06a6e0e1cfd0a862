"""The group of verbs: which there are, where they live, and what plugins add."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import click

from ._failure import guarded
from ._session import Session, config_option

__all__ = ["VERBS", "Verb", "cli"]


class Verb(NamedTuple):
    """One verb: the help's section and line, and `module:attribute` below this package."""

    section: str
    target: str
    summary: str
    #: Verbs below it, where it is a group.
    below: tuple[str, ...] = ()


_SETUP, _RUN, _FIRST, _LOOK, _REPAIR, _CARE = (
    "Set up",
    "Run",
    "Before and after the first run",
    "Look",
    "Repair",
    "Care",
)

#: Every verb in the order the help shows them.
VERBS: dict[str, Verb] = {
    "init": Verb(_SETUP, "init:init", "Write a commented synccore.toml for the installed plugins."),
    "check": Verb(_SETUP, "check:check", "Check configuration, mappings and connections."),
    "connect": Verb(_SETUP, "connect:connect", "Connect a source or a sink, and say which account it reached."),
    "disconnect": Verb(_SETUP, "connect:disconnect", "Revoke access and erase every stored credential."),
    "secret": Verb(_SETUP, "secret:secret", "Keep secrets encrypted in the database.", ("set", "list", "delete")),
    "plugins": Verb(
        _SETUP,
        "plugins:plugins",
        "List and show the installed plugins, or begin a new one.",
        ("list", "show", "check", "new"),
    ),
    "completion": Verb(_SETUP, "completion:completion", "Print the completion script of a shell."),
    "demo": Verb(_SETUP, "demo:demo", "Try it: a shop and targets on loopback, no account needed."),
    "run": Verb(_RUN, "run:run", "Run the daemon."),
    "reload": Verb(_RUN, "reload:reload", "Let the running daemon read its configuration again."),
    "backfill": Verb(_RUN, "backfill:backfill", "List everything at a source and deliver it."),
    "reconcile": Verb(_RUN, "backfill:reconcile", "Compare everything with a source; heals what webhooks missed."),
    "preview": Verb(_FIRST, "preview:preview", "Show what would be sent for one record, beside what was last sent."),
    "plan": Verb(_FIRST, "preview:plan", "Say what a backfill would do; writes nothing."),
    "adopt": Verb(_FIRST, "adopt:adopt", "Link what already exists on both sides."),
    "verify": Verb(_FIRST, "adopt:verify", "Prove what arrived, and name what drifted."),
    "status": Verb(_LOOK, "status:status", "Show the state of every source, sink and route."),
    "why": Verb(_LOOK, "why:why", "Say where one person stands on every route, and what to run next."),
    "log": Verb(_LOOK, "status:log", "Show the audit trail."),
    "deliveries": Verb(
        _REPAIR,
        "deliveries:deliveries",
        "Look into the outbox; retry or dismiss what is parked.",
        ("list", "show", "retry", "dismiss"),
    ),
    "lanes": Verb(
        _REPAIR, "lanes:lanes", "Pause and resume the way to a sink, or from a source.", ("list", "pause", "resume")
    ),
    "alerts": Verb(_CARE, "alerts:alerts", "Who is told of trouble; send a test.", ("list", "test")),
    "export": Verb(_CARE, "why:export", "Write everything held on a person as JSON."),
    "forget": Verb(_CARE, "forget:forget", "Erase a person at every target that can, and here."),
    "db": Verb(
        _CARE,
        "db:db",
        "Back up, restore, copy, prune or migrate the database.",
        ("backup", "restore", "copy", "prune", "migrate"),
    ),
}


class _Group(click.Group):
    """Imports a verb when it is called; an unknown verb may be one that a plugin adds."""

    def main(self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]
        """As click's, with our exit codes and our words for what went wrong."""
        main = super().main
        if not standalone_mode:
            return main(args, standalone_mode=False, **extra)
        session = extra.pop("obj", None) or Session(alone=True)
        sys.exit(guarded(session, lambda: main(args, standalone_mode=False, obj=session, **extra)))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*VERBS, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if verb := VERBS.get(cmd_name):
            module, _, attribute = verb.target.partition(":")
            command: click.Command = getattr(import_module(f".{module}", __package__), attribute)
            return command
        return self.commands.get(cmd_name) or self._of_plugins(cmd_name)

    def _of_plugins(self, name: str) -> click.Command | None:
        """A verb that an installed plugin adds. Only asked for names that are not ours, so that ours stay fast."""
        added = click.Group("plugins")
        Session.of(click.get_current_context()).plugins().add_commands(added)
        return added.commands.get(name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, n=1)
            hint = f"did you mean {near[0]}?" if near else "synccore --help lists the verbs"
            raise click.UsageError(f"no verb {args[0]!r}: {hint}", ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, VERBS))
        for section in dict.fromkeys(verb.section for verb in VERBS.values()):
            with formatter.section(section):
                formatter.write_dl(
                    [(name.ljust(width), verb.summary) for name, verb in VERBS.items() if verb.section == section]
                )


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from synccore import __version__

        click.echo(f"synccore {__version__}")
        ctx.exit()


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done, 1 findings, 2 usage, 3 configuration. 'synccore VERB --help' explains a verb.",
)
@config_option
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Keep other systems up to date with a shop."""
    if Session.of(ctx).environ.get("NO_COLOR"):
        ctx.color = False
