"""Promises of core, each with the tests beside the line that keeps it; and which of them whole lives see as well."""

from attrs import evolve

from .form import CLI, DAEMON, DELIVERY, INGEST, LIVES, STORE, VERBS, core

__all__ = ["PROMISES", "PROMISES_SEEN_BY_LIVES"]

PROMISES = (
    core(
        "settle without the fence",
        "store/_rules/settle.py",
        '        if tokens[row["id"]] == (row["lease_token"] if row["state"] == "running" else row["job"])\n',
        "",
        STORE,
    ),
    core(
        "forget the lookup after a lost answer",
        "_delivery/doubtful.py",
        "sure = [item for item in items if not _is_doubtful(item.operation)]",
        "sure = list(items)",
        DELIVERY,
    ),
    core(
        "look a doubtful create up under its own key alone",
        "_delivery/doubtful.py",
        "        if former:\n",
        "        if not former:\n",
        DELIVERY,
    ),
    core(
        "make again what a restored backup does not know, without waiting",
        "_delivery/doubtful.py",
        "return until if until is not None and until > self._clock.now() else None",
        "return None",
        DELIVERY,
    ),
    core(
        "forget what a create without an answer may have written",
        "_delivery/settle.py",
        "return evolve(settlement, unheard=together(work.unheard, operation.fields))",
        "return settlement",
        DELIVERY,
    ),
    core(
        "forget it when folding",
        "store/sql.py",
        "    sent = coalesce(:sent, sent), former_email",
        "    former_email",
        STORE,
    ),
    core(
        "lose maybe_applied when folding",
        "store/sql.py",
        "maybe_applied = max(maybe_applied, :maybe_applied), before",
        "before",
        STORE,
    ),
    core(
        "lose maybe_applied on a failure",
        "_delivery/lane.py",
        "maybe_applied=maybe_applied or _unsure(work, error),",
        "maybe_applied=False,",
        DELIVERY,
    ),
    core(
        "drop REFRESH_BLOCKED", "store/_rules/owing.py", "tx.executemany(sql.REFRESH_BLOCKED, distinct)", "pass", STORE
    ),
    core(
        "let a person's facts overtake each other",
        "store/_rules/owing.py",
        'tx.executemany(sql.REFRESH_OWNER, [slot for slot in distinct if slot["owner_key"] is not None])',
        "pass",
        STORE,
    ),
    core(
        "claim the events of one owner side by side",
        "store/sql.py",
        "            AND r.route = :route AND r.state <> 'parked') THEN 1 ELSE 0 END,",
        "            AND r.route = :route AND r.state = 'none') THEN 1 ELSE 0 END,",
        STORE,
    ),
    core(
        "claim a key twice",
        "store/_rules/claim.py",
        "    tx.execute(sql.BLOCK_OTHERS, ids)\n",
        "",
        STORE,
    ),
    core(
        "swap live and bulk",
        "store/_rules/claim.py",
        "    for bulk in (False, True):\n        best",
        "    for bulk in (True, False):\n        best",
        STORE,
    ),
    core(
        "fold the older row into the newer one's time",
        "store/sql.py",
        "UPDATE delivery SET due_at = max(due_at, :due_at), attempts",
        "UPDATE delivery SET due_at = due_at, attempts",
        STORE,
    ),
    core(
        "fold a live row into a bulk one as bulk",
        "store/sql.py",
        "bulk = min(bulk, :bulk),\n    maybe",
        "bulk = max(bulk, :bulk),\n    maybe",
        STORE,
    ),
    core(
        "keep no newer state when a row is folded",
        "store/_rules/owing.py",
        '        tx.execute("DELETE FROM delivery WHERE id = ?", (row["id"],))\n',
        '        tx.execute("DELETE FROM delivery WHERE id = ?", (newer["id"],))\n',
        STORE,
    ),
    core(
        "take an older version",
        "store/_rules/precedence.py",
        "return older(version, last) and not",
        "return False and not",
        STORE,
        INGEST,
    ),
    core(
        "take a page in that was read before the change",
        "store/_rules/precedence.py",
        'self.read_at is not None and self.read_at < int(known["known_at"]) <= self._now',
        "False",
        STORE,
        INGEST,
    ),
    core(
        "ask nobody about what is older by its version alone",
        "store/_rules/precedence.py",
        "if guest or not older(",
        "if True or not older(",
        STORE,
        INGEST,
    ),
    core(
        "take for news what was sent while the shop's clock was ahead, and is sent again",
        "store/_rules/precedence.py",
        "return int(last) + 1 if last is not None and",
        "return change.version if last is not None and",
        STORE,
    ),
    core(
        "believe a shop that lags behind its own webhook",
        "store/_rules/precedence.py",
        "LAG = timedelta(seconds=10)",
        "LAG = timedelta(0)",
        STORE,
    ),
    core(
        "date a page when it came and not when it was asked for",
        "_ingest/listing.py",
        "            yield asked_at, page\n",
        "            yield self._clock.now(), page\n",
        INGEST,
        DAEMON,
    ),
    core(
        "date an answer after the question",
        "_ingest/hints.py",
        "read_at=read_at,",
        "read_at=self._clock.now(),",
        INGEST,
        DAEMON,
    ),
    core(
        "believe that a record is gone because a listing lacks it",
        "_ingest/listing.py",
        "        found = self._source.fetch(entity, key)\n",
        "        found = None\n",
        INGEST,
        DAEMON,
    ),
    core(
        "delete whatever a short listing lacks",
        "_ingest/listing.py",
        "MASS_DELETION_SHARE = 0.1",
        "MASS_DELETION_SHARE = 1.0",
        INGEST,
        DAEMON,
        CLI,
    ),
    core(
        "see nothing that arrives while a comparison runs",
        "store/_rules/ingest.py",
        "        if self._sweeps:\n            self._mark_seen(change)\n        if self._is_forgotten",
        "        if self._is_forgotten",
        STORE,
        INGEST,
    ),
    core(
        "tell a fact twice", "store/_rules/ingest.py", "rowcount > 0 and not late", "rowcount >= 0 and not late", STORE
    ),
    core(
        "take in who was forgotten",
        "store/_rules/ingest.py",
        "        if not self._facts.tombstones:\n            return False\n",
        "        return False\n",
        STORE,
        VERBS,
    ),
    core(
        "leave the guest's links behind",
        "store/_rules/takeover.py",
        "    tx.execute(MOVE_LINKS, where)\n",
        "",
        STORE,
        INGEST,
    ),
    core(
        "end a hint that was given again",
        "store/hinting.py",
        "AND key = :key AND mark <= :mark",
        "AND key = :key AND mark >= 0",
        STORE,
        INGEST,
    ),
    core(
        "delete a record that others share",
        "_delivery/prepare.py",
        "        if link.ours:\n",
        "        if True:\n",
        DELIVERY,
    ),
    core(
        "leave who shares a twin with what was emptied",
        "_delivery/settle.py",
        "emptied = isinstance(outcome, Delivered)",
        "emptied = False",
        DELIVERY,
    ),
    core(
        "compare with the newest mapping and not with what was delivered",
        "_delivery/prepare.py",
        "return different | frozenset(fields) if everything else different",
        "return different",
        DELIVERY,
    ),
    core(
        "call an outage the record's fault",
        "_delivery/policy.py",
        "case Transient() if error.outage and tried.outage:",
        "case Transient() if False:",
        DELIVERY,
    ),
    core("park at once", "_delivery/policy.py", "now - tried.first_failed_at >= PATIENCE", "True", DELIVERY),
    core(
        "halve a batch whose answer was lost without asking",
        "_delivery/halving.py",
        "answers += self._asked(half) if in_doubt(error) else self.deliver(half)",
        "answers += self.deliver(half)",
        DELIVERY,
    ),
    core(
        "park everything when a target refuses everything",
        "_delivery/holds.py",
        "        if run.count <= MANY:\n",
        "        if run.count:\n",
        DELIVERY,
    ),
    core(
        "keep what a dead process had claimed",
        "_delivery/engine.py",
        "all_running=True",
        "all_running=False",
        DELIVERY,
        STORE,
    ),
    core(
        "restore without doubt",
        "_verbs/restore.py",
        "app.store.doubt(tuple(app.sources), now)",
        "0",
        CLI,
        VERBS,
    ),
    core(
        "lose what a job was sent",
        "store/_rules/settle.py",
        '"sent": None if settlement.sent is None else codec.dump_fields(settlement.sent),',
        '"sent": None,',
        STORE,
        DELIVERY,
    ),
    core(
        "deliver who has an address now before who gave it up",
        "_delivery/namesakes.py",
        "given = self._store.behind_handovers([route], one.source, one.entity, keys)",
        "given: set[str] = set()",
        DELIVERY,
    ),
    core(
        "tell facts by an address under which nobody was delivered yet",
        "_delivery/namesakes.py",
        "moving = self._store.moving(routes, source, entity, keys)",
        "moving: set[str] = set()",
        DELIVERY,
    ),
    core(
        "trust a change that had no answer",
        "_delivery/prepare.py",
        "everything = work.delivery.maybe_applied or self.moved(work)",
        "everything = self.moved(work)",
        DELIVERY,
    ),
    core(
        "trust a change whose second try met something else",
        "_delivery/halving.py",
        "[evolve(settled[o.id], unsure=True) for o in operations]",
        "[evolve(settled[o.id], unsure=o.id in found) for o in operations]",
        DELIVERY,
    ),
    core(
        "take a refused change for one that wrote nothing",
        "_delivery/halving.py",
        "return self.unsure or (isinstance(self.outcome, Failed) and self.outcome.partly)",
        "return self.unsure",
        DELIVERY,
        "core/tests/kit",
    ),
    core(
        "give a lane a record that its text does not give",
        "store/codec.py",
        "if self._stands and type(data) is ENTITIES.get(data.entity) and comes_back(data):",
        "if self._stands and type(data) is ENTITIES.get(data.entity):",
        STORE,
    ),
)

#: Those that whole lives, too, have to see. Some they cannot: whom a listing lacks is asked for before it is believed
#: to be gone, so what came during a comparison costs a call and nobody; and what a target that refuses everything
#: parked, the operator of a life retries at its end; and a fact that is taken in again is given to no route a second
#: time. Others are too rare a chain for some hundred lives.
_SEEN_BY_LIVES = frozenset(
    {
        "forget the lookup after a lost answer",
        "make again what a restored backup does not know, without waiting",
        "restore without doubt",
        "trust a change that had no answer",
        "take a refused change for one that wrote nothing",
        "halve a batch whose answer was lost without asking",
        "drop REFRESH_BLOCKED",
        "lose maybe_applied when folding",
        "keep no newer state when a row is folded",
        "let a person's facts overtake each other",
        "deliver who has an address now before who gave it up",
        "keep what a dead process had claimed",
        "leave the guest's links behind",
        "take an older version",
        "take a page in that was read before the change",
    }
)

PROMISES_SEEN_BY_LIVES = tuple(
    evolve(one, promise=f"{one.promise}, seen by whole lives", tests=LIVES)
    for one in PROMISES
    if one.promise in _SEEN_BY_LIVES
)
