"""`synccore backfill` and `synccore reconcile`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from ._failure import DONE, FINDINGS, say_error
from ._options import names_in, pairs
from ._session import current, json_option, named, stopping, verb

if TYPE_CHECKING:
    from .._app.app import App
    from .._verbs.backfill import BackfillReport, Progress
    from ._output import Shown


@verb("backfill")
@click.argument("source", shell_complete=names_in("sources"))
@click.argument("entity", required=False)
@click.option(
    "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="Only some, as the source understands it."
)
@click.option(
    "--route",
    help="Only for this route; the others owe what really changed.",
    shell_complete=names_in("routes"),
)
@click.option("--enqueue-only", is_flag=True, help="Hand it over and return; the daemon does it.")
@json_option
def backfill(
    source: str,
    entity: str | None,
    filters: tuple[str, ...],
    route: str | None,
    enqueue_only: bool,
    as_json: bool,
) -> int:
    """List everything at a source and deliver it.

    ENTITY is customer, order, membership, subscription or payment; all of the source's when left out. It resumes
    where it stopped. A running daemon takes the work over; without one it is delivered here until nothing is owed.
    Equal records cost no call.
    """
    from .._daemon.backfill import backfill as run_backfill
    from ..entities import ENTITIES
    from ._output import progress

    wanted = pairs(filters, "--filter")
    with current().open() as app, stopping(app), progress() as shown:
        named(source, app.sources, "source")
        if route is not None:
            named(route, (*app.routes, *app.write_back_routes(source)), "route")
        if entity is not None:
            named(entity, ENTITIES, "entity")
        report = run_backfill(
            app, source, entity, wanted, route, enqueue_only=enqueue_only, progress=_watching(app, shown)
        )
    if as_json:
        return _report_json(report)
    if enqueue_only and not report.handed_over:
        click.echo(
            f"backfill of {source}: {report.seen:,} records listed, {report.owed:,} owed; synccore run delivers them"
        )
        return DONE
    return _report(report, "backfill")


@verb("reconcile")
@click.argument("source", shell_complete=names_in("sources"))
@click.option("--confirm-deletions", is_flag=True, help="Believe a listing that lost more than a tenth of the records.")
@json_option
def reconcile(source: str, confirm_deletions: bool, as_json: bool) -> int:
    """Compare everything with a source; heals what webhooks missed.

    Finds deletions too. A listing that lost more than a tenth of the known records deletes nothing until confirmed.
    """
    from .._daemon.backfill import reconcile as run_reconcile
    from ._output import progress

    with current().open() as app, stopping(app), progress() as shown:
        named(source, app.sources, "source")
        report = run_reconcile(app, source, progress=_watching(app, shown), confirmed=confirm_deletions)
    return _report_json(report) if as_json else _report(report, "comparison")


def _watching(app: App, shown: Shown) -> Callable[[Progress], None]:
    from .._verbs.parts.pace import Pace, left_text, pace_text

    pace = Pace()

    def watch(step: Progress) -> None:
        title = f"{step.source} {step.entity or 'deliveries'}"
        rate = pace.note(title, step.seen, app.clock.now())
        rest = None if step.total is None else step.total - step.seen
        words = [pace_text(rate), left_text(rest, rate)]
        if step.entity is not None:
            words.insert(0, f"{step.owed:,} owed, {step.settled:,} settled")
        shown(title, step.seen, step.total, ", ".join(filter(None, words)), remark=step.waiting)

    return watch


def _report_json(report: BackfillReport) -> int:
    from attrs import asdict

    from ._output import print_json

    print_json(asdict(report))
    return FINDINGS if report.parked or report.errors else DONE


def _report(report: BackfillReport, word: str) -> int:
    from .._verbs.parts.words import plural

    what = ", ".join(report.entities)
    if report.handed_over and not report.seen and not report.errors:
        click.echo(f"{word} of {report.source} ({what}) is handed to the running daemon: synccore status shows it")
        return DONE
    by = "by the running daemon" if report.handed_over else "here"
    click.echo(f"{word} of {report.source} ({what}) done {by}: {plural(report.seen, 'record')} listed")
    if report.deleted:
        click.echo(f"  {plural(report.deleted, 'record')} found deleted at the source")
    if report.settled:
        click.echo(f"  {plural(report.settled, 'delivery', 'deliveries')} settled")
    if report.owed:
        click.echo(f"  {report.owed:,} still owed: synccore status shows why, synccore run delivers them")
    if report.parked:
        click.echo(f"  {report.parked:,} parked: synccore deliveries list --state parked")
    for error in report.errors:
        say_error(error)
    return FINDINGS if report.parked or report.errors else DONE
