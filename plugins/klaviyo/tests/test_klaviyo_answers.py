"""Answers that are JSON and not Klaviyo's: tried again, in words that hold nothing of anybody."""

import pytest

from synccore.errors import SynccoreError, Transient
from synccore.testing import Fault, replaced
from synccore.types import Delivered, Failed, Job, Link, Submitted

PERSON = ("data", 0)
ATTRIBUTES = (*PERSON, "attributes")


def known(klaviyo, sink, operation):
    """Somebody who is there, as their link says."""
    (made,) = sink.deliver([operation(fields={"email": "anna@shop.test", "properties": {"n": 1}})])
    return Link(object="profile", remote_id=made.remote_id, fields=made.fields)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("data",), None, "data is null, not a list"),
        (("data",), {}, "data is an object, not a list"),
        (PERSON, "anna@shop.test", "data[0] is a text, not an object"),
        ((*PERSON, "id"), None, "data[0].id is null, not a text"),
        ((*PERSON, "id"), ["p1"], "data[0].id is a list, not a text"),
        (ATTRIBUTES, None, "data[0].attributes is null, not an object"),
        ((*ATTRIBUTES, "email"), ["anna@shop.test"], "data[0].attributes.email is a list, not a text"),
        ((*ATTRIBUTES, "email"), 7, "data[0].attributes.email is a whole number, not a text"),
        ((*ATTRIBUTES, "created"), "lately", "data[0].attributes.created is not a time with its zone"),
        ((*ATTRIBUTES, "properties"), [], "data[0].attributes.properties is a list, not an object"),
        ((*ATTRIBUTES, "location"), "Bonn", "data[0].attributes.location is a text, not an object"),
        ((*ATTRIBUTES, "subscriptions"), [], "data[0].attributes.subscriptions is a list, not an object"),
        (("links",), "next", "links is a text, not an object"),
        (("links",), {"next": "http://["}, "links.next is not an address"),
    ],
)
def test_profiles_of_another_shape_are_not_read(sink, klaviyo, operation, path, value, said):
    link = known(klaviyo, sink, operation)
    klaviyo.fail_next(Fault.altered(replaced(path, value), when=lambda r: r.method == "GET"))
    with pytest.raises(Transient) as caught:
        sink.read([link])
    assert f"another answer than asked for: {said}" in caught.value.message
    assert "anna" not in str(caught.value)
    assert sink.read([link]) == [link.fields]


@pytest.mark.parametrize("name", ["email", "created", "properties", "location", "external_id", "phone_number"])
def test_null_is_what_klaviyo_does_not_know(sink, klaviyo, operation, name):
    link = known(klaviyo, sink, operation)
    klaviyo.fail_next(Fault.altered(replaced((*ATTRIBUTES, name), None)))
    (there,) = sink.read([link])
    assert not there.get(name)


@pytest.mark.parametrize(
    ("path", "value"),
    [(("data",), None), (("data",), [7]), (("data", "id"), None), (("data", "attributes"), []),
     (("data", "attributes", "created"), 7), ((), []), ((), 7)],
)  # fmt: skip
def test_a_write_with_an_unreadable_answer_may_be_carried_out(sink, klaviyo, operation, path, value):
    klaviyo.fail_next(Fault.altered(replaced(path, value), when=lambda r: r.method == "POST"))
    (failed,) = sink.deliver([operation(fields={"email": "anna@shop.test"})])
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, Transient)
    assert failed.error.maybe_applied
    assert klaviyo.person("anna@shop.test")


# -- jobs


def job_of(open_sink, operation, clock):
    sink = open_sink(bulk_threshold=2)
    operations = [
        operation(key=str(n), fields={"email": f"m{n}@shop.test"}, bulk=True, previous=None) for n in range(4)
    ]
    return sink, operations


