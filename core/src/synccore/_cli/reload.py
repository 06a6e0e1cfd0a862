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
        running = app.store.daemon_running()
        answer = ask_to_reload(app)
    if answer is None:
        text = (
            "the daemon did not answer in time: see its log" if running else "no daemon runs: its start reads the file"
        )
        if as_json:
            print_json({"reloaded": False, "problems": [], "notes": [text]})
        else:
            click.echo(text, err=True)
        return FINDINGS
    if as_json:
        problems = [{"path": path, "message": message} for path, message in answer.problems]
        print_json({"reloaded": not problems, "problems": problems, "notes": list(answer.notes)})
        return CONFIGURATION if problems else DONE
    for path, message in answer.problems:
        say_error(f"{path}: {message}" if path else message)
    for text in answer.notes:
        note(text)
    click.echo(
        "the daemon goes on with the configuration it had" if answer.problems else "the daemon works with the file now"
    )
    return CONFIGURATION if answer.problems else DONE
