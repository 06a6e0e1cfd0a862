"""`synccore forget`: erase a person at every target that can, and here.

The targets come first, by every link and by who the person is, for a record may be there without a link. Only when
none of them failed is what is known here erased too, so that a target that failed can be tried again. Afterwards a hash
stays, and nothing of that address is taken in again. What a target cannot prove yet (a record in a job) is erased here
all the same, lest anything more be delivered, and is not called done; it is kept where only that can prove it later.

A record that a target has under the address names whose id it bears. An account that is unknown here (a restored backup
never knew it) is the same person, and all targets are asked by its id as well.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from typing import Any

from attrs import define, evolve, field, frozen

from .._app.accounts import not_another_account
from .._app.app import App
from .._app.units import SinkUnit
from .._delivery.writeback import route_name as write_back_route
from .._plain import Plain
from ..entities import ENTITIES, Customer, normalize_email
from ..errors import SynccoreError, redact
from ..store import Delivery, JobWork, LinkUpdate, StoreError, UnderWay, email_digest
from ..types import Erased as Outcome
from ..types import Identity, Link, Skip, Uid
from ..values import phone
from .parts.half_forgotten import ErasedTwin, give_back, note_erased

__all__ = ["Erased", "Forgotten", "forget", "identity_of", "targets_of"]


UNSEEN = "a backup was restored, and what was made just before may not be seen yet: run forget again after {:%H:%M} UTC"


@frozen(kw_only=True)
class Erased(Plain):
    """What came of one record at one target: `outcome` and `note` in the sink's words, or the error alone.

    Route, entity and key are empty for a record that only the sink knew.
    """

    sink: str
    route: str
    entity: str
    key: str
    error: str | None = None
    outcome: str | None = None
    note: str = ""
    #: Not proven, and what is known here is what proves it later.
    keep: bool = False


@define
class Forgotten:
    """What came of all: `complete` once nothing is left anywhere."""

    people: int
    erased: list[Erased] = field(factory=list)
    complete: bool = False

    @property
    def failed(self) -> list[Erased]:
        """What has to be tried again, for which everything here is kept."""
        return [e for e in self.erased if e.error is not None or e.keep]

    @property
    def pending(self) -> list[Erased]:
        """What cannot be proven yet."""
        return [e for e in self.erased if e.error is None and not e.keep and e.outcome == "pending"]

    def document(self) -> dict[str, Any]:
        """The JSON of `forget --json`."""
        told = ("sink", "route", "entity", "key", "error", "outcome", "note")
        targets = [{name: getattr(e, name) for name in told} for e in self.erased]
        return {"people": self.people, "complete": self.complete, "targets": targets}


class _Targets:
    """Each sink is asked once whether it reaches the account its records are in.

    In another one there is nobody to erase, which would look as if it were done.
    """

    def __init__(self, app: App, addresses: Sequence[str]) -> None:
        self._app = app
        #: Of the person who is erased there.
        self.addresses = addresses
        self._known: dict[str, Exception | None] = {}

    def hold(self, unit: SinkUnit) -> None:
        """Raises AnotherAccount, and what the sink raises where it cannot be asked."""
        if unit.name not in self._known:
            try:
                not_another_account(self._app.store, unit.name, unit.instance)
            except Exception as error:  # noqa: BLE001  whatever it is, it is so for each of its records
                self._known[unit.name] = error
            else:
                self._known[unit.name] = None
        if (known := self._known[unit.name]) is not None:
            raise known


def targets_of(app: App, email: str) -> list[Link]:
    """Every linked record of the people with this address, what belongs to them first."""
    links: dict[tuple[str, str, str], Link] = {}
    for source, key in app.store.keys_by_email(email):
        for entity, owned in _owned(app, source, key):
            _collect(links, app.store.links_of(source, entity, owned))
        _collect(links, app.store.links_of(source, "customer", key))
    # Write-back leaves links too, at the source itself: erasing there is the shop's own business.
    return [x for x in links.values() if x.route != write_back_route(x.source, x.entity)]


def _owned(app: App, source: str, key: str) -> Iterable[tuple[str, str]]:
    others = [entity for entity in ENTITIES if entity != "customer"]
    work = app.store.work_for("", source, "customer", [key], include=others)[0]
    return [(entity, s.key) for entity, snapshots in work.included.items() for s in snapshots]


def _collect(links: dict[tuple[str, str, str], Link], more: Iterable[Link]) -> None:
    for link in more:
        links.setdefault((link.route, link.entity, link.key), link)


def forget(app: App, email: str) -> Forgotten:
    """Erase the person at every target, then here. Running it again after a failure is safe."""
    people, known = len(app.store.keys_by_email(email)), app.store.sent_of(email)
    in_jobs, result = list(_in_jobs(app, email)), Forgotten(people=people, erased=[*_elsewhere(app, email)])
    identity, theirs = identity_of(app, email), {*_records(app, email)}
    targets = _Targets(app, identity.emails)
    done: set[tuple[str, str]] = set()
    erased: list[ErasedTwin] = []
    known_twins = targets_of(app, email)
    # Before anything is erased: whoever dies in between knows by the next run what may have been.
    note_erased(app.store, email_digest(email), (ErasedTwin(link, "unheard") for link in known_twins))
    for link in known_twins:
        result.erased.append(_erase(app, app.store.with_others(link, theirs), targets))
        done.add((_sink_of(app, link), link.remote_id))
        told = result.erased[-1]
        if told.error is not None:
            erased.append(ErasedTwin(link, "unheard"))
        elif told.outcome != "pending":
            erased.append(ErasedTwin(link, "gone" if told.outcome == "deleted" else "emptied"))
    found, accounts = _found(app, identity, result, targets)
    for unit, link in found:
        if (unit.name, link.remote_id) not in done:
            result.erased.append(_told(app, unit, link, _nameless(unit.name), targets))
    # What is known here of a job names the record, which a sink's own word about that job does not.
    named = {e.sink for e in in_jobs}
    result.erased = [e for e in result.erased if e.entity or e.error is None or e.sink not in named]
    # A sink that follows its jobs up has said so; at others what is known here has to find the person afterwards.
    followed = {e.sink for e in result.pending}
    result.erased += [e for e in in_jobs if e.sink not in followed]
    result.erased += _unseen(app)
    if result.failed:
        _let_go(app, email, erased, in_jobs)
        return result
    if people or result.erased:
        # A delivery that ran meanwhile may have made a link more; the tombstone keeps further ones from coming.
        try:
            digest, now = email_digest(email), app.clock.now()
            links = app.store.forget(email, digest, now, known=known, keys=accounts)
        except UnderWay as error:
            result.erased += [_with_error(_nameless(sink), error.message) for sink in error.sinks]
            _let_go(app, email, erased, in_jobs)
            return result
        for link in links:
            fresh = (_sink_of(app, link), link.remote_id) not in done
            if fresh and link.route != write_back_route(link.source, link.entity):
                result.erased.append(_erase(app, app.store.with_others(link, theirs), targets))
    give_back(app, email_digest(email))
    try:
        app.store.scrub()
    except StoreError as error:
        here = Erased(sink="synccore", route="", entity="files", key="", outcome="pending", note=error.message)
        result.erased.append(here)
    result.complete = not result.failed and not result.pending
    return result


def _let_go(app: App, email: str, erased: Sequence[ErasedTwin], in_jobs: Iterable[Erased]) -> None:
    """What was erased is remembered until all of it is, with whether it is gone; so is what may have been.

    What the person owned and a target has deleted is nobody's twin any more, though all else is kept here as long as
    another target fails: it may be somebody else's before that is tried again, and has to be made anew then. The person
    is not, and what a job holds neither: there the link tells a sink that who is gone was deleted."""
    held = {(one.route, one.entity, one.key) for one in in_jobs}
    note_erased(app.store, email_digest(email), erased)
    for one in erased:
        link = one.link
        if one.left == "gone" and link.entity != Customer.entity and (link.route, link.entity, link.key) not in held:
            update = LinkUpdate(object=link.object, remote_id=link.remote_id, sink=_sink_of(app, link), remove=True)
            app.store.put_link(link.route, link.source, link.entity, link.key, update, app.clock.now())


def _records(app: App, email: str) -> Iterable[tuple[str, str, str]]:
    """All records of the people with this address: source, entity, key."""
    for source, key in app.store.keys_by_email(email):
        yield from ((source, entity, owned) for entity, owned in _owned(app, source, key))
        yield source, "customer", key


def _in_jobs(app: App, email: str) -> Iterable[Erased]:
    """What a vendor's job may still make of the person."""
    for row in _rows_in_jobs(app, email):
        note = f"in import job {row.job}: run forget again once synccore status shows nothing running there"
        yield Erased(
            sink=row.sink, route=row.route, entity=row.entity, key=row.key, outcome="pending", note=note, keep=True
        )


