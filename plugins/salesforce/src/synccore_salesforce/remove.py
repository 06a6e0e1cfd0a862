"""Takes records away: what a route's `on_delete` says, and erasure."""

from collections.abc import Mapping, Sequence
from typing import Any

from synccore.errors import Rejected
from synccore.types import Delivered, Failed, Link, Operation, Outcome, Unchanged

from .client import COLLECTION, Client, chunked
from .errors import GONE_CODES, Problem, Refused, classify, problems_of
from .mapping.record import Row, is_converted
from .schema import Schema
from .write.writer import Writer

__all__ = ["Remover"]


class Remover:
    """Takes away the records of one route."""

    def __init__(self, client: Client, writer: Writer, schema: Schema) -> None:
        self._client = client
        self._writer = writer
        self._schema = schema

    def remove(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        """Deletes, as the route's `on_delete` says."""
        policy = str(operations[0].settings.get("on_delete") or "keep")
        if policy == "flag":
            return self._flag(operations)
        if policy != "delete":
            return {
                op.id: Unchanged(remote_id=op.link.remote_id if op.link else None, note="kept: on_delete = keep")
                for op in operations
            }
        return self._delete(operations)

    def _flag(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        flag = self._schema.get(str(operations[0].settings.get("deleted_field") or ""))
        if flag is None:
            error = Rejected('on_delete = "flag" needs deleted_field, a checkbox of the object')
            return {op.id: Failed(error) for op in operations}
        rows = [
            Row(op=op, object=self._schema.name, fields={flag.name: True}, id=op.link.remote_id)
            for op in operations
            if op.link
        ]
        return self._writer.write(rows)

    def _delete(self, operations: Sequence[Operation]) -> dict[int, Outcome]:
        linked = [op for op in operations if op.link]
        if self._schema.name == "Order":
            self._reopen(linked)
        outcomes: dict[int, Outcome] = {}
        for part in chunked(linked, COLLECTION):
            ids = [op.link.remote_id for op in part if op.link]
            for op, result in zip(part, self._client.delete(ids), strict=True):
                outcomes[op.id] = self._deleted(op, result)
        return outcomes

    @staticmethod
    def _deleted(op: Operation, result: Mapping[str, Any]) -> Outcome:
        remote_id = op.link.remote_id if op.link else None
        if result.get("success"):
            return Delivered(remote_id=remote_id)
        problem = (*problems_of(result.get("errors")), Problem("UNKNOWN_EXCEPTION"))[0]
        if problem.code in GONE_CODES:
            return Unchanged(remote_id=remote_id, note="already deleted in Salesforce")
        return Failed(classify(problem))

    def erase(self, link: Link) -> None:
        """Delete one record. Raises Rejected where Salesforce keeps it (open orders, permissions)."""
        try:
            self._client.call("DELETE", f"sobjects/{self._object_of(link)}/{link.remote_id}")
        except Refused as error:
            if error.problem.code in GONE_CODES or error.status == 404:
                return
            if not self._schema.name == "Order":
                raise
            self._client.call("PATCH", f"sobjects/Order/{link.remote_id}", json={"Status": "Draft"})
            self._client.call("DELETE", f"sobjects/Order/{link.remote_id}")

    def _object_of(self, link: Link) -> str:
        return "Contact" if is_converted(self._schema, link) else self._schema.name

    def _reopen(self, operations: Sequence[Operation]) -> None:
        """Take orders back to draft, as only drafts can be deleted; what cannot be is left to the delete to say."""
        rows = [
            Row(op=op, object="Order", fields={"Status": "Draft"}, id=op.link.remote_id) for op in operations if op.link
        ]
        self._writer.write(rows)
