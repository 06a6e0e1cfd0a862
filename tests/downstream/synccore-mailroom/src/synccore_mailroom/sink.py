"""The whole sink: settings, calls, operations."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from synccore.config import option
from synccore.errors import AuthError, BatchRejected, Rejected, SynccoreError
from synccore.hookspecs import SinkType
from synccore.http import ID, Client, Response, Shape, target_fault
from synccore.secrets import Secret
from synccore.types import (
    Account,
    Check,
    Context,
    Defaults,
    Delivered,
    Failed,
    FieldInfo,
    Limits,
    Link,
    LookupResult,
    ObjectInfo,
    ObjectType,
    Operation,
    Outcome,
)

FIELDS = ("email", "name", "address")
RECIPIENTS = Shape([{"id": ID, "error?": str}])
ACCOUNT = Shape({"id": ID, "name": str})


@frozen(kw_only=True)
class Config:
    """`[sinks.NAME]` of type mailroom."""

    api_url: str = option(help="address of the service")
    token: Secret = option(help="API token")


class Mailroom:
    """Recipients are put under our own id, so that sending twice is harmless."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config, self._context = config, context
        self._http = Client(context, config.api_url)

    def _call(self, method: str, path: str, **options: Any) -> Response:
        answer = self._http.request(method, path, headers={"X-Token": self._config.token.reveal()}, **options)
        if answer.status in (401, 403):
            raise AuthError(f"the token is not accepted: run synccore connect {self._context.name}")
        if fault := target_fault(answer, self._context.clock.now()):
            raise fault
        if answer.status >= 400:
            # Of the call as a whole: it names no row, and its words may name anybody.
            raise BatchRejected(f"HTTP {answer.status}: {answer.structure()}")
        return answer

    def _rows(self, method: str, path: str, **options: Any) -> Mapping[str, Mapping[str, Any]]:
        answer = self._call(method, path, **options)
        return {row["id"]: row for row in answer.json_as(RECIPIENTS, wrote=True)}

    def check(self) -> Check:
        account = self._call("GET", "/me").json_as(ACCOUNT)
        return Check(account=Account(id=account["id"], label=account["name"]))

    def describe(self) -> Sequence[ObjectInfo]:
        return [ObjectInfo(name="recipient", fields=tuple(FieldInfo(name=name) for name in FIELDS))]

    def deliver(self, operations: Sequence[Operation]) -> Sequence[Outcome]:
        if not operations:
            return []
        rows = [{"id": _id(o), "delete": o.op == "delete", **o.fields} for o in operations]
        answers = self._rows("PUT", "/recipients", json=rows)
        return [self._outcome(o, answers.get(_id(o), {})) for o in operations]

    def _outcome(self, operation: Operation, row: Mapping[str, Any]) -> Outcome:
        error: SynccoreError | None = Rejected(row["error"]) if row.get("error") else None
        return Failed(error) if error else Delivered(remote_id=_id(operation))

    def lookup(self, operations: Sequence[Operation]) -> Sequence[LookupResult]:
        held = self._rows("POST", "/find", json=[o.uid for o in operations])
        return [Link(object="recipient", remote_id=o.uid, marked=True) if o.uid in held else None for o in operations]

    def read(self, links: Sequence[Link]) -> Sequence[Mapping[str, Any] | None]:
        held = self._rows("POST", "/find", json=[link.remote_id for link in links])
        return [held.get(link.remote_id) for link in links]

    def erase(self, link: Link) -> None:
        self._rows("PUT", "/recipients", json=[{"id": link.remote_id, "delete": True}])

    def close(self) -> None:
        self._http.close()


def _id(operation: Operation) -> str:
    """A guest who registered keeps the id they had before."""
    return operation.link.remote_id if operation.link is not None else operation.uid


SINK = SinkType(
    name="mailroom",
    summary="Customers become recipients of letters.",
    config=Config,
    open=Mailroom,
    objects=(
        ObjectType(
            name="recipient",
            summary="Somebody who gets letters.",
            defaults={
                "customer": Defaults(
                    fields={
                        "email": "customer.email",
                        "name": "customer.name",
                        "address": "customer.billing | mailroom_line",
                    }
                )
            },
        ),
    ),
    limits=Limits(max_batch=50),
)
