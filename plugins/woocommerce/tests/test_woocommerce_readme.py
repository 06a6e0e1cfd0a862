"""What the README says of the settings is so."""

import re
from pathlib import Path

import attrs

from synccore._mapping import compile_mapper
from synccore._plugins import load_plugins
from synccore.types import MapContext, RouteSpec, Snapshot
from synccore_woocommerce import mapping
from synccore_woocommerce.config import Config
from synccore_woocommerce.stages import FILTERS

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


EXPRESSIONS = {
    row[1].strip(): row[2].strip().strip("`").replace("\\|", "|")
    for row in re.findall(r"^\| ([^|]+) \| ([^|]+) \| (`(?:customer|\[|\().*`) \|$", README, re.MULTILINE)
}


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
    names = ("billing_second_phone", "billing_custom", "billing_wooccm11", "loyalty_number", "vat_number")
    meta = [{"key": name, "value": "11 91234-5678"} for name in names]
    meta += [{"key": "billing_yomigana_last_name", "value": "ヤマダ"}]
    meta += [{"key": "billing_yomigana_first_name", "value": "タロウ"}]
    record = {"id": 4, "email": "ada@shop.test", "billing": billing, "meta_data": meta}
    ada = mapping.customer(record, shop_url="https://shop.test")
    found = dict(zip(EXPRESSIONS, mapped("customer", ada, list(EXPRESSIONS.values())), strict=True))
    assert found["street with house number"] == "Rua das Flores, 42"
    assert found["district"] == "Jardim"
    assert found["mobile phone"] == "+5511912345678"
    assert found["name in kana"] == "ヤマダ タロウ"
    assert found["house number of its own"] == "Rua das Flores 7 a"
    assert all(found.values())


def test_the_expression_for_woocommerces_own_fields_reads_them_from_the_order(shop, client):
    [expression] = re.findall(r"^\| WooCommerce's own.*\| `(order.*)` \|$", README, re.MULTILINE)
    shop.place_order(customer_id=0, meta_data=[{"key": "_wc_other/namespace/field", "value": "1"}])
    [order] = [c.data for c in client.all("order") if c.entity == "order"]
    assert mapped("order", order, [expression.replace("\\|", "|")]) == ["1"]
