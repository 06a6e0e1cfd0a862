"""The hot statements, each with its sentence. Everything that runs once per change or delivery is here."""


def _held(source: str, entity: str, key: str, sink: str) -> str:
    """Whether nothing of a key may be claimed: one is under way at this sink, or the record is yet to be fetched."""
    return (
        f"(EXISTS (SELECT 1 FROM delivery r WHERE r.source = {source} AND r.entity = {entity} AND r.key = {key} "  # noqa: S608  own names
        f"AND r.settled_at IS NULL AND r.sink = {sink} AND r.state IN ('running', 'submitted')) "
        f"OR EXISTS (SELECT 1 FROM awaited a WHERE a.source = {source} AND a.entity = {entity} AND a.key = {key}))"
    )


_HELD_VALUES = _held(":source", ":entity", ":key", ":sink")
_HELD_ROW = _held("delivery.source", "delivery.entity", "delivery.key", "delivery.sink")

#: The first open event of a key at a sink, and of an owner on a route.
_FIRST_OF_KEY = """(SELECT min(e.id) FROM delivery e WHERE e.source = delivery.source AND e.entity = delivery.entity
        AND e.key = delivery.key AND e.settled_at IS NULL AND e.sink = delivery.sink AND e.event IS NOT NULL
        AND e.state <> 'parked')"""
_FIRST_OF_OWNER = """(SELECT min(e.id) FROM delivery e WHERE e.source = delivery.source
        AND e.owner_entity = delivery.owner_entity AND e.owner_key = delivery.owner_key AND e.owner_key IS NOT NULL
        AND e.settled_at IS NULL AND e.sink = delivery.sink AND e.route = delivery.route AND e.state <> 'parked')"""
_BLOCKED = f"""CASE WHEN {_HELD_ROW}
    OR event IS NOT NULL AND id > {_FIRST_OF_KEY}
    OR owner_key IS NOT NULL AND id > {_FIRST_OF_OWNER} THEN 1 ELSE 0 END"""

#: What is true of a whole source: anybody was ever forgotten, the outbox came back from a backup and the source has
#: not been compared since, something of it cannot be read, so many comparisons run.
FACTS = """
SELECT EXISTS (SELECT 1 FROM tombstone) AS tombstones,
    EXISTS (SELECT 1 FROM cursor WHERE source = :source AND name = 'restored') AS doubt,
    EXISTS (SELECT 1 FROM unreadable WHERE source = :source) AS unread,
    (SELECT count(*) FROM sweep WHERE source = :source) AS sweeps
"""

# -- snapshots and events --------------------------------------------------------------------------------------------

#: The stored state of one record.
SNAPSHOT = "SELECT * FROM snapshot WHERE source = :source AND entity = :entity AND key = :key"

#: Those of several.
SNAPSHOTS = """
SELECT s.* FROM json_each(:keys) j CROSS JOIN snapshot s
WHERE s.source = :source AND s.entity = :entity AND s.key = j.value
"""

#: Store a record's newest state; a tombstone comes back to life.
PUT_SNAPSHOT = """
INSERT INTO snapshot (source, entity, key, data, fingerprint, version, owner_entity, owner_key, email, changed_at,
                      stored_at, known_at)
VALUES (:source, :entity, :key, :data, :fingerprint, :version, :owner_entity, :owner_key, :email, :changed_at, :now,
        :known_at)
ON CONFLICT (source, entity, key) DO UPDATE SET
    data = excluded.data, fingerprint = excluded.fingerprint, version = coalesce(excluded.version, snapshot.version),
    owner_entity = excluded.owner_entity, owner_key = excluded.owner_key, email = excluded.email, deleted = 0,
    replaced_by = NULL, changed_at = excluded.changed_at, stored_at = excluded.stored_at, known_at = excluded.known_at
"""

#: An equal state, seen again or under a newer version: remember that, so that older ones stay stale.
TOUCH_SNAPSHOT = """
UPDATE snapshot SET version = coalesce(:version, version), data = :data, known_at = max(known_at, :known_at)
WHERE id = :id
"""

#: Make a tombstone; it keeps the data (whom to forget) and the version (what is older).
BURY_SNAPSHOT = """
UPDATE snapshot SET deleted = 1, version = coalesce(:version, version), replaced_by = :replaced_by,
    changed_at = :changed_at, stored_at = :now, known_at = :known_at
WHERE id = :id
"""

