"""`synccore reload`."""

import click

from ._failure import CONFIGURATION, DONE, FINDINGS, say_error
from ._session import current, json_option, verb


@verb("reload")
@json_option
def reload(as_json: bool) -> int:
    """Let the running daemon read its configuration again.

    It checks the file first: where it has a mistake everything goes on as before, and the mistakes are told here.
    Webhooks are taken all the time. SIGHUP does the same, and tells the daemon's log.
    """
    from .._verbs.reload import reload as ask_to_reload
    from ._output import note, print_json

    with current().open_store() as app:
        told = ask_to_reload(app)
    if as_json:
        print_json(told.document())
    else:
        for text in told.mistakes():
            say_error(text)
        for text in told.notes:
            note(text)
        if told.done:
            click.echo("the daemon works with the file now")
        elif told.problems:
            click.echo("the daemon goes on with the configuration it had")
    return DONE if told.done else CONFIGURATION if told.problems else FINDINGS