def _elsewhere(app: App, email: str) -> Iterable[Erased]:
    """What is in accounts that a sink has left: nobody can reach it from here."""
    for source, entity, key in _records(app, email):
        for sink, account, remote_id in app.store.archived_links(source, entity, key):
            note = f"{remote_id} is in the account {account}, which {sink} has left: erase it there by hand"
            yield Erased(sink=sink, route="", entity=entity, key=key, outcome="pending", note=note)


def identity_of(app: App, email: str) -> Identity:
    """What is known of the person beside the address."""
    emails: dict[str, None] = {normalize_email(email): None}
    phones: dict[str, None] = {}
    uids: dict[str, None] = {}
    for source, key in app.store.keys_by_email(email):
        uids |= {str(Uid(source, entity, owned)): None for entity, owned in _owned(app, source, key)}
        uids[str(Uid(source, Customer.entity, key))] = None
        snapshot = app.store.snapshot(source, "customer", key)
        if snapshot is not None and isinstance(snapshot.data, Customer):
            data = snapshot.data
            for place, number in ((data.billing, data.phone), (data.billing, data.billing.phone)):
                if number:
                    phones[phone(number, place.country) or number] = None
    emails |= dict.fromkeys(_addresses_in_jobs(app, email, frozenset(emails)))
    return Identity(emails=tuple(emails), phones=tuple(phones), uids=tuple(uids))


