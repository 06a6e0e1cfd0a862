"""`synccore secret`: secrets kept encrypted in the database, named in the configuration as { secret = "NAME" }."""

import sys

import click

from ._failure import DONE, FINDINGS
from ._session import Group, config_option, current, json_option

#: Under which prefix the store keeps secrets named by the user, beside those of the instances.
PREFIX = "@"


@click.group("secret", cls=Group)
@config_option
def secret() -> None:
    """Keep secrets encrypted in the database.

    The configuration names one as { secret = "NAME" }. The key is in SYNCCORE_KEY, or in a file beside the database
    that only its owner can read.
    """


@secret.verb("set")
@click.argument("name")
@json_option
def set_(name: str, as_json: bool) -> int:
    """Store a secret; its value comes from stdin, or is asked for."""
    if sys.stdin.isatty():
        value = click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True)
    else:
        value = sys.stdin.read().rstrip("\r\n")
    if not value:
        raise click.UsageError("the value is empty: pipe it in, for instance with printf %s")
    with current().open_store() as app:
        app.secrets.put(name, value)
    if as_json:
        from ._output import print_json

        print_json({"name": name, "stored": True})
    else:
        click.echo(f'stored: write {{ secret = "{name}" }} in the configuration')
    return DONE


@secret.verb("list")
@json_option
def list_(as_json: bool) -> int:
    """List the names of the stored secrets, never their values."""
    from ._output import ago, print_json, table, timestamp

    with current().open_store() as app:
        names = [(name.removeprefix(PREFIX), at) for name, at in app.store.secret_names(PREFIX)]
        now = app.clock.now()
    if as_json:
        print_json([{"name": name, "stored_at": timestamp(at)} for name, at in names])
    else:
        table(("name", "stored"), [(name, ago(at, now)) for name, at in names], empty="no secrets are stored")
    return DONE


@secret.verb("delete")
@click.argument("name")
@json_option
def delete(name: str, as_json: bool) -> int:
    """Forget a secret."""
    with current().open_store() as app:
        there = app.store.delete_secret(PREFIX + name)
        app.store.scrub()
    if as_json:
        from ._output import print_json

        print_json({"name": name, "deleted": there})
        return DONE if there else FINDINGS
    if not there:
        click.echo(f"no secret is called {name}: synccore secret list shows them", err=True)
        return FINDINGS
    click.echo(f"{name} is forgotten")
    return DONE
