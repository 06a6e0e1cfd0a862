"""The outbox: snapshots, deliveries, links, history and everything else that must survive."""
