-- A database as release 0.1 left it, with rows in every state.
BEGIN TRANSACTION;
CREATE TABLE "_sqlite_migrations" (
   "id" INTEGER PRIMARY KEY,
   "migration_set" TEXT,
   "name" TEXT,
   "applied_at" TEXT
);
INSERT INTO "_sqlite_migrations" VALUES(1,'synccore','m001_records','2026-11-28 19:08:00.652083+00:00');
INSERT INTO "_sqlite_migrations" VALUES(2,'synccore','m002_outbox','2026-11-28 19:08:00.662357+00:00');
INSERT INTO "_sqlite_migrations" VALUES(3,'synccore','m003_counts','2026-11-28 19:08:00.675645+00:00');
INSERT INTO "_sqlite_migrations" VALUES(4,'synccore','m004_rest','2026-11-28 19:08:00.685296+00:00');
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
INSERT INTO "backfill" VALUES(1,'backfill','shop','customer','{}',NULL,'queued',NULL,0,NULL,NULL,1767268800000,NULL);
CREATE TABLE cursor (
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT,
    stored_at INTEGER NOT NULL,
    PRIMARY KEY (source, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "cursor" VALUES('shop','poll:customer','7',1767268800000);
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
INSERT INTO "delivery" VALUES(1,'people','crm','shop','customer','1','upsert','done',0,0,NULL,1767268800000,0,NULL,1767268800000,1767268800000,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1767268800000,1767268800000);
INSERT INTO "delivery" VALUES(2,'people','crm','shop','customer','2','upsert','parked',0,0,NULL,1767268800000,0,NULL,1767268800000,1767268800000,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'rejected','no',1767268800000,NULL);
INSERT INTO "delivery" VALUES(3,'people','crm','shop','customer','3','upsert','skipped',0,0,NULL,1767268800000,0,NULL,1767268800000,1767268800000,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1767268800000,1767268800000);
INSERT INTO "delivery" VALUES(4,'orders','crm','shop','order','o1','upsert','submitted',0,0,NULL,1767268800000,0,NULL,1767268800000,1767268800000,0,NULL,NULL,'J',0,1767268800000,'{"fields":{"a":1}}',NULL,NULL,NULL,NULL,NULL,NULL,1767268800000,NULL);
INSERT INTO "delivery" VALUES(6,'facts','crm','shop','payment','p','event','done',0,0,1,1767268800000,0,NULL,1767268800000,1767268800000,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1767268800000,1767268800000);
INSERT INTO "delivery" VALUES(7,'facts','crm','shop','payment','q','event','running',0,0,2,1767268800000,0,NULL,1767268800000,1767268800000,0,'t3',1767268920000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1767268800000,NULL);
INSERT INTO "delivery" VALUES(8,'people','crm','shop','customer','1','upsert','running',0,0,NULL,1767268800000,0,NULL,1767268800000,1767268800000,0,'t4',1767268920000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1767268800000,NULL);
INSERT INTO "delivery" VALUES(9,'people','crm','shop','customer','3','delete','running',0,0,NULL,1767268800000,0,NULL,1767268800000,1767268800000,0,'t4',1767268920000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1767268800000,NULL);
CREATE TABLE delivery_count (
    sink TEXT NOT NULL,
    route TEXT NOT NULL,
    state TEXT NOT NULL,
    rows INTEGER NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (sink, route, state)
) STRICT, WITHOUT ROWID;
INSERT INTO "delivery_count" VALUES('crm','facts','done',1);
INSERT INTO "delivery_count" VALUES('crm','facts','ready',0);
INSERT INTO "delivery_count" VALUES('crm','facts','running',1);
INSERT INTO "delivery_count" VALUES('crm','orders','ready',0);
INSERT INTO "delivery_count" VALUES('crm','orders','running',0);
INSERT INTO "delivery_count" VALUES('crm','orders','submitted',1);
INSERT INTO "delivery_count" VALUES('crm','people','done',1);
INSERT INTO "delivery_count" VALUES('crm','people','parked',1);
INSERT INTO "delivery_count" VALUES('crm','people','ready',0);
INSERT INTO "delivery_count" VALUES('crm','people','running',2);
INSERT INTO "delivery_count" VALUES('crm','people','skipped',1);
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
INSERT INTO "event" VALUES(1,'shop','payment','e1','p','{"key":"p","succeeded":false,"amount":"5","currency":"EUR","at":"2026-01-01T12:00:00+00:00","reason":"e1"}',NULL,'customer','1',NULL,1767268800000,1767268800000);
INSERT INTO "event" VALUES(2,'shop','payment','e2','q','{"key":"q","succeeded":false,"amount":"5","currency":"EUR","at":"2026-01-01T12:00:00+00:00","reason":"e2"}',NULL,'customer','1',NULL,1767268800000,1767268800000);
CREATE TABLE event_route (
    event INTEGER NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    route TEXT NOT NULL,
    PRIMARY KEY (event, route)
) STRICT, WITHOUT ROWID;
INSERT INTO "event_route" VALUES(1,'facts');
INSERT INTO "event_route" VALUES(2,'facts');
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
INSERT INTO "history" VALUES(1,1767268800000,'','','shop','customer','1','upsert','received',NULL,'[]',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "history" VALUES(2,1767268800000,'','','shop','customer','2','upsert','received',NULL,'[]',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "history" VALUES(3,1767268800000,'','','shop','customer','3','upsert','received',NULL,'[]',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "history" VALUES(4,1767268800000,'','','shop','order','o1','upsert','received',NULL,'[]',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "history" VALUES(5,1767268800000,'','','shop','payment','p','event','received',NULL,'[]',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "history" VALUES(6,1767268800000,'','','shop','payment','q','event','received',NULL,'[]',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "history" VALUES(7,1767268800000,'people','crm','shop','customer','1','upsert','delivered','R-1','["name"]',NULL,NULL,NULL,NULL,1);
INSERT INTO "history" VALUES(8,1767268800000,'','','shop','customer','1','upsert','received',NULL,'[]',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "history" VALUES(9,1767268800000,'','','shop','customer','3','delete','received',NULL,'[]',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE lane (
    sink TEXT PRIMARY KEY NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ok', 'paused', 'rate_limited', 'needs_auth', 'circuit_open', 'error')),
    reason TEXT,
    until INTEGER,
    changed_at INTEGER,
    failures INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
INSERT INTO "lane" VALUES('crm','paused','holiday',NULL,1767268800000,0);
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
INSERT INTO "link" VALUES(1,'people','shop','customer','1','thing','R-1',NULL,'{"name":"Ada"}',1767268800000);
CREATE TABLE plugin_state (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID;
INSERT INTO "plugin_state" VALUES('crm','k','[1]');
CREATE TABLE secret (
    name TEXT PRIMARY KEY NOT NULL,
    ciphertext TEXT NOT NULL,
    stored_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "secret" VALUES('crm/token','gAAAA',1767268800000);
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
INSERT INTO "snapshot" VALUES(1,'shop','customer','1','{"key":"1","email":"c1@shop.test","first_name":"Ada L"}','ca7a50771ec1105f20612f76246a080c8060bc134cf50fa67cef50a715dd277c',4,NULL,NULL,'c1@shop.test',0,NULL,1767268800000,1767268800000);
INSERT INTO "snapshot" VALUES(2,'shop','customer','2','{"key":"2","email":"c2@shop.test","first_name":"Bo"}','c3548bc0de51a5b59f255a39cd719ea73f3a3e7cad37a38adb3399ead4ab694c',1,NULL,NULL,'c2@shop.test',0,NULL,1767268800000,1767268800000);
INSERT INTO "snapshot" VALUES(3,'shop','customer','3','{"key":"3","email":"c3@shop.test","first_name":"Cy"}','f02408ae83454c1a32492fee4745bd8a622cc6452086877afd4072a01b7b4f15',1,NULL,NULL,'c3@shop.test',1,NULL,1767268800000,1767268800000);
INSERT INTO "snapshot" VALUES(4,'shop','order','o1','{"key":"o1","number":"o1","status":"new","currency":"EUR","total":"5"}','dbde4253a53dd262336ef0726fc9c20602c978b7ae92f46c0d363aa2c48c97b1',NULL,'customer','1',NULL,0,NULL,1767268800000,1767268800000);
CREATE TABLE snapshot_count (
    source TEXT NOT NULL,
    entity TEXT NOT NULL,
    rows INTEGER NOT NULL CHECK (rows >= 0),
    PRIMARY KEY (source, entity)
) STRICT, WITHOUT ROWID;
INSERT INTO "snapshot_count" VALUES('shop','customer',2);
INSERT INTO "snapshot_count" VALUES('shop','order',1);
CREATE TABLE sweep (
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    -- The last snapshot that existed when it began.
    last_snapshot INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    PRIMARY KEY (source, name)
) STRICT, WITHOUT ROWID;
INSERT INTO "sweep" VALUES('shop','s',4,1767268800000);
CREATE TABLE sweep_seen (
    source TEXT NOT NULL,
    name TEXT NOT NULL,
    entity TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (source, name, entity, key),
    FOREIGN KEY (source, name) REFERENCES sweep (source, name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE TABLE tombstone (
    digest TEXT PRIMARY KEY NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX "idx__sqlite_migrations_migration_set_name"
    ON "_sqlite_migrations" ("migration_set", "name");
CREATE INDEX snapshot_owner ON snapshot (source, owner_entity, owner_key, entity) WHERE owner_key IS NOT NULL;
CREATE INDEX snapshot_email ON snapshot (email) WHERE email IS NOT NULL;
CREATE INDEX snapshot_replaced ON snapshot (source, entity, replaced_by) WHERE replaced_by IS NOT NULL;
CREATE INDEX event_key ON event (source, entity, key);
CREATE INDEX event_owner ON event (source, owner_entity, owner_key, entity) WHERE owner_key IS NOT NULL;
CREATE INDEX event_email ON event (email) WHERE email IS NOT NULL;
CREATE INDEX link_key ON link (source, entity, key);
CREATE INDEX link_page ON link (route, key);
CREATE UNIQUE INDEX delivery_ready ON delivery (route, source, entity, key) WHERE state = 'ready' AND event IS NULL;
CREATE UNIQUE INDEX delivery_running ON delivery (sink, source, entity, key)
    WHERE state = 'running' OR state = 'submitted';
CREATE INDEX delivery_claim ON delivery (sink, route, bulk, due_at, id) WHERE state = 'ready' AND blocked = 0;
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
CREATE INDEX history_key ON history (key, entity, source);
CREATE INDEX history_sink ON history (sink);
CREATE INDEX history_at ON history (at);
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
CREATE INDEX backfill_open ON backfill (id) WHERE finished_at IS NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('delivery',9);
INSERT INTO "sqlite_sequence" VALUES('history',9);
INSERT INTO "sqlite_sequence" VALUES('event',2);
INSERT INTO "sqlite_sequence" VALUES('backfill',1);
COMMIT;
