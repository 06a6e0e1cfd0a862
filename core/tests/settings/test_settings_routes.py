"""Routes: references, the sink's defaults, fields, options of the object, and expressions checked at load."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from synccore._mapping.environment import make_environment
from synccore._mapping.filters import FILTERS
from synccore._mapping.jinja import JinjaMapper
from synccore._settings.fields import default_fields, merge, read_field
from synccore._settings.structure import Structurer
from synccore.entities import Customer
from synccore.errors import ConfigError
from synccore.types import Defaults, FieldOptions, MapContext, ObjectType, Snapshot


def people(files, text):
    return files.load(text).routes["people"]


# -- defaults


def test_a_route_takes_the_sinks_defaults(files, route):
    spec = people(files, route)
    assert spec.fields == {
        "Email": "customer.email",
        "Phone": "customer.phone | e164(customer.billing.country)",
        "Orders": "orders | length",
    }
    assert spec.options == {"Phone": FieldOptions(keep_existing=True)}
    assert (spec.match, spec.include, spec.compare) == (("Email",), (), ("Email",))
    assert (spec.when, spec.delay, spec.mapper) == ("customer.email", timedelta(minutes=1), "jinja")
    assert spec.settings == {"on_delete": "keep", "grace": timedelta(0)}


def test_the_sink_includes_what_the_source_lists(files, route):
    listed = route.replace("[sinks.", 'entities = ["customer", "order"]\n[sinks.', 1)
    assert people(files, listed).include == ("order",)


def test_defaults_follow_include(files, route):
    spec = people(files, route + "include = []")
    assert spec.fields["Orders"] == "orders | length"
    assert spec.defaulted == spec.fields.keys()
    record = Snapshot(source="shop", entity="customer", key="1", data=Customer(key="1", email="a@b.c"))
    mapped = JinjaMapper(spec, make_environment(FILTERS)).map(record, MapContext(route=spec))
    assert mapped["Email"] == "a@b.c"
    assert not mapped["Orders"]


def test_an_own_field_that_needs_what_is_not_included_is_a_mistake(files, route):
    with pytest.raises(ConfigError, match=r'write include = \["order"\]'):
        people(files, route + 'include = []\n[routes.people.fields]\nCount = "orders | length"')


def test_a_route_says_otherwise(files, route):
    spec = people(
        files,
        route
        + """
        match = ["Phone", "Email"]
        include = []
        compare = []
        when = "customer.guest"
        delay = "5m"
        on_delete = "erase"
        grace = "1h"
        [routes.people.fields]
        Orders = 0
        Name = "customer.name"
        """,
    )
    assert list(spec.fields) == ["Email", "Phone", "Orders", "Name"]
    assert spec.fields["Orders"] == 0
    assert (spec.match, spec.include, spec.compare) == (("Phone", "Email"), (), ())
    assert (spec.when, spec.delay) == ("customer.guest", timedelta(minutes=5))
    assert spec.settings == {"on_delete": "erase", "grace": timedelta(hours=1)}


def test_an_empty_when_lifts_the_defaults_condition(files, route):
    assert people(files, route + 'when = ""').when is None


def test_defaults_false_begins_empty(files, route):
    spec = people(files, route + "defaults = false\n[routes.people.fields]\nA = 'key'")
    assert spec.fields == {"A": "key"}
    assert (spec.match, spec.include, spec.when, spec.delay) == ((), (), None, timedelta(0))
    assert files.problems(route + "defaults = false") == [
        "routes.people.fields: defaults = false leaves nothing to send: write the fields"
    ]


def test_an_empty_text_drops_a_default_field(files, route):
    spec = people(files, route + "[routes.people.fields]\nPhone = ''")
    assert list(spec.fields) == ["Email", "Orders"]
    assert "Phone" not in spec.options


def test_false_is_a_value_and_drops_nothing(files, route):
    assert people(files, route + "[routes.people.fields]\nPhone = false").fields["Phone"] is False


def test_an_empty_value_with_clear_empties_the_field_at_the_target(files, route):
    spec = people(files, route + "[routes.people.fields]\nPhone = { value = '', clear = true }")
    assert spec.fields["Phone"] == ""
    assert spec.options["Phone"] == FieldOptions(clear=True)


def test_options_alone_join_those_of_the_default_field(files, route):
    spec = people(files, route + "[routes.people.fields]\nPhone = { truncate = true }")
    assert spec.fields["Phone"] == "customer.phone | e164(customer.billing.country)"
    assert spec.options["Phone"] == FieldOptions(truncate=True, keep_existing=True)


def test_a_new_value_takes_no_options_over(files, route):
    assert "Phone" not in people(files, route + "[routes.people.fields]\nPhone = 'customer.phone'").options


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("1.5", 1.5),
        ("true", True),
        ("['a', 'customer.key']", ["a", "customer.key"]),
        ("{ street = 'x' }", {"street": "x"}),
        ("{ value = { value = 1 } }", {"value": 1}),
        ("2024-05-31", date(2024, 5, 31)),
        ("2024-05-31T10:00:00Z", datetime(2024, 5, 31, 10, tzinfo=UTC)),
    ],
)
def test_values_that_are_no_text_are_constants(files, route, written, value):
    found = people(files, route + f"[routes.people.fields]\nF = {written}").fields["F"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{ value = 'key', trunkate = true }", "fields.F.trunkate: unknown key; did you mean truncate?"),
        ("{ value = 'key', truncate = 1 }", "fields.F.truncate: is true or false, not 1"),
        ("{ truncate = true }", "fields.F: has options and no value"),
        ("{ value = 1, city = 'x' }", "value itself is written { value = { ... } }"),
        ("2024-05-31T10:00:00", "fields.F: is a time without time zone"),
        ("10:00:00", "fields.F: is a time of day"),
        ("nan", "fields.F: is no finite number"),
        ("'customer.frist_name'", "fields.F: customer has no 'frist_name'; did you mean first_name?"),
        ("'customer.name | uper'", "fields.F: no filter named 'uper'"),
        ("'Web shop'", "fields.F: is no expression"),
        ("'{{ customer.email'", "fields.F: is no template"),
        ("'memberships | length'", "fields.F: 'memberships' is not visible here; write include = [\"membership\"]"),
    ],
)
def test_a_wrong_field_is_named_with_its_path(files, route, written, expected):
    (problem,) = files.problems(route + f"[routes.people.fields]\nF = {written}")
    assert problem.startswith("routes.people.fields.F")
    assert expected in problem


# -- keys and references


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'source = "shop"',
            'source = "shpo"',
            "routes.people.source: no source is called 'shpo' (there are: shop); did you mean shop?",
        ),
        (
            'sink = "crm"',
            'sink = "cmr"',
            "routes.people.sink: no sink is called 'cmr' (there are: crm); did you mean crm?",
        ),
        ('entity = "customer"', 'entity = "custmer"', "did you mean customer?"),
        ('entity = "customer"', 'entity = "payment"', "routes.people.entity: acme_shop reports no payment"),
        (
            'entity = "customer"',
            'entity = "membership"',
            "routes.people.fields: Contact has no default mapping for membership (it has for: customer)",
        ),
        ('entity = "customer"', "", "routes.people.entity: is required"),
        ('source = "shop"', "source = 5", "routes.people.source: is text, not 5"),
        ('object = "Contact"', "", "routes.people.object: is required: Contact, ..."),
        ('object = "Contact"', 'object = "*"', "acme_crm has no object '*'"),
    ],
)
def test_a_wrong_reference_is_named_with_its_path(files, route, old, new, expected):
    (problem,) = files.problems(route.replace(old, new))
    assert expected in problem


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('includ = ["order"]', "routes.people.includ: unknown key; did you mean include?"),
        ('on_delte = "keep"', "routes.people.on_delte: unknown key; did you mean on_delete?"),
        ('on_delete = "drop"', 'routes.people.on_delete: is "drop"; accepted: keep, erase'),
        ("deep = true", "routes.people.deep: unknown key"),
        ('include = ["orders"]', "routes.people.include: 'orders' is no entity"),
        ('include = ["order", "subscription"]', "routes.people.include: acme_shop reports no subscription"),
        ('mapper = "jinj"', "routes.people.mapper: no mapper 'jinj' (installed: jinja); did you mean jinja?"),
        ('compare = ["Emial"]', "routes.people.compare: no field is called 'Emial'; did you mean Email?"),
        ('when = "customer.emial"', "routes.people.when: customer has no 'emial'"),
        ('when = "{{ key }}"', "routes.people.when: is an expression"),
        ('after = "peple"', "routes.people.after: no route is called 'peple'; did you mean people?"),
        ('after = "people"', "routes.people.after: the routes wait for each other: people -> people"),
        ("delay = 5", "routes.people.delay: is a duration, not 5"),
        ("fields = 5", "routes.people.fields: is a table, not 5"),
    ],
)
def test_a_wrong_key_is_named_with_its_path(files, route, line, expected):
    (problem,) = files.problems(route + line)
    assert expected in problem


def test_an_object_may_be_left_out_where_the_sink_has_one(files, base):
    text = base + '[sinks.list]\ntype = "acme_list"\n[routes.r]\nsource = "shop"\nentity = "customer"\nsink = "list"'
    assert files.load(text).routes["r"].object == "entry"


def test_another_object_of_an_open_sink_needs_fields_and_has_the_open_options(files, route):
    text = route.replace("Contact", "Invoice__c")
    (problem,) = files.problems(text)
    assert problem.startswith("routes.people.fields: Invoice__c has no default mapping for customer")
    spec = people(files, text + "deep = true\n[routes.people.fields]\nA = 'key'")
    assert (spec.object, spec.settings) == ("Invoice__c", {"deep": True})


def test_an_unknown_object_of_a_closed_sink_is_named(files, base):
    text = base + '[sinks.list]\ntype = "acme_list"\n[routes.r]\nsource = "shop"\nentity = "customer"\nsink = "list"\n'
    assert files.problems(text + 'object = "entri"') == [
        "routes.r.object: acme_list has no object 'entri' (it has: entry); did you mean entry?"
    ]


def test_a_match_that_is_no_field_is_a_warning(files, route):
    (warning,) = files.load(route + 'match = ["Emial"]').warnings
    assert warning.path == "routes.people.match"
    assert "did you mean Email?" in warning.message


def test_mistakes_of_an_instance_are_not_repeated_by_its_routes(files, route):
    assert files.problems(route.replace('"acme_crm"', '"acme_cmr"')) == [
        "sinks.crm.type: no sink type 'acme_cmr' is installed (installed: acme_crm, acme_list); did you mean acme_crm?"
    ]


def test_options_of_an_object_that_is_not_known_are_no_further_mistakes(files, route):
    (problem,) = files.problems(route.replace('"acme_crm"', '"acme_cmr"') + 'on_delete = "erase"')
    assert problem.startswith("sinks.crm.type")


# -- after


def more(name, **keys):
    table = {"source": "shop", "entity": "customer", "sink": "crm", "object": "Contact", **keys}
    return f"\n[routes.{name}]\n" + "".join(f'{k} = "{v}"\n' for k, v in table.items())


ORDERS = more("orders", entity="order", object="Order", after="people") + '[routes.orders.fields]\nA = "order.number"\n'


def test_an_order_waits_for_its_owner(files, route):
    assert files.load(route + ORDERS).routes["orders"].after == "people"


def test_nothing_waits_for_a_route_of_records_that_own_nothing(files, route):
    text = route + 'after = "orders"\n' + ORDERS.replace('after = "people"\n', "")
    assert files.problems(text) == ["routes.people.after: route orders maps order, which owns no customer"]


def test_nothing_waits_for_another_source(files, route):
    second = '\n[sources.second]\ntype = "acme_shop"\nurl = "https://second.test"\nconsumer_key = { env = "KEY" }\n'
    text = route + second + more("b", after="people").replace('source = "shop"', 'source = "second"')
    assert files.problems(text) == ["routes.b.after: route people has another source (shop)"]


def test_a_circle_is_named_on_each_route_of_it_and_no_other(files, route):
    text = route + 'after = "c"\n' + more("b", after="people") + more("c", after="b") + more("d", after="c")
    assert files.problems(text) == [
        "routes.people.after: the routes wait for each other: people -> c -> b -> people",
        "routes.b.after: the routes wait for each other: b -> people -> c -> b",
        "routes.c.after: the routes wait for each other: c -> b -> people -> c",
    ]


# -- what an instance says of itself


def test_an_instance_may_have_objects_of_its_own(files, route):
    asked = []

    def objects_of(sink):
        asked.append(sink.name)
        return [ObjectType(name="Contact", summary="", options={"extra": (int, 1, "more")})]

    text = route + "extra = 5\n[routes.people.fields]\nA = 'key'\n" + more("b") + "[routes.b.fields]\nA = 'key'"
    settings = files.load(text, objects_of=objects_of)
    assert settings.routes["people"].settings == {"extra": 5}
    assert settings.routes["b"].settings == {"extra": 1}
    assert asked == ["crm"]


def test_an_instance_that_cannot_open_is_not_the_routes_mistake(files, route):
    def objects_of(sink):
        raise ConfigError("no key file")

    assert people(files, route).fields == files.load(route, objects_of=objects_of).routes["people"].fields


def test_a_mapper_of_a_plugin_says_what_it_cannot_do(files, route, point):
    from synccore.hookspecs import MapperType

    def refuse(spec, filters):
        raise ConfigError("only upper case here", path="routes.people.fields.Email")

    def crash(spec, filters):
        raise KeyError("secret")

    files.points.append(
        point(
            "maps",
            synccore_mappers=[
                MapperType(name="strict", summary="", open=refuse),
                MapperType(name="broken", summary="", open=crash),
            ],
        )
    )
    assert files.problems(route + 'mapper = "strict"') == ["routes.people.fields.Email: only upper case here"]
    assert files.problems(route + 'mapper = "broken"') == ["routes.people: mapper broken failed: KeyError"]


def test_on_leave_is_what_the_sink_can_do(files, route):
    of_list = route.replace('"crm"', '"news"').replace('object = "Contact"\n', "")
    of_list += 'on_leave = "unlabel"\n[sinks.news]\ntype = "acme_list"\n'
    assert people(files, of_list).on_leave == "unlabel"
    assert files.problems(of_list.replace("unlabel", "delete")) == [
        "routes.people.on_leave: acme_list cannot delete entry (it can: keep, unlabel)"
    ]
    assert files.problems(route + 'on_leave = "forget"') == [
        "routes.people.on_leave: 'forget' is none of keep, unlabel, clear, delete"
    ]
    assert people(files, route).on_leave == "keep"


def test_a_former_name_belongs_to_one_route(files, route):
    assert people(files, route + "formerly = ['persons', 'folk']").formerly == ("persons", "folk")
    second = "formerly = ['persons']\n" + route.partition("[routes.people]")[2]
    assert files.problems(route + "formerly = ['persons', 'men']\n[routes.men]\n" + second) == [
        "routes.people.formerly: there is a route men in this file: its deliveries are its own",
        "routes.men.formerly: persons is claimed by route people too",
    ]


def test_a_delay_of_a_field_is_a_duration(files, route):
    fields = "[routes.people.fields]\nPhone = { delay = '5m' }\nFax = { value = 'key', clear = false, delay = '1h' }"
    spec = people(files, route + fields)
    assert spec.options["Phone"] == FieldOptions(keep_existing=True, delay=timedelta(minutes=5))
    assert spec.options["Fax"] == FieldOptions(clear=False, delay=timedelta(hours=1))
    (problem,) = files.problems(route + "[routes.people.fields]\nPhone = { delay = 'soon' }")
    assert problem.startswith("routes.people.fields.Phone.delay: ")


def test_a_route_overrides_the_options_a_sink_gives_its_fields_one_by_one():
    def reader():
        return Structurer(Path(), None)

    options = {"Plan": FieldOptions(delay=timedelta(minutes=5), truncate=True)}
    defaults = default_fields(reader(), Defaults(fields={"Plan": "key", "Name": "key"}, options=options))

    def merged(written):
        read = reader()
        own = {"Plan": read_field(read, "Plan", written)}
        return merge(read, defaults, own)["Plan"].options

    assert defaults["Plan"].options == options["Plan"]
    assert merged({"truncate": False}) == FieldOptions(delay=timedelta(minutes=5))
    assert merged({"delay": "0s"}) == FieldOptions(truncate=True)
    assert merged("id") == FieldOptions(delay=timedelta(minutes=5))


def test_a_mistake_of_a_route_hides_none_of_its_fields(files, route):
    wrong = 'typo = 1\ndelay = 5\ninclude = 7\nafter = "nobody"\n[routes.people.fields]\nEmail = "customer.nosuch"'
    assert [problem.partition(":")[0] for problem in files.problems(route + wrong)] == [
        "routes.people.typo",
        "routes.people.delay",
        "routes.people.include",
        "routes.people.after",
        "routes.people.fields.Email",
    ]
