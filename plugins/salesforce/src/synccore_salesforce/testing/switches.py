"""What a test may set on a make-believe org, beside its data."""

from datetime import timedelta
from typing import Any

from .org import Org

__all__ = ["Switches"]


class Switches:
    """The org behind the API, and how the API behaves.

    Attributes that tests set: `rotate` (refresh tokens change with each use), `session_calls` (calls a new session is
    good for), `calls_used` and `call_limit`, `page_size` of queries, `job_polls` (how often a job is still running),
    `job_time` (how long it runs by the org's clock, asked or not; then `job_polls` is nothing), `longest_query`
    (characters that a query's address may have inside a composite request), `terse_rows` (rows of a collection do not
    name the duplicates found), `api_enabled`, `installed`, `composite` (off: the resource is not there),
    `dependencies_described` (off: describe does not say which state is whose).
    """

    #: Address of the loopback server.
    url: str

    def __init__(self, **org: Any) -> None:
        self.org = Org(**org)
        self.client_id = "3MVG9.shop.test"
        self.client_secret = "stand-in-secret"
        self.username = "sync@shop.test"
        self.user_id = self.org.user
        self.public_key = ""
        self.redirect_uris = ["http://localhost:1717/callback"]
        self.instance_url: str | None = None
        self.installed = True
        self.my_domain = True
        self.rotate = True
        self.session_calls: int | None = None
        self.api_enabled = True
        self.calls_used = 0
        self.call_limit = 15_000
        self.page_size = 2000
        self.longest_query: int | None = None
        self.job_polls = 1
        self.job_time: timedelta | None = None
        self.terse_rows = False
        self.composite = True
        self.dependencies_described = True
