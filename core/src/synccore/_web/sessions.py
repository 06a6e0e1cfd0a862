"""The dashboard's password, its session cookie and its CSRF tokens.

A visitor's cookie is a random name that nobody else knows. Logging in means that the name (a new one) is on the list;
a form's token is an HMAC of it, so a form made elsewhere cannot have the right one. Nothing is kept for visitors who
are not logged in, and a restart logs everybody out.
"""

import hashlib
import hmac
import secrets
import threading
from datetime import datetime, timedelta
from functools import cached_property

from ..types import Clock

__all__ = ["COOKIE", "DEVICE", "DEVICE_LIFETIME", "LIFETIME", "Sessions", "Throttle"]

COOKIE = "synccore_session"
LIFETIME = timedelta(hours=12)
#: Names a browser that knew the password once. It opens nothing.
DEVICE = "synccore_device"
DEVICE_LIFETIME = timedelta(days=365)
_MOST_SESSIONS = 1000
_MOST_ADDRESSES = 4096


class Throttle:
    """Slows down those who guess: after five wrong passwords one waits 2 s, then 4 s, up to five minutes.

    One is an address, or a browser that knew the password before: whoever guesses cannot lock the owner out.
    """

    FREE = 5
    LONGEST = timedelta(minutes=5)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[str, tuple[int, datetime]] = {}

    def wait(self, address: str) -> timedelta:
        """How long this address has to wait before it may try again."""
        count, last = self._failures.get(address, (0, self._clock.now()))
        if count < self.FREE:
            return timedelta(0)
        pause = min(timedelta(seconds=2 ** min(count - self.FREE + 1, 20)), self.LONGEST)
        return max(last + pause - self._clock.now(), timedelta(0))

    def failed(self, address: str) -> None:
        """Note a wrong password. An address is forgiven after an hour of peace."""
        now = self._clock.now()
        count, last = self._failures.pop(address, (0, now))
        self._failures[address] = (1 if now - last > timedelta(hours=1) else count + 1, now)
        while len(self._failures) > _MOST_ADDRESSES:
            del self._failures[next(iter(self._failures))]

    def succeeded(self, address: str) -> None:
        """The right password came: what the address got wrong before counts no more."""
        self._failures.pop(address, None)


class Sessions:
    """Who is logged in. `password` None: nobody has to (loopback only)."""

    def __init__(self, clock: Clock, password: str | None) -> None:
        self._clock = clock
        self._password = password
        self._key = secrets.token_bytes(32)
        self._live: dict[str, datetime] = {}
        self._lock = threading.Lock()
        self.throttle = Throttle(clock)

    @cached_property
    def _device_key(self) -> bytes:
        """From the password, so that it outlives a restart and ends with the password.

        Slow, so that a stolen cookie does not tell the password; made when the first device is asked about.
        """
        return hashlib.scrypt((self._password or "").encode(), salt=b"synccore device", n=2**14, r=8, p=1)

    @property
    def needed(self) -> bool:
        """Whether a password is set."""
        return self._password is not None

    def new_name(self) -> str:
        """A cookie value for somebody who has none."""
        return secrets.token_urlsafe(32)

    def allowed(self, name: str | None) -> bool:
        """Whether the bearer of this cookie may look."""
        if self._password is None:
            return True
        if not name:
            return False
        with self._lock:
            until = self._live.get(self._digest(name))
        return until is not None and self._clock.now() < until

    def login(self, password: str) -> str | None:
        """A new cookie value, or None where the password is wrong. Takes the same time either way."""
        right = (self._password or "").encode()
        if not hmac.compare_digest(hashlib.sha256(password.encode()).digest(), hashlib.sha256(right).digest()):
            return None
        name = self.new_name()
        now = self._clock.now()
        with self._lock:
            self._live = {k: v for k, v in self._live.items() if v > now}
            while len(self._live) >= _MOST_SESSIONS:
                del self._live[next(iter(self._live))]
            self._live[self._digest(name)] = now + LIFETIME
        return name

    def new_device(self) -> str:
        """A cookie value for a browser that has just known the password."""
        name = secrets.token_urlsafe(16)
        return f"{name}.{self._signed(name)}"

    def known_device(self, cookie: str | None) -> str | None:
        """The name of a browser that knew the password before; None for all others."""
        name, _, signature = (cookie or "").partition(".")
        right = hmac.compare_digest(self._signed(name).encode(), signature.encode("utf-8", "replace"))
        return f"device {name}" if name and right else None

    def _signed(self, name: str) -> str:
        return hmac.new(self._device_key, name.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def logout(self, name: str | None) -> None:
        """End the session."""
        with self._lock:
            self._live.pop(self._digest(name or ""), None)

    def token(self, name: str) -> str:
        """The CSRF token of the bearer's forms."""
        return hmac.new(self._key, b"form:" + name.encode(), hashlib.sha256).hexdigest()

    def token_fits(self, name: str | None, token: str) -> bool:
        """Whether a form was made for the bearer of this cookie."""
        return bool(name) and hmac.compare_digest(self.token(name or "").encode(), token.encode())

    @staticmethod
    def _digest(name: str) -> str:
        return hashlib.sha256(name.encode()).hexdigest()
