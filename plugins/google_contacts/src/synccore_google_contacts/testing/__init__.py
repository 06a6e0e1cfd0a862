"""A strict stand-in of Google on loopback, for tests and the demo.

with FakePeople() as google:
    config = settings(google)           # the [sinks.NAME] table
    sink.connect(AutoBrowser())         # consent, as a person would give it
    google.add(names=[{"givenName": "Ann"}])
"""

from .demo import DEMO, AutoBrowser, Demo, approve, settings
from .people import FakePeople
from .signin import SignIn

__all__ = ["DEMO", "AutoBrowser", "Demo", "FakePeople", "SignIn", "approve", "settings"]
