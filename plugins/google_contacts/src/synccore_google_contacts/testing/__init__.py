"""A strict stand-in of Google on loopback, for tests and the demo.

with FakePeople() as google:
    config = settings(google)           # the [sinks.NAME] table
    sink.connect(AutoBrowser())         # consent, as a person would give it
    google.add(names=[{"givenName": "Ann"}])
"""

from ._demo import DEMO, AutoBrowser, Demo, approve, settings
from ._people import FakePeople
from ._signin import SignIn

__all__ = ["DEMO", "AutoBrowser", "Demo", "FakePeople", "SignIn", "approve", "settings"]
