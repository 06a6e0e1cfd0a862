"""`synccore plugins`: what is installed, and what it takes and gives."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._failure import DONE, FINDINGS
from ._options import names_in
from ._session import Group, config_option, current, json_option

if TYPE_CHECKING:
    from .._app.app import App
    from .._plugins import Plugins
    from .._workshop.contract import Case
    from ..types import FieldInfo, ObjectInfo


@click.group("plugins", cls=Group)
@config_option
def plugins() -> None:
    """List and show the installed plugins, or begin a new one.

    Sources and sinks are separate distributions: pip install synccore-woocommerce synccore-klaviyo. The variable
    SYNCCORE_PLUGINS limits which of the installed ones load.
    """


@plugins.verb("list")
@json_option
def list_(as_json: bool) -> int:
    """List the installed plugins: what they bring, and why one did not load."""
    from .._verbs.plugins import status_document
    from ._output import print_json, table

    statuses = current().plugins().statuses
    if as_json:
        print_json([status_document(s) for s in statuses])
    else:
        colours = {"loaded": "green", "disabled": None}
        table(
            ("plugin", "distribution", "version", "status", "brings, or why not"),
            [
                (
                    s.name,
                    s.distribution,
                    s.version,
                    click.style(s.status, fg=colours.get(s.status, "red")),
                    s.reason or _brings(s.provides),
                )
                for s in statuses
            ],
            empty="no plugin is installed: pip install synccore-woocommerce",
        )
    return FINDINGS if any(s.status not in ("loaded", "disabled") for s in statuses) else DONE


def _brings(provides: Iterable[str]) -> str:
    """Filters are many and are counted; the rest is named."""
    from .._verbs.parts.words import plural

    named = [p for p in provides if not p.startswith("filter ")]
    filters = sum(1 for p in provides if p.startswith("filter "))
    return ", ".join([*named, *([plural(filters, "filter")] if filters else [])])


# -- check


@plugins.verb("check")
@click.argument("name")
@json_option
def check(name: str, as_json: bool) -> int:
    """Prove an installed plugin against its own stand-in, hazard by hazard.

    Runs the contract that the plugin ships; needs synccore[testing]. Nothing outside this machine is asked.

    Example: synccore plugins check klaviyo
    """
    from collections import Counter

    from attrs import asdict

    from .._workshop.contract import check_contract
    from .._workshop.scale import rule_of, scale
    from ._output import print_json, table

    cases = check_contract(name)
    if as_json:
        print_json([{**asdict(case), "rule": rule_of(case.case)} for case in cases])
    else:
        colours = {"proven": "green", "failed": "red", "exempt": "yellow"}
        contracts = list(dict.fromkeys(case.contract for case in cases))
        for contract in contracts:
            if len(contracts) > 1:
                click.echo(f"{contract}:")
            _show_cases([case for case in cases if case.contract == contract], colours)
        counts = Counter(case.result for case in cases)
        click.echo(", ".join(f"{count} {result}" for result, count in counts.items()))
        click.echo("\nOn the quality scale (docs/authors/quality.md), as far as cases tell:")
        table(
            ("", "level", "rule", "cases"),
            [
                (click.style(r.result, fg=colours.get(r.result)), r.level, r.rule, f"{r.proven} of {r.of}")
                for r in scale(cases)
            ],
            empty="no rules",
        )
    return FINDINGS if any(case.result == "failed" for case in cases) else DONE


def _show_cases(cases: Iterable[Case], colours: Mapping[str, str]) -> None:
    """On a terminal the reason stands below the case, whose name would not leave it room enough to be read."""
    from ._output import table

    told = [(click.style(c.result, fg=colours.get(c.result)), c.case, c.reason or c.hazard) for c in cases]
    if sys.stdout.isatty():
        rows = [(result, f"{name}\n{click.style(why, dim=True)}") for result, name, why in told]
        table(("", "case, and its hazard or why not"), rows, empty="no cases")
    else:
        table(("", "case", "hazard, or why not"), told, empty="no cases")


# -- new


@plugins.verb("new")
@click.argument("name")
@click.option("--sink", "kind", flag_value="sink", default="sink", help="A target (the default).")
@click.option("--source", "kind", flag_value="source", help="A shop, or anything that reports changes.")
@click.option("--mapper", "kind", flag_value="mapper", help="A way to shape records.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Where to write it. [default: ./synccore-NAME]")
def new(name: str, kind: str, folder: Path | None) -> None:
    """Begin a plugin: configuration, client, stand-in and contract tests, ready to install."""
    from .._workshop import scaffold
    from ..errors import ConfigError

    word = scaffold.word_of(name)
    if word is None:
        raise click.UsageError(f"{name!r} is no plugin name: letters, digits and _ only, a letter first")
    try:
        target, written = scaffold.new(word, kind, folder)
    except ConfigError as error:
        raise click.UsageError(error.message) from error
    for path in written:
        click.echo(path)
    click.echo(f'\nNext: cd {target} && pip install -e ".[test]" && pytest', err=True)


# -- show


@plugins.verb("show")
@click.argument("name", shell_complete=names_in("sources", "sinks"))
@click.option("--object", "object_name", help="List the fields of this object as the target describes them now.")
@json_option
def show(name: str, object_name: str | None, as_json: bool) -> int:
    """Show a source or sink: settings, objects, default mappings, limits.

    NAME is what `type =` takes, or the name of an instance in the configuration. --object asks the target itself,
    so it needs a configuration with an instance of that type.
    """
    from attrs import asdict

    from .._verbs.plugins import NotDescribed, described
    from .._verbs.plugins import show as look_up
    from ._output import print_json

    loaded = current().plugins()
    if object_name is not None:
        try:
            target = described(_app(), name, object_name)
        except NotDescribed as error:
            raise click.UsageError(error.message) from None
        if as_json:
            print_json(asdict(target))
        else:
            _show_fields(target)
        return DONE
    app = _app_if_any()
    shown = look_up(loaded, app, name)
    if shown is None:
        return _show_status(loaded, name, as_json=as_json)
    if as_json:
        print_json(shown.document())
    else:
        _show(shown.document())
    return DONE


def _app() -> App:
    app = current().open()
    click.get_current_context().call_on_close(app.close)
    return app


def _app_if_any() -> App | None:
    """The app, where there is a configuration and it can be used."""
    from ..errors import ConfigError
    from ._output import note

    try:
        return _app() if current().has_config() else None
    except ConfigError:
        note("the configuration has mistakes (synccore check), so its instances are left out")
        return None


# -- for people


def _show(document: dict[str, Any]) -> None:
    from ._output import table

    click.echo(f"{document['name']}: {document['summary']}")
    click.echo(f"{document['kind']} of {document['distribution']} {document['version']}, {document['status']}")
    click.echo(f'\nSettings of [{document["kind"]}s.NAME] with type = "{document["name"]}"')
    table(
        ("setting", "type", "default", "what it is"),
        [
            (s["name"], s["type"], "(required)" if s["required"] else s["default"] or "-", s["help"])
            for s in document["settings"]
        ],
        empty="none",
    )
    if "entities" in document:
        click.echo(f"\nReports: {', '.join(document['entities'])}")
    for target in document.get("objects", ()):
        _show_object_type(target)
    if document.get("any_object"):
        click.echo("\nA route may name any other object of the target too.")
    if limits := document.get("limits"):
        told = [
            f"{name.replace('_', ' ')} {value:g}"
            for name, value in limits.items()
            if value is not None and (name != "per_seconds" or limits["calls"] is not None)
        ]
        click.echo(f"\nLimits: {', '.join(told)}")
    for name, instance in document["instances"].items():
        state = f"stopped: {instance['error']}" if instance["error"] else "configured"
        click.echo(f"\nInstance {name}: {state}")
        for title, url in instance["videos"]:
            click.echo(f"  video: {title}: {url}")


def _show_object_type(target: dict[str, Any]) -> None:
    from ._output import table

    click.echo(f"\nObject {target['name']}: {target['summary']}")
    if target["options"]:
        click.echo("\n  Settings of its routes:")
        table(
            ("  setting", "type", "default", "what it is"),
            [
                (f"  {o['name']}", _OPTION_TYPES.get(o["type"], o["type"]), _option_default(o["default"]), o["help"])
                for o in target["options"]
            ],
            empty="",
        )
    for entity, defaults in target["defaults"].items():
        facts = [f"{name} {', '.join(defaults[name])}" for name in ("match", "include") if defaults[name]]
        facts += [f"when {defaults['when']}"] if defaults["when"] else []
        facts += [f"delay {defaults['delay']}"] if defaults["delay"] != "0s" else []
        article = "an" if entity[0] in "aeiou" else "a"
        click.echo(f"\n  From {article} {entity}{' (' + '; '.join(facts) + ')' if facts else ''}:")
        table(("  field", "expression"), [(f"  {n}", e) for n, e in defaults["fields"].items()], empty="")


#: How the configuration file calls what a plugin states as a Python type.
_OPTION_TYPES = {"str": "text", "bool": "true or false", "int": "whole number", "float": "number", "tuple": "list"}


def _option_default(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value in (None, "") else str(value)


def _show_fields(described: ObjectInfo) -> None:
    from ._output import table

    click.echo(f"{described.name}{f' ({described.label})' if described.label else ''}")
    table(
        ("field", "label", "type", "length", "rules", "values"),
        [(f.name, f.label, f.type, f.length, _marks(f), ", ".join(f.picklist)) for f in described.fields],
        numbers=("length",),
        empty="the target takes any field",
    )


def _marks(info: FieldInfo) -> str:
    marks = {
        "required": info.required,
        "unique": info.unique,
        "read only": not info.createable and not info.updateable,
        "only when created": info.createable and not info.updateable,
        "not when created": info.updateable and not info.createable,
    }
    return ", ".join(name for name, there in marks.items() if there)


def _show_status(loaded: Plugins, name: str, *, as_json: bool) -> int:
    """A plugin that brings no source or sink of that name, or did not load."""
    from .._verbs.plugins import status_document
    from ..config import suggest
    from ._output import print_json

    found = [s for s in loaded.statuses if name in (s.name, s.distribution)]
    if not found:
        known = [*loaded.sources, *loaded.sinks]
        why = loaded.why_missing(name)
        raise click.UsageError(
            f"no source or sink {name!r} is installed{suggest(name, known)}"
            + (f" ({why})" if why else f"; there are: {', '.join(known) or 'none'}")
        )
    if as_json:
        print_json([status_document(s) for s in found])
        return DONE
    for status in found:
        click.echo(f"{status.name}: {status.distribution} {status.version}, {status.status}")
        if status.reason:
            click.echo(f"  {status.reason}")
        for what in status.provides:
            click.echo(f"  {what}")
    return DONE if all(s.status in ("loaded", "disabled") for s in found) else FINDINGS
