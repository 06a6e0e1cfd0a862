"""`synccore forget`."""

import click

from ._failure import DONE, FINDINGS
from ._session import confirm, current, json_option, verb


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
            where = ", ".join(f"{count} at {sink}" for sink, count in by_sink(targets_of(app, email), app).items())
            confirm(f"Erase this person for good ({where or 'no records at any target'})?")
        result = run_forget(app, email)
    if as_json:
        print_json(
            {
                "people": result.people,
                "complete": result.complete,
                "targets": [
                    {"sink": e.sink, "route": e.route, "entity": e.entity, "key": e.key, "error": e.error}
                    for e in result.erased
                ],
            }
        )
        return FINDINGS if result.failed else DONE
    if not result.people:
        click.echo("nobody with this address is known here: nothing to erase")
        return DONE
    table(
        ("sink", "record", "erased"),
        [(e.sink, f"{e.entity} {e.key}", f"no: {e.error}" if e.error else "yes") for e in result.erased],
        empty="no target holds a record of this person",
    )
    if result.failed:
        click.echo("not finished: run it again once the targets above work; until then everything here is kept")
        return FINDINGS
    click.echo("erased here too; only a hash of the address stays")
    return DONE