def _addresses_in_jobs(app: App, email: str, known: Set[str]) -> Iterator[str]:
    """Former addresses of the person that a vendor's job still carries: what was sent where the known one is now."""
    for row in _rows_in_jobs(app, email):
        job = JobWork(sink=row.sink, job=row.job or "", submitted_at=app.clock.now(), ids=(row.id,))
        for work in app.store.load_job(job, job.ids) if row.route in app.routes else ():
            mapped: Mapping[str, Any] | Skip = {}
            with suppress(Exception):  # a mapping that fails keeps nobody from being erased
                mapped = app.preparer(row.route).map(work)
            sent = (work.sent or {}).get("fields", {})
            for name, value in () if isinstance(mapped, Skip) else mapped.items():
                if isinstance(value, str) and normalize_email(value) in known and isinstance(sent.get(name), str):
                    yield normalize_email(sent[name])


def _rows_in_jobs(app: App, email: str) -> Iterator[Delivery]:
    for source, entity, key in _records(app, email):
        for row in app.store.deliveries(state="submitted", key=key):
            if (row.source, row.entity) == (source, entity):
                yield row


_Found = list[tuple[SinkUnit, Link]]


def _found(app: App, identity: Identity, result: Forgotten, targets: _Targets) -> tuple[_Found, list[tuple[str, str]]]:
    """What each sink that can finds of the person, linked or not; asked again where that names ids that are unknown
    here, of which those of customers (source, key) are given."""
    found, failed = _ask(app, identity, targets)
    named = {link.uid: link for _, link in found if link.uid not in identity.uids and _is_unknown(app, link)}
    if named:
        identity = evolve(identity, uids=(*identity.uids, *named))
        found, failed = _ask(app, identity, targets)
    result.erased += failed
    # Whoever else has a record beside the person is not to be taken off it.
    known = [(u, x if x.uid in identity.uids else evolve(x, source="", entity="", key="")) for u, x in found]
    return known, [(x.source, x.key) for x in named.values() if x.entity == Customer.entity]


