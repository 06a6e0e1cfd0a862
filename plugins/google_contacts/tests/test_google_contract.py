"""The contract of a sink, held to by every sink."""

from synccore_google_contacts.contract import TestContacts

__all__ = ["TestContacts"]
