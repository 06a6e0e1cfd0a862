"""The tables of the first releases; `_additions` has what later ones added. A script that was released is never edited.

All times are integer milliseconds since 1970 UTC.
"""

from ._additions import ACCOUNTS, FACTS, FORMER_EMAIL, LEAN, MADE_FROM, SEEN
from ._releases import RELEASES

__all__ = ["SCHEMA", "SCRIPTS"]

RECORDS = """
-- The last known state of every record. A deleted one stays as a tombstone that keeps its version.
CREATE TABLE snapshot (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    key TEXT NOT NULL,
    data TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    version INTEGER,
    owner_entity TEXT,
    owner_key TEXT,
    email TEXT,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    -- The key that took this one's place (a guest who registered).
    replaced_by TEXT,
    changed_at INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    UNIQUE (source, entity, key),
    CHECK ((owner_entity IS NULL) = (owner_key IS NULL)),
    CHECK (replaced_by IS NULL OR deleted = 1)
) STRICT;
CREATE INDEX snapshot_owner ON snapshot (source, owner_entity, owner_key, entity) WHERE owner_key IS NOT NULL;
CREATE INDEX snapshot_email ON snapshot (email) WHERE email IS NOT NULL;
CREATE INDEX snapshot_replaced ON snapshot (source, entity, replaced_by) WHERE replaced_by IS NOT NULL;

-- Facts, each once. They stay after delivery: they are what keeps a second observation from being a second event.
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    event_id TEXT NOT NULL,
    key TEXT NOT NULL,
    data TEXT NOT NULL,
    version INTEGER,
    owner_entity TEXT,
    owner_key TEXT,
    email TEXT,
    at INTEGER NOT NULL,
    stored_at INTEGER NOT NULL,
    UNIQUE (source, entity, event_id),
    CHECK ((owner_entity IS NULL) = (owner_key IS NULL))
) STRICT;
CREATE INDEX event_key ON event (source, entity, key);
CREATE INDEX event_owner ON event (source, owner_entity, owner_key, entity) WHERE owner_key IS NOT NULL;
CREATE INDEX event_email ON event (email) WHERE email IS NOT NULL;

-- Which routes were given an event, for good: the deliveries themselves are pruned.
CREATE TABLE event_route (
    event INTEGER NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    route TEXT NOT NULL,
    PRIMARY KEY (event, route)
) STRICT, WITHOUT ROWID;

CREATE TABLE link (
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
    UNIQUE (route, source, entity, key)
) STRICT;
CREATE INDEX link_key ON link (source, entity, key);
CREATE INDEX link_page ON link (route, key);
"""

OUTBOX = """
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    route TEXT NOT NULL,
    sink TEXT NOT NULL,
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    key TEXT NOT NULL,
    op TEXT NOT NULL CHECK (op IN ('upsert', 'delete', 'event')),
    state TEXT NOT NULL
        CHECK (state IN ('ready', 'running', 'submitted', 'done', 'skipped', 'parked', 'dismissed')),
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
    CHECK ((op = 'event') = (event IS NOT NULL)),
    CHECK ((state = 'running') = (lease_token IS NOT NULL)),
    CHECK ((lease_token IS NULL) = (lease_until IS NULL)),
    CHECK ((state = 'submitted') = (job IS NOT NULL)),
    CHECK ((state IN ('done', 'skipped', 'dismissed')) = (settled_at IS NOT NULL)),
    CHECK (blocked = 0 OR state = 'ready')
) STRICT;
-- Rules: one ready state-delivery per route and key, one delivery at a sink per key.
CREATE UNIQUE INDEX delivery_ready ON delivery (route, source, entity, key) WHERE state = 'ready' AND event IS NULL;
CREATE UNIQUE INDEX delivery_running ON delivery (sink, source, entity, key)
    WHERE state = 'running' OR state = 'submitted';
-- Ways in: claiming, one key's rows, leases, jobs, pruning, causes, age, waiting for parents.
CREATE INDEX delivery_claim ON delivery (sink, route, bulk, due_at, id) WHERE state = 'ready' AND blocked = 0;
-- The key first: people ask for a key without saying of what.
CREATE INDEX delivery_key ON delivery (key, entity, source, settled_at);
CREATE INDEX delivery_token ON delivery (lease_token) WHERE lease_token IS NOT NULL;
CREATE INDEX delivery_lease ON delivery (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX delivery_job ON delivery (sink, job, job_position) WHERE state = 'submitted';
CREATE INDEX delivery_settled ON delivery (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX delivery_parked ON delivery (sink, route, error_kind, error) WHERE state = 'parked';
CREATE INDEX delivery_oldest ON delivery (sink, route, first_change_at) WHERE state = 'ready';
CREATE INDEX delivery_waiting ON delivery (wait_route, source, wait_entity, wait_key) WHERE wait_route IS NOT NULL;
CREATE INDEX delivery_event ON delivery (event) WHERE event IS NOT NULL;

CREATE VIEW outbox AS
    SELECT d.*, e.event_id AS event_id FROM delivery d LEFT JOIN event e ON e.id = d.event;

CREATE TABLE history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    route TEXT NOT NULL,
    sink TEXT NOT NULL,
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    key TEXT NOT NULL,
    op TEXT NOT NULL CHECK (op IN ('upsert', 'delete', 'event')),
    outcome TEXT NOT NULL,
    remote_id TEXT,
    fields TEXT NOT NULL DEFAULT '[]',
    error_kind TEXT,
    error TEXT,
    note TEXT,
    duration_ms INTEGER,
    delivery INTEGER
) STRICT;
CREATE INDEX history_key ON history (key, entity, source);
CREATE INDEX history_sink ON history (sink);
CREATE INDEX history_at ON history (at);
"""

