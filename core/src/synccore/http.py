"""HTTP for plugins: one small client, httpx kept behind it.

The client never retries by itself (only the caller knows what may be sent twice), never follows redirects, never
switches TLS verification off, and states precisely what a failure leaves unsure: a request that never left is
`Transient`, one whose answer was lost is `Transient(maybe_applied=True)`.
"""

import json as jsonlib
import ssl
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from attrs import define, field, frozen

from .errors import ConfigError, RateLimited, Transient, redact
from .types import Clock, Context

__all__ = ["Budget", "Client", "Response", "Window", "parse_retry_after"]

DEFAULT_TIMEOUT = timedelta(seconds=30)
#: Timers end a little early or late; more than this is on purpose.
_EARLY = timedelta(milliseconds=100)


@frozen(kw_only=True)
class Response:
    """An answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    url: str = field(repr=False, default="")

    @property
    def ok(self) -> bool:
        """True for 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as text, broken bytes replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON (numbers with a fraction as Decimal-safe floats are left to the caller).

        Raises Transient where the body is not JSON: proxies and firewalls answer HTML with any status.
        """
        try:
            return jsonlib.loads(self.body)
        except ValueError as error:
            raise Transient(f"HTTP {self.status} with a body that is not JSON: {self.excerpt()}") from error

    def json_or_none(self) -> Any:
        """The body as JSON, or None where it is not JSON."""
        try:
            return jsonlib.loads(self.body)
        except ValueError:
            return None

    def excerpt(self, limit: int = 200) -> str:
        """The beginning of the body, personal values and secrets taken out."""
        return redact(" ".join(self.text.split()), limit)


def parse_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """A `Retry-After` header: whole seconds or an HTTP date. None where absent or unreadable."""
    if not value:
        return None
    value = value.strip()
    if value.isdecimal():
        return timedelta(seconds=min(int(value), 7 * 86400))
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(when - now, timedelta(0))


class Client:
    """A connection pool to one host. Safe to share between threads.

    Args:
        context: the instance's context; every call is counted there.
        base_url: joined with relative paths.
        headers: sent with every request; a header given to `request` wins.
        auth: user and password for HTTP Basic.
        ca_file: PEM file with an additional authority to trust.
    """

    def __init__(
        self,
        context: Context,
        base_url: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: timedelta = DEFAULT_TIMEOUT,
        ca_file: Path | None = None,
    ) -> None:
        self._context = context
        verify: ssl.SSLContext | bool = True
        if ca_file is not None:
            try:
                verify = ssl.create_default_context()
                verify.load_verify_locations(ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(f"ca_file {ca_file} cannot be used: {error}") from error
        self._http = httpx.Client(
            base_url=base_url,
            headers={"User-Agent": "synccore/0.1", "Accept": "application/json", **(headers or {})},
            auth=auth,
            timeout=httpx.Timeout(timeout.total_seconds(), connect=min(10.0, timeout.total_seconds())),
            verify=verify,
            follow_redirects=False,
            trust_env=True,
        )

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None,
        headers: Mapping[str, str] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        content: bytes | str | None = None,
        timeout: timedelta | None = None,
    ) -> Response:
        """Send one request and read the whole answer, whatever its status.

        Raises:
            Transient: nothing was sent, or (maybe_applied=True) the answer was lost.
            ConfigError: the address cannot be used, or the certificate is not trusted.
        """
        options: dict[str, Any] = {}
        if params is not None:
            options["params"] = params if isinstance(params, Mapping) else list(params)
        if json is not None:
            headers = {"Content-Type": "application/json", **(headers or {})}
            content = jsonlib.dumps(json, ensure_ascii=False, separators=(",", ":"))
        if timeout is not None:
            options["timeout"] = timeout.total_seconds()
        self._context.count_call()
        try:
            answer = self._http.request(method, url, headers=headers, data=form, content=content, **options)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise ConfigError(f"the address {redact(url)} cannot be used: {error}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise _unsent(error, self._host(url)) from error
        except httpx.TransportError as error:
            raise Transient(f"no answer from {self._host(url)}: {type(error).__name__}", maybe_applied=True) from error
        return Response(
            status=answer.status_code,
            headers={k.lower(): v for k, v in answer.headers.items()},
            body=answer.content,
            url=str(answer.url),
        )

    def _host(self, url: str) -> str:
        return httpx.URL(url).host or self._http.base_url.host

    def get(self, url: str, **options: Any) -> Response:
        """`request("GET", ...)`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> Response:
        """`request("POST", ...)`."""
        return self.request("POST", url, **options)

    def close(self) -> None:
        """Close the pool."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _unsent(error: httpx.TransportError, host: str) -> Transient | ConfigError:
    if isinstance(error.__cause__ and error.__cause__.__cause__, ssl.SSLCertVerificationError) or (
        "CERTIFICATE_VERIFY_FAILED" in str(error)
    ):
        return ConfigError(f"the certificate of {host} is not trusted: set ca_file to its authority's PEM file")
    return Transient(f"cannot reach {host}: {type(error).__name__}")


@define
class Window:
    """One fixed quota window: at most `limit` units in each `per`."""

    limit: int
    per: timedelta
    used: int = 0
    resets_at: datetime | None = None

    def free_at(self, cost: int, now: datetime) -> datetime:
        """When `cost` units fit."""
        if self.resets_at is None or now >= self.resets_at:
            return now
        return now if self.used + cost <= self.limit else self.resets_at

    def take(self, cost: int, now: datetime) -> None:
        """Use `cost` units."""
        if self.resets_at is None or now >= self.resets_at:
            self.used, self.resets_at = 0, now + self.per
        self.used += cost

    def clear(self) -> None:
        """Nothing was used."""
        self.used, self.resets_at = 0, None


@define
class SlidingWindow(Window):
    """At most `limit` units within any `per`, wherever it begins: for quotas whose windows are not announced."""

    _taken: deque[tuple[datetime, int]] = field(factory=deque)

    def free_at(self, cost: int, now: datetime) -> datetime:
        """When `cost` units fit."""
        held = [(at + self.per, units) for at, units in self._taken if at + self.per > now]
        left = self.limit - sum(units for _, units in held)
        for free, units in held:
            if left >= cost:
                break
            now, left = free, left + units
        return now

    def take(self, cost: int, now: datetime) -> None:
        """Use `cost` units."""
        while self._taken and self._taken[0][0] + self.per <= now:
            self._taken.popleft()
        self._taken.append((now, cost))

    def clear(self) -> None:
        """Nothing was used."""
        self._taken.clear()


class Budget:
    """A vendor's quota that several threads share: fixed windows, corrected by the vendor's headers.

    `headroom` is the share of each window left to other users of the same account; 0.1 keeps a tenth free.
    `sliding`: nobody says when a window begins (no headers), so the limit is kept within any stretch of that length.
    """

    def __init__(
        self, clock: Clock, windows: Iterable[tuple[int, timedelta]], headroom: float = 0.0, *, sliding: bool = False
    ) -> None:
        self._clock = clock
        self._headroom = headroom
        self._lock = threading.Lock()
        kind = SlidingWindow if sliding else Window
        self._windows = [kind(self._share(limit), per) for limit, per in windows]
        self._blocked_until: datetime | None = None

    def _share(self, limit: int) -> int:
        return max(1, int(limit * (1 - self._headroom)))

    def acquire(self, cost: int = 1, max_wait: timedelta = timedelta(seconds=60)) -> None:
        """Wait until `cost` units are free and take them.

        Raises RateLimited(retry_after) where that would take longer than `max_wait`: core then holds the lane.
        """
        while True:
            with self._lock:
                now = self._clock.now()
                ready = max((w.free_at(cost, now) for w in self._windows), default=now)
                if self._blocked_until is not None:
                    ready = max(ready, self._blocked_until)
                if ready <= now:
                    for window in self._windows:
                        window.take(cost, now)
                    return
            if ready - now > max_wait:
                raise RateLimited("the quota is used up", retry_after=ready - now)
            self._clock.sleep(ready - now)
            if self._clock.now() + _EARLY < ready:
                # A clock that wakes early says that the process is stopping.
                raise RateLimited("stopped while waiting for the quota", retry_after=ready - now)

    def free_at(self, now: datetime, cost: int = 1) -> datetime:
        """When `cost` units will be free; `now` where they are. Takes nothing."""
        with self._lock:
            ready = max((w.free_at(cost, now) for w in self._windows), default=now)
            return max(ready, self._blocked_until) if self._blocked_until is not None else ready

    def take(self, now: datetime, cost: int = 1) -> None:
        """Take `cost` units without waiting."""
        with self._lock:
            for window in self._windows:
                window.take(cost, now)

    def observe(self, *, limit: int | None, remaining: int | None, reset: timedelta | None) -> None:
        """Correct the widest window by what the vendor said in an answer's headers."""
        if not self._windows:
            return
        with self._lock:
            now = self._clock.now()
            window = max(self._windows, key=lambda w: w.per)
            if limit is not None and limit > 0:
                window.limit = self._share(limit)
            if remaining is not None and limit is not None:
                spent = max(0, limit - remaining)
                if reset is not None:
                    window.resets_at = now + reset
                    window.used = max(spent, 0) if window.used < spent else window.used
                else:
                    window.used = max(window.used, spent)

    def clear(self) -> None:
        """Begin anew: a person said that what was counted is void. The vendor's next answer corrects it again."""
        with self._lock:
            self._blocked_until = None
            for window in self._windows:
                window.clear()

    def block(self, duration: timedelta) -> None:
        """Let nobody through for this long (a 429 with Retry-After)."""
        with self._lock:
            until = self._clock.now() + duration
            self._blocked_until = max(until, self._blocked_until) if self._blocked_until else until
