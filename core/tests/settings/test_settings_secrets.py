"""Secrets, the database and the server: nothing secret is shown, and nothing is open by mistake."""

import pytest

from synccore.errors import ConfigError
from synccore.hookspecs import StoreType
from synccore.secrets import Secret

CRM = '[sinks.crm]\ntype = "acme_crm"\ntoken = '


def token(files, written, **more):
    return files.load(CRM + written, **more).sinks["crm"].config.token


def test_a_secret_comes_from_the_environment(files):
    found = token(files, '{ env = "TOKEN" }')
    assert (found.reveal(), found.origin) == ("t-1", "env TOKEN")


def test_a_secret_comes_from_a_file_beside_the_configuration(files):
    (files.folder / "token.txt").write_text("from file\n")
    found = token(files, '{ file = "token.txt" }')
    assert found.reveal() == "from file"
    assert found.origin.startswith("file ")


def test_a_secret_comes_from_where_systemd_keeps_those_of_this_unit(files):
    (files.folder / "unit").mkdir()
    (files.folder / "unit" / "crm").write_text("handed over")
    written = '{ file = "$CREDENTIALS_DIRECTORY/crm" }'
    assert "CREDENTIALS_DIRECTORY is not set" in files.problems(CRM + written)[0]
    files.environ["CREDENTIALS_DIRECTORY"] = str(files.folder / "unit")
    assert token(files, written).reveal() == "handed over"


def test_a_stored_secret_is_looked_up_when_it_is_needed(files):
    found = token(files, '{ secret = "crm" }')
    with pytest.raises(ConfigError, match="run synccore secret set crm") as caught:
        found.reveal()
    assert caught.value.path == "sinks.crm.token"
    files.stored["crm"] = "late"
    assert found.reveal() == "late"


def test_a_plugin_resolves_its_own_scheme_once_and_late(files, point):
    asked = []

    def vault(reference):
        asked.append(reference)
        return "from vault" if reference.get("vault") == "kv/crm" else None

    files.points.append(point("vault", synccore_secret=vault))
    found = token(files, '{ vault = "kv/crm" }')
    assert asked == []
    assert (found.reveal(), found.reveal()) == ("from vault", "from vault")
    assert asked == [{"vault": "kv/crm"}]
    with pytest.raises(ConfigError, match="no plugin resolves"):
        token(files, '{ vault = "other" }').reveal()


def test_a_secret_in_the_file_works_with_a_warning(files):
    settings = files.load(CRM + '"t-plain"')
    assert settings.sinks["crm"].config.token == Secret("t-plain")
    (warning,) = settings.warnings
    assert warning.path == "sinks.crm.token"
    assert "{ env = " in warning.message
    assert "t-plain" not in str(warning)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ('{ env = "NONE" }', "the environment variable NONE is not set"),
        ('{ env = "EMPTY" }', "the environment variable EMPTY is empty"),
        ('{ file = "none.txt" }', "none.txt cannot be read: No such file"),
        ('{ file = "empty.txt" }', "empty.txt is empty"),
        ('{ evn = "TOKEN" }', "nothing resolves { evn = ... }; did you mean env?"),
        ('{ vault = "x" }', "nothing resolves { vault = ... } (known: env, file, secret)"),
        ('{ env = "TOKEN", file = "x" }', 'write { env = "NAME" }'),
        ("{ env = 5 }", "env needs a text in quotes"),
        ('""', "is empty"),
        ("5", 'write { env = "NAME" }'),
        ('["s3cret"]', 'write { env = "NAME" }'),
    ],
)
def test_a_secret_that_is_not_there_is_a_problem_with_its_path(files, written, words):
    files.environ["EMPTY"] = ""
    (files.folder / "empty.txt").write_text("\n")
    (problem,) = files.problems(CRM + written)
    assert problem.startswith("sinks.crm.token: ")
    assert words in problem
    assert "s3cret" not in problem


def test_nothing_shows_a_secret(files, base):
    files.environ |= {"KEY": "s3cret", "TOKEN": "s3cret", "PASSWORD": "s3cret"}
    settings = files.load(base + '[server]\ndashboard_password = { env = "PASSWORD" }')
    assert "s3cret" not in repr(settings)
    assert settings.sources["shop"].config.consumer_key.reveal() == "s3cret"