#: The account with this address, if the source has one.
ACCOUNT_BY_EMAIL = """
SELECT key FROM snapshot WHERE email = :email AND source = :source AND entity = 'customer' AND deleted = 0
    AND NOT coalesce(json_extract(data, '$.guest'), 0) ORDER BY id LIMIT 1
"""

#: Other live accounts with this address, the latest first: a shop has one at most, whatever it told last.
NAMESAKES = """
SELECT key FROM snapshot WHERE email = :email AND source = :source AND entity = :entity AND key <> :key AND deleted = 0
    AND NOT coalesce(json_extract(data, '$.guest'), 0) ORDER BY id DESC LIMIT 3
"""

#: What a record owns, and waits for it at a target.
WAITING_FOR = """
SELECT DISTINCT s.entity, s.key FROM snapshot s
CROSS JOIN delivery d ON d.key = s.key AND d.entity = s.entity AND d.source = s.source
    AND d.settled_at IS NULL AND d.event IS NULL AND d.wait_entity = :entity AND d.wait_key = :key
WHERE s.source = :source AND s.owner_entity = :entity AND s.owner_key = :key AND s.deleted = 0
"""

#: Those of these addresses that are known from whatever record.
EMAILS_KNOWN = """
SELECT j.value AS email FROM json_each(:emails) j
WHERE EXISTS (SELECT 1 FROM snapshot s WHERE s.email = j.value AND s.email IS NOT NULL)
"""

#: Live records of one owner, oldest first.
OWNED = """
SELECT * FROM snapshot WHERE source = :source AND owner_entity = :owner_entity AND owner_key = :owner_key
    AND entity = :entity AND deleted = 0 ORDER BY id
"""

#: Facts of one owner in the order they came.
OWNED_EVENTS = """
SELECT * FROM event WHERE source = :source AND owner_entity = :owner_entity AND owner_key = :owner_key
    AND entity = :entity ORDER BY id
"""

#: Store a fact unless it is known.
PUT_EVENT = """
INSERT INTO event (source, entity, event_id, key, data, version, owner_entity, owner_key, email, at, stored_at)
VALUES (:source, :entity, :event_id, :key, :data, :version, :owner_entity, :owner_key, :email, :at, :now)
ON CONFLICT (source, entity, event_id) DO NOTHING
"""

#: A known fact.
EVENT = "SELECT id FROM event WHERE source = :source AND entity = :entity AND event_id = :event_id"

#: Where a listing goes on; None where it has no more to say than when it was last asked.
PUT_CURSOR = """
INSERT INTO cursor (source, name, value, stored_at) VALUES (:source, :name, :value, :now)
ON CONFLICT (source, name) DO UPDATE SET value = excluded.value, stored_at = excluded.stored_at
"""

#: A running comparison has seen a key.
MARK_SEEN = """
INSERT INTO sweep_seen (source, name, entity, key) VALUES (:source, :name, :entity, :key) ON CONFLICT DO NOTHING
"""

# -- owing -----------------------------------------------------------------------------------------------------------

#: What is known of a record that was never delivered: its oldest state since it is owed, also by a parked row.
_BEFORE = """CASE WHEN EXISTS (SELECT 1 FROM link l WHERE l.route = :route AND l.source = :source
        AND l.entity = :entity AND l.key = j.key AND l.fields <> '{}') THEN NULL
    ELSE coalesce((SELECT p.before FROM delivery p WHERE p.source = :source AND p.entity = :entity AND p.key = j.key
        AND p.settled_at IS NULL AND p.route = :route AND p.state = 'parked' AND p.event IS NULL
        ORDER BY p.id LIMIT 1), j.value) END"""

