"""`synccore verify`: proof that everything taken in is linked, parked or skipped, and a sample read back."""

from typing import Any

from attrs import define, field

from .._app.app import App
from .._app.records import ability, read_back
from ..types import Finding, Link, RouteSpec
from .compare import differing

__all__ = ["Proof", "verify"]

#: What a store counts for a route; each record is in exactly one of all but the first.
COUNTS = ("in", "linked", "parked", "skipped", "open", "missing")


@define
class Proof:
    """The balance of a route, and what a sample showed."""

    route: str
    counts: dict[str, int]
    sampled: int = 0
    gone: list[str] = field(factory=list)
    #: Key -> names of the fields that differ at the target.
    drift: dict[str, list[str]] = field(factory=dict)
    findings: list[Finding] = field(factory=list)

    @property
    def ok(self) -> bool:
        """True where there is nothing to do for a person."""
        return all(f.level == "info" for f in self.findings)

    def document(self) -> dict[str, Any]:
        """The JSON of `verify --json`."""
        return {
            "route": self.route,
            "ok": self.ok,
            **self.counts,
            "sampled": self.sampled,
            "gone": self.gone,
            "drift": [{"key": key, "fields": names} for key, names in self.drift.items()],
            "findings": [{"level": f.level, "path": f.path, "message": f.message} for f in self.findings],
        }


def verify(app: App, route_name: str, *, sample: int = 20) -> Proof:
    """Count, and read `sample` records back. Writes nothing.

    Raises ConfigError for an unknown route; AuthError, Transient, RateLimited when the target cannot be read.
    """
    route = app.route(route_name)
    balance = app.store.route_balance(route.name, route.source, route.entity)
    proof = Proof(route=route.name, counts={name: balance.get(name, 0) for name in COUNTS})
    _balance(route, proof)
    if sample > 0:
        _sample(app, route, sample, proof)
    return proof


def _balance(route: RouteSpec, proof: Proof) -> None:
    counts, path = proof.counts, f"routes.{route.name}"
    if parked := counts["parked"]:
        proof.findings.append(
            _finding(
                "warning", path, f"{parked} parked: run synccore deliveries list --state parked --sink {route.sink}"
            )
        )
    if counts["open"]:
        proof.findings.append(
            _finding("warning", path, f"{counts['open']} still owed: run synccore run --once --wait, then verify again")
        )
    if counts["missing"]:
        proof.findings.append(
            _finding(
                "error",
                path,
                f"{counts['missing']} known records were never owed to this route: run synccore backfill "
                f"{route.source} {route.entity} --route {route.name}",
            )
        )
    if counts["in"] != sum(counts[name] for name in COUNTS[1:]):
        proof.findings.append(_finding("error", path, "the counts do not add up: please report this"))


def _sample(app: App, route: RouteSpec, count: int, proof: Proof) -> None:
    if ability(app, route.sink, "read") is None:
        text = f"{app.sinks[route.sink].settings.type} cannot read records back: no sample"
        proof.findings.append(_finding("info", f"sinks.{route.sink}", text))
        return
    links = app.store.sample_links(route.name, count, seed=app.random.randrange(2**31))
    for link, remote in read_back(app, route, links):
        _compare(route, link, remote, proof)
    proof.sampled = len(links)


def _compare(route: RouteSpec, link: Link, remote: Any, proof: Proof) -> None:
    path = f"routes.{route.name}"
    if remote is None:
        proof.gone.append(link.key)
        text = f"{route.entity} {link.key} is gone at the target: run synccore preview {route.name} {link.key}"
        proof.findings.append(_finding("error", path, text))
    elif names := differing(link.fields, remote):
        proof.drift[link.key] = names
        text = f"{route.entity} {link.key} was changed at the target: {', '.join(names)}"
        proof.findings.append(_finding("warning", path, text))


def _finding(level: Any, path: str, message: str) -> Finding:
    return Finding(level=level, path=path, message=message)
