"""The tables of a new file, as the migrations leave them; `core/tests/store/releases/make.py` writes them down.

To carry the migrations out on an empty file would take seven times as long, each time a new one is made.
"""

__all__ = ["TODAY"]

TODAY = """
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
    stored_at INTEGER NOT NULL, known_at INTEGER NOT NULL DEFAULT 0,
    UNIQUE (source, entity, key),
    CHECK ((owner_entity IS NULL) = (owner_key IS NULL)),
    CHECK (replaced_by IS NULL OR deleted = 1)
) STRICT;
CREATE INDEX snapshot_owner ON snapshot (source, owner_entity, owner_key, entity) WHERE owner_key IS NOT NULL;
CREATE INDEX snapshot_email ON snapshot (email) WHERE email IS NOT NULL;
CREATE INDEX snapshot_replaced ON snapshot (source, entity, replaced_by) WHERE replaced_by IS NOT NULL;
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
CREATE TABLE event_route (
    event INTEGER NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    route TEXT NOT NULL, outcome TEXT CHECK (outcome IN ('done', 'skipped', 'dismissed', 'late')),
    PRIMARY KEY (event, route)
) STRICT, WITHOUT ROWID;
CREATE TABLE delivery_count (
    sink TEXT NOT NULL,
    route TEXT NOT NULL,
    state TEXT NOT NULL,
    rows INTEGER NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (sink, route, state)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE cursor (
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT,
    stored_at INTEGER NOT NULL,
    PRIMARY KEY (source, name)
) STRICT, WITHOUT ROWID;
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
CREATE TABLE tombstone (
    digest TEXT PRIMARY KEY NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
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
CREATE TABLE hold (
    route TEXT PRIMARY KEY NOT NULL,
    sink TEXT NOT NULL,
    kind TEXT NOT NULL,
    reason TEXT NOT NULL,
    until INTEGER NOT NULL,
    since INTEGER NOT NULL,
    failures INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX event_route_route ON event_route (route, outcome);
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
CREATE TABLE awaited (
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    key TEXT NOT NULL,
    hint_entity TEXT NOT NULL,
    hint_key TEXT NOT NULL,
    PRIMARY KEY (source, entity, key, hint_entity, hint_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX awaited_hint ON awaited (source, hint_entity, hint_key);
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
CREATE TABLE "delivery" (
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
CREATE UNIQUE INDEX delivery_ready ON delivery (route, source, entity, key) WHERE state = 'ready' AND event IS NULL;
CREATE UNIQUE INDEX delivery_running ON delivery (sink, source, entity, key)
    WHERE state = 'running' OR state = 'submitted';
CREATE INDEX delivery_claim ON delivery (sink, route, bulk, due_at, id) WHERE state = 'ready' AND blocked = 0;
CREATE INDEX delivery_key ON delivery (key, entity, source, settled_at);
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
CREATE TABLE "history" (
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
CREATE INDEX history_key ON history (key, entity, source);
CREATE INDEX history_sink ON history (sink);
CREATE INDEX history_at ON history (at);
CREATE TABLE "link" (
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
CREATE INDEX link_key ON link (source, entity, key);
CREATE INDEX link_remote ON link (remote_id, object, sink);
CREATE INDEX link_hanging ON link (sink) WHERE parent_id IS NOT NULL;
CREATE VIEW linked AS
    SELECT l.*, (SELECT count(DISTINCT o.source || char(31) || o.entity || char(31) || o.key) FROM link o
                 WHERE o.remote_id = l.remote_id AND o.object = l.object AND o.sink = l.sink) AS shared
    FROM link l;
"""
