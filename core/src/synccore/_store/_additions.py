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
