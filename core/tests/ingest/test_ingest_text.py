"""Half a character in a shop's text keeps nobody out and reaches nobody."""

from synccore.entities import Customer
from synccore.testing import Harness, customer, upsert

PEOPLE = {"people": {"entity": "customer", "fields": {"name": "customer.first_name", "email": "customer.meta.x[0]"}}}


def test_a_cut_emoji_is_mended_at_the_door(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("1", first_name="Ann \ud83d", meta={"x": ["\udc00", "\U0001f600"], "\ud83d": 1}))
        app.drain()
        assert app.sink.by_uid() == {"shop:customer:1": {"name": "Ann \ufffd", "email": "\ufffd"}}
        kept = app.app.store.snapshot("shop", "customer", "1").data
        assert kept.meta == {"x": ["\ufffd", "\U0001f600"], "\ufffd": 1}


def test_a_key_with_half_a_character_is_a_key_all_the_same(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        for _ in range(2):
            app.emit(upsert(Customer(key="k\ud83d", first_name="Ann", meta={"x": ["a"]})))
            app.drain()
        assert list(app.sink.by_uid()) == ["shop:customer:k\ufffd"]
        assert len(app.sink.calls) == 1


def test_a_key_with_a_zero_character_is_another_than_what_stands_before_it(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(*(upsert(Customer(key=key, first_name=key, meta={"x": ["a"]})) for key in ("k", "k\0z")))
        app.drain()
        assert list(app.sink.by_uid()) == ["shop:customer:k", "shop:customer:k\ufffdz"]