def _ask(app: App, identity: Identity, targets: _Targets) -> tuple[_Found, list[Erased]]:
    found: _Found = []
    failed = []
    for name, unit in app.sinks.items():
        if (find := getattr(unit.instance, "find", None)) is None:
            continue
        try:
            targets.hold(unit)
            found += [(unit, link) for link in find(identity)]
        except Exception as error:  # noqa: BLE001  one target must not keep the others from erasing
            failed.append(_with_error(_nameless(name), _words(error)))
    return found, failed


def _is_unknown(app: App, link: Link) -> bool:
    """Whether it bears the id of a record of our shops of which nothing is known here, or that it is gone."""
    if link.source not in app.sources or not link.entity or not link.key:
        return False
    known = app.store.snapshot(link.source, link.entity, link.key)
    return known is None or known.deleted


def _unseen(app: App) -> Iterator[Erased]:
    """Targets that may not show yet what the outbox made that a backup has replaced."""
    restored = [at for name in app.sources if (at := app.store.restored_at(name)) is not None]
    for name, unit in app.sinks.items() if restored else ():
        until = max(restored) + unit.limits.seen_within
        if getattr(unit.instance, "find", None) is not None and until > app.clock.now():
            yield evolve(_nameless(name), outcome="pending", note=UNSEEN.format(until))


def _sink_of(app: App, link: Link) -> str:
    return link.sink or (app.routes[link.route].sink if link.route in app.routes else "")


def _erase(app: App, link: Link, targets: _Targets) -> Erased:
    """At the sink the link is of, whether its route is configured or not."""
    name = _sink_of(app, link)
    report = Erased(sink=name or "?", route=link.route, entity=link.entity, key=link.key)
    unit = app.sinks.get(name)
    if unit is None:
        what = f"[sinks.{name}]" if name else f"route {link.route}"
        return _with_error(report, f"{what} is not configured any more: put it back, then run forget again")
    if unit.instance is None:
        return _with_error(report, unit.error or "it could not be opened")
    return _told(app, unit, link, report, targets)


def _told(app: App, unit: SinkUnit, link: Link, report: Erased, targets: _Targets) -> Erased:
    if not link.ours and not unit.spares:
        whose = "it was there before us" if link.adopted else f"{link.shared} records share it"
        note = f"{whose}, and {unit.settings.type} does not say that it spares such records: look at {link.remote_id}"
        return evolve(report, outcome="pending", note=f"{note} there by hand")
    try:
        targets.hold(unit)
        outcome = unit.instance.erase(_whole(app, unit.name, link, targets)) or Outcome("deleted")
    except Exception as error:  # noqa: BLE001  one target's bug must not keep the others from erasing
        return _with_error(report, _words(error))
    return evolve(report, outcome=outcome.outcome, note=outcome.note)


def _whole(app: App, sink: str, link: Link, targets: _Targets) -> Link:
    """Without what was made for the person and is another record's twin by now, and with all their addresses."""
    own = (link.source, link.entity, link.key)
    made = {n: r for n, r in link.made.items() if all(ref == own for ref in app.store.linked_to(sink, r))}
    return evolve(link, made=made, addresses=targets.addresses)


def _words(error: Exception) -> str:
    return error.message if isinstance(error, SynccoreError) else redact(f"{type(error).__name__}: {error}")


def _nameless(sink: str) -> Erased:
    return Erased(sink=sink, route="", entity="", key="")


def _with_error(report: Erased, error: str) -> Erased:
    return evolve(report, error=error)


def by_sink(links: Iterable[Link]) -> Mapping[str, int]:
    """How many records are at which target, for the question before."""
    counts: dict[str, int] = {}
    for link in links:
        name = link.sink or link.route
        counts[name] = counts.get(name, 0) + 1
    return counts
