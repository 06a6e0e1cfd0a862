"""`synccore verify`: proof that everything taken in is linked, parked or skipped, and a sample read back."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from .._app.app import App
from .._app.records import ability, cannot_read, patient, read_back, reader, same_account
from ..entities import FACTS
from ..errors import MappingError, SynccoreError
from ..store import DirtyRule, LinkUpdate, email_of
from ..types import Finding, Identity, Link, Roomier, RouteSpec, Skip, Successor
from .parts.compare import differing
from .parts.hanging import Elsewhere, Pair, elsewhere, hung_back, silent
from .parts.words import plural

__all__ = ["Proof", "verify"]

#: What a store counts for a route; each record is in exactly one of all but the first.
COUNTS = ("in", "linked", "parked", "skipped", "open", "missing")
#: Of a route that delivers facts.
EVENT_COUNTS = ("in", "delivered", "parked", "skipped", "open", "pruned", "untold")


@define
class Proof:
    """The balance of a route, and what a sample showed."""

    route: str
    counts: dict[str, int]
    #: The route delivers facts: each is told once, and none is read back.
    events: bool = False
    sampled: int = 0
    gone: list[str] = field(factory=list)
    #: Key -> names of the fields that differ at the target.
    drift: dict[str, list[str]] = field(factory=dict)
    #: Keys that hang under another parent at the target than they should.
    moved: list[str] = field(factory=list)
    #: Remote ids of further records that carry the marker of a sampled one.
    twins: list[str] = field(factory=list)
    #: Remote ids of records that are nobody's and have the address of a delivered one.
    namesakes: list[str] = field(factory=list)
    #: Keys that are owed again (`--repair`).
    repaired: list[str] = field(factory=list)
    #: What could not be looked at, for people.
    unproven: list[str] = field(factory=list)
    findings: list[Finding] = field(factory=list)

    @property
    def proved(self) -> bool:
        """True where nothing is wrong and everything that was asked for was looked at."""
        return self.ok and not self.unproven

    @property
    def ok(self) -> bool:
        """True where there is nothing to do for a person."""
        return all(f.level == "info" for f in self.findings)

    def document(self) -> dict[str, Any]:
        """The JSON of `verify --json`."""
        return {
            "route": self.route,
            "ok": self.ok,
            "proved": self.proved,
            "unproven": self.unproven,
            "events": self.events,
            **self.counts,
            "sampled": self.sampled,
            "gone": self.gone,
            "drift": [{"key": key, "fields": names} for key, names in self.drift.items()],
            "moved": self.moved,
            "twins": self.twins,
            "namesakes": self.namesakes,
            "repaired": self.repaired,
            "findings": [{"level": f.level, "path": f.path, "message": f.message} for f in self.findings],
        }


def verify(app: App, route_name: str, *, sample: int = 20, repair: bool = False) -> Proof:
    """Count, and read `sample` records back. `repair` owes again exactly those that differ; else nothing is written.

    Raises ConfigError for an unknown route; AuthError, Transient, RateLimited when the target cannot be read,
    AnotherAccount where it is not the one the links are of.
    """
    route = app.route(route_name)
    facts = app.store.event_balance(route.name, route.source, route.entity)
    if route.entity in FACTS or facts["in"]:
        proof = Proof(route=route.name, counts={name: facts[name] for name in EVENT_COUNTS}, events=True)
        _facts(route, proof)
        return proof
    balance = app.store.route_balance(route.name, route.source, route.entity)
    proof = Proof(route=route.name, counts={name: balance.get(name, 0) for name in COUNTS})
    _balance(route, proof)
    if sample <= 0:
        proof.unproven.append("that the target holds what was delivered: no sample was asked for")
    else:
        _Sample(app, route, proof).take(sample, repair=repair)
    return proof


def _facts(route: RouteSpec, proof: Proof) -> None:
    """Facts are counted: each one known is told, parked, left out or open, and which they are is said."""
    counts, path = proof.counts, f"routes.{route.name}"
    _open_rows(route, proof)
    if counts["untold"]:
        text = (
            f"{counts['untold']} were known before this route was there, or came with a listing of the past, and are "
            "remembered only: nothing tells them"
        )
        proof.findings.append(_finding("info", path, text))
    if counts["pruned"]:
        text = f"{counts['pruned']} were settled longer ago than the log is kept: delivered or skipped, it is not known"
        proof.findings.append(_finding("info", path, text))
    if counts["pruned"] < 0 or counts["untold"] < 0:
        proof.findings.append(_finding("error", path, "the counts do not add up: please report this"))
    if counts["delivered"]:
        proof.unproven.append("that the target still holds each fact: they are not read back")
    text = "facts are not read back from the target: that each was accepted there is what is proved"
    proof.findings.append(_finding("info", path, text))


def _open_rows(route: RouteSpec, proof: Proof) -> None:
    path = f"routes.{route.name}"
    if parked := proof.counts["parked"]:
        text = f"{parked} parked: run synccore deliveries list --state parked --sink {route.sink}"
        proof.findings.append(_finding("warning", path, text))
    if still := proof.counts["open"]:
        text = f"{still} still owed: run synccore run --once --wait, then verify again"
        proof.findings.append(_finding("warning", path, text))


def _balance(route: RouteSpec, proof: Proof) -> None:
    counts, path = proof.counts, f"routes.{route.name}"
    _open_rows(route, proof)
    if counts["missing"]:
        proof.findings.append(
            _finding(
                "error",
                path,
                f"{plural(counts['missing'], 'known record')} never owed to this route: run synccore backfill "
                f"{route.source} {route.entity} --route {route.name}",
            )
        )
    if counts["in"] != sum(counts[name] for name in COUNTS[1:]):
        proof.findings.append(_finding("error", path, "the counts do not add up: please report this"))


class _Sample:
    """Some records of a route, read back."""

    def __init__(self, app: App, route: RouteSpec, proof: Proof) -> None:
        self._app = app
        self._route = route
        self._proof = proof
        self._path = f"routes.{route.name}"
        #: Key -> what the target really holds. Whichever twin it has by then: meanwhile it may have another, or none.
        self._repairs: dict[str, LinkUpdate] = {}
        #: Keys that were sent again and refused: once more makes no difference until somebody acts.
        self._refused: set[str] = set()
        #: Records that took a linked one's place: linked with the next delivery.
        self._successors: set[str] = set()

    def take(self, count: int, *, repair: bool) -> None:
        app, route, proof = self._app, self._route, self._proof
        if reader(app, route) is None:
            text = f"{cannot_read(app, route)}: no sample"
            proof.unproven.append("that the target holds what was delivered: it cannot be asked")
            proof.findings.append(_finding("info", f"sinks.{route.sink}", text))
            return
        same_account(app, route.sink)
        links = app.store.sample_links(route.name, count, seed=app.random.randrange(2**31))
        pairs = [pair for pair in read_back(app, route, links) if not self._left_as_it_is(pair[0])]
        for link, remote in pairs:
            self._compare(link, remote)
        if route.after is not None and links:
            self._parents(links, pairs)
        self._twins(links)
        self._namesakes(links)
        proof.sampled = len(links)
        if repair and self._repairs:
            rule = DirtyRule(route=route.name, sink=route.sink, entity=route.entity)
            app.store.repair(rule, route.source, self._repairs, app.clock.now())
            proof.repaired = sorted(self._repairs)
        elif again := self._repairs.keys() - self._refused:
            text = f"run synccore verify {route.name} --repair to send {len(again)} again"
            proof.findings.append(_finding("info", self._path, text))

    def _left_as_it_is(self, link: Link) -> bool:
        """Whether nothing is kept up to date there: it was let go of, or the route wants it no longer and leaves it."""
        if link.left:
            return True
        if self._route.on_leave != "keep":
            return False
        (work,) = self._app.work(self._route, [link.key])
        try:
            return isinstance(self._app.preparer(self._route.name).map(work), Skip)
        except MappingError:
            return False

    def _compare(self, link: Link, remote: Mapping[str, Any] | None) -> None:
        if remote is None:
            refusal = self._refusal(link)
            self._proof.gone.append(link.key)
            self._warn("error", f"{self._route.entity} {link.key} is gone at the target{refusal}")
            self._repairs[link.key] = LinkUpdate(object=link.object, remote_id=None, fields={})
            return
        # What was kept because it is the owner's may change as they like.
        ours = {name: value for name, value in link.fields.items() if name not in link.left_out}
        names = differing(ours, remote)
        if isinstance(remote, Successor):
            self._successors.add(remote.remote_id)
            self._succeeded(link, [n for n in names if n in remote and remote[n] in (None, "")], remote)
        elif names:
            self._drifted(link, "was changed at the target", names, remote)
        if isinstance(remote, Roomier) and link.key not in self._proof.drift:
            self._drifted(link, "was delivered without what the target takes now", sorted(remote.lacking), remote)

    def _refusal(self, link: Link) -> str:
        """Why it was not made anew, where that was tried, and what to do."""
        rows = self._app.store.deliveries(route=link.route, key=link.key, state="parked")
        parked = [row for row in rows if (row.source, row.entity) == (link.source, link.entity)]
        if not parked:
            return ""
        self._refused.add(link.key)
        return f", and was not made anew: {parked[0].error}; then run synccore deliveries retry {parked[0].id}"

    def _drifted(self, link: Link, how: str, names: list[str], remote: Mapping[str, Any]) -> None:
        self._proof.drift[link.key] = names
        self._warn("warning", f"{self._route.entity} {link.key} {how}: {', '.join(names)}")
        mates = self._others_there(link)
        gone = LinkUpdate(object=link.object, remote_id=None, remove=True)
        self._repairs[link.key] = gone if mates else _as_it_is(link, names, remote)
        for mate in mates:
            # What was theirs, and is nobody's now, is still there.
            left = [name for name in link.fields if name not in mate.fields]
            self._repairs.setdefault(mate.key, _as_it_is(mate, left, link.fields))

    def _others_there(self, link: Link) -> Sequence[Link]:
        """Where the target has one of its records for an address, and this one is of somebody with another address as
        well: they. It holds what they have, and this one's own is made anew."""
        if link.shared <= 1 or not self._app.preparer(self._route.name).by_address:
            return ()
        mates = [x for x in self._links_to(link.remote_id) if (x.route, x.source) == (link.route, link.source)]
        snapshots = [self._app.store.snapshot(x.source, x.entity, x.key) for x in mates]
        if len({email_of(s.data) for s in snapshots if s is not None and not s.deleted}) <= 1:
            return ()
        return [mate for mate in mates if mate.key != link.key and not mate.left]

    def _succeeded(self, link: Link, lacking: Sequence[str], remote: Mapping[str, Any]) -> None:
        """The record was merged into another, or converted: that one's values are its owners', not drift."""
        if lacking:
            text = "was merged or converted at the target; the next delivery fills what it lacks there"
            self._warn("info", f"{self._route.entity} {link.key} {text}: {', '.join(lacking)}")
            self._repairs[link.key] = _as_it_is(link, lacking, remote)

    def _parents(self, links: Sequence[Link], pairs: Sequence[Pair]) -> None:
        """Whether each hangs on the record that it should: by what is known here, and by what was read."""
        app, route = self._app, self._route
        entity, keys = app.after_entity(route.name), [link.key for link in links]
        found = app.store.work_for(route.name, route.source, route.entity, keys, after=route.after, after_entity=entity)
        works, preparer = dict(zip(keys, found, strict=True)), app.preparer(route.name)
        for link in links:
            if preparer.moved(works[link.key]):
                self._moved(link, f"hangs under another record than {route.after} has now")
        odd = elsewhere(app, route, pairs, [works[link.key] for link, _ in pairs])
        for link in (x for x in links if x.key in odd and x.key not in self._proof.moved):
            self._hangs_elsewhere(link, odd[link.key])
        if silent(pairs):
            self._proof.unproven.append(f"that each hangs on its record of {route.after}: the target does not say")

    def _hangs_elsewhere(self, link: Link, odd: Elsewhere) -> None:
        how = "was hung under another record" if odd.there else "hangs under nothing"
        if odd.gone:
            after = self._route.after
            advice = f"its record of {after} is gone there: run synccore verify {after} --repair"
            self._named_elsewhere(link, f"{how} at the target ({odd.reference}); {advice}")
            return
        self._moved(link, f"{how} at the target: {odd.reference}")
        self._repairs[link.key] = hung_back(self._repairs[link.key], odd)

    def _moved(self, link: Link, how: str) -> None:
        self._named_elsewhere(link, how)
        self._repairs.setdefault(link.key, LinkUpdate(object=link.object, remote_id=None, etag=link.etag))

    def _named_elsewhere(self, link: Link, how: str) -> None:
        self._proof.moved.append(link.key)
        self._warn("warning", f"{self._route.entity} {link.key} {how}")

    def _twins(self, links: Sequence[Link]) -> None:
        """Further records at the target that carry the marker of one of these."""
        find = ability(self._app, self._route.sink, "find")
        if find is None or not links:
            return
        uids = tuple(link.uid for link in links)
        try:
            found: Sequence[Link] = patient(self._app.clock, lambda: find(Identity(uids=uids)))
        except SynccoreError as error:
            proof = self._proof
            proof.unproven.append("that no second record carries the marker of one of these: the target did not say")
            self._warn("info", f"whether two records carry one marker could not be asked: {error.message}")
            return
        known = {link.remote_id for link in links}
        # The only one that carries a record's marker is its twin, whatever the target calls it by now.
        carriers = Counter(_ref(x) for x in found if x.key)
        doubled = {x.remote_id for x in found if x.object == self._route.object and carriers[_ref(x)] != 1}
        more = sorted(doubled - known)
        # A record of another route may share the key, and so the marker.
        for remote_id in more:
            if any(x.remote_id == remote_id for link in links for x in self._app.store.links_of(*_ref(link))):
                continue
            self._proof.twins.append(remote_id)
        if self._proof.twins:
            text = f"{len(self._proof.twins)} further records carry the marker of one of these: "
            self._warn("error", text + f"{', '.join(self._proof.twins[:5])}; merge them at the target")

    def _namesakes(self, links: Sequence[Link]) -> None:
        """Records with the address of one that is somebody's: maybe the same person a second time."""
        try:
            found = patient(self._app.clock, lambda: self._with_an_address(links))
        except SynccoreError as error:
            self._proof.unproven.append("that each is there once: the target did not say who has the same address")
            self._warn("info", f"whether another record has one's address could not be asked: {error.message}")
            return
        unknown = sorted(set(found) - self._successors)
        # Another customer's may be named beside one that is somebody's: the target says that it is not its address.
        second = [r for r in unknown if not self._links_to(r) or self._links_to(found[r])]
        if second:
            named = ", ".join(f"{r} beside {found[r]}" if found[r] else r for r in second[:5])
            self._proof.namesakes = second
            self._proof.unproven.append("that each is there once: others have the same address")
            text = f"further records have the address of one of these ({len(second)}): {named}; "
            self._warn("info", text + "if it is the same person, merge them at the target")

    def _with_an_address(self, links: Sequence[Link]) -> Mapping[str, str]:
        """Remote id -> that of the record with the same address, where that is known."""
        app, sink = self._app, self._route.sink
        if (ask := ability(app, sink, "namesakes")) is not None:
            return dict(ask())
        find = ability(app, sink, "find")
        snapshots = [app.store.snapshot(link.source, link.entity, link.key) for link in links]
        emails = tuple({e for s in snapshots if s is not None and (e := email_of(s.data))})
        if find is None or not emails:
            return {}
        uids = tuple(link.uid for link in links)
        theirs = {link.remote_id for link in (*links, *find(Identity(uids=uids)))}
        others = [x for x in find(Identity(emails=emails)) if x.object == self._route.object]
        return {x.remote_id: "" for x in others if x.remote_id not in theirs}

    def _links_to(self, remote_id: str) -> Sequence[Link]:
        found = self._app.store.links_to(remote_id, 20) if remote_id else ()
        return [link for link in found if link.sink == self._route.sink]

    def _warn(self, level: Any, message: str) -> None:
        self._proof.findings.append(_finding(level, self._path, message))


def _as_it_is(link: Link, names: Sequence[str], remote: Mapping[str, Any]) -> LinkUpdate:
    """What is known of the twin, corrected by what it really holds: the difference is then owed again."""
    there = {name: remote.get(name) for name in names}
    return LinkUpdate(
        object=link.object,
        remote_id=None,
        etag=None,
        fields={**link.fields, **there},
        left_out=link.left_out,
        asked={**link.mapped, **there},
    )


def _ref(link: Link) -> tuple[str, str, str]:
    return link.source, link.entity, link.key


def _finding(level: Any, path: str, message: str) -> Finding:
    return Finding(level=level, path=path, message=message)