# -- the database


@pytest.mark.parametrize("written", ["data/outbox.db", "./data/outbox.db"])
def test_the_database_is_relative_to_the_file(files, written):
    settings = files.load(f'[synccore]\ndatabase = "{written}"')
    assert settings.database_file == files.folder / "data" / "outbox.db"


def test_an_absolute_database_stays(files):
    assert files.load('[synccore]\ndatabase = "/var/lib/x.db"').database == "/var/lib/x.db"


def test_another_engine_needs_its_plugin(files, point):
    text = '[synccore]\ndatabase = "postgresql://db.test/x"'
    (problem,) = files.problems(text)
    assert problem.startswith("synccore.database: postgresql:// needs synccore-postgres, which is not loaded")
    store = StoreType(name="postgres", summary="", schemes=("postgresql",), open=lambda *_: None)
    files.points.append(point("postgres", synccore_stores=[store]))
    settings = files.load(text)
    assert (settings.database, settings.database_file, settings.warnings) == ("postgresql://db.test/x", None, ())


def test_a_password_in_the_address_is_a_warning_and_never_shown(files, point):
    store = StoreType(name="postgres", summary="", schemes=("postgresql",), open=lambda *_: None)
    files.points.append(point("postgres", synccore_stores=[store]))
    settings = files.load('[synccore]\ndatabase = "postgresql://me:s3cret@db.test/x"')
    assert "s3cret" in settings.database
    assert "s3cret" not in repr(settings)
    (warning,) = settings.warnings
    assert (warning.path, "s3cret" in warning.message) == ("synccore.database", False)


@pytest.mark.parametrize("written", ['""', "5", "['x']"])
def test_a_database_that_is_no_text_is_refused(files, written):
    (problem,) = files.problems(f"[synccore]\ndatabase = {written}")
    assert problem.startswith("synccore.database: ")


# -- the server


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("127.1.2.3:80", "127.1.2.3", 80),
        ("localhost:8484", "localhost", 8484),
        ("[::1]:8484", "::1", 8484),
    ],
)
def test_a_loopback_address_needs_no_password(files, listen, host, port):
    server = files.load(f'[server]\nlisten = "{listen}"').server
    assert (server.host, server.port) == (host, port)


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:80", ":80", "[::]:80", "192.168.1.5:80", "sync.test:80", "localhost.test:80"]
)
def test_any_other_address_needs_a_password(files, listen):
    (problem,) = files.problems(f'[server]\nlisten = "{listen}"')
    assert problem.startswith("server.dashboard_password: is required")
    text = f'[server]\nlisten = "{listen}"\ndashboard_password = {{ env = "TOKEN" }}'
    assert files.load(text).server.dashboard_password.reveal() == "t-1"


@pytest.mark.parametrize(
    "listen", ["8484", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "::1:80", "a:²", ""]
)
def test_an_address_without_port_is_refused(files, listen):
    (problem,) = files.problems(f'[server]\nlisten = "{listen}"')
    assert problem.startswith("server.listen: ")
    assert "127.0.0.1:8484" in problem


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://sync.example.com", "https://sync.example.com"),
        ("https://sync.example.com/base/", "https://sync.example.com/base"),
        ("http://127.0.0.1:8484", "http://127.0.0.1:8484"),
        ("http://localhost:8484/", "http://localhost:8484"),
        ("http://[::1]:8484", "http://[::1]:8484"),
    ],
)
def test_the_public_address_is_https_or_loopback(files, url, expected):
    assert files.load(f'[server]\npublic_url = "{url}"').server.public_url == expected


@pytest.mark.parametrize(
    "url",
    ["http://sync.example.com", "sync.example.com", "ftp://x.test", "https://", "https://u:p@x.test", "https://x.test?a=1",
     "https://[x", "https://x.test:port", "http://localhost.evil.test"],
)  # fmt: skip
def test_any_other_public_address_is_refused(files, url):
    (problem,) = files.problems(f'[server]\npublic_url = "{url}"')
    assert problem.startswith("server.public_url: ")
