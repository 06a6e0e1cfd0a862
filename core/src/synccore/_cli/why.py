"""`synccore why` and `synccore export`: one person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._failure import DONE, FINDINGS
from ._session import current, json_option, verb

if TYPE_CHECKING:
    from .._verbs.why import Why

_COLOURS = {"delivered": "green", "parked": "red", "ready": "yellow", "submitted": "yellow", "never": "yellow"}


@verb("why")
@click.argument("who", metavar="EMAIL|KEY")
@json_option
def why(who: str, as_json: bool) -> int:
    """Say where one person stands on every route, and what to run next.

    EMAIL finds the person and all that belongs to them; KEY a record by its key at the source. Nobody outside this
    machine is asked.

    Example: synccore why ada@shop.test
    """
    from .._verbs.why import why as ask
    from ._output import print_json

    with current().look() as app:
        answer = ask(app, who)
    if as_json:
        print_json(answer.document())
    else:
        _show(answer)
    return DONE if answer.ok else FINDINGS


def _show(answer: Why) -> None:
    if not answer.known:
        click.echo("nobody here has heard of them:")
        for sentence in answer.unknown or ("no source is configured",):
            click.echo(f"  {sentence}")
    record = None
    for standing in answer.standing:
        if (standing.source, standing.entity, standing.key) != record:
            record = (standing.source, standing.entity, standing.key)
            click.secho(f"{standing.entity} {standing.key} of {standing.source}", bold=True)
        state = click.style(standing.state, fg=_COLOURS.get(standing.state))
        more = standing.sentence.removeprefix(standing.state)  # most sentences begin with it
        said = f"{state}{more}" if more != standing.sentence else f"{state}: {more}"
        click.echo(f"  {standing.route} -> {standing.sink}: {said}")
    if answer.known and not answer.standing:
        click.echo("known here, and no route is for them")
    for step in answer.next:
        click.echo(f"next: {step}")


@verb("export")
@click.argument("email")
@click.option("--json", "_", is_flag=True, help="It is always one JSON document.")
def export(email: str, _: bool) -> int:
    """Write everything held on a person as JSON.

    Every row of every table here that is theirs: records and facts from the shop, links with the fields last delivered,
    open and settled deliveries, the trail, what plugins remember, what was said of others and names them.

    Example: synccore export ada@shop.test > ada.json
    """
    from .._verbs.export import export as collect
    from ._output import print_json

    with current().look() as app:
        document = collect(app, email)
    print_json(document)
    return DONE if document["records"] or document["links"] else FINDINGS