#: A record without a link may have been made all the same: after a restore by what the backup does not know, and for
#: an account by the create of the guest it took over. One with a link may hold another state than the link says, where
#: the record changed since the backup (2). Either may, where a parked row says so; and who has none, where one says so
#: that was dismissed.
_DOUBTFUL = """CASE WHEN :doubt = 2 OR EXISTS (SELECT 1 FROM delivery u WHERE u.source = :source
        AND u.entity = :entity AND u.key = j.key AND u.settled_at IS NULL AND u.route = :route AND u.state = 'parked'
        AND u.event IS NULL AND u.maybe_applied = 1) OR NOT EXISTS (SELECT 1 FROM link l WHERE l.route = :route
        AND l.source = :source AND l.entity = :entity AND l.key = j.key) AND (:doubt = 1 OR EXISTS (
        SELECT 1 FROM snapshot p CROSS JOIN delivery d ON d.route = :route AND d.source = p.source
            AND d.entity = p.entity AND d.key = p.key AND d.event IS NULL AND d.maybe_applied = 1
        WHERE p.source = :source AND p.entity = :entity AND p.replaced_by = j.key) OR EXISTS (SELECT 1 FROM delivery v
        WHERE v.source = :source AND v.entity = :entity AND v.key = j.key AND v.state = 'dismissed'
            AND v.route = :route AND v.event IS NULL AND v.maybe_applied = 1)) THEN 1 ELSE 0 END"""

#: The address that a record has at the target still, where its move to another one was dismissed.
_MOVED_IN_VAIN = """(SELECT max(v.former_email) FROM delivery v WHERE v.source = :source AND v.entity = :entity
    AND v.key = j.key AND v.state = 'dismissed' AND v.route = :route AND v.former_email IS NOT NULL
    AND v.settled_at >= coalesce((SELECT l.delivered_at FROM link l WHERE l.route = :route AND l.source = :source
        AND l.entity = :entity AND l.key = j.key), 0))"""

#: Keys of one route, all at once: {key: the state it had before, or what its link was made from}.
_OWE = f"""
INSERT INTO delivery (route, sink, source, entity, key, op, state, bulk, blocked, before, maybe_applied,
                      former_email, due_at, first_change_at, last_change_at, created_at)
SELECT :route, :sink, :source, :entity, j.key, :op, 'ready', :bulk,
    CASE WHEN {_held(":source", ":entity", "j.key", ":sink")} THEN 1 ELSE 0 END,
    {_BEFORE}, {_DOUBTFUL}, {_MOVED_IN_VAIN}, :due_at, :now, :now, :now
FROM json_each(:owed) j"""  # noqa: S608  own constants
_OWED = "ON CONFLICT (route, source, entity, key) WHERE state = 'ready' AND event IS NULL DO"

#: Keys are dirty: make the ready row, or fold into the one that waits. A row that backs off keeps its time; one
#: that only waits for a quota does not: the change may be one that the quota does not concern.
OWE = f"""{_OWE} WHERE 1 = 1 {_OWED} UPDATE SET
    op = excluded.op, sink = excluded.sink, blocked = excluded.blocked, bulk = min(delivery.bulk, excluded.bulk),
    before = coalesce(delivery.before, excluded.before),
    maybe_applied = max(delivery.maybe_applied, excluded.maybe_applied),
    last_change_at = :now,
    due_at = CASE WHEN delivery.error_kind = 'rate_limited' AND excluded.bulk = 0
                      THEN min(delivery.due_at, :now + :delay)
                  WHEN delivery.error_kind IS NOT NULL THEN delivery.due_at
                  WHEN delivery.bulk = 1 AND excluded.bulk = 1 THEN :now
                  ELSE min(:now + :delay, delivery.first_change_at + 4 * :delay) END
"""

#: A backfill asks for keys that did not change: owed at once, unless it is owed already, or mapping it again can
#: only give what the link was made from: that, and no former state, stands beside the keys.
OWE_ANYWAY = f"""{_OWE.replace("j.value", "NULL")}
WHERE NOT EXISTS (SELECT 1 FROM link l WHERE l.route = :route AND l.source = :source
    AND l.entity = :entity AND l.key = j.key AND l.made_from = j.value) {_OWED} NOTHING"""  # noqa: S608  own constants

#: Each route is given an event once, for good.
GIVE_EVENT = """
INSERT INTO event_route (event, route, outcome) VALUES (:event, :route, :outcome) ON CONFLICT DO NOTHING
"""

#: What became of an event on a route.
END_EVENT = "UPDATE event_route SET outcome = :outcome WHERE event = :event AND route = :route"

