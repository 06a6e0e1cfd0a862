"""What a customer's orders add up to."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from attrs import evolve

from ..entities import Customer, Order

#: Statuses of an order that has been paid for.
PAID = frozenset({"processing", "completed", "refunded"})
#: Statuses of one that has not; a shop's own status counts as paid where the order has a payment date.
UNPAID = frozenset({"pending", "on-hold", "failed", "cancelled", "checkout-draft", "auto-draft", "trash"})


def is_paid(order: Order) -> bool:
    """Whether the order counts: paid for, also where money went back later."""
    return order.status in PAID or (order.paid_at is not None and order.status not in UNPAID)


def spent(order: Order) -> Decimal | None:
    """What the order brought in: its total less refunds; nothing where it was refunded as a whole; None: unknown."""
    if order.status == "refunded":
        return Decimal(0)
    if order.total is None:
        return None
    return max(order.total - order.refunded, Decimal(0))


def with_totals(customer: Customer, orders: Sequence[Order]) -> Customer:
    """The customer with `order_count`, `total_spent` and `last_order_at` of the paid orders.

    `total_spent` is None where they are in several currencies, or one's amount is unknown: such a sum would mean
    nothing.
    """
    paid = [o for o in orders if is_paid(o)]
    times: list[datetime] = [t for o in paid if (t := o.created_at or o.paid_at) is not None]
    currencies = {o.currency for o in paid}
    amounts = [amount for o in paid if (amount := spent(o)) is not None]
    summable = len(currencies) <= 1 and len(amounts) == len(paid)
    return evolve(
        customer,
        order_count=len(paid),
        total_spent=sum(amounts, Decimal(0)) if summable else None,
        last_order_at=max(times, default=None),
    )
