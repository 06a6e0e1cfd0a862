"""The contract of a sink, held to by every sink, with and without an external id field."""

from synccore_salesforce.contract import TestContact, TestContactByAddress

__all__ = ["TestContact", "TestContactByAddress"]
