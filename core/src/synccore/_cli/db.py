"""`synccore db`: looking after the database."""

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from ._failure import DONE
from ._session import Group, config_option, confirm, current, json_option


@click.group("db", cls=Group)
@config_option
def db() -> None:
    """Back up, restore, copy, prune or migrate the database."""


@db.verb("backup")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def backup(path: Path, as_json: bool) -> int:
    """Write a consistent copy to PATH, also while the daemon runs.

    The encryption key is not in it: keep the .key file beside the database too, but elsewhere.
    """
    from .._verbs.upkeep import backup as copy_to
    from ..errors import ConfigError

    if path.exists():
        raise click.UsageError(f"{path} is there already: choose another name")
    with current().open_store() as app:
        try:
            copy_to(app, path)
        except ConfigError as error:
            if app.database_file is None:  # another engine has tools of its own, and names them
                raise click.UsageError(error.message) from error
            raise
    _tell({"copied_to": str(path)}, [f"copied to {path}"], as_json=as_json)
    return DONE


@db.verb("restore")
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def restore(path: Path, yes: bool, as_json: bool) -> int:
    """Put a backup in the database's place; the replaced one is kept beside it.

    Stop the daemon first. What was made at the targets since the backup is asked for before anything is made again,
    and every source is compared as a whole at the next start.

    Example: synccore db restore before.db
    """
    from .._verbs.restore import put_in_place, settle_in

    session = current()
    if not yes:
        confirm(f"Replace the database by {path}?")
    with session.open_store() as app:
        kept = put_in_place(app, path)
    with session.look() as app:
        found = settle_in(app)
    lines = [
        f"restored from {path}" + (f"; the replaced database is {kept}" if kept else ""),
        f"{found.doubtful:,} owed deliveries ask their target before they make anything",
        f"to be compared at the next start: {', '.join(found.compared) or 'nothing'}",
        "next: synccore check (credentials of the backup may have expired since), then synccore run",
    ]
    document = {"restored_from": str(path), "kept": str(kept) if kept else None, "doubtful": found.doubtful}
    _tell({**document, "compared": list(found.compared)}, lines, as_json=as_json)
    return DONE


@db.verb("copy")
@click.argument("origin", metavar="FROM")
@click.argument("target", metavar="TO")
@json_option
def copy(origin: str, target: str, as_json: bool) -> int:
    """Copy an outbox into another one that is empty: a file, or postgresql://...

    Stop the daemon first. Every table is compared by count and digest at the end; run the same again after it was
    broken off. Then set `database` to TO.
    """
    from .._app.base import key_file
    from .._app.context import SystemClock
    from .._verbs.copy import copy as copy_all
    from .._verbs.copy import opened
    from ._output import progress

    session = current()
    plugins, clock = session.plugins(), SystemClock(threading.Event())
    password = session.database_password()
    if origin == target or ("://" not in origin + target and Path(origin).resolve() == Path(target).resolve()):
        raise click.UsageError("FROM and TO are the same outbox")
    with (
        progress() as shown,
        opened(origin, plugins, clock, password, there=True) as source,
        opened(target, plugins, clock, password, there=False) as fresh,
    ):
        done = copy_all(source, fresh, origin, lambda table, rows: shown(table, rows, None))
    lines = [f"{table}: {rows:,}" for table, rows in done.rows.items() if rows]
    lines += [
        f"copied and compared: {sum(done.rows.values()):,} rows in {len(done.rows)} tables, all the same",
        f'next: database = "{target}", and the encryption key: {key_file(origin)} becomes {key_file(target)}',
    ]
    _tell({"copied": dict(done.rows), "same": True}, lines, as_json=as_json)
    return DONE


@db.verb("prune")
@json_option
def prune(as_json: bool) -> int:
    """Delete final deliveries and history older than the retention. Parked ones always stay."""
    from .._verbs.upkeep import prune as prune_all
    from ..config import format_duration

    with current().open_store() as app:
        gone = prune_all(app)
    lines = [f"{name}: {count:,} deleted" for name, count in gone.deleted.items()]
    lines.append(f"kept: everything of the last {format_duration(gone.kept)}, and everything parked")
    _tell(gone.document(), lines, as_json=as_json)
    return DONE


@db.verb("migrate")
@json_option
def migrate(as_json: bool) -> int:
    """Bring the database up to date. The daemon does it by itself at its start."""
    from .._verbs.upkeep import migrate as bring_up_to_date

    with current().open_store() as app:
        applied = bring_up_to_date(app)
    lines = [f"applied {name}" for name in applied] or ["up to date"]
    _tell({"applied": list(applied)}, lines, as_json=as_json)
    return DONE


def _tell(document: dict[str, Any], lines: Iterable[str], *, as_json: bool) -> None:
    from ._output import print_json

    if as_json:
        print_json(document)
    else:
        for line in lines:
            click.echo(line)
