"""Made-up people and purchases for hypothesis, and the texts that break things."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..entities import Address, Customer, Membership, Order, OrderLine, Payment, Refund, Subscription

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = [
    "HOSTILE_TEXTS",
    "customers",
    "hostile_text",
    "memberships",
    "orders",
    "payments",
    "subscriptions",
]

#: Name of the hazard -> a text that shops really hold.
HOSTILE_TEXTS: Mapping[str, str] = {
    "emoji": "Zoë 👩‍👩‍👧‍👦 🏴‍☠️",
    "right-to-left": "محمد עברית",
    "combining": "Ame\u0301lie Nguye\u0302\u0303n",
    "quotes": 'O\'Brien "Bob" `x` \\ %s {0} {{ 7*7 }}',
    "markup": "<script>alert(1)</script>&amp;<!--",
    "newlines": "first\r\nsecond\nthird\ttab",
    "formula": "=cmd|' /C calc'!A0",
    "sql": "'; DROP TABLE customer; --",
    "control": "bell\x07 escape\x1b[31m",
    "long": "x" * 3000,
    "blank": " \u00a0\u200b ",
    "leading-zeros": "00123",
}


def _st() -> Any:
    from hypothesis import strategies

    return strategies


def hostile_text(max_size: int = 60) -> "SearchStrategy[str]":
    """Any text a shop may hold, the worst ones often."""
    st = _st()
    ordinary = st.text(st.characters(exclude_categories=["Cs"]), max_size=max_size)
    found: SearchStrategy[str] = st.sampled_from(list(HOSTILE_TEXTS.values())) | ordinary
    return found


def _moments() -> Any:
    return _st().datetimes(datetime(2000, 1, 1), datetime(2035, 1, 1), timezones=_st().just(UTC))  # noqa: DTZ001


def _money() -> Any:
    return _st().decimals(Decimal(0), Decimal(100_000), places=2)


def _keys() -> Any:
    return _st().integers(1, 10**9).map(str)


def _maybe(strategy: Any) -> Any:
    return _st().none() | strategy


def _emails() -> Any:
    return _st().integers(0, 10**6).map(lambda n: f"person{n}@shop.test")


def _addresses() -> Any:
    st = _st()
    text = _maybe(hostile_text(40))
    country = st.none() | st.sampled_from(["US", "DE", "MX", "BR", "JP", "XX"])
    return st.builds(
        Address, line1=text, line2=text, city=text, postcode=text, state=text, country=country, phone=text, company=text
    )


def _lines() -> Any:
    st = _st()
    line = st.builds(OrderLine, key=_keys(), name=hostile_text(40), sku=_maybe(hostile_text(20)), total=_money())
    return st.lists(line, max_size=4).map(tuple)


def customers() -> "SearchStrategy[Customer]":
    """Customers with anything in their fields."""
    st = _st()
    text = _maybe(hostile_text())
    found: SearchStrategy[Customer] = st.builds(
        Customer,
        key=_keys(),
        email=_maybe(_emails()),
        first_name=text,
        last_name=text,
        phone=text,
        company=text,
        created_at=_maybe(_moments()),
        billing=_addresses(),
        shipping=_addresses(),
        accepts_marketing=_maybe(st.booleans()),
    )
    return found


def orders() -> "SearchStrategy[Order]":
    """Orders with lines and refunds."""
    st = _st()
    refunds = st.lists(st.builds(Refund, key=_keys(), amount=_money()), max_size=2).map(tuple)
    found: SearchStrategy[Order] = st.builds(
        Order,
        key=_keys(),
        number=_keys(),
        status=st.sampled_from(["pending", "processing", "completed", "refunded", "cancelled", "custom"]),
        currency=st.sampled_from(["USD", "EUR", "JPY"]),
        total=_money(),
        lines=_lines(),
        refunds=refunds,
        customer_key=_maybe(_keys()),
        created_at=_maybe(_moments()),
        billing=_addresses(),
    )
    return found


def memberships() -> "SearchStrategy[Membership]":
    """Places in plans."""
    st = _st()
    found: SearchStrategy[Membership] = st.builds(
        Membership,
        key=_keys(),
        status=st.sampled_from(["active", "paused", "expired", "cancelled", "pending", "complimentary"]),
        plan_key=st.sampled_from(["1", "2", "3"]),
        plan_slug=_maybe(st.sampled_from(["gold", "silver-club", "Ünï"])),
        plan_name=_maybe(hostile_text(30)),
        customer_key=_maybe(_keys()),
        started_at=_maybe(_moments()),
        ends_at=_maybe(_moments()),
    )
    return found


def subscriptions() -> "SearchStrategy[Subscription]":
    """Recurring orders."""
    st = _st()
    found: SearchStrategy[Subscription] = st.builds(
        Subscription,
        key=_keys(),
        status=st.sampled_from(["active", "on-hold", "pending-cancel", "cancelled", "expired"]),
        currency=st.sampled_from(["USD", "EUR"]),
        total=_money(),
        customer_key=_maybe(_keys()),
        next_payment_at=_maybe(_moments()),
        lines=_lines(),
    )
    return found


def payments() -> "SearchStrategy[Payment]":
    """Renewal attempts."""
    st = _st()
    found: SearchStrategy[Payment] = st.builds(
        Payment,
        key=_keys(),
        succeeded=st.booleans(),
        amount=_money(),
        currency=st.sampled_from(["USD", "EUR"]),
        at=_moments(),
        attempt=st.integers(1, 5),
        reason=_maybe(hostile_text(40)),
    )
    return found