#: An event is owed at once, behind the open ones of its key, and of its owner on this route.
OWE_EVENT = f"""
INSERT INTO delivery (route, sink, source, entity, key, op, state, bulk, blocked, event, owner_entity, owner_key,
                      maybe_applied, due_at, first_change_at, last_change_at, created_at)
VALUES (:route, :sink, :source, :entity, :key, 'event', 'ready', :bulk,
    CASE WHEN {_HELD_VALUES}
        OR EXISTS (SELECT 1 FROM delivery r WHERE r.source = :source AND r.entity = :entity AND r.key = :key
            AND r.settled_at IS NULL AND r.sink = :sink AND r.event IS NOT NULL AND r.state = 'ready')
        OR EXISTS (SELECT 1 FROM delivery r WHERE r.source = :source AND r.owner_entity = :owner_entity
            AND r.owner_key = :owner_key AND r.owner_key IS NOT NULL AND r.settled_at IS NULL AND r.sink = :sink
            AND r.route = :route AND r.state <> 'parked') THEN 1 ELSE 0 END,
    :event, :owner_entity, :owner_key, :doubt, :now, :now, :now, :now)
"""  # noqa: S608  own constants

#: Say anew which ready rows of a key may be claimed: none while one runs, and of the events only the first.
REFRESH_BLOCKED = f"""
UPDATE delivery SET blocked = {_BLOCKED}
WHERE source = :source AND entity = :entity AND key = :key AND settled_at IS NULL AND sink = :sink
    AND state = 'ready'
"""  # noqa: S608  own constants

#: The same for the events of an owner on a route: the first, and what wrongly may go before it.
REFRESH_OWNER = f"""
UPDATE delivery SET blocked = {_BLOCKED}
WHERE source = :source AND owner_entity = :owner_entity AND owner_key = :owner_key AND owner_key IS NOT NULL
    AND settled_at IS NULL AND sink = :sink AND route = :route AND state = 'ready'
    AND (blocked = 0 OR id = {_FIRST_OF_OWNER})
"""  # noqa: S608  own constants

#: The same for all that a route owes.
REFRESH_ROUTE = f"""
UPDATE delivery SET blocked = {_BLOCKED} WHERE sink = :sink AND route = :new AND state = 'ready' AND settled_at IS NULL
"""  # noqa: S608  own constants

#: The sinks with something to deliver of a record.
SINKS_OF = """
SELECT sink FROM delivery WHERE source = :source AND entity = :entity AND key = :key AND settled_at IS NULL
"""

# -- claiming --------------------------------------------------------------------------------------------------------

#: The earliest due row of a route, live or bulk.
CLAIM_HEAD = """
SELECT due_at FROM delivery WHERE sink = :sink AND route = :route AND bulk = :bulk AND state = 'ready'
    AND blocked = 0 AND due_at <= :now ORDER BY due_at LIMIT 1
"""

#: Whether at least `nth` + 1 rows of a route are due.
CLAIM_NTH = """
SELECT 1 FROM delivery WHERE sink = :sink AND route = :route AND bulk = :bulk AND state = 'ready'
    AND blocked = 0 AND due_at <= :now ORDER BY due_at LIMIT 1 OFFSET :nth
"""

#: The rows to take, the earliest due first.
CLAIM_ROWS = """
SELECT id, source, entity, key FROM delivery WHERE sink = :sink AND route = :route AND bulk = :bulk AND state = 'ready'
    AND blocked = 0 AND due_at <= :now ORDER BY due_at, id LIMIT :size /* FOR UPDATE SKIP LOCKED */
"""

#: Those that were leased.
CLAIMED = """
SELECT o.* FROM json_each(:ids) j CROSS JOIN outbox o ON o.id = j.value WHERE o.lease_token = :token
"""

#: The states that rows were owed from.
BEFORES = """
SELECT d.id, d.before FROM json_each(:ids) j CROSS JOIN delivery d ON d.id = j.value WHERE d.before IS NOT NULL
"""

#: Unsorted: asked for in order of the keys SQLite walks through all of them, once for each record of a batch.
TAKEN_OVER = "SELECT key FROM snapshot WHERE source = ? AND entity = ? AND replaced_by = ?"

