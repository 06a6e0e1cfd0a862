"""Salesforce as a synccore sink."""
