"""`synccore check`."""

import click

from ._failure import DONE, FINDINGS
from ._session import current, json_option, verb


@verb("check")
@click.option("--offline", is_flag=True, help="Look at the configuration only; ask nobody.")
@json_option
def check(offline: bool, as_json: bool) -> int:
    """Check configuration, mappings and connections.

    Every field a route maps is compared with what the target describes: unknown or read-only fields, required ones
    that are missing, match keys that are not unique, constants that a picklist does not have.
    """
    from .._verbs.check import check as run_check
    from ..errors import ConfigError
    from ._failure import problems_of
    from ._output import print_json

    session = current()
    try:
        app = session.open()
    except ConfigError as error:
        if not as_json:
            raise
        # A configuration that cannot be read is what check is for: its document has the usual shape.
        findings = [{"level": "error", "path": p.path, "message": p.message} for p in problems_of(error)]
        print_json({"ok": False, "findings": findings, "instances": {}})
        return 3
    with app:
        report = run_check(app, offline=offline)
    if as_json:
        print_json(report.document())
    else:
        _show(report)
    return DONE if report.ok else FINDINGS


def _show(report: object) -> None:
    from .._verbs.check import Report
    from .._verbs.parts.words import plural
    from ._output import level_text, table

    assert isinstance(report, Report)  # noqa: S101  narrows the type; the import is late
    green, red = click.style("green", fg="green"), click.style("red", fg="red")
    rows = [
        ((green if i.state == "ok" else red) if i.tried else "-", name, i.state, i.account or "-", i.detail)
        for name, i in report.instances.items()
    ]
    table(("", "instance", "state", "account", "detail"), rows, empty="no sources and no sinks are configured")
    if report.findings:
        click.echo()
    for finding in report.findings:
        click.echo(f"{level_text(finding.level)}: {finding.path}: {finding.message}")
    errors = sum(f.level == "error" for f in report.findings)
    warnings = sum(f.level == "warning" for f in report.findings)
    click.echo()
    if errors:
        click.echo(f"{red}: {plural(errors, 'error')}, {plural(warnings, 'warning')}")
    else:
        asked = all(i.tried for i in report.instances.values())
        far = "" if asked else " as far as the file tells, and nobody was asked"
        click.echo(f"{green}: nothing is wrong{far}, {plural(warnings, 'warning')}")