#: Rows whose key is in a submitted job with an older state, and what of them was not handed to `overtake` yet.
BEHIND_JOBS = """
SELECT o.*, s.sent AS job_sent FROM outbox o JOIN delivery s ON s.source = o.source AND s.entity = o.entity
    AND s.key = o.key AND s.sink = o.sink AND s.route = o.route AND s.state = 'submitted' AND s.settled_at IS NULL
WHERE o.sink = :sink AND o.state = 'ready' AND o.blocked = 1 AND o.event IS NULL AND o.op = 'upsert'
    AND (o.overtaken IS NULL OR o.overtaken < o.last_change_at)
ORDER BY o.route, o.last_change_at LIMIT :limit
"""

#: Rows of a listing that differ from what `adopt` saw, and were not handed to `overtake` yet.
CHANGED_SINCE_ADOPTED = """
SELECT o.* FROM outbox o JOIN link l ON l.route = o.route AND l.source = o.source AND l.entity = o.entity
    AND l.key = o.key
JOIN snapshot s ON s.source = o.source AND s.entity = o.entity AND s.key = o.key
WHERE o.sink = :sink AND o.route = :route AND o.state = 'ready' AND o.bulk = 1 AND o.op = 'upsert'
    AND l.seen IS NOT NULL AND s.data <> l.seen AND (o.overtaken IS NULL OR o.overtaken < o.last_change_at)
ORDER BY o.last_change_at LIMIT :limit
"""

#: This state was handed over; a newer one is again. Of what something was done the target holds no state that is known.
OVERTAKEN = """
UPDATE delivery SET overtaken = max(coalesce(overtaken, 0), :seen), maybe_applied = max(maybe_applied, :done)
WHERE id = :id AND state = 'ready'
"""

#: Lease them, as far as they are still to be had.
LEASE = """
UPDATE delivery SET state = 'running', lease_token = :token, lease_until = :until
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'ready' AND blocked = 0
"""

#: What else waits for these keys at this sink waits now.
BLOCK_OTHERS = """
UPDATE delivery SET blocked = 1 WHERE id IN (
    SELECT o.id FROM json_each(:ids) j CROSS JOIN delivery r ON r.id = j.value
    CROSS JOIN delivery o ON o.source = r.source AND o.entity = r.entity AND o.key = r.key
        AND o.settled_at IS NULL AND o.sink = r.sink AND o.state = 'ready' AND o.blocked = 0)
"""

#: Rows of a route that are ready and due, counted up to a limit.
DUE = """
SELECT count(*) FROM (
    SELECT 1 FROM delivery WHERE sink = :sink AND route = :route AND bulk = :bulk AND state = 'ready'
        AND blocked = 0 AND due_at <= :now LIMIT :limit) counted
"""

#: What of a sink's ready rows is not due yet.
LATER = """
SELECT count(*) AS rows, min(due_at) AS first FROM delivery WHERE sink = :sink AND state = 'ready' AND due_at > :now
"""

#: Rows that wait after a failure are due now.
HURRY = """
UPDATE delivery SET due_at = :now
WHERE sink = :sink AND state = 'ready' AND due_at > :now AND error_kind IS NOT NULL
"""

#: When the next row of a route is due.
NEXT_DUE = """
SELECT min(due_at) FROM delivery WHERE sink = :sink AND route = :route AND bulk = :bulk AND state = 'ready'
    AND blocked = 0
"""

# -- settling --------------------------------------------------------------------------------------------------------

#: What settling needs of the rows that run or are in a job.
HELD = """
SELECT id, state, lease_token, job, event, route, sink, source, entity, key, op, bulk, owner_entity, owner_key,
    maybe_applied
FROM delivery WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('running', 'submitted')
"""

#: All of these rows.
WHOLE = "SELECT d.* FROM json_each(:ids) j CROSS JOIN delivery d ON d.id = j.value"

#: These need no further try.
END = """
UPDATE delivery SET state = :state, maybe_applied = 0, lease_token = NULL, lease_until = NULL, job = NULL,
    job_position = NULL, submitted_at = NULL, sent = NULL, before = NULL, former_email = NULL, wait_route = NULL,
    wait_entity = NULL, wait_key = NULL, waiting_since = NULL, error_kind = NULL, error = NULL, settled_at = :now
WHERE id IN (SELECT value FROM json_each(:ids))
"""