@pytest.mark.parametrize(("path", "value"), [(("data",), None), (("data",), []), (("data", "id"), 7), ((), "taken")])
def test_a_job_whose_answer_cannot_be_read_is_found_again(open_sink, klaviyo, operation, clock, path, value):
    sink, operations = job_of(open_sink, operation, clock)
    klaviyo.fail_next(Fault.altered(replaced(path, value), when=lambda r: r.method == "POST"))
    failed = sink.deliver(operations)
    assert all(isinstance(one, Failed) and one.error.maybe_applied for one in failed)
    assert all(isinstance(one, Submitted) for one in sink.deliver(operations))
    assert klaviyo.count("POST", "/api/profile-bulk-import-jobs") == 1


def told(sink, job):
    """What becomes of a job in the end."""
    return next(outcomes for _ in range(100) if (outcomes := sink.collect(job)) is not None)


JOB = ("data", "attributes")


@pytest.mark.parametrize(
    ("where", "path", "value"),
    [
        *(("status", path, value) for path, value in (
            (("data",), None), (("data",), []), (JOB, 7), ((*JOB, "status"), None), ((*JOB, "failed_count"), "1"),
        )),
        *(("errors", ("data", *path), value) for path, value in (
            ((), None), ((0,), 7), ((0, "attributes"), None), ((0, "attributes", "code"), 7),
            ((0, "attributes", "source"), "m0"), ((0, "attributes", "source"), {"pointer": 7}),
            ((0, "attributes", "original_payload"), "m0@shop.test"),
        )),
    ],
)  # fmt: skip
def test_a_job_that_cannot_be_read_is_asked_for_again(open_sink, klaviyo, operation, clock, where, path, value):
    klaviyo.refuse = {"m0@shop.test": ("invalid", "is not liked")}
    sink, operations = job_of(open_sink, operation, clock)
    (submitted, *_) = sink.deliver(operations)
    job = Job(id=submitted.job, operations=tuple(operations), submitted_at=clock.now())
    ends = "/import-errors" if where == "errors" else submitted.job
    klaviyo.fail_next(Fault.altered(replaced(path, value), when=lambda r: r.path.endswith(ends)))
    with pytest.raises(Transient) as caught:
        told(sink, job)
    assert "m0" not in str(caught.value)
    assert [isinstance(one, Delivered) for one in told(sink, job)] == [False, True, True, True]


# -- who is asked, and what is refused


@pytest.mark.parametrize(
    "path",
    [("data",), ("data", 0), ("data", 0, "id"), ("data", 0, "attributes"), ("data", 0, "attributes", "timezone"),
     ("data", 0, "attributes", "contact_information")],
)  # fmt: skip
@pytest.mark.parametrize("value", [7, "", {"a": 1}, [[]]])
def test_an_account_of_another_shape_is_none(sink, klaviyo, path, value):
    klaviyo.fail_next(Fault.altered(replaced(path, value)))
    try:
        assert sink.account().id
    except SynccoreError as error:
        assert isinstance(error, Transient)  # noqa: PT017  what is no fault in that place is read


@pytest.mark.parametrize(
    "errors",
    [None, 7, "no", {}, [7], [None], [{"source": "email"}], [{"source": {"pointer": ["email"]}}], [{"meta": []}],
     [{"code": [], "detail": {}}]],
)  # fmt: skip
def test_a_refusal_of_another_shape_is_the_records(sink, klaviyo, operation, errors):
    klaviyo.fail_next(Fault.status(400, {"errors": errors}, when=lambda r: r.method == "POST"))
    (failed,) = sink.deliver([operation(fields={"email": "anna@shop.test"})])
    assert isinstance(failed.error, SynccoreError)


def test_a_metric_without_a_name_keeps_nobody_from_a_check(sink, klaviyo):
    """Klaviyo's OpenAPI document: `name` of a metric is nullable, and not required."""
    klaviyo.install_woocommerce()
    nameless = Fault.altered(replaced(("data", 0, "attributes", "name"), None), when=lambda r: r.path == "/api/metrics")
    klaviyo.fail_next(nameless, nameless)
    assert any("WooCommerce" in finding.message for finding in sink.check().findings)
