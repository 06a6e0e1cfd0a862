"""`synccore alerts`: who is told of trouble."""

import click

from ._failure import DONE, FINDINGS
from ._options import names_in
from ._session import Group, config_option, current, json_option, named


@click.group("alerts", cls=Group)
@config_option
def alerts() -> None:
    """Who is told of trouble; send a test.

    Alerts are `[alerts.NAME]` tables of the configuration; the daemon sends them.
    """


@alerts.verb("list")
@json_option
def list_(as_json: bool) -> int:
    """List the alerts, their conditions, and what they told that is not well again.

    Example: synccore alerts list
    """
    from attrs import asdict

    from .._verbs.alerts import list_alerts
    from .._verbs.parts.words import ago
    from ._output import print_json, table

    with current().look() as app:
        found, now = list_alerts(app), app.clock.now()
    if as_json:
        print_json([asdict(line) for line in found])
        return DONE
    rows = [(x.name, x.type, ", ".join(x.when), ago(x.last_at, now), str(len(x.told))) for x in found]
    table(("alert", "type", "when", "last message", "open"), rows, numbers=("open",), empty="no alerts are configured")
    for line in found:
        for sentence in line.told:
            click.echo(f"{line.name}: {sentence}")
    return DONE


@alerts.verb("test")
@click.argument("name", required=False, shell_complete=names_in("alerts"))
@json_option
def test(name: str | None, as_json: bool) -> int:
    """Send a test message through one alert, or through all of them.

    Example: synccore alerts test night
    """
    from attrs import asdict

    from .._verbs.alerts import send_tests
    from ._output import print_json

    with current().open() as app:
        results = send_tests(app, named(name, app.settings.alerts, "alert") if name else None)
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        for result in results:
            click.echo(f"{result.alert}: {'sent' if result.sent else result.error}")
        if not results:
            click.echo("no alerts are configured: see [alerts.NAME] in docs/configuration.md")
    return DONE if results and all(result.sent for result in results) else FINDINGS
