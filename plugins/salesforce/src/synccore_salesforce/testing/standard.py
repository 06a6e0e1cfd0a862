"""The standard objects of a make-believe org, with the fields a shop's records go to."""

from typing import Any

__all__ = ["standard_objects"]

Fields = list[dict[str, Any]]
#: Name -> (key prefix, fields as keywords of FieldDef).
Objects = dict[str, tuple[str, Fields]]
_COUNTRIES = {
    "US": "United States",
    "CA": "Canada",
    "DE": "Germany",
    "GB": "United Kingdom",
    "FR": "France",
    "IE": "Ireland",
    "AU": "Australia",
}
#: (code, label, country): codes repeat, as Washington and Western Australia do.
_STATES = (
    ("NY", "New York", "US"),
    ("CA", "California", "US"),
    ("TX", "Texas", "US"),
    ("WA", "Washington", "US"),
    ("ON", "Ontario", "CA"),
    ("BC", "British Columbia", "CA"),
    ("WA", "Western Australia", "AU"),
)


def _text(name: str, length: int = 255, **options: Any) -> dict[str, Any]:
    return {"name": name, "length": length, **options}


def _of(kind: str, *names: str, **options: Any) -> Fields:
    return [{"name": n, "type": kind, **options} for n in names]


def _read_only(kind: str, *names: str) -> Fields:
    return _of(kind, *names, createable=False, updateable=False)


def _lookup(name: str, target: str, **options: Any) -> dict[str, Any]:
    relationship = name.removesuffix("Id")
    return {
        "name": name, "type": "reference", "length": 18, "refers_to": (target,), "relationship": relationship, **options
    }  # fmt: skip


def _address(prefix: str, picklists: bool) -> Fields:
    fields = [
        _text(f"{prefix}Street", 255, type="textarea"),
        _text(f"{prefix}City", 40),
        _text(f"{prefix}PostalCode", 20),
        _text(f"{prefix}State", 80),
        _text(f"{prefix}Country", 80),
        {"name": f"{prefix}Address", "type": "address", "createable": False, "updateable": False},
    ]
    if picklists:
        fields += [
            _text(
                f"{prefix}StateCode",
                10,
                type="picklist",
                restricted=True,
                picklist={code: label for code, label, _ in _STATES},
                dependent=_STATES,
                controller=f"{prefix}CountryCode",
            ),
            _text(f"{prefix}CountryCode", 10, type="picklist", restricted=True, picklist=dict(_COUNTRIES)),
        ]
    return fields


def _system(*more: str) -> Fields:
    return [
        *_read_only("id", "Id"),
        *_read_only("boolean", "IsDeleted"),
        *_read_only("datetime", "CreatedDate", "LastModifiedDate"),
        *_read_only("reference", "CreatedById", *more),
    ]


def _person(picklists: bool) -> Fields:
    """What an account has where it may be a person."""
    return [
        _text("FirstName", 40),
        _text("LastName", 80),
        _text("PersonEmail", 80, type="email", id_lookup=True),
        *_address("PersonMailing", picklists),
        *_address("PersonOther", picklists),
        *_of("boolean", "PersonHasOptedOutOfEmail"),
        *_read_only("boolean", "IsPersonAccount"),
        *_read_only("reference", "PersonContactId"),
        _lookup("RecordTypeId", "RecordType"),
    ]


def _customers(person_accounts: bool, picklists: bool) -> Objects:
    """Who buys."""
    return {
        "Account": (
            "001",
            [
                *_system("MasterRecordId"),
                _text("Name", 255, required=not person_accounts),
                _text("Phone", 40, type="phone"),
                _text("AccountNumber", 40),
                _text("Website", 255, type="url"),
                _text("Description", 32000, type="textarea"),
                *_address("Billing", picklists),
                *_address("Shipping", picklists),
                *(_person(picklists) if person_accounts else ()),
            ],
        ),
        "Contact": (
            "003",
            [
                *_system("MasterRecordId"),
                _lookup("AccountId", "Account"),
                _text("FirstName", 40),
                _text("LastName", 80, required=True),
                _text("Salutation", 40, type="picklist", picklist={"Mr.": "Mr.", "Ms.": "Ms."}),
                _text("Email", 80, type="email", id_lookup=True),
                _text("Phone", 40, type="phone"),
                _text("MobilePhone", 40, type="phone"),
                _text("LeadSource", 255, type="picklist", picklist={"Web": "Web", "Other": "Other"}),
                _text("Description", 32000, type="textarea"),
                *_of("boolean", "HasOptedOutOfEmail", defaulted=True),
                *_of("date", "Birthdate"),
                *_address("Mailing", picklists),
                *_address("Other", picklists),
            ],
        ),
        "Lead": ("00Q", _lead(picklists)),
    }


