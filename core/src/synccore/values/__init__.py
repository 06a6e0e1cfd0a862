"""How a telephone number, a country, a state, an amount and a time are read: one rule each, for every source and sink.

Shops hold what people typed and what other programs imported. Each function gives the one form that targets compare,
or None where the text cannot be read for certain; none of them guesses. They are pure, and take any text of any
length without taking long.

Sources of facts: numbering plans from `phonenumbers`; ISO 3166-1, ISO 3166-2 and their translations from `pycountry`.
Both are loaded when first needed.
"""

from ._amounts import amount, json_number, money
from ._countries import State, country, country_name, state
from ._moments import day, instant, moment, timestamp
from ._phones import Phone, phone, read_phone
from ._texts import encodable, mended

__all__ = [
    "Phone",
    "State",
    "amount",
    "country",
    "country_name",
    "day",
    "encodable",
    "instant",
    "json_number",
    "mended",
    "moment",
    "money",
    "phone",
    "read_phone",
    "state",
    "timestamp",
]
