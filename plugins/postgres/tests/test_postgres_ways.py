"""What lies between a daemon and its server: TLS, and a pooler that gives each transaction another session."""

import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from synccore.entities import Customer
from synccore.errors import ConfigError
from synccore.store import ClaimRule, DirtyRule, Ingest, Settlement
from synccore.types import Change
from synccore_postgres.engine import PostgresStore
from synccore_postgres.testing import NoServerError, Server

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = {"customer": [DirtyRule(route="people", sink="crm", entity="customer")]}
CLAIM = ClaimRule(route="people", max_batch=5, bulk_batch=5, bulk_threshold=99)
#: Of sessions that are in no transaction: what a transaction of somebody else would find there.
LEFT_BEHIND = """
SELECT l.locktype || ' lock' FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE a.state = 'idle' AND l.locktype = 'advisory'
"""
OF_A_SESSION = (
    "SELECT name FROM pg_prepared_statements",
    "SELECT name FROM pg_settings WHERE source = 'session' AND name <> 'search_path'",
    "SELECT * FROM pg_listening_channels()",
    "SELECT relname FROM pg_class WHERE relpersistence = 't'",
    "SELECT name FROM pg_cursors WHERE is_holdable",
)


def work(one, two):
    """A bit of everything that daemons do; every record is delivered once."""
    changes = [
        Change(entity="customer", key=str(n), op="upsert", data=Customer(key=str(n), email=f"{n}@x.test"))
        for n in range(40)
    ]
    one.ingest([Ingest(source="shop", changes=changes, rules=RULES)], NOW)
    done = []

    def deliver(store, name):
        while batch := store.claim("crm", [CLAIM], datetime.now(UTC), timedelta(minutes=2), name):
            store.settle([Settlement(delivery_id=d.id, token=name, to="done") for d in batch], NOW)
            done.extend(d.key for d in batch)

    with one.daemon_lock(), two.daemon_lock():
        threads = [threading.Thread(target=deliver, args=pair) for pair in ((one, "one"), (two, "two"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [d.leads for d in one.daemons()] in ([True, False], [False, True])
        with one.lock("oauth:crm"):
            two.state("crm").change("used", NOW, lambda used, _: (used or 0) + 1)
        assert two.state("crm").get("used") == 1
    assert sorted(done, key=int) == [str(n) for n in range(40)]


def test_nothing_is_left_in_a_session_when_a_transaction_is_over(server):
    """So a pooler may give the session to anybody (PgBouncer in transaction mode)."""
    url = server.url()
    with closing(PostgresStore(url)) as one, closing(PostgresStore(url)) as two:
        work(one, two)
        with psycopg.connect(server._address, autocommit=True) as look:
            assert look.execute(LEFT_BEHIND).fetchall() == []
        for store in (one, two):
            for pool in (store._sessions._pool, store._sessions._locks):
                with pool.connection() as session:
                    assert [session.execute(query).fetchall() for query in OF_A_SESSION] == [[]] * len(OF_A_SESSION)


# -- PgBouncer


@contextmanager
def bouncer(server, role):
    program = shutil.which("pgbouncer")
    if program is None:
        pytest.skip("no pgbouncer on this machine: what it needs of a session is tested above")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = server._folder / f"{role}.ini"
    config.write_text(
        f"[databases]\nshop = host=127.0.0.1 port={server.port} dbname=postgres user={role}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 6\n"
    )
    user = "nobody" if os.geteuid() == 0 else None
    process = subprocess.Popen([program, "-q", str(config)], cwd="/", user=user, stderr=subprocess.PIPE)
    try:
        end = time.monotonic() + 60
        while not _answers(port):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < end
            threading.Event().wait(0.02)
        yield f"postgresql://{role}@127.0.0.1:{port}/shop"
    finally:
        process.kill()
        process.communicate()


def _answers(port):
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def role(server):
    """One whose search path begins with a schema of its own, as the README says."""
    name = server.url().rpartition("%3D")[2]
    with psycopg.connect(server._address, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE r{name} LOGIN; ALTER SCHEMA {name} OWNER TO r{name}")
        admin.execute(f"ALTER ROLE r{name} SET search_path = {name}")
    return f"r{name}"


def test_two_daemons_work_through_pgbouncer_in_transaction_mode(server, role):
    with (
        bouncer(server, role) as url,
        closing(PostgresStore(url)) as one,
        closing(PostgresStore(url)) as two,
    ):
        work(one, two)
        assert one.counts_by_sink()["crm"].done == 40


# -- TLS


@pytest.fixture(scope="module")
def guarded():
    """A server that speaks TLS, with a certificate of our own in its folder."""
    try:
        server = Server(system=True)
    except NoServerError:
        pytest.skip("no PostgreSQL of the system's packages: the one of the Python package was built without TLS")
    with closing(server):
        key, certificate = made("localhost")
        owner = server._data.stat()
        for name, text in (("tls.key", key), ("tls.crt", certificate)):
            path = server._data / name
            path.write_bytes(text)
            path.chmod(0o600)
            os.chown(path, owner.st_uid, owner.st_gid)
        with psycopg.connect(server._address, autocommit=True) as admin:
            for setting in ("ssl_cert_file = 'tls.crt'", "ssl_key_file = 'tls.key'", "ssl = on"):
                admin.execute(f"ALTER SYSTEM SET {setting}")
        server.stop()
        server.start()
        yield server


def made(host):
    """A key, and a certificate that it signed itself."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    now = datetime.now(UTC)
    builder = builder.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def encrypted(server, root, host="localhost"):
    place = server.url().rpartition("?")[2]
    return (
        f"postgresql://postgres@{host}:{server.port}/postgres?hostaddr=127.0.0.1&sslmode=verify-full"
        f"&sslrootcert={root}&{place}"
    )


@pytest.fixture
def ours(guarded, tmp_path):
    path = tmp_path / "root.crt"
    path.write_bytes((guarded._data / "tls.crt").read_bytes())
    return path


def test_every_connection_is_made_with_the_tls_that_the_address_asks_for(guarded, ours):
    with (
        closing(PostgresStore(encrypted(guarded, ours))) as store,
        store.daemon_lock(),
        store.listening(lambda _: None),
        store.lock("a"),
    ):
        assert store._wakeups.hears.wait(60)
        store.put_secret("a", "x", NOW)
        with psycopg.connect(guarded._address, autocommit=True) as look:
            ways = look.execute(
                "SELECT s.ssl, a.application_name FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) "
                "WHERE a.application_name LIKE 'synccore%'"
            ).fetchall()
    assert len(ways) >= 4
    assert {way for way, _ in ways} == {True}, ways


@pytest.mark.parametrize(("host", "root"), [("elsewhere", "ours"), ("localhost", "another")])
def test_a_server_that_proves_to_be_somebody_else_is_refused_with_the_reason(guarded, ours, host, root):
    if root == "another":
        ours.write_bytes(made("localhost")[1])
    with pytest.raises(ConfigError, match=r"certificate verify failed|does not match host name"):
        PostgresStore(encrypted(guarded, ours, host))
