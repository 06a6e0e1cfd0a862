"""The statements behind what people and `verify` ask for, behind sweeps and pruning; none runs once per change."""

#: Where the live records of an entity stand on a route, each counted once.
BALANCE = """
SELECT CASE (
        SELECT min(CASE d.state WHEN 'parked' THEN 1 WHEN 'ready' THEN 2 WHEN 'running' THEN 2
                   WHEN 'submitted' THEN 2 WHEN 'skipped' THEN 3 WHEN 'dismissed' THEN 3 END)
        FROM delivery d WHERE d.source = s.source AND d.entity = s.entity AND d.key = s.key
            AND d.route = :route)
    WHEN 1 THEN 'parked'
    WHEN 2 THEN 'open'
    WHEN 3 THEN iif(l.key IS NULL, 'skipped', 'linked')
    ELSE iif(l.key IS NULL, 'missing', 'linked')
    END AS place, count(*) AS rows
FROM snapshot s LEFT JOIN link l
    ON l.route = :route AND l.source = s.source AND l.entity = s.entity AND l.key = s.key
WHERE s.source = :source AND s.entity = :entity AND s.deleted = 0 GROUP BY place
"""

#: Live records that no delivery of a route came to its end for since then, and none is open for.
UNJUDGED = """
SELECT count(*) FROM snapshot s WHERE s.source = :source AND s.entity = :entity AND s.deleted = 0
    AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.key = s.key AND d.entity = s.entity AND d.source = s.source
                    AND d.route = :route AND (d.settled_at IS NULL OR d.settled_at >= :since))
"""

#: How many rows of a route wait for a parent of which nothing is owed: nothing that is known here ends that.
IN_VAIN = """
SELECT count(*) AS waiting FROM delivery d
WHERE d.sink = :sink AND d.route = :route AND d.state = 'ready' AND d.wait_route IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM delivery p WHERE p.key = d.wait_key AND p.entity = d.wait_entity
        AND p.source = d.source AND p.settled_at IS NULL AND p.route = d.wait_route AND p.state <> 'parked')
"""

#: How the rows of an entity's events stand on a route.
EVENT_BALANCE = """
SELECT CASE d.state WHEN 'done' THEN 'delivered' WHEN 'parked' THEN 'parked' WHEN 'skipped' THEN 'skipped'
    WHEN 'dismissed' THEN 'skipped' ELSE 'open' END AS place, count(*) AS rows
FROM delivery d JOIN event e ON e.id = d.event
WHERE d.route = :route AND e.source = :source AND e.entity = :entity GROUP BY place
"""

#: How many events of an entity are known, and how many of them a route was given.
EVENTS_KNOWN = """
SELECT count(*) AS known, count(r.route) AS given
FROM event e LEFT JOIN event_route r ON r.event = e.id AND r.route = :route
WHERE e.source = :source AND e.entity = :entity
"""

#: The same sample for the same seed and links.
SAMPLE_LINKS = """
SELECT * FROM linked WHERE id IN (SELECT id FROM link WHERE route = :route
    ORDER BY (id * 1103515245 % 2147483647 + :start) % 2147483647, id LIMIT :count) ORDER BY key
"""

#: Parked rows by cause, most first.
CAUSES = """
SELECT sink, route, coalesce(error_kind, '') AS kind, coalesce(error, '') AS error, count(*) AS rows, min(id) AS first
FROM delivery WHERE state = 'parked' GROUP BY 1, 2, 3, 4 ORDER BY rows DESC, first LIMIT :limit
"""

#: Sink to the time of its last line: one look-up per sink, however long the trail.
LAST_ACTIVITY = """
WITH RECURSIVE sinks(sink) AS (
    SELECT min(sink) FROM history WHERE sink > ''
    UNION ALL
    SELECT (SELECT min(sink) FROM history h WHERE h.sink > sinks.sink) FROM sinks WHERE sinks.sink IS NOT NULL)
SELECT sink, (SELECT at FROM history h WHERE h.sink = sinks.sink ORDER BY h.id DESC LIMIT 1) AS at
FROM sinks WHERE sink IS NOT NULL
"""

#: Records that could not be read, the latest first.
UNREADABLE = """
SELECT * FROM unreadable WHERE source = coalesce(:source, source) ORDER BY last_at DESC, place LIMIT :limit
"""

#: The leases that run, and what they hold.
LEASES = """
SELECT lease_token, sink, count(*) AS records FROM delivery WHERE lease_token IS NOT NULL GROUP BY lease_token, sink
"""

#: The vendors' jobs that run, and how many records each holds.
JOBS_HELD = """
SELECT sink, job, min(submitted_at) AS since, count(*) AS records FROM delivery
WHERE state = 'submitted' AND settled_at IS NULL GROUP BY sink, job ORDER BY since
"""