COUNTS = """
-- Rows per state, kept by triggers: `status` costs the same with a million rows as with ten.
CREATE TABLE delivery_count (
    sink TEXT NOT NULL,
    route TEXT NOT NULL,
    state TEXT NOT NULL,
    rows INTEGER NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (sink, route, state)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER delivery_made AFTER INSERT ON delivery BEGIN
    INSERT INTO delivery_count VALUES (new.sink, new.route, new.state, 1)
        ON CONFLICT DO UPDATE SET rows = rows + 1;
END;
CREATE TRIGGER delivery_moved AFTER UPDATE OF sink, state ON delivery
    WHEN old.state <> new.state OR old.sink <> new.sink
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

CREATE TABLE snapshot_count (
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    rows INTEGER NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (source, entity)
) STRICT, WITHOUT ROWID;
CREATE TRIGGER snapshot_made AFTER INSERT ON snapshot WHEN new.deleted = 0 BEGIN
    INSERT INTO snapshot_count VALUES (new.source, new.entity, 1) ON CONFLICT DO UPDATE SET rows = rows + 1;
END;
CREATE TRIGGER snapshot_moved AFTER UPDATE OF deleted ON snapshot WHEN old.deleted <> new.deleted BEGIN
    UPDATE snapshot_count SET rows = rows + old.deleted - new.deleted
        WHERE source = new.source AND entity = new.entity;
END;
CREATE TRIGGER snapshot_gone AFTER DELETE ON snapshot WHEN old.deleted = 0 BEGIN
    UPDATE snapshot_count SET rows = rows - 1 WHERE source = old.source AND entity = old.entity;
END;
"""

REST = """
CREATE TABLE cursor (
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT,
    stored_at INTEGER NOT NULL,
    PRIMARY KEY (source, name)
) STRICT, WITHOUT ROWID;

-- A running full comparison and the keys it has seen.
CREATE TABLE sweep (
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    -- The last snapshot that existed when it began.
    last_snapshot INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    PRIMARY KEY (source, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE sweep_seen (
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    entity TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (source, name, entity, key),
    FOREIGN KEY (source, name) REFERENCES sweep (source, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE lane (
    sink TEXT PRIMARY KEY NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ok', 'paused', 'rate_limited', 'needs_auth', 'circuit_open', 'error')),
    reason TEXT,
    until INTEGER,
    changed_at INTEGER,
    failures INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE backfill (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('backfill', 'reconcile')),
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    filters TEXT NOT NULL,
    route TEXT,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
    cursor TEXT,
    seen INTEGER NOT NULL DEFAULT 0,
    total INTEGER,
    error TEXT,
    created_at INTEGER NOT NULL,
    finished_at INTEGER,
    CHECK ((state IN ('done', 'failed')) = (finished_at IS NOT NULL))
) STRICT;
CREATE INDEX backfill_open ON backfill (id) WHERE finished_at IS NULL;

CREATE TABLE secret (
    name TEXT PRIMARY KEY NOT NULL,
    ciphertext TEXT NOT NULL,
    stored_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin_state (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID;

-- Hashes of the addresses and keys of people who were forgotten.
CREATE TABLE tombstone (
    digest TEXT PRIMARY KEY NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""

TRUTH = """
-- What a link knows of its twin beside the values: at which sink, what was left out and why, what the mapping asked
-- for where that is something else than what is there, whose it is, what else was made for it, under which parent.
ALTER TABLE link ADD COLUMN sink TEXT NOT NULL DEFAULT '';
ALTER TABLE link ADD COLUMN left_out TEXT NOT NULL DEFAULT '{}';
ALTER TABLE link ADD COLUMN asked TEXT;
ALTER TABLE link ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0 CHECK (adopted IN (0, 1));
ALTER TABLE link ADD COLUMN made TEXT NOT NULL DEFAULT '{}';
ALTER TABLE link ADD COLUMN parent_id TEXT;
ALTER TABLE link ADD COLUMN let_go INTEGER NOT NULL DEFAULT 0 CHECK (let_go IN (0, 1));
CREATE INDEX link_remote ON link (remote_id, object, sink);
UPDATE link SET sink = coalesce((SELECT c.sink FROM delivery_count c WHERE c.route = link.route
    ORDER BY c.rows DESC LIMIT 1), '');
