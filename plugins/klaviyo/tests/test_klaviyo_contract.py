"""The contract of a sink, held to by every sink."""

from synccore_klaviyo.contract import TestProfiles

__all__ = ["TestProfiles"]
