"""Whatever a plugin is asked for, its words hold no secret of the instance and nothing of the person in question."""

import json

import pytest
from attrs import frozen

from synccore._app.discreet import Discreet
from synccore._app.units import _parts
from synccore._verbs.check import check
from synccore._verbs.forget import forget
from synccore.config import option
from synccore.errors import AnotherAccount, AuthError, ConfigError, Rejected, Transient
from synccore.hookspecs import SinkType
from synccore.secrets import Secret
from synccore.testing import Harness, customer
from synccore.testing.scripted import ScriptedSink
from synccore.types import Account, Check, Delivered, Erased, Finding, Limits, ObjectType, Page, Unreadable

KEY = "plainWordKey"
PEOPLE = {"people": {"entity": "customer", "sink": "crm", "fields": {"name": "customer.first_name"}}}


@frozen(kw_only=True)
class Keyed:
    """Settings with a key that looks like a word."""

    key: Secret = option(help="the key")


@pytest.fixture
def house(tmp_path):
    sink = ScriptedSink()

    def opened(config, _context):
        config.key.reveal()
        return sink

    kind = SinkType(
        name="keyed",
        summary="A target with a key.",
        config=Keyed,
        open=opened,
        objects=(ObjectType(name="thing", summary="Anything."),),
        limits=Limits(max_batch=10),
        leaves=("keep", "delete"),
    )
    with Harness(tmp_path, PEOPLE, sink_types={"crm": (kind, {"key": KEY})}) as app:
        app.sink = sink
        yield app


def failing(error):
    def method(*_args, **_named):
        raise error

    return method


@pytest.mark.parametrize("error", [AuthError, ConfigError, Transient, Rejected, KeyError], ids=lambda e: e.__name__)
def test_a_check_that_fails_does_not_show_the_key(house, error):
    house.sink.check = failing(error(f"no such key: {KEY}, of Zebedee"))
    report = check(house.app)
    text = str(report.document())
    assert KEY not in text
    assert "no such key" in text


def test_a_check_that_answers_shows_the_account_and_not_the_key(house):
    account = Account(id="1", label="Ours <a@ours.test>")
    finding = Finding(level="warning", path="key", message=f"{KEY} ends on 2030-01-02, says a@ours.test")
    house.sink.check = lambda: Check(account=account, detail=f"with {KEY}", findings=(finding,))
    report = check(house.app)
    text = f"{report.document()}"
    assert KEY not in text
    assert "a@ours.test" in report.instances["crm"].account
    assert "says a@ours.test" in text


@pytest.mark.parametrize(
    "answer",
    [
        failing(Rejected("Zebedee is protected")),
        lambda _: Erased("anonymised", "was ZEBEDEE"),
        failing(KeyError("Zebedee")),
    ],
    ids=["refused", "note", "bug"],
)
def test_an_erasure_does_not_name_the_person(house, answer):
    house.emit(customer("1", email="z@shop.test", first_name="Zebedee"))
    house.drain()
    house.sink.erase = answer
    (erased,) = forget(house.app, "z@shop.test").erased
    told = f"{erased.error} {erased.note}".lower()
    assert "zebedee" not in told
    assert "[name]" in told


def test_notes_and_what_is_left_out_name_the_field(house):
    house.sink.then(Delivered(remote_id="r1", note="found Zebedee", left_out={"name": f"Zebedee is no name to {KEY}"}))
    house.emit(customer("1", email="z@shop.test", first_name="Zebedee"))
    house.drain()
    link = house.app.store.link("people", "shop", "customer", "1")
    kept = f"{dict(link.left_out)} {house.history()}"
    assert "ebedee is" not in kept
    assert "found Zebedee" not in kept
    assert KEY not in kept


def test_a_poll_that_fails_or_cannot_read_is_without_secrets_too():
    def pages(*_):
        yield Page(changes=[], unreadable=(Unreadable(where="page 1", reason=f"{KEY} of a@b.test", entity="customer"),))
        raise Transient(f"no page for {KEY}")

    source = Discreet(type("S", (), {"poll": pages})(), lambda: [KEY])
    polling = source.poll("customer", None, {})
    assert next(polling).unreadable[0].reason == "[secret] of [email]"
    with pytest.raises(Transient) as told:
        next(polling)
    assert KEY not in told.value.message


def test_both_accounts_are_named_in_full():
    error = AnotherAccount("this is b@theirs.test, not a@ours.test")
    with pytest.raises(AnotherAccount) as told:
        Discreet(type("S", (), {"deliver": failing(error)})(), tuple).deliver([])
    assert told.value.message == "this is b@theirs.test, not a@ours.test"


def test_the_names_in_a_bundle_of_tokens_are_no_secrets():
    assert {*_parts('{"access_token": "ya29.secret-of-ours", "expires_in": 3599}')} == {
        '{"access_token": "ya29.secret-of-ours", "expires_in": 3599}', "ya29.secret-of-ours"
    }  # fmt: skip
    key = json.dumps({"client_email": "a@b.test", "private_key": "-----BEGIN\nMIIEvQIBADANBg\nkqhkiG9w0BAQ==\n"})
    assert {"MIIEvQIBADANBg", "kqhkiG9w0BAQ=="} <= {*_parts(key)}
    assert {*_parts("{no bundle")} == {"{no bundle"}
