"""Two schemas, one outbox: a column that core's migrations add has to come here too."""

import sqlite3
from contextlib import closing

import psycopg
import pytest

from synccore._store.sqlite import open_sqlite
from synccore.errors import ConfigError
from synccore.store import StoreError
from synccore_postgres.engine import PostgresStore

COLUMNS = (
    "SELECT table_name, column_name FROM information_schema.columns "
    "WHERE table_schema = current_schema() AND table_name <> 'synccore_migration'"
)
#: What SQLite's own book-keeping needs.
ITS_OWN = ("sqlite_sequence", "_sqlite_migrations")


def test_both_engines_hold_the_same_columns(server, tmp_path):
    with closing(PostgresStore(server.url())) as store, store.reading() as view:
        here = {(row["table_name"], row["column_name"]) for row in view.execute(COLUMNS)}
    open_sqlite(tmp_path / "a.db").close()
    with closing(sqlite3.connect(tmp_path / "a.db")) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
        there = {
            (name, column)
            for name in names
            if name not in ITS_OWN
            for _, column, *_ in db.execute(f"PRAGMA table_info('{name}')")
        }
    assert here == there


# -- places that cannot be an outbox


def admin(server, *statements):
    with psycopg.connect(server._address, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def elsewhere(server):
    """A role, its address, and the schema that it looks into first and does not own."""
    schema = server.url().rpartition("%3D")[2]
    role = f"r{schema}"
    admin(
        server,
        f"CREATE ROLE {role} LOGIN",
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"ALTER ROLE {role} SET search_path = {schema}",
    )
    return schema, role, f"postgresql://{role}@127.0.0.1:{server.port}/postgres"


def test_a_role_that_may_not_make_tables_is_told_in_words(elsewhere):
    with pytest.raises(ConfigError, match=r"permission denied for schema .*: name a role that owns an empty schema"):
        PostgresStore(elsewhere[2])


def test_tables_of_something_else_are_left_alone(server, elsewhere):
    schema, role, url = elsewhere
    admin(server, f"ALTER SCHEMA {schema} OWNER TO {role}", f"CREATE TABLE {schema}.delivery (van text)")
    with pytest.raises(ConfigError, match=r'relation "delivery" already exists'):
        PostgresStore(url)
    with psycopg.connect(server._address) as look:
        assert look.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema]).fetchall() == [
            ("delivery",)
        ]


def test_a_role_that_may_only_write_works_and_does_not_claim_to_have_vacuumed(server, elsewhere):
    schema, role, url = elsewhere
    PostgresStore(f"{server._address}?options=-csearch_path%3D{schema}").close()
    admin(
        server,
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
        f"REVOKE SELECT ON {schema}.history FROM {role}",  # noqa: S608  our own names
    )
    with closing(PostgresStore(url)) as store:
        store.state("crm").put({"a": 1})
        with pytest.raises(StoreError, match="lets this role do too little"):
            store.history()
        with pytest.raises(StoreError, match="as the tables' owner"):
            store.scrub()


def test_an_outbox_that_stands_behind_the_own_schema_is_not_taken_for_the_own(server, elsewhere):
    schema, role, url = elsewhere
    other = server.url()
    with closing(PostgresStore(other)) as store:
        store.state("crm").put({"whose": "theirs"})
    behind = other.rpartition("%3D")[2]
    admin(server, f"ALTER SCHEMA {schema} OWNER TO {role}", f"ALTER ROLE {role} SET search_path = {schema}, {behind}")
    with closing(PostgresStore(url)) as store:
        assert store.state("crm").get("whose") is None


def test_a_database_that_has_not_every_character_is_refused(server):
    admin(server, "CREATE DATABASE old TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'")
    with pytest.raises(ConfigError, match="LATIN1"):
        PostgresStore(f"postgresql://postgres@127.0.0.1:{server.port}/old")


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://a:sesame@127.0.0.1/x",
        "postgresql://a@127.0.0.1/x?password=sesame",
        "postgresql://a@127.0.0.1/x?pass%77ord=sesame",
        "postgresql://a:sesame@[::1",
        "postgresql://a:%ZZsesame@127.0.0.1/x",
    ],
)
def test_an_address_with_a_password_is_refused_without_quoting_it(address):
    with pytest.raises(ConfigError) as refused:
        PostgresStore(address)
    assert "sesame" not in refused.value.message
