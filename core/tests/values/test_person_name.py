"""One rule for a person's name."""

import pytest

from synccore.entities import Address, Customer, PersonName


@pytest.mark.parametrize(
    ("customer", "expected"),
    [
        (Customer(key="1", first_name="Ada", last_name="Berg"), ("Ada", "Berg", "Ada Berg")),
        (Customer(key="1", first_name="Ada", billing=Address(first_name="A.", last_name="Berg")), ("Ada", None, "Ada")),
        (Customer(key="1", billing=Address(last_name="Berg")), (None, "Berg", "Berg")),
        (Customer(key="1", shipping=Address(first_name="Ada", last_name="Berg")), ("Ada", "Berg", "Ada Berg")),
        (Customer(key="1", company="Berg Ltd"), (None, None, None)),
    ],
)
def test_a_name_comes_whole_from_one_place(customer, expected):
    first, last, full = expected
    assert customer.person == PersonName(first=first, last=last)
    assert customer.name == customer.person.full == full
