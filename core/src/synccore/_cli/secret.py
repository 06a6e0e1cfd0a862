"""`synccore secret`: secrets kept encrypted in the database, named in the configuration as { secret = "NAME" }."""

import sys

import click

from ._failure import DONE, FINDINGS
from ._session import Group, config_option, current, json_option


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
    from .._verbs.secrets import keep

    with current().open_store() as app:
        keep(app, name, value)
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
    from .._verbs.parts.words import ago
    from .._verbs.secrets import stored
    from ._output import print_json, table

    with current().open_store() as app:
        found, now = stored(app), app.clock.now()
    if as_json:
        print_json([one.document() for one in found])
    else:
        rows = [(one.name, ago(one.stored_at, now)) for one in found]
        table(("name", "stored"), rows, empty="no secrets are stored")
    return DONE


@secret.verb("delete")
@click.argument("name")
@json_option
def delete(name: str, as_json: bool) -> int:
    """Forget a secret."""
    from .._verbs.secrets import forget

    with current().open_store() as app:
        there = forget(app, name)
    if as_json:
        from ._output import print_json

        print_json({"name": name, "deleted": there})
        return DONE if there else FINDINGS
    if not there:
        click.echo(f"no secret is called {name}: synccore secret list shows them", err=True)
        return FINDINGS
    click.echo(f"{name} is forgotten")
    return DONE
