"""`synccore db`: looking after the database."""

from pathlib import Path

import click

from ._failure import DONE
from ._session import Group, config_option, current


@click.group("db", cls=Group)
@config_option
def db() -> None:
    """Back up, prune or migrate the database."""


@db.verb("backup")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
def backup(path: Path) -> int:
    """Write a consistent copy to PATH, also while the daemon runs.

    The encryption key is not in it: keep the .key file beside the database too, but elsewhere.
    """
    from ..errors import ConfigError

    if path.exists():
        raise click.UsageError(f"{path} is there already: choose another name")
    with current().open_store() as app:
        try:
            app.store.backup(path)
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
    click.echo(f"copied to {path}")
    return DONE


@db.verb("prune")
def prune() -> int:
    """Delete final deliveries and history older than the retention. Parked ones always stay."""
    from ..config import format_duration

    with current().open_store() as app:
        retention = app.retention
        gone = app.store.prune(app.clock.now() - retention)
    for name, count in gone.items():
        click.echo(f"{name}: {count:,} deleted")
    click.echo(f"kept: everything of the last {format_duration(retention)}, and everything parked")
    return DONE


@db.verb("migrate")
def migrate() -> int:
    """Bring the database up to date. The daemon does it by itself at its start."""
    with current().open_store() as app:
        applied = app.store.migrate()
    for name in applied:
        click.echo(f"applied {name}")
    if not applied:
        click.echo("up to date")
    return DONE
