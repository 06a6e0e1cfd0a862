"""`synccore connect` and `synccore disconnect`."""

import click

from ._failure import DONE, FINDINGS
from ._options import names_in
from ._session import current, named_unit, verb


@verb("connect")
@click.argument("name", shell_complete=names_in("sources", "sinks"))
@click.option(
    "--no-browser", is_flag=True, help="Print the address to open; read the one the browser landed on from stdin."
)
@click.option("--switch-account", is_flag=True, help="Leave the account it was connected to, with all links to it.")
def connect(name: str, no_browser: bool, switch_account: bool) -> int:
    """Connect a source or a sink, and say which account it reached.

    NAME is a [sources.NAME] or [sinks.NAME] of the configuration. A source's webhooks are registered where
    [server] public_url is set. A running daemon goes on by itself.
    """
    from .._verbs.connect import connect as run_connect
    from ._browser import LoopbackBrowser, PasteBrowser
    from ._output import level_text

    with current().open() as app:
        named_unit(app, name)
        browser = PasteBrowser() if no_browser else LoopbackBrowser()
        reached = run_connect(app, name, browser, switch_account=switch_account)
    if reached.account is not None:
        detail = f" ({reached.account.detail})" if reached.account.detail else ""
        click.echo(f"{click.style('connected', fg='green')}: {name} reaches {reached.account.label}{detail}")
    else:
        click.echo(f"{click.style('connected', fg='green')}: {name} {reached.detail}".rstrip())
    for note in reached.notes:
        click.echo(f"  {note}")
    for finding in reached.findings:
        click.echo(f"{level_text(finding.level)}: {finding.path}: {finding.message}", err=True)
    return FINDINGS if any(f.level == "error" for f in reached.findings) else DONE


@verb("disconnect")
@click.argument("name", shell_complete=names_in("sources", "sinks"))
@click.option("--keep-grant", is_flag=True, help="Do not end the grant at the vendor; erase the credentials here only.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def disconnect(name: str, keep_grant: bool, yes: bool) -> int:
    """Revoke access and erase every stored credential.

    Webhooks are removed first. What is known of the records there stays, for the next connect to the same account.
    """
    from .._verbs.disconnect import disconnect as run_disconnect

    with current().open() as app:
        named_unit(app, name)
        if not yes:
            click.confirm(f"Disconnect {name} and erase its stored credentials?", abort=True, err=True)
        ended = run_disconnect(app, name, keep_grant=keep_grant)
    for line in ended.done:
        click.echo(f"{name}: {line}")
    for line in ended.failed:
        click.echo(f"{click.style('not done', fg='red')}: {line}", err=True)
    return FINDINGS if ended.failed else DONE
