"""`synccore forget`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._failure import DONE, FINDINGS
from ._session import confirm, current, json_option, verb

if TYPE_CHECKING:
    from .._verbs.forget import Erased


@verb("forget")
@click.argument("email")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def forget(email: str, yes: bool, as_json: bool) -> int:
    """Erase a person at every target that can, and here.

    Only a hash of the address stays, so that the person is not taken in again. Where a target fails, what is needed
    to try again stays too: run it again. The shop itself is not touched.
    """
    from .._verbs.forget import by_sink, targets_of
    from .._verbs.forget import forget as run_forget
    from ._output import print_json, table

    with current().open() as app:
        if not yes:
            where = ", ".join(f"{count} at {sink}" for sink, count in by_sink(targets_of(app, email)).items())
            confirm(f"Erase this person for good ({where or 'no records at any target'})?")
        result = run_forget(app, email)
    if as_json:
        print_json(result.document())
        return FINDINGS if result.failed or result.pending else DONE
    if not result.people and not result.erased:
        click.echo("nobody with this address is known here: nothing to erase")
        return DONE
    table(
        ("sink", "record", "erased"),
        [(e.sink, f"{e.entity} {e.key}".strip() or "found there", _came_of(e)) for e in result.erased],
        empty="no target holds a record of this person",
    )
    if result.failed:
        click.echo("not finished: run it again once the targets above are done; until then everything here is kept")
        return FINDINGS
    click.echo("erased here too; only a hash of the address stays")
    if result.pending:
        click.echo("not proven yet at the targets above: do what they say, or run it again")
        return FINDINGS
    return DONE


def _came_of(erased: Erased) -> str:
    if erased.error:
        return f"no: {erased.error}"
    said = {"deleted": "yes", "pending": "not yet"}.get(erased.outcome or "", erased.outcome or "")
    return f"{said}: {erased.note}" if erased.note else said
