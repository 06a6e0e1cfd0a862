"""The last day as a picture: what arrived and what did not as bars, what was owed as a line. Pure."""

from collections.abc import Sequence

from attrs import frozen

from ..._verbs.activity import STEP, Day
from .view import number

__all__ = ["Bar", "Chart", "chart"]

#: Of the drawing, which is 150 high (`parts.html`).
WIDTH = 720
_TOP, _BOTTOM = 12, 130


@frozen(kw_only=True)
class Bar:
    """One stretch of time."""

    x: float
    width: float
    y: float
    height: float
    #: Of what did not work, drawn above.
    bad_y: float
    bad_height: float
    title: str


@frozen(kw_only=True)
class Chart:
    """What the template draws, and the same in words."""

    bars: Sequence[Bar]
    line: str
    #: (x, text) below.
    hours: Sequence[tuple[float, str]]
    most: str
    most_owed: str
    words: str


def chart(day: Day) -> Chart:
    """The day as shapes."""
    most = max((slot.delivered + slot.wrong for slot in day.slots), default=0)
    owed = max((slot.owed for slot in day.slots), default=0)
    wide, tall = WIDTH / len(day.slots), _BOTTOM - _TOP
    bars, points = [], []
    for place, slot in enumerate(day.slots):
        good, bad = (tall * part / most if most else 0 for part in (slot.delivered, slot.wrong))
        began = f"{slot.at:%H:%M} to {slot.at + STEP:%H:%M} UTC"
        bars.append(
            Bar(
                x=round(place * wide + 1, 1),
                width=round(wide - 2, 1),
                y=round(_BOTTOM - good, 1),
                height=round(good, 1),
                bad_y=round(_BOTTOM - good - bad, 1),
                bad_height=round(bad, 1),
                title=f"{began}: {slot.delivered:,} delivered, {slot.wrong:,} did not work, {slot.owed:,} owed",
            )
        )
        points.append(f"{place * wide + wide / 2:.1f},{_BOTTOM - (tall * slot.owed / owed if owed else 0):.1f}")
    return Chart(
        bars=bars,
        line=" ".join(points),
        hours=[(round(p * wide, 1), f"{day.slots[p].at:%H:%M}") for p in range(0, len(day.slots), 8)],
        most=number(most),
        most_owed=number(owed),
        words=(
            f"Last 24 hours: {day.delivered:,} delivered, {day.wrong:,} did not work, "
            f"at most {owed:,} owed at a time, {day.slots[-1].owed:,} now."
        ),
    )
