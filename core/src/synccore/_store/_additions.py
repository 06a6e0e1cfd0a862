"""What later releases added to the tables; `schema` runs these scripts in their order."""

#: What a link's fields were made from: where that is the same still, a record need not be mapped again.
MADE_FROM = """
ALTER TABLE link ADD COLUMN made_from TEXT;
"""

#: The record as `adopt` saw it, until something is delivered: what changes before that is a change.
SEEN = """
ALTER TABLE link ADD COLUMN seen TEXT;
"""

#: The address that a record was delivered with, as long as another one is owed: whoever has that address now waits.
FORMER_EMAIL = """
ALTER TABLE delivery ADD COLUMN former_email TEXT;
CREATE INDEX delivery_former_email ON delivery (former_email) WHERE former_email IS NOT NULL;
"""

#: Whom an instance was connected to is kept in its plugin state, and nowhere else.
ACCOUNTS = """
DROP TABLE account;
"""

#: Hints, unreadable records, how long a state is known to be true, the fate of every event on every route.
FACTS = """
-- Until when the state is known to have been true: a page that was read before that loses against it.
ALTER TABLE snapshot ADD COLUMN known_at INTEGER NOT NULL DEFAULT 0;
UPDATE snapshot SET known_at = stored_at;

-- What became of an event on a route, for good. Null: open or parked. Late: older than the state that was known.
ALTER TABLE event_route ADD COLUMN outcome TEXT CHECK (outcome IN ('done', 'skipped', 'dismissed', 'late'));
UPDATE event_route SET outcome = (
    SELECT d.state FROM delivery d WHERE d.event = event_route.event AND d.route = event_route.route
        AND d.settled_at IS NOT NULL);
-- Delivered so long ago that the row was pruned.
UPDATE event_route SET outcome = 'done' WHERE NOT EXISTS (
    SELECT 1 FROM delivery d WHERE d.event = event_route.event AND d.route = event_route.route);
CREATE INDEX event_route_route ON event_route (route, outcome);

-- Whose event it is: those of one person keep their order on a route, whatever record they are of.
ALTER TABLE delivery ADD COLUMN owner_entity TEXT;
ALTER TABLE delivery ADD COLUMN owner_key TEXT;
UPDATE delivery SET
    owner_entity = (SELECT e.owner_entity FROM event e WHERE e.id = delivery.event),
    owner_key = (SELECT e.owner_key FROM event e WHERE e.id = delivery.event)
    WHERE event IS NOT NULL AND settled_at IS NULL;
CREATE INDEX delivery_owner ON delivery (source, owner_entity, owner_key, sink, route)
    WHERE owner_key IS NOT NULL AND settled_at IS NULL;
UPDATE delivery SET blocked = 1 WHERE state = 'ready' AND owner_key IS NOT NULL AND EXISTS (
    SELECT 1 FROM delivery e WHERE e.source = delivery.source AND e.owner_entity = delivery.owner_entity
        AND e.owner_key = delivery.owner_key AND e.settled_at IS NULL AND e.sink = delivery.sink
        AND e.route = delivery.route AND e.id < delivery.id AND e.state <> 'parked');

-- A row may move to another route (it was renamed): the counts go with it.
DROP TRIGGER delivery_moved;
CREATE TRIGGER delivery_moved AFTER UPDATE OF sink, route, state ON delivery
    WHEN old.state <> new.state OR old.sink <> new.sink OR old.route <> new.route
BEGIN
    UPDATE delivery_count SET rows = rows - 1
        WHERE sink = old.sink AND route = old.route AND state = old.state;
    INSERT INTO delivery_count VALUES (new.sink, new.route, new.state, 1)
        ON CONFLICT DO UPDATE SET rows = rows + 1;
END;

-- Records that the source only named: they are fetched before anything of them is delivered.
CREATE TABLE hint (
    source TEXT NOT NULL,
    op TEXT NOT NULL CHECK (op IN ('touch', 'forget')),
    entity TEXT NOT NULL,
    key TEXT NOT NULL,
    -- Grows each time it is given, so that an answer to an earlier one does not end a later one.
    mark INTEGER NOT NULL DEFAULT 1,
    bulk INTEGER NOT NULL CHECK (bulk IN (0, 1)),
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    given_at INTEGER NOT NULL,
    PRIMARY KEY (source, op, entity, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX hint_due ON hint (source, bulk, due_at);

-- The records whose deliveries wait for a hint: the hinted one, its owner, what it owns.
CREATE TABLE awaited (
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    key TEXT NOT NULL,
    hint_entity TEXT NOT NULL,
    hint_key TEXT NOT NULL,
    PRIMARY KEY (source, entity, key, hint_entity, hint_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX awaited_hint ON awaited (source, hint_entity, hint_key);

-- Records that the source could not make sense of, by the place where they were met.
CREATE TABLE unreadable (
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    place TEXT NOT NULL,
    key TEXT,
    reason TEXT NOT NULL,
    times INTEGER NOT NULL DEFAULT 1,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    PRIMARY KEY (source, entity, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX unreadable_key ON unreadable (source, entity, key) WHERE key IS NOT NULL;
"""

