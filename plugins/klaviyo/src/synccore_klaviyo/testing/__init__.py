"""A strict Klaviyo on loopback, for tests and the demo.

    with FakeKlaviyo() as klaviyo:
        sink = SINK.open(Config(api_key=Secret(klaviyo.key), api_url=klaviyo.url), FakeContext())

It refuses what Klaviyo refuses and, where Klaviyo silently drops or ignores, it refuses too or keeps nothing: unknown
keys, missing identifiers, sizes and counts, consent rules, a revision that never was.
"""

from .server import FakeKlaviyo

__all__ = ["FakeKlaviyo"]
