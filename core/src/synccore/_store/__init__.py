"""The outbox in SQLite: the engine that is built in. The rules are in `synccore.store`."""
