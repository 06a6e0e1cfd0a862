"""What the README says of the settings is so."""

import re
from pathlib import Path

import attrs

from synccore._mapping import compile_mapper
from synccore._plugins import load_plugins
from synccore.types import MapContext, RouteSpec, Snapshot
from synccore_woocommerce import mapping
from synccore_woocommerce.config import Config
from synccore_woocommerce.listing.stages import FILTERS

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_documented():
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", README, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {f.name for f in attrs.fields(Config)} <= documented


def test_every_setting_has_help():
    assert all(f.metadata.get("help") for f in attrs.fields(Config))


def test_every_filter_is_documented():
    table = README.split("| entity | filters |")[1].split("##")[0]
    for names in FILTERS.values():
        assert all(f"`{name}`" in table for name in names)


def test_the_example_runs():
    exec(re.search(r"```python\n(.*?)```", README, re.DOTALL)[1], {})  # noqa: S102  our own text


#: (plugin, field) -> expression, of the table of checkout fields.
EXPRESSIONS = {
    (plugin.strip(), field.strip()): expression.replace("\\|", "|")
    for plugin, field, expression in re.findall(r"^\| ([^|]+) \| ([^|]+) \| `(.*)` \|$", README, re.MULTILINE)
    if re.search(r"\b(customer|order)\.", expression)
}
OF_ORDERS = {place: e for place, e in EXPRESSIONS.items() if "order." in e}
OF_CUSTOMERS = {place: e for place, e in EXPRESSIONS.items() if place not in OF_ORDERS}


def mapped(entity, data, expressions):
    fields = {f"F{n}": expression for n, expression in enumerate(expressions)}
    spec = RouteSpec(name="r", source="shop", entity=entity, sink="crm", object="thing", fields=fields)
    mapper = compile_mapper(spec, load_plugins(environ={"SYNCCORE_PLUGINS": ""}))
    snapshot = Snapshot(source="shop", entity=entity, key="4", data=data)
    return list(mapper.map(snapshot, MapContext(route=spec)).values())


def test_the_expressions_for_checkout_fields_give_what_they_say():
    billing = {
        "address_1": "Rua das Flores",
        "number": "42",
        "neighborhood": "Jardim",
        "cellphone": "(11) 91234-5678",
        "cpf": "123",
        "title": "Dr.",
        "house_number": "7 a",
        "country": "BR",
        "phone": "",
    }
    names = ("billing_second_phone", "billing_custom", "billing_wooccm11", "loyalty_number")
    names += ("vat_number", "billing_vat_id")
    meta = [{"key": name, "value": "11 91234-5678"} for name in names]
    meta += [{"key": "billing_yomigana_last_name", "value": "ヤマダ"}]
    meta += [{"key": "billing_yomigana_first_name", "value": "タロウ"}]
    record = {"id": 4, "email": "ada@shop.test", "billing": billing, "meta_data": meta}
    ada = mapping.customer(record, shop_url="https://shop.test")
    found = dict(zip(OF_CUSTOMERS, mapped("customer", ada, list(OF_CUSTOMERS.values())), strict=True))
    values = {field: value for (_, field), value in found.items()}
    assert values["street with house number"] == "Rua das Flores, 42"
    assert values["district"] == "Jardim"
    assert values["mobile phone"] == "+5511912345678"
    assert values["name in kana"] == "ヤマダ タロウ"
    assert values["house number of its own"] == "Rua das Flores 7 a"
    assert len(found) == 13
    assert all(found.values())


def test_the_expressions_for_fields_kept_on_orders_read_them_there(shop, client):
    held = {"billing_second_phone": "1", "_billing_wooccm11": "2", "_billing_street_name": "Damrak"}
    held |= {"_billing_house_number": "7 a", "_wc_other/namespace/field": "1"}
    shop.place_order(customer_id=0, meta_data=[{"key": k, "value": v} for k, v in held.items()])
    [order] = [c.data for c in client.all("order") if c.entity == "order"]
    assert mapped("order", order, list(OF_ORDERS.values())) == list(held.values())
    (look,) = re.findall(r'^Description = "(order.*)" ', README, re.MULTILINE)
    assert set(held) <= set(mapped("order", order, [look])[0].split())
