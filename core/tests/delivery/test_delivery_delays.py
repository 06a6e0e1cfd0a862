"""What waits for further changes: all of a route, or one field."""

from datetime import timedelta

from attrs import evolve

from synccore.entities import Membership
from synccore.testing import Harness, customer, upsert
from synccore.testing.scripted import ScriptedSink, scripted_type


def test_a_change_taken_back_within_the_delay_sends_nothing(tmp_path):
    routes = {"m": {"entity": "membership", "delay": "5m", "fields": {"status": "membership.status"}}}
    with Harness(tmp_path, routes) as app:
        member = Membership(key="7", status="active", plan_key="gold")
        app.emit(upsert(member))
        app.settle_down()
        for status in ("paused", "active"):
            app.emit(upsert(Membership(key="7", status=status, plan_key="gold")))
            app.advance(timedelta(minutes=1))
        app.settle_down()
        assert len(app.sink.calls) == 1
        app.emit(upsert(Membership(key="7", status="paused", plan_key="gold")))
        app.advance(timedelta(minutes=6))
        app.emit(upsert(member))
        app.advance(timedelta(minutes=6))
        assert [o.fields["status"] for c in app.sink.calls for o in c] == ["active", "paused", "active"]


def test_a_delay_ends_at_four_times_its_length_however_often_it_changes(tmp_path):
    routes = {"m": {"entity": "membership", "delay": "5m", "fields": {"status": "membership.status"}}}
    with Harness(tmp_path, routes) as app:
        for n in range(19):
            app.emit(upsert(Membership(key="7", status=f"s{n}", plan_key="gold")))
            app.advance(timedelta(minutes=1))
        assert app.sink.calls == []
        app.advance(timedelta(minutes=1))
        assert len(app.sink.calls) == 1


# -- fields whose changes wait


def test_a_field_with_a_delay_waits_and_the_others_go(tmp_path):
    fields = {"email": "customer.email", "name": {"value": "customer.first_name", "delay": "5m"}}
    with Harness(tmp_path, {"people": {"entity": "customer", "fields": fields}}) as app:
        app.emit(customer("1", email="a@shop.test", first_name="A"))
        app.drain()
        assert app.sink.by_uid()["shop:customer:1"] == {"email": "a@shop.test", "name": "A"}
        app.emit(customer("1", email="b@shop.test", first_name="B"))
        app.drain()
        assert app.sink.by_uid()["shop:customer:1"] == {"email": "b@shop.test", "name": "A"}
        app.advance(timedelta(minutes=4))
        app.emit(customer("1", email="b@shop.test", first_name="A"))
        app.settle_down()
        assert len(app.sink.calls) == 2
        app.emit(customer("1", email="b@shop.test", first_name="C"))
        app.advance(timedelta(minutes=4, seconds=59))
        assert len(app.sink.calls) == 2
        app.advance(timedelta(seconds=1))
        assert app.sink.by_uid()["shop:customer:1"]["name"] == "C"


def test_it_waits_no_longer_than_four_times_the_delay(tmp_path):
    fields = {"name": {"value": "customer.first_name", "delay": "5m"}}
    with Harness(tmp_path, {"people": {"entity": "customer", "fields": fields}}) as app:
        app.emit(customer("1", first_name="A"))
        app.drain()
        for minute in range(21):
            app.emit(customer("1", first_name=f"B{minute}"))
            app.advance(timedelta(minutes=1))
        assert len(app.sink.calls) == 2


def test_nobody_is_called_what_the_former_owner_of_their_record_was_called(tmp_path):
    """Where addresses were exchanged, each has the other one's record: nothing of that one waits there."""
    fields = {"email": "customer.email", "name": {"value": "customer.first_name", "delay": "5m"}}
    sink = ScriptedSink()
    kind = scripted_type(sink)
    kind = evolve(kind, name="book", objects=tuple(evolve(o, by_address=True) for o in kind.objects))
    with Harness(tmp_path, {"people": {"entity": "customer", "fields": fields}}, sink_types={"crm": (kind, {})}) as app:
        app.emit(customer("1", email="a@shop.test", first_name="A"), customer("2", email="b@shop.test", first_name="B"))
        app.settle_down()
        app.emit(customer("1", email="b@shop.test", first_name="A"), customer("2", email="a@shop.test", first_name="B"))
        app.follow()
        app.drain()
        found = {fields["email"]: fields["name"] for fields in sink.records.values()}
        assert found == {"b@shop.test": "A", "a@shop.test": "B"}
