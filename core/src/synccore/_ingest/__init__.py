"""Ingest: webhooks and listings become snapshots and dirty rows, durably, before anybody is told they were taken."""