#: What was doubted because of rows that were dismissed, and came to its end, is doubted no more.
END_DOUBT = """
UPDATE delivery SET maybe_applied = 0, sent = NULL WHERE id IN (
    SELECT v.id FROM json_each(:ids) j CROSS JOIN delivery r ON r.id = j.value
    CROSS JOIN delivery v ON v.source = r.source AND v.entity = r.entity AND v.key = r.key
        AND v.route = r.route AND v.state = 'dismissed' AND v.event IS NULL AND v.id < r.id)
"""

#: Those of these rows that a parked state of the same route and key came before.
SUPERSEDING = """
SELECT r.id FROM json_each(:ids) j CROSS JOIN delivery r ON r.id = j.value
CROSS JOIN delivery p ON p.source = r.source AND p.entity = r.entity AND p.key = r.key AND p.settled_at IS NULL
    AND p.route = r.route AND p.state = 'parked' AND p.event IS NULL AND p.id < r.id
WHERE r.event IS NULL
"""

#: Say anew what may be claimed of the keys of these rows, at their sinks.
REFRESH_BEHIND = f"""
UPDATE delivery SET blocked = {_BLOCKED} WHERE id IN (
    SELECT o.id FROM json_each(:ids) j CROSS JOIN delivery r ON r.id = j.value
    CROSS JOIN delivery o ON o.source = r.source AND o.entity = r.entity AND o.key = r.key
        AND o.settled_at IS NULL AND o.sink = r.sink AND o.state = 'ready')
"""  # noqa: S608  own constants

#: Move a row on; a lease or a job ends with the state it belongs to.
MOVE = """
UPDATE delivery SET state = :state, due_at = :due_at, attempts = :attempts, first_failed_at = :first_failed_at,
    maybe_applied = :maybe_applied, lease_token = NULL, lease_until = NULL, job = :job, job_position = :job_position,
    submitted_at = :submitted_at, sent = :sent, before = CASE WHEN :settled_at IS NULL THEN before END,
    wait_route = :wait_route, wait_entity = :wait_entity,
    wait_key = :wait_key, waiting_since = :waiting_since, error_kind = :error_kind, error = :error,
    settled_at = :settled_at
WHERE id = :id
"""

#: The ready row of a route and key.
READY = """
SELECT * FROM delivery WHERE route = :route AND source = :source AND entity = :entity AND key = :key
    AND state = 'ready' AND event IS NULL
"""

#: Fold a row that goes back to ready into the newer ready one.
FOLD = """
UPDATE delivery SET due_at = max(due_at, :due_at), attempts = :attempts, first_failed_at = :first_failed_at,
    first_change_at = min(first_change_at, :first_change_at), bulk = min(bulk, :bulk),
    maybe_applied = max(maybe_applied, :maybe_applied), before = coalesce(:before, before),
    sent = coalesce(:sent, sent), former_email = coalesce(:former_email, former_email), wait_route = :wait_route,
    wait_entity = :wait_entity, wait_key = :wait_key, waiting_since = :waiting_since,
    error_kind = :error_kind, error = :error
WHERE id = :id
"""

#: What waits behind a row that is parked goes on from the state that one began with, and doubts what that one doubts.
HAND_ON_BEFORE = """
UPDATE delivery SET before = coalesce(:before, before), sent = coalesce(:sent, sent),
    maybe_applied = max(maybe_applied, :maybe_applied)
WHERE route = :route AND source = :source AND entity = :entity AND key = :key AND state = 'ready' AND event IS NULL
"""

#: Earlier parked rows of a route and key, which a later delivery of the newest state makes pointless.
OLDER_PARKED = """
SELECT * FROM delivery WHERE source = :source AND entity = :entity AND key = :key AND settled_at IS NULL
    AND route = :route AND state = 'parked' AND event IS NULL AND id < :id
"""

#: Rows of one lease, and those whose lease is over.
LEASED = "SELECT * FROM outbox WHERE lease_token = :token"
OVERDUE = "SELECT * FROM outbox WHERE lease_token IS NOT NULL AND lease_until <= :now"

#: Whether anything waits for links of a route.
WAITED_FOR = "SELECT 1 FROM delivery WHERE wait_route = :route LIMIT 1"

