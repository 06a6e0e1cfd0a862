"""Remote ids into the shop: meta data of customers and orders, a hundred at a time.

Any write to a customer makes the shop send `customer.updated`, so what is there already is never written again; and
what is written here is never read as the shop's own data, so the echo changes nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from synccore.errors import Rejected, SynccoreError, Transient
from synccore.types import Delivered, Failed, Outcome, Unchanged, WriteBack

from .client import BATCH, Client, Record
from .errors import Forbidden, Gone
from .mapping import META_PREFIX, meta_value
from .php import key, listed, mapped, rows

__all__ = ["Writer"]

_LISTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "customer": ("wc/v3/customers", {"role": "all"}),
    "order": ("wc/v3/orders", {}),
}
#: Of whom the shop's answer says nothing.
_UNSAID = Transient("the shop's answer to a batch leaves this record out", maybe_applied=True, outage=False)


class Writer:
    """Answers `write_back`."""

    def __init__(self, shop: Client) -> None:
        self._shop = shop

    def write_back(self, links: Sequence[WriteBack]) -> list[Outcome]:
        """One outcome per item, in order. Raises as `Client.post` for a whole batch; writing again is safe."""
        outcomes: dict[int, Outcome] = {}
        for entity, (path, params) in _LISTS.items():
            mine = [(i, item) for i, item in enumerate(links) if item.entity == entity and item.key.isdecimal()]
            for start in range(0, len(mine), BATCH):
                outcomes |= self._write(path, params, mine[start : start + BATCH])
        nowhere = Unchanged(note="the shop has no record to write this to")
        return [outcomes.get(i, nowhere) for i in range(len(links))]

    def _write(
        self, path: str, params: Mapping[str, str], items: Sequence[tuple[int, WriteBack]]
    ) -> dict[int, Outcome]:
        ids = ",".join(dict.fromkeys(item.key for _, item in items))
        listing = self._shop.page(path, {**params, "include": ids, "per_page": BATCH, "_fields": "id,meta_data"})
        numbered = [(number, row) for row in rows(listing.rows) if (number := key(row.get("id")))]
        if len(numbered) < len(listing.rows):
            raise Transient("the shop gave rows that are no records", outage=False)
        stored = dict(numbered)  # a plugin's join may show one twice
        outcomes: dict[int, Outcome] = {}
        owed: dict[str, dict[str, Any]] = {}
        for i, item in items:
            record = stored.get(item.key)
            if record is None:
                outcomes[i] = Unchanged(note="gone from the shop")
            elif news := _news(record, item):
                row = owed.setdefault(item.key, {"id": int(item.key), "meta_data": []})
                row["meta_data"] = [m for m in row["meta_data"] if m["key"] not in {n["key"] for n in news}] + news
            else:
                outcomes[i] = Unchanged(remote_id=item.key)
        answers = self._send(path, list(owed.values())) if owed else {}
        for i, item in items:
            if i not in outcomes:
                error = answers.get(item.key, _UNSAID)
                outcomes[i] = Delivered(remote_id=item.key) if error is None else Failed(error)
        return outcomes

    def _send(self, path: str, owed: Sequence[dict[str, Any]]) -> dict[str, SynccoreError | None]:
        try:
            answer = self._shop.post(f"{path}/batch", {"update": owed})
        except Forbidden:
            # A shop manager may edit customers one by one, but not in a batch.
            return {str(row["id"]): self._send_one(path, row) for row in owed}
        if (done := listed(mapped(answer).get("update"))) is None:
            raise Transient("the shop gave something else than a batch's results", maybe_applied=True)
        return {number: _error_of(row) for row in rows(done) if (number := key(row.get("id")))}

    def _send_one(self, path: str, row: Mapping[str, Any]) -> SynccoreError | None:
        try:
            self._shop.put(f"{path}/{row['id']}", {"meta_data": row["meta_data"]})
        except Gone:
            return None
        except (Forbidden, Rejected) as error:
            return Rejected(str(error))
        return None


def _news(record: Record, item: WriteBack) -> list[dict[str, Any]]:
    """Meta data rows for the ids that the record does not hold yet, with the time they were stored."""
    rows: list[dict[str, Any]] = [
        {"key": f"{META_PREFIX}{sink}_id", "value": remote_id}
        for sink, remote_id in sorted(item.links.items())
        if meta_value(record, f"{META_PREFIX}{sink}_id") != remote_id
    ]
    return [*rows, {"key": f"{META_PREFIX}synced_at", "value": item.at.strftime("%Y-%m-%dT%H:%M:%SZ")}] if rows else []


def _error_of(row: Mapping[str, Any]) -> SynccoreError | None:
    error = row.get("error")
    if not isinstance(error, dict):
        return None
    data = error.get("data")
    if isinstance(data, dict) and data.get("status") == 404:
        return None
    return Rejected(f"{error.get('message', '')} ({error.get('code', '')})")
