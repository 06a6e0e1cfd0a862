"""A uid is put together and taken apart by one rule."""

import pytest

from synccore.types import Link, Uid


@pytest.mark.parametrize("key", ["12", "guest:4f", "a:b:c", ""])
def test_a_uid_is_read_back_as_it_was_written(key):
    link = Link(object="person", remote_id="r1", source="shop", entity="customer", key=key)
    assert Uid.parse(link.uid) == Uid("shop", "customer", key)


@pytest.mark.parametrize("borne", [None, "", "12", "shop:12", 12, {"a": 1}])
def test_what_is_no_uid_names_nobody(borne):
    assert Uid.parse(borne) == Uid("", "", "")