UPDATE link SET adopted = 1 WHERE EXISTS (SELECT 1 FROM history h WHERE h.key = link.key AND h.entity = link.entity
    AND h.source = link.source AND h.route = link.route AND h.outcome = 'linked');

-- A link, and how many records of its sink are linked to the same twin.
CREATE VIEW linked AS
    SELECT l.*, (SELECT count(DISTINCT o.source || char(31) || o.entity || char(31) || o.key) FROM link o
                 WHERE o.remote_id = l.remote_id AND o.object = l.object AND o.sink = l.sink) AS shared
    FROM link l;

-- Links of an account that an instance no longer reaches; they come back with it.
CREATE TABLE link_archive (
    account TEXT NOT NULL,
    route TEXT NOT NULL,
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    key TEXT NOT NULL,
    sink TEXT NOT NULL,
    object TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    etag TEXT,
    fields TEXT NOT NULL,
    delivered_at INTEGER,
    left_out TEXT NOT NULL,
    asked TEXT,
    adopted INTEGER NOT NULL CHECK (adopted IN (0, 1)),
    made TEXT NOT NULL,
    parent_id TEXT,
    let_go INTEGER NOT NULL CHECK (let_go IN (0, 1)),
    PRIMARY KEY (account, sink, route, source, entity, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX link_archive_key ON link_archive (source, entity, key);

-- The account an instance writes to or reads from.
CREATE TABLE account (
    instance TEXT PRIMARY KEY NOT NULL,
    id TEXT NOT NULL,
    label TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Routes whose target refuses record after record: nothing is tried before `until`.
CREATE TABLE hold (
    route TEXT PRIMARY KEY NOT NULL,
    sink TEXT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    until INTEGER NOT NULL,
    since INTEGER NOT NULL,
    failures INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The oldest state a record is known to have had since it is owed, and the state last handed to `overtake`.
ALTER TABLE delivery ADD COLUMN before TEXT;
ALTER TABLE delivery ADD COLUMN overtaken INTEGER;
CREATE INDEX delivery_blocked ON delivery (sink) WHERE state = 'ready' AND blocked = 1;
DROP VIEW outbox;
CREATE VIEW outbox AS
    SELECT d.*, e.event_id AS event_id, iif(d.blocked = 1, (
        SELECT s.job FROM delivery s WHERE s.source = d.source AND s.entity = d.entity AND s.key = d.key
            AND s.settled_at IS NULL AND s.sink = d.sink AND s.state = 'submitted'), NULL) AS behind_job,
        iif(d.blocked = 1, (
        SELECT s.submitted_at FROM delivery s WHERE s.source = d.source AND s.entity = d.entity AND s.key = d.key
            AND s.settled_at IS NULL AND s.sink = d.sink AND s.state = 'submitted'), NULL) AS behind_since
    FROM delivery d LEFT JOIN event e ON e.id = d.event;

-- The trail knows more words: what a route let go of, hints, wishes to be forgotten.
CREATE TABLE trail (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    route TEXT NOT NULL,
    sink TEXT NOT NULL,
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    key TEXT NOT NULL,
    op TEXT NOT NULL CHECK (op IN ('upsert', 'delete', 'event', 'leave', 'touch', 'forget')),
    outcome TEXT NOT NULL,
    remote_id TEXT,
    fields TEXT NOT NULL DEFAULT '[]',
    error_kind TEXT,
    error TEXT,
    note TEXT,
    duration_ms INTEGER,
    delivery INTEGER
) STRICT;
INSERT INTO trail SELECT id, at, route, sink, source, entity, key, op, outcome, remote_id, fields, error_kind, error,
    note, duration_ms, delivery FROM history ORDER BY id;
DROP TABLE history;
ALTER TABLE trail RENAME TO history;
CREATE INDEX history_key ON history (key, entity, source);
CREATE INDEX history_sink ON history (sink);
CREATE INDEX history_at ON history (at);
"""

#: Release -> its script.
SCRIPTS = dict(
    zip(
        RELEASES,
        (RECORDS, OUTBOX, COUNTS, REST, TRUTH, FACTS, ACCOUNTS, MADE_FROM, SEEN, FORMER_EMAIL, LEAN),
        strict=True,
    )
)
#: The whole schema as it is today, to read and to compare with what the migrations give.
SCHEMA = "".join(SCRIPTS.values())