#: The same rows for less work: conditions without lists (SQLite fills a table with the members of a list of three or
#: more anew for each row that it checks), one index of leases, one for the links of a route, one that tells whether
#: anything hangs under a record of a sink.
LEAN = """
DROP VIEW outbox;
DROP VIEW linked;

CREATE TABLE leaner (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    route TEXT NOT NULL,
    sink TEXT NOT NULL,
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    key TEXT NOT NULL,
    op TEXT NOT NULL CHECK (op = 'upsert' OR op = 'delete' OR op = 'event'),
    state TEXT NOT NULL CHECK (state = 'ready' OR state = 'running' OR state = 'done' OR state = 'skipped'
        OR state = 'parked' OR state = 'submitted' OR state = 'dismissed'),
    bulk INTEGER NOT NULL CHECK (bulk IN (0, 1)),
    -- A ready row that may not be claimed yet: its key runs at this sink, or an earlier event of its key is open.
    blocked INTEGER NOT NULL DEFAULT 0 CHECK (blocked IN (0, 1)),
    event INTEGER REFERENCES event (id) ON DELETE CASCADE,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    first_failed_at INTEGER,
    first_change_at INTEGER NOT NULL,
    last_change_at INTEGER NOT NULL,
    maybe_applied INTEGER NOT NULL DEFAULT 0 CHECK (maybe_applied IN (0, 1)),
    lease_token TEXT,
    lease_until INTEGER,
    job TEXT,
    job_position INTEGER,
    submitted_at INTEGER,
    sent TEXT,
    wait_route TEXT,
    wait_entity TEXT,
    wait_key TEXT,
    waiting_since INTEGER,
    error_kind TEXT,
    error TEXT,
    created_at INTEGER NOT NULL,
    settled_at INTEGER,
    before TEXT,
    overtaken INTEGER,
    owner_entity TEXT,
    owner_key TEXT,
    former_email TEXT,
    CHECK ((op = 'event') = (event IS NOT NULL)),
    CHECK ((state = 'running') = (lease_token IS NOT NULL)),
    CHECK ((lease_token IS NULL) = (lease_until IS NULL)),
    CHECK ((state = 'submitted') = (job IS NOT NULL)),
    CHECK ((state = 'done' OR state = 'skipped' OR state = 'dismissed') = (settled_at IS NOT NULL)),
    CHECK (blocked = 0 OR state = 'ready')
) STRICT;
INSERT INTO leaner SELECT id, route, sink, source, entity, key, op, state, bulk, blocked, event, due_at, attempts,
    first_failed_at, first_change_at, last_change_at, maybe_applied, lease_token, lease_until, job, job_position,
    submitted_at, sent, wait_route, wait_entity, wait_key, waiting_since, error_kind, error, created_at, settled_at,
    before, overtaken, owner_entity, owner_key, former_email FROM delivery ORDER BY id;
-- No number is given twice, those of rows that were pruned neither.
DELETE FROM sqlite_sequence WHERE name = 'leaner';
INSERT INTO sqlite_sequence SELECT 'leaner', seq FROM sqlite_sequence WHERE name = 'delivery';
DROP TABLE delivery;
ALTER TABLE leaner RENAME TO delivery;
CREATE UNIQUE INDEX delivery_ready ON delivery (route, source, entity, key) WHERE state = 'ready' AND event IS NULL;
CREATE UNIQUE INDEX delivery_running ON delivery (sink, source, entity, key)
    WHERE state = 'running' OR state = 'submitted';
CREATE INDEX delivery_claim ON delivery (sink, route, bulk, due_at, id) WHERE state = 'ready' AND blocked = 0;
CREATE INDEX delivery_key ON delivery (key, entity, source, settled_at);
-- What is leased is little: who looks for leases that are over walks through it.
CREATE INDEX delivery_lease ON delivery (lease_token, lease_until) WHERE lease_token IS NOT NULL;
CREATE INDEX delivery_job ON delivery (sink, job, job_position) WHERE state = 'submitted';
CREATE INDEX delivery_settled ON delivery (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX delivery_parked ON delivery (sink, route, error_kind, error) WHERE state = 'parked';
CREATE INDEX delivery_oldest ON delivery (sink, route, first_change_at) WHERE state = 'ready';
CREATE INDEX delivery_waiting ON delivery (wait_route, source, wait_entity, wait_key) WHERE wait_route IS NOT NULL;
CREATE INDEX delivery_event ON delivery (event) WHERE event IS NOT NULL;
CREATE INDEX delivery_blocked ON delivery (sink) WHERE state = 'ready' AND blocked = 1;
CREATE INDEX delivery_owner ON delivery (source, owner_entity, owner_key, sink, route)
    WHERE owner_key IS NOT NULL AND settled_at IS NULL;
CREATE INDEX delivery_former_email ON delivery (former_email) WHERE former_email IS NOT NULL;
CREATE TRIGGER delivery_made AFTER INSERT ON delivery BEGIN
    INSERT INTO delivery_count VALUES (new.sink, new.route, new.state, 1)
        ON CONFLICT DO UPDATE SET rows = rows + 1;
END;
CREATE TRIGGER delivery_moved AFTER UPDATE OF sink, route, state ON delivery
    WHEN old.state <> new.state OR old.sink <> new.sink OR old.route <> new.route
BEGIN
    UPDATE delivery_count SET rows = rows - 1
        WHERE sink = old.sink AND route = old.route AND state = old.state;
    INSERT INTO delivery_count VALUES (new.sink, new.route, new.state, 1)
        ON CONFLICT DO UPDATE SET rows = rows + 1;
END;
CREATE TRIGGER delivery_gone AFTER DELETE ON delivery BEGIN
    UPDATE delivery_count SET rows = rows - 1
        WHERE sink = old.sink AND route = old.route AND state = old.state;
END;
CREATE VIEW outbox AS
    SELECT d.*, e.event_id AS event_id, iif(d.blocked = 1, (
        SELECT s.job FROM delivery s WHERE s.source = d.source AND s.entity = d.entity AND s.key = d.key
            AND s.settled_at IS NULL AND s.sink = d.sink AND s.state = 'submitted'), NULL) AS behind_job,
        iif(d.blocked = 1, (
        SELECT s.submitted_at FROM delivery s WHERE s.source = d.source AND s.entity = d.entity AND s.key = d.key
            AND s.settled_at IS NULL AND s.sink = d.sink AND s.state = 'submitted'), NULL) AS behind_since
    FROM delivery d LEFT JOIN event e ON e.id = d.event;

CREATE TABLE leaner (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    route TEXT NOT NULL,
    sink TEXT NOT NULL,
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    key TEXT NOT NULL,
    op TEXT NOT NULL CHECK (op = 'upsert' OR op = 'delete' OR op = 'event' OR op = 'leave' OR op = 'touch'
        OR op = 'forget'),
    outcome TEXT NOT NULL,
    remote_id TEXT,
    fields TEXT NOT NULL DEFAULT '[]',
    error_kind TEXT,
    error TEXT,
    note TEXT,
    duration_ms INTEGER,
    delivery INTEGER
) STRICT;
INSERT INTO leaner SELECT id, at, route, sink, source, entity, key, op, outcome, remote_id, fields, error_kind, error,
    note, duration_ms, delivery FROM history ORDER BY id;
DELETE FROM sqlite_sequence WHERE name = 'leaner';
INSERT INTO sqlite_sequence SELECT 'leaner', seq FROM sqlite_sequence WHERE name = 'history';
DROP TABLE history;
ALTER TABLE leaner RENAME TO history;
CREATE INDEX history_key ON history (key, entity, source);
CREATE INDEX history_sink ON history (sink);
CREATE INDEX history_at ON history (at);

CREATE TABLE leaner (
    id INTEGER PRIMARY KEY,
    route TEXT NOT NULL,
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    key TEXT NOT NULL,
    object TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    etag TEXT,
    fields TEXT NOT NULL DEFAULT '{}',
    delivered_at INTEGER,
    sink TEXT NOT NULL DEFAULT '',
    left_out TEXT NOT NULL DEFAULT '{}',
    asked TEXT,
    adopted INTEGER NOT NULL DEFAULT 0 CHECK (adopted IN (0, 1)),
    made TEXT NOT NULL DEFAULT '{}',
    parent_id TEXT,
    let_go INTEGER NOT NULL DEFAULT 0 CHECK (let_go IN (0, 1)),
    made_from TEXT,
    seen TEXT,
    -- In this order it gives a route's links by their keys, too.
    UNIQUE (route, key, source, entity)
) STRICT;
INSERT INTO leaner SELECT id, route, source, entity, key, object, remote_id, etag, fields, delivered_at, sink, left_out,
    asked, adopted, made, parent_id, let_go, made_from, seen FROM link ORDER BY id;
DROP TABLE link;
ALTER TABLE leaner RENAME TO link;
CREATE INDEX link_key ON link (source, entity, key);
CREATE INDEX link_remote ON link (remote_id, object, sink);
CREATE INDEX link_hanging ON link (sink) WHERE parent_id IS NOT NULL;
CREATE VIEW linked AS
    SELECT l.*, (SELECT count(DISTINCT o.source || char(31) || o.entity || char(31) || o.key) FROM link o
                 WHERE o.remote_id = l.remote_id AND o.object = l.object AND o.sink = l.sink) AS shared
    FROM link l;
"""
