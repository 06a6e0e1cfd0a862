-- The record as `adopt` saw it, until something is delivered. A view keeps the columns it was made with.
ALTER TABLE link ADD COLUMN seen TEXT COLLATE "C";
DROP VIEW linked;
CREATE VIEW linked AS
    SELECT l.*, (SELECT count(DISTINCT (o.source, o.entity, o.key)) FROM link o
                 WHERE o.remote_id = l.remote_id AND o.object = l.object AND o.sink = l.sink) AS shared
    FROM link l;
