"""`synccore adopt` and `synccore verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._failure import DONE, FINDINGS
from ._options import names_in
from ._session import current, json_option, named, stopping, verb

if TYPE_CHECKING:
    from .._verbs.adopt import Adoption
    from .._verbs.verify import Proof


@verb("adopt")
@click.argument("route", shell_complete=names_in("routes"))
@click.option("--dry-run", is_flag=True, help="Only say what would be linked.")
@json_option
def adopt(route: str, dry_run: bool, as_json: bool) -> int:
    """Link what already exists on both sides.

    Run it before the first backfill. A record is linked only where the target has exactly one that can be it;
    ambiguous ones are listed and left alone. Nothing is written at the target: the first delivery after it
    writes what differs.
    """
    from .._verbs.adopt import adopt as run_adopt
    from ._output import print_json, progress
    from .preview import heard_by

    with current().open() as app, stopping(app), progress() as shown:
        source = app.routes[named(route, app.routes, "route")].source
        result = run_adopt(app, route, dry_run=dry_run, heard=heard_by(shown, source))
    if as_json:
        print_json(result.document(dry_run=dry_run))
    else:
        _show_adoption(result, source, dry_run=dry_run)
    return FINDINGS if result.ambiguous or result.refused else DONE


def _show_adoption(result: Adoption, source: str, *, dry_run: bool) -> None:
    from ._output import table

    rows = [
        ("sure", result.sure, "would be linked" if dry_run else "linked now"),
        ("ambiguous", result.ambiguous, "left alone: decide at the target, or by the route's match"),
        ("none", result.none, "not at the target: a backfill creates them"),
        ("already", result.already, "linked before"),
        ("skipped", result.skipped, "not wanted by the route"),
        ("refused", result.refused, "the mapping or the target refuses them"),
    ]
    shown = [(a, f"{n:,}", c) for a, n, c in rows if n or a in ("sure", "ambiguous", "none")]
    table((result.route, "records", ""), shown, numbers=("records",), empty="")
    if result.examples:
        click.echo()
        table(
            ("key", "", "candidates, or why"),
            [
                (
                    e["key"],
                    e["result"],
                    e.get("reason")
                    or ", ".join(e.get("candidates", ()))
                    + (f" (also found by {', '.join(e['shared_with'])})" if "shared_with" in e else ""),
                )
                for e in result.examples
            ],
            empty="",
        )
    if result.sure and not dry_run:
        click.echo(f"\nnext: synccore backfill {source} --route {result.route}")


@verb("verify")
@click.argument("route", shell_complete=names_in("routes"))
@click.option("--sample", type=click.IntRange(min=0), default=20, show_default=True, help="Records to read back.")
@click.option("--repair", is_flag=True, help="Owe again what the sample shows to differ, and nothing else.")
@json_option
def verify(route: str, sample: int, repair: bool, as_json: bool) -> int:
    """Prove what arrived, and name what drifted.

    Every record taken in is linked, parked or skipped; every fact is delivered, parked or still owed. A sample is read
    back from the target, and fields that were changed there are named (names only).
    """
    from .._verbs.verify import verify as run_verify
    from ._output import print_json

    with current().open() as app:
        proof = run_verify(app, named(route, app.routes, "route"), sample=sample, repair=repair)
    if as_json:
        print_json(proof.document())
    else:
        _show_proof(proof)
    return DONE if proof.ok else FINDINGS


def _show_proof(proof: Proof) -> None:
    from .._verbs.parts.words import plural
    from ._output import level_text

    c = proof.counts
    words = {"open": "still owed", "pruned": "settled long ago", "untold": "remembered only"}
    always = ("delivered" if proof.events else "linked", "parked", "skipped")
    parts = [f"{n:,} {words.get(name, name)}" for name, n in c.items() if name != "in" and (n or name in always)]
    click.echo(f"{proof.route}: {c['in']:,} {'facts ' if proof.events else ''}in = {' + '.join(parts)}")
    if proof.sampled:
        changed = len({*proof.drift, *proof.gone, *proof.moved})
        said = "all as delivered" if not changed else f"{changed} not as delivered"
        click.echo(f"{plural(proof.sampled, 'record')} read back: {said}")
    for finding in proof.findings:
        click.echo(f"{level_text(finding.level)}: {finding.message}")
    if proof.repaired:
        click.echo(f"{plural(len(proof.repaired), 'record')} owed again: run synccore run --once --wait")
    if proof.proved:
        click.echo(click.style("proved", fg="green"))
    elif proof.ok:
        click.echo(f"the counts add up; not proved: {'; '.join(proof.unproven)}")
