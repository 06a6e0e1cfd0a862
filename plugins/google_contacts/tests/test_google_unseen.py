"""What the owner did a moment ago, and Google's listing does not show yet."""

from datetime import timedelta

import pytest
from google_help import person_fields, values


@pytest.mark.parametrize("renamed", [True, False])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("markers", ["both", "kept", "none"])
@pytest.mark.parametrize("count", [1, 3])
def test_who_stays_does_not_go_with_the_one_they_were_merged_into(rigs, renamed, told, markers, count):
    rig = rigs(lag=timedelta(seconds=120))
    book = rig.google.book()
    book.told = book.forwards = told
    names = {n: rig.put(n, **person_fields(n)).remote_id for n in range(2 * count)}
    rig.clock.advance(timedelta(minutes=10))
    rig.deliver(*[rig.op(n, **person_fields(n)) for n in range(2 * count)])
    if renamed:
        names |= {n: rig.google.rename(names[n]) for n in range(count)}
        rig.clock.advance(timedelta(minutes=3))
    for n in range(count):
        rig.google.merge(names[n], names[n + count], markers=markers)
    rig.deliver(*[rig.op(n, op="leave", on_leave="delete") for n in range(count)])
    there = {address for person in rig.google.contacts() for address in values(person, "emailAddresses")}
    assert {f"ann{n}@shop.test" for n in range(count, 2 * count)} <= there
