"""`synccore connect` and `synccore disconnect`."""

import click

from ._failure import DONE, FINDINGS
from ._options import names_in
from ._session import confirm, current, json_option, named_unit, verb


@verb("connect")
@click.argument("name", shell_complete=names_in("sources", "sinks"))
@click.option(
    "--no-browser", is_flag=True, help="Print the address to open; read the one the browser landed on from stdin."
)
@click.option("--switch-account", is_flag=True, help="Leave the account it was connected to, with all links to it.")
@json_option
def connect(name: str, no_browser: bool, switch_account: bool, as_json: bool) -> int:
    """Connect a source or a sink, and say which account it reached.

    NAME is a [sources.NAME] or [sinks.NAME] of the configuration. A source's webhooks are registered where
    [server] public_url is set. A running daemon goes on by itself.
    """
    from .._verbs.check import naming
    from .._verbs.connect import connect as run_connect
    from ._browser import LoopbackBrowser, PasteBrowser
    from ._output import level_text, print_json

    with current().open() as app:
        named_unit(app, name)
        browser = PasteBrowser(quiet=as_json) if no_browser else LoopbackBrowser()
        with naming(app.path_of(name)):
            reached = run_connect(app, name, browser, switch_account=switch_account)
    code = FINDINGS if any(f.level == "error" for f in reached.findings) else DONE
    if as_json:
        print_json(reached.document())
        return code
    if reached.account is not None:
        detail = f" ({reached.account.detail})" if reached.account.detail else ""
        click.echo(f"{click.style('connected', fg='green')}: {name} reaches {reached.account.label}{detail}")
    else:
        click.echo(f"{click.style('connected', fg='green')}: {name} {reached.detail}".rstrip())
    for note in reached.notes:
        click.echo(f"  {note}")
    for finding in reached.findings:
        click.echo(f"{level_text(finding.level)}: {finding.path}: {finding.message}", err=True)
    return code


@verb("disconnect")
@click.argument("name", shell_complete=names_in("sources", "sinks"))
@click.option("--keep-grant", is_flag=True, help="Do not end the grant at the vendor; erase the credentials here only.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def disconnect(name: str, keep_grant: bool, yes: bool, as_json: bool) -> int:
    """Revoke access and erase every stored credential.

    Webhooks are removed first. What is known of the records there stays, for the next connect to the same account.
    """
    from .._verbs.disconnect import disconnect as run_disconnect
    from ._output import print_json

    with current().open() as app:
        named_unit(app, name)
        if not yes:
            confirm(f"Disconnect {name} and erase its stored credentials?")
        ended = run_disconnect(app, name, keep_grant=keep_grant)
    if as_json:
        print_json({"name": name, "done": list(ended.done), "failed": list(ended.failed)})
        return FINDINGS if ended.failed else DONE
    for line in ended.done:
        click.echo(f"{name}: {line}")
    for line in ended.failed:
        click.echo(f"{click.style('not done', fg='red')}: {line}", err=True)
    return FINDINGS if ended.failed else DONE
