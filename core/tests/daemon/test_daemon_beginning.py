"""A route of news that is added later begins from what is known, and tells nothing of it."""

from synccore._daemon.sources import SourceWorker
from synccore.entities import Membership
from synccore.testing import Harness, customer, upsert

FIELDS = {"email": "customer.email", "plans": "memberships | map(attribute='status') | list"}
NEWS = {"news": {"entity": "customer", "include": ["membership"], "fields": FIELDS}}
PEOPLE = {"people": {"entity": "customer", "fields": {"email": "customer.email"}}}


def membership(status):
    return upsert(Membership(key="5", plan_key="7", customer_key="1", status=status), owner="1")


def begin(app):
    app.sink.remembers = lambda route: route.name == "news"
    worker = SourceWorker(app.app, app.app.sources["shop"])
    worker.poll_all()
    app.drain()
    return worker


def test_what_is_known_is_remembered_and_the_first_change_is_compared_with_it(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("1", email="a@shop.test"), customer("2", email="b@shop.test"), membership("active"))
        app.drain()
    with Harness(tmp_path, PEOPLE | NEWS) as app:
        begin(app)
        assert app.sink.calls == []
        app.emit(membership("active"), customer("2", email="b@shop.test"))
        app.drain()
        assert app.sink.calls == []
        app.emit(membership("cancelled"))
        app.drain()
        ((operation,),) = app.sink.calls
        assert (operation.key, operation.previous["plans"], operation.fields["plans"]) == (
            "1",
            ["active"],
            ["cancelled"],
        )


def test_what_the_first_poll_brings_is_news_already(tmp_path):
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("1", email="a@shop.test"), membership("active"))
        app.drain()
    with Harness(tmp_path, PEOPLE | NEWS) as app:
        app.source.put(membership("cancelled"))
        begin(app)
        assert [op.previous["plans"] for call in app.sink.calls for op in call] == [["active"]]


def test_a_kill_in_the_middle_goes_on_and_a_route_at_work_is_left_alone(tmp_path, monkeypatch):
    with Harness(tmp_path, PEOPLE) as app:
        app.emit(customer("1", email="a@shop.test"), customer("2", email="b@shop.test"))
        app.drain()
    with Harness(tmp_path, PEOPLE | NEWS) as app:
        monkeypatch.setattr("synccore._daemon.beginning.PAGE", 1)
        app.sink.remembers = lambda route: route.name == "news"
        real = app.app.store.remember

        def once(*args):
            app.app.stopping.set()
            return real(*args)

        app.app.store.remember = once
        SourceWorker(app.app, app.app.sources["shop"])._begin()
        assert len(app.app.store.links("news")) == 1
        app.crash()
        begin(app)
        assert len(app.app.store.links("news")) == 2
        app.emit(customer("3", email="c@shop.test"))
        app.crash()
        begin(app)
        assert [op.key for call in app.sink.calls for op in call if op.route == "news"] == ["3"]


def test_a_sink_that_could_not_be_opened_holds_up_nothing(tmp_path):
    with Harness(tmp_path, PEOPLE | NEWS) as app:
        app.app.sinks["crm"].instance = None
        app.source.put(customer("1", email="a@shop.test"))
        assert SourceWorker(app.app, app.app.sources["shop"]).poll_all()
