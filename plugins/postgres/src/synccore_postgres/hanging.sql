-- Tells whether anything hangs under a record of a sink: nearly always nothing does.
CREATE INDEX link_hanging ON link (sink) WHERE parent_id IS NOT NULL;
