"""OAuth through the dashboard: the person's browser is already here.

`start` runs the instance's own connect on a thread until it has an address to send the person to; the vendor sends
them back to /oauth/callback, where `finish` hands the parameters to the waiting thread by their `state`.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from queue import Empty, Queue
from urllib.parse import parse_qs, urlsplit

from attrs import frozen

from ..._verbs.connect import Connected
from ...errors import AuthError, SynccoreError
from ...oauth import Browser

__all__ = ["Connects", "Done", "Go"]

#: How long a person may take on the vendor's screen, and how long the exchange behind it may take.
PATIENCE = timedelta(minutes=10)
EXCHANGE = timedelta(seconds=60)
#: Unfinished connects at a time; the oldest gives way.
_MOST = 8


@frozen
class Go:
    """Send the person to this address."""

    url: str


@frozen
class Done:
    """It ended: connected, or refused for a reason."""

    connected: bool
    text: str


class _WebBrowser:
    """A `synccore.oauth.Browser` whose person is on the dashboard."""

    def __init__(self, redirect_uri: str, patience: timedelta) -> None:
        self.redirect_uri = redirect_uri
        self.patience = patience
        #: What the starting request waits for: where to go, or the end.
        self.first: Queue[Go | Done] = Queue()
        #: What the vendor sent the person back with; None calls it off.
        self.back: Queue[Mapping[str, str] | None] = Queue()
        #: What the callback waits for.
        self.last: Queue[Done] = Queue()
        self.said: list[str] = []
        self.state = ""

    def authorize(
        self,
        build_url: Callable[[str], str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str = "/",
    ) -> tuple[str, Mapping[str, str]]:
        """Send the person to the vendor and wait; a loopback redirect address is not needed, the dashboard has one."""
        url = build_url(self.redirect_uri)
        self.state = parse_qs(urlsplit(url).query).get("state", [""])[0]
        self.first.put(Go(url))
        try:
            params = self.back.get(timeout=self.patience.total_seconds())
        except Empty:
            params = None
        if params is None:
            raise AuthError("nobody came back from the consent screen in time: connect again")
        self.said.clear()  # what was to be known at the vendor's screen
        return self.redirect_uri, params

    def say(self, text: str) -> None:
        """Kept for the page that follows."""
        self.said.append(text)


class Connects:
    """The connects that wait for a person."""

    def __init__(self, connect: Callable[[str, Browser, bool], Connected]) -> None:
        self._connect = connect
        self._waiting: list[_WebBrowser] = []
        self._lock = threading.Lock()

    def start(self, name: str, redirect_uri: str, switch_account: bool = False) -> Go | Done:
        """Begin to connect `name`: where to send the person, or the end where no screen is needed.

        `switch_account`: the person said that another account than the last one is meant.
        """
        browser = _WebBrowser(redirect_uri, PATIENCE)
        thread = threading.Thread(
            target=self._run, args=(name, browser, switch_account), name=f"synccore-connect-{name}"
        )
        thread.daemon = True
        thread.start()
        try:
            step = browser.first.get(timeout=EXCHANGE.total_seconds())
        except Empty:
            return Done(False, f"{name} did not answer in time")
        if isinstance(step, Go):
            with self._lock:
                self._waiting.append(browser)
                for old in self._waiting[:-_MOST]:
                    old.back.put(None)
                self._waiting = self._waiting[-_MOST:]
        return step

    def _run(self, name: str, browser: _WebBrowser, switch_account: bool) -> None:
        try:
            reached = self._connect(name, browser, switch_account)
            notes = [f"{note.rstrip('.')}." for note in reached.notes] if switch_account else []
            words = [f"{name} is connected to {reached.label}.", *browser.said, *notes]
            done = Done(True, " ".join(words))
        except SynccoreError as error:
            done = Done(False, error.message)
        except Exception as error:  # noqa: BLE001  a plugin's bug ends this connect, not the endpoint
            done = Done(False, f"the plugin failed: {type(error).__name__}")
        browser.first.put(done)
        browser.last.put(done)

    def finish(self, params: Mapping[str, str]) -> Done | None:
        """The person came back: how it ended, or None where nobody waits for this `state`. Blocks for the exchange."""
        state = params.get("state", "")
        with self._lock:
            browser = next((b for b in self._waiting if state and b.state == state), None)
            if browser is None:
                return None
            self._waiting.remove(browser)
        browser.back.put(params)
        try:
            return browser.last.get(timeout=EXCHANGE.total_seconds())
        except Empty:
            return Done(False, "the vendor did not answer in time: look at the instance's page in a minute")

    def close(self) -> None:
        """Call off all that wait."""
        with self._lock:
            for browser in self._waiting:
                browser.back.put(None)
            self._waiting = []
