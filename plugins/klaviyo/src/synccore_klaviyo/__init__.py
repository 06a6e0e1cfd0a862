"""Klaviyo as a synccore sink."""
