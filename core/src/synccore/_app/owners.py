"""Whose files the outbox is made of: a command run as root must not lock the service out of its own database."""

import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["foreign_files", "root_warning"]

#: Behind the database's name: write-ahead log, its index, key, locks.
_BESIDE = ("", "-wal", "-shm", ".key", ".locks")


def root_warning(database: Path | None, uid: int) -> str | None:
    """What to tell somebody who runs a command as root in a folder of somebody else; None where all is well."""
    owner = _service(database) if database is not None else None
    if uid != 0 or owner in (None, 0):
        return None
    name = _name(owner)
    return (
        f"this runs as root, and {database} is {name}'s: what it makes belongs to root and {name} cannot use it. "
        f"Run it as that user: sudo -u {name} synccore ..."
    )


def foreign_files(database: Path) -> Iterator[tuple[Path, str, str]]:
    """Files of the outbox that belong to somebody else than the outbox itself: path, whose, whose it should be."""
    owner = _service(database)
    if owner is None:
        return
    for file in _files(database):
        found = _owner(file)
        if found is not None and found != owner:
            yield file, _name(found), _name(owner)


def _service(database: Path) -> int | None:
    """Who works with the outbox: the owner of its folder, or of its file where root owns the folder."""
    folder = _owner(database.parent)
    return _owner(database) if folder == 0 else folder


def _files(database: Path) -> Iterator[Path]:
    for behind in _BESIDE:
        path = database.with_name(database.name + behind)
        yield path
        if behind == ".locks" and path.is_dir():
            with suppress(PermissionError):  # somebody else's, and named as such already
                yield from sorted(path.iterdir())


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _name(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid if uid is not None else os.geteuid()).pw_name
    except KeyError:
        return f"user {uid}"
