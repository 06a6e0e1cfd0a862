-- The address that a record was delivered with, as long as another one is owed. A view keeps the columns it was made with.
ALTER TABLE delivery ADD COLUMN former_email TEXT COLLATE "C";
CREATE INDEX delivery_former_email ON delivery (former_email) WHERE former_email IS NOT NULL;
DROP VIEW outbox;
CREATE VIEW outbox AS
    SELECT d.*, e.event_id AS event_id, CASE WHEN d.blocked = 1 THEN (
        SELECT s.job FROM delivery s WHERE s.source = d.source AND s.entity = d.entity AND s.key = d.key
            AND s.settled_at IS NULL AND s.sink = d.sink AND s.state = 'submitted') END AS behind_job,
        CASE WHEN d.blocked = 1 THEN (
        SELECT s.submitted_at FROM delivery s WHERE s.source = d.source AND s.entity = d.entity AND s.key = d.key
            AND s.settled_at IS NULL AND s.sink = d.sink AND s.state = 'submitted') END AS behind_since
    FROM delivery d LEFT JOIN event e ON e.id = d.event;