def _lead(picklists: bool) -> Fields:
    return [
        *_system("MasterRecordId", "ConvertedContactId", "ConvertedAccountId"),
        *_read_only("boolean", "IsConverted"),
        _text("FirstName", 40),
        _text("LastName", 80, required=True),
        _text("Company", 255, required=True),
        _text("Email", 80, type="email", id_lookup=True),
        _text("Phone", 40, type="phone"),
        *_of("boolean", "HasOptedOutOfEmail", defaulted=True),
        *_address("", picklists),
    ]


def _work() -> Objects:
    """What sales does with them."""
    return {
        "Opportunity": (
            "006",
            [
                *_system(),
                _lookup("AccountId", "Account"),
                _lookup("ContactId", "Contact", updateable=False),
                _text("Name", 120, required=True),
                _text("StageName", 255, type="picklist", required=True),
                *_of("date", "CloseDate", required=True),
                *_of("currency", "Amount"),
                _text("Description", 32000, type="textarea"),
            ],
        ),
        "Case": (
            "500",
            [*_system(), _lookup("AccountId", "Account"), _lookup("ContactId", "Contact"), _text("Subject")],
        ),
    }


def _products() -> Objects:
    """What is sold, and for how much."""
    return {
        "Product2": (
            "01t",
            [
                *_system(),
                _text("Name", 255, required=True),
                _text("ProductCode", 255),
                *_of("boolean", "IsActive"),
            ],
        ),
        "Pricebook2": (
            "01s",
            [*_system(), _text("Name", 255, required=True), *_of("boolean", "IsActive", "IsStandard")],
        ),
        "PricebookEntry": (
            "01u",
            [
                *_system(),
                _lookup("Pricebook2Id", "Pricebook2", required=True),
                _lookup("Product2Id", "Product2", required=True),
                *_of("currency", "UnitPrice", required=True),
                *_of("boolean", "IsActive"),
            ],
        ),
    }


def _setup() -> Objects:
    """The org itself."""
    return {
        "Organization": ("00D", [*_system(), _text("Name"), *_of("boolean", "IsSandbox")]),
        "RecordType": (
            "012",
            [*_system(), _text("SobjectType"), _text("DeveloperName"), *_of("boolean", "IsPersonType")],
        ),
    }


def _orders(picklists: bool) -> Objects:
    """Orders and their items, where the org has them switched on."""
    return {
        "Order": ("801", _order(picklists)),
        "OrderItem": (
            "802",
            [
                *_system(),
                _lookup("OrderId", "Order", required=True, updateable=False),
                _lookup("PricebookEntryId", "PricebookEntry", required=True, updateable=False),
                *_of("double", "Quantity", required=True),
                *_of("currency", "UnitPrice"),
            ],
        ),
    }


def standard_objects(person_accounts: bool, picklists: bool, orders: bool) -> Objects:
    """Name -> (key prefix, fields as keywords of FieldDef)."""
    switched = _orders(picklists) if orders else {}
    return _customers(person_accounts, picklists) | _work() | _products() | _setup() | switched


def _order(picklists: bool) -> Fields:
    return [
        *_system(),
        _lookup("AccountId", "Account"),
        _lookup("BillToContactId", "Contact"),
        _lookup("Pricebook2Id", "Pricebook2"),
        *_of("date", "EffectiveDate", required=True),
        _text(
            "Status", 255, type="picklist", required=True, restricted=True,
            picklist={"Draft": "Draft", "Activated": "Activated"},
        ),
        _text("Name", 80),
        _text("OrderReferenceNumber", 80),
        _text("PoNumber", 80),
        _text("Description", 32000, type="textarea"),
        *_address("Billing", picklists),
        *_address("Shipping", picklists),
    ]  # fmt: skip