#: Whether anything is parked because it waited for links of a route for too long.
WAITED_IN_VAIN = "SELECT 1 FROM delivery WHERE state = 'parked' AND sink = :sink AND wait_route = :route LIMIT 1"
#: Of that, what waited for this link.
PARKED_BEHIND = """
SELECT id FROM delivery WHERE state = 'parked' AND wait_route = :route AND source = :source
    AND wait_entity = :entity AND wait_key = :key ORDER BY id
"""

#: A person needs no parked row any more.
DISMISS = """
UPDATE delivery SET state = 'dismissed', settled_at = ?, wait_route = NULL, wait_entity = NULL, wait_key = NULL
WHERE id = ?
"""

#: Rows that waited for this link are due now.
WAKE = """
UPDATE delivery SET due_at = min(due_at, :now), wait_route = NULL, wait_entity = NULL, wait_key = NULL
WHERE wait_route = :route AND source = :source AND wait_entity = :entity AND wait_key = :key
"""

# -- links and history -----------------------------------------------------------------------------------------------

_LINK = "route = :route AND source = :source AND entity = :entity AND key = :key"
#: One link.
LINK = f"SELECT * FROM linked WHERE {_LINK}"  # noqa: S608  own constant

#: Those of several records.
LINKS = """
SELECT l.* FROM json_each(:keys) j CROSS JOIN linked l
WHERE l.route = :route AND l.source = :source AND l.entity = :entity AND l.key = j.value
"""

_PUT_LINK = """
INSERT INTO link (route, source, entity, key, sink, object, remote_id, etag, fields, left_out, asked, adopted, made,
                  parent_id, let_go, delivered_at, made_from, seen)
VALUES (:route, :source, :entity, :key, :sink, :object, :remote_id, :etag, coalesce(:fields, '{}'), :left_out, :asked,
        coalesce(:adopted, 0), :made, :parent_id, :left, :now, :made_from, :seen)
ON CONFLICT (route, source, entity, key) DO UPDATE SET
    object = excluded.object, remote_id = excluded.remote_id, etag = excluded.etag,
    delivered_at = excluded.delivered_at, made = iif(excluded.made = '{}', link.made, excluded.made),
    parent_id = coalesce(excluded.parent_id, link.parent_id), sink = iif(excluded.sink = '', link.sink, excluded.sink),
    made_from = excluded.made_from, """
_ITS_FIELDS = """fields = excluded.fields, left_out = excluded.left_out, asked = excluded.asked,
    let_go = excluded.let_go, seen = excluded.seen"""

#: Write a link, by whether fields and whose the twin is are given; what is not given stays as it is known.
PUT_LINK = {
    (True, True): f"{_PUT_LINK}{_ITS_FIELDS}, adopted = excluded.adopted",
    (True, False): f"{_PUT_LINK}{_ITS_FIELDS}",
    (False, True): f"{_PUT_LINK}seen = coalesce(excluded.seen, link.seen), adopted = excluded.adopted",
    (False, False): f"{_PUT_LINK}seen = coalesce(excluded.seen, link.seen)",
}

#: What the link's fields were made from, if it is known.
MADE_FROM = f"UPDATE link SET made_from = :made_from WHERE {_LINK}"  # noqa: S608  own constant
#: What may be at the twin besides.
MAY_HOLD = f"UPDATE link SET asked = :asked WHERE {_LINK}"  # noqa: S608  own constant
#: Forget a link.
DROP_LINK = f"DELETE FROM link WHERE {_LINK}"  # noqa: S608  own constant

#: Who else writes to the twin that a link led to.
SHARERS = """
SELECT route, sink, source, entity, key, object, remote_id FROM link
WHERE remote_id = :remote_id AND object = :object AND sink = :sink AND let_go = 0
  AND NOT (route = :route AND source = :source AND entity = :entity AND key = :key)
"""
#: A line of the audit trail.
ADD_HISTORY = """
INSERT INTO history (at, route, sink, source, entity, key, op, outcome, remote_id, fields, error_kind, error, note,
                     duration_ms, delivery)
VALUES (:at, :route, :sink, :source, :entity, :key, :op, :outcome, :remote_id, :fields, :error_kind, :error, :note,
        :duration_ms, :delivery)
"""