#: Newer states that wait for them.
BEHIND_THEM = """
SELECT sink, behind_job AS job, count(*) AS records FROM outbox
WHERE state = 'ready' AND blocked = 1 AND behind_job IS NOT NULL GROUP BY sink, behind_job
"""

#: Why records were skipped on a route lately, most first.
SKIPS = """
SELECT coalesce(note, error, '') AS why, count(*) AS rows FROM history
WHERE at >= :since AND id >= (SELECT min(id) FROM history INDEXED BY history_at WHERE at >= :since)
    AND route = :route AND outcome = 'skipped'
GROUP BY why ORDER BY rows DESC LIMIT 20
"""

#: What the trail says of each stretch of time since then.
THROUGHPUT = """
SELECT (at - :since) / :step AS slot, outcome, count(*) AS rows FROM history
WHERE at >= :since AND sink = coalesce(:sink, sink) AND sink <> '' GROUP BY slot, outcome
"""

#: Deliveries by the stretch they were made in (-1: earlier) and the one they ended in (NULL: owed still).
FLOW = """
SELECT CASE WHEN created_at < :since THEN -1 ELSE (created_at - :since) / :step END AS made,
    (settled_at - :since) / :step AS ended, count(*) AS rows
FROM delivery WHERE settled_at >= :since AND sink = coalesce(:sink, sink) GROUP BY made, ended
UNION ALL
SELECT CASE WHEN created_at < :since THEN -1 ELSE (created_at - :since) / :step END AS made, NULL, count(*)
FROM delivery WHERE state = 'ready' AND sink = coalesce(:sink, sink) GROUP BY made
UNION ALL
SELECT CASE WHEN created_at < :since THEN -1 ELSE (created_at - :since) / :step END AS made, NULL, count(*)
FROM delivery WHERE (state = 'running' OR state = 'submitted') AND sink = coalesce(:sink, sink) GROUP BY made
"""

#: Records with a link on one of `routes`, and none yet on `route` itself; guests have no record at the source.
UNWRITTEN = """
SELECT DISTINCT key FROM link l WHERE source = :source AND entity = :entity AND key > :after
    AND key NOT LIKE 'guest:%' AND route IN (SELECT value FROM json_each(:routes)) AND NOT EXISTS (
    SELECT 1 FROM link w WHERE w.route = :route AND w.source = l.source AND w.entity = l.entity AND w.key = l.key)
ORDER BY key LIMIT :limit
"""

#: Live snapshots in the order they came in; read by id, for by the index all of them would be sorted for each page.
SNAPSHOTS_IN_ORDER = """
SELECT * FROM snapshot WHERE source || '' = :source AND entity || '' = :entity AND deleted = 0 AND id > coalesce(
    (SELECT id FROM snapshot WHERE source = :source AND entity = :entity AND key = :after), 0)
ORDER BY id LIMIT :limit
"""

#: Final rows older than a time, in their order; of a record that is not linked the newest stays, as the proof that it
#: was looked at and not wanted.
PRUNABLE = """
SELECT id, settled_at, state IN ('skipped', 'dismissed') AND event IS NULL
    AND NOT EXISTS (SELECT 1 FROM link l WHERE l.route = d.route AND l.source = d.source AND l.entity = d.entity
                    AND l.key = d.key)
    AND NOT EXISTS (SELECT 1 FROM delivery n WHERE n.source = d.source AND n.entity = d.entity AND n.key = d.key
                    AND n.route = d.route AND n.id > d.id) AS stays
FROM delivery d WHERE settled_at >= :from_time AND settled_at < :before AND (settled_at > :from_time OR id > :from_id)
ORDER BY settled_at, id LIMIT :limit
"""

#: Live keys that a comparison has not seen.
UNSEEN = """
SELECT key FROM snapshot s WHERE source = :source AND entity = :entity AND key > :after AND deleted = 0
    AND NOT EXISTS (SELECT 1 FROM sweep_seen n WHERE n.source = s.source AND n.name = :sweep
                    AND n.entity = s.entity AND n.key = s.key)
ORDER BY key LIMIT :limit
"""

#: Live keys known when a comparison began, and how many of them it has not seen.
SWEEP_COUNTS = """
SELECT count(*) AS known, count(*) - coalesce(sum(CASE WHEN EXISTS (
    SELECT 1 FROM sweep_seen n WHERE n.source = s.source AND n.name = :sweep AND n.entity = s.entity
        AND n.key = s.key) THEN 1 ELSE 0 END), 0) AS unseen
FROM snapshot s WHERE source = :source AND entity = :entity AND deleted = 0
    AND id <= coalesce((SELECT last_snapshot FROM sweep WHERE source = :source AND name = :sweep), id)
"""
