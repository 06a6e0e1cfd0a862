"""Statements of hints, and of what cannot be read."""

#: The source named a record without saying what of it changed.
PUT_HINT = """
INSERT INTO hint (source, op, entity, key, bulk, due_at, given_at)
VALUES (:source, :op, :entity, :key, :bulk, :due, :now)
ON CONFLICT (source, op, entity, key) DO UPDATE SET
    mark = hint.mark + 1, bulk = min(hint.bulk, excluded.bulk), due_at = min(hint.due_at, excluded.due_at)
"""

#: Who waits for it.
AWAIT = """
INSERT INTO awaited (source, entity, key, hint_entity, hint_key)
VALUES (:source, :entity, :key, :hint_entity, :hint_key) ON CONFLICT DO NOTHING
"""

#: Hints whose time has come, live ones first.
HINTS = """
SELECT * FROM hint WHERE source = :source AND bulk = :bulk AND due_at <= :now ORDER BY due_at LIMIT :limit
"""

#: An answered hint ends, unless it was given again meanwhile.
END_HINT = "DELETE FROM hint WHERE source = :source AND op = :op AND entity = :entity AND key = :key AND mark <= :mark"

#: Nobody waits for it any more; who did.
END_AWAIT = """
DELETE FROM awaited WHERE source = :source AND hint_entity = :entity AND hint_key = :key RETURNING entity, key
"""

#: A record can be read after all.
READ_AFTER_ALL = "DELETE FROM unreadable WHERE source = :source AND entity = :entity AND key = :key"

#: What could not be read, once per place.
PUT_UNREADABLE = """
INSERT INTO unreadable (source, entity, place, key, reason, first_at, last_at)
VALUES (:source, :entity, :place, :key, :reason, :now, :now)
ON CONFLICT (source, entity, place) DO UPDATE SET
    key = excluded.key, reason = excluded.reason, times = unreadable.times + 1, last_at = excluded.last_at
"""
