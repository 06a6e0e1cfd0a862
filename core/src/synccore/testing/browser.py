"""A person who connects an account, played by the stand-in."""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlsplit

__all__ = ["AutoBrowser"]


class AutoBrowser:
    """A browser (`synccore.oauth.Browser`) whose person agrees to everything that the consent screen lets them.

    Nothing needs to listen at the address that it is sent back to.

    Args:
        approve: opens the consent screen at an address; gives the one the person is sent back to.
        port: of the address to come back to, where the flow asks for none.

    Attributes:
        url: the consent screen that was opened last.
        said: what the person was told.
    """

    def __init__(self, approve: Callable[[str], str], port: int = 0) -> None:
        self._approve = approve
        self._port = port
        self.url = ""
        self.said: list[str] = []

    def authorize(
        self, build_url: Callable[[str], str], *, host: str = "127.0.0.1", port: int = 0, path: str = "/"
    ) -> tuple[str, Mapping[str, str]]:
        """Go to the consent screen and come back. Raises AssertionError where the person lands somewhere else."""
        redirect = f"http://{host}:{port or self._port}{path}"
        self.url = build_url(redirect)
        landed = self._approve(self.url)
        if not landed.startswith(redirect):
            raise AssertionError(f"sent to {landed} instead of {redirect}")
        return redirect, dict(parse_qsl(urlsplit(landed).query))

    def say(self, text: str) -> None:
        """Remember it."""
        self.said.append(text)
