"""How shop records become Salesforce objects unless a route says otherwise, and what a route may set.

Fields that an org lacks (custom ones, state and country codes) are left out of the defaults; `check` lists them.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from synccore.types import Defaults, ObjectType, RouteSpec
from synccore.values import money

__all__ = [
    "HELPERS",
    "ITEMS",
    "KEY_FIELD",
    "LAST_NAME_FALLBACK",
    "NAME_FALLBACK",
    "OBJECTS",
    "default_fields",
    "is_default_match",
    "items",
]

#: The external id field the README has an admin make on each object.
KEY_FIELD = "WooId__c"
#: Not fields of Salesforce: what the sink itself understands beside an object's own fields.
ITEMS = "items"
LAST_NAME_FALLBACK = "LastNameFallback"
NAME_FALLBACK = "NameFallback"
#: Help for other fields, never a field of its own.
HELPERS = frozenset({LAST_NAME_FALLBACK, NAME_FALLBACK})

_COMMON: Mapping[str, tuple[type, Any, str]] = {
    "on_delete": (str, "keep", "when the shop deletes the record: keep it, delete it (Recycle Bin), or flag it"),
    "deleted_field": (str, "", 'the checkbox that on_delete = "flag" ticks'),
    "recreate": (bool, False, "make a new record where someone deleted the old one in Salesforce"),
    "existing": (
        str,
        "keep",
        "values of a record that was found in the org, or that several customers share: keep them, or overwrite them",
    ),
    "parent_field": (str, "", "the lookup field that points at the record of the route named by after"),
    "invalid_email": (
        str,
        "hold",
        "an address Salesforce refuses: hold the record, or drop the address and save the rest",
    ),
}
_LEAVES = ("keep", "clear", "delete")
_PERSON: Mapping[str, tuple[type, Any, str]] = {
    **_COMMON,
    "clear_opt_out": (bool, False, "an opt-in in the shop may clear an e-mail opt-out in Salesforce"),
}
_ACCOUNT: Mapping[str, tuple[type, Any, str]] = {
    **_PERSON,
    "record_type": (str, "", "person accounts: which record type, by developer name or id, where there are several"),
}
_ORDER: Mapping[str, tuple[type, Any, str]] = {
    **_COMMON,
    "activate": (
        bool,
        False,
        "activate orders whose Status is mapped to Activated; without it every order stays a draft",
    ),
    "make_accounts": (bool, True, "give a contact without account one of its own, as orders need one"),
    "price_book": (str, "", "id or name of the price book; the standard one where empty"),
    "create_products": (bool, False, "make products and price book entries that are missing"),
}


def _address(prefix: str, path: str) -> dict[str, Any]:
    return {
        f"{prefix}Street": f"[{path}.line1, {path}.line2] | select | join('\\n')",
        f"{prefix}City": f"{path}.city",
        f"{prefix}PostalCode": f"{path}.postcode",
        # Orgs with state and country picklists take the codes, others the names; the sink sends the one that fits.
        f"{prefix}State": f"{path}.state",
        f"{prefix}StateCode": f"{path}.state",
        f"{prefix}Country": f"({path}.country | country_name) if {path}.country else none",
        f"{prefix}CountryCode": f"{path}.country",
    }


_OPT_OUT = "none if customer.accepts_marketing is none else not customer.accepts_marketing"
_SINCE = "(customer.created_at | date) if customer.created_at else none"
#: Never a mix of two places' names.
_BILLED = "(customer.billing.first_name or customer.billing.last_name)"
_NAMES = {
    "FirstName": f"customer.billing.first_name if {_BILLED} else customer.person.first",
    "LastName": f"customer.billing.last_name if {_BILLED} else customer.person.last",
    LAST_NAME_FALLBACK: "customer.company or customer.billing.company "
    "or ((customer.email or 'Customer@') | split('@') | first)",
}
_PHONE = "customer.phone or customer.billing.phone"


def _person(prefix: str = "", custom: str = "c") -> Defaults:
    """A contact, or with "Person" before its names an account that is one; `custom` ends names of own fields there."""
    return Defaults(
        fields={
            KEY_FIELD: "uid",
            **_NAMES,
            f"{prefix}Email": "customer.email",
            "Phone": _PHONE,
            **_address(f"{prefix}Mailing", "customer.billing"),
            **_address(f"{prefix}Other", "customer.shipping"),
            f"{prefix}HasOptedOutOfEmail": _OPT_OUT,
            f"Customer_Since__{custom}": _SINCE,
        },
        match=(KEY_FIELD, f"{prefix}Email"),
    )


_COMPANY = Defaults(
    fields={
        KEY_FIELD: "uid",
        "Name": "customer.company or customer.billing.company",
        NAME_FALLBACK: "customer.name or customer.email or 'Customer'",
        "Phone": _PHONE,
        **_address("Billing", "customer.billing"),
        **_address("Shipping", "customer.shipping"),
        "Customer_Since__c": _SINCE,
    },
    match=(KEY_FIELD,),
)
_LEAD = Defaults(
    fields={
        KEY_FIELD: "uid",
        **_NAMES,
        "Company": "customer.company or customer.billing.company or customer.name or '[not provided]'",
        "Email": "customer.email",
        "Phone": _PHONE,
        **_address("", "customer.billing"),
        "HasOptedOutOfEmail": _OPT_OUT,
        "Customer_Since__c": _SINCE,
    },
    match=(KEY_FIELD, "Email"),
)
_ORDER_FIELDS = Defaults(
    fields={
        KEY_FIELD: "uid",
        "EffectiveDate": "(order.created_at or order.paid_at) | date",
        "Status": "'Activated' if order.status == 'completed' else 'Draft'",
        "Name": "order.number",
        "OrderReferenceNumber": "uid",
        "CurrencyIsoCode": "order.currency",
        "Description": "order.customer_note",
        **_address("Billing", "order.billing"),
        **_address("Shipping", "order.shipping"),
        # Items and their amounts stay what was bought: a reduction is a record of its own in Salesforce.
        "Refunded__c": "order.refunded",
        ITEMS: "order.lines | salesforce_items",
    },
    match=(KEY_FIELD, "OrderReferenceNumber"),
)
_OPPORTUNITY = Defaults(
    fields={
        KEY_FIELD: "uid",
        "Name": "Order {{ order.number }}",
        "StageName": "'Closed Won' if order.status in ('processing', 'completed') "
        "else 'Closed Lost' if order.status in ('cancelled', 'failed', 'refunded') else 'Prospecting'",
        "CloseDate": "(order.paid_at or order.created_at) | date",
        # What was paid and stayed paid: a refund lowers it.
        "Amount": "order.total - order.refunded",
        "CurrencyIsoCode": "order.currency",
        "Description": "order.customer_note",
    },
    match=(KEY_FIELD,),
)

OBJECTS = tuple(
    ObjectType(name=name, summary=summary, defaults=defaults, options=options, leaves=_LEAVES, helpers=HELPERS)
    for name, summary, defaults, options in (
        ("Contact", "a person", {"customer": _person()}, _PERSON),
        ("Account", "a company", {"customer": _COMPANY}, _ACCOUNT),
        (
            "PersonAccount",
            "a person in an org with person accounts (written as Account)",
            {"customer": _person("Person", custom="pc")},
            _ACCOUNT,
        ),
        ("Lead", "a prospect", {"customer": _LEAD}, _PERSON),
        ("Order", "an order with its items", {"order": _ORDER_FIELDS}, _ORDER),
        ("Opportunity", "a deal", {"order": _OPPORTUNITY}, _COMMON),
        ("*", "any other object by its API name", {}, _PERSON),
    )
)


def _defaults_of(route: RouteSpec) -> Defaults | None:
    return next((o.defaults.get(route.entity) for o in OBJECTS if o.name == route.object), None)


def default_fields(route: RouteSpec) -> frozenset[str]:
    """Names of the route's fields that come from the defaults, unchanged."""
    defaults = _defaults_of(route)
    if defaults is None:
        return frozenset()
    return frozenset(n for n, v in route.fields.items() if n in defaults.fields and defaults.fields[n] == v)


def is_default_match(route: RouteSpec) -> bool:
    """True where the route says nothing else about matching."""
    defaults = _defaults_of(route)
    return defaults is not None and tuple(route.match) == tuple(defaults.match)


def items(lines: Sequence[Any]) -> list[dict[str, str]]:
    """Filter `salesforce_items`: an order's lines as `[{"sku", "name", "quantity", "price"}]`, numbers as text.

    `price` is one unit after discounts, without tax.
    """
    found = []
    for line in lines:
        price = line.price
        if price is None:
            price = (line.total or Decimal(0)) / (line.quantity or Decimal(1))
        found.append(
            {
                "sku": line.sku or "",
                "name": line.name,
                "quantity": str(line.quantity),
                "price": money(price) or "",
            }
        )
    return found
