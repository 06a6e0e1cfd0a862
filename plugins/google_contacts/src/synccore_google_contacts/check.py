"""What `synccore check` says about a Google account."""

from datetime import UTC

from attrs import frozen

from synccore.errors import AuthError, SynccoreError
from synccore.http import Client as Http
from synccore.types import Check, Context, Finding, ObjectInfo

from .account import CONTACTS_SCOPE, PUBLISH, Connection
from .client import Client
from .config import Config, Video
from .index import Index
from .labels import MY_CONTACTS
from .mapping import CONTACT, describe
from .match.twin import namesakes
from .shapes import FILE

#: Contacts per account, those in the bin included (Google's help page on contact limits).
CAPACITY = 25_000
NEARLY_FULL = 22_500


@frozen
class Checker:
    """Looks at one connection."""

    config: Config
    context: Context
    connection: Connection
    client: Client

    def check(self) -> Check:
        """Reach the account and say what could go wrong. Raises AuthError, ConfigError, Transient."""
        account = self.connection.noted()
        self._may_write()
        groups = {g.get("resourceName"): g for g in self.client.groups()}
        count = int((groups.get(MY_CONTACTS) or {}).get("memberCount") or 0)
        path = f"sinks.{self.context.name}"
        findings = [
            *_room(path, count),
            *self._ending(path),
            *_state(path, Index(self.context, account.id, self.client)),
            *_videos(self.config, self.context, path),
        ]
        return Check(account=account, detail=f"{count} contacts", findings=tuple(findings))

    def describe(self) -> list[ObjectInfo]:
        """The fields of a contact, and the custom ones the routes use."""
        used = [name for route in self.context.routes for name in route.fields]
        return [ObjectInfo(name=CONTACT.name, label="Contact", fields=describe(used))]

    def _may_write(self) -> None:
        scopes = self.connection.scopes(self.connection.token())
        if scopes is not None and CONTACTS_SCOPE not in scopes:
            raise AuthError(
                f"the permission to manage contacts was taken back: run synccore connect {self.context.name} and leave "
                "the box for contacts ticked"
            )

    def _ending(self, path: str) -> list[Finding]:
        if (ends := self.connection.ends_at()) is None:
            return []
        day = f"{ends.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        text = f"this connection ends on {day}: {PUBLISH}, then connect again"
        return [Finding(level="warning", path=path, message=text)]


def _room(path: str, count: int) -> list[Finding]:
    if count >= CAPACITY:
        text = f"the account is full: it holds {count} of {CAPACITY} contacts; delete some and empty the bin"
        return [Finding(level="error", path=path, message=text)]
    if count >= NEARLY_FULL:
        text = f"the account is nearly full: {count} of {CAPACITY} contacts (those in the bin count too)"
        return [Finding(level="warning", path=path, message=text)]
    return []


def _state(path: str, index: Index) -> list[Finding]:
    index.open()
    findings: list[Finding] = []
    if doubled := index.doubled():
        text = f"{doubled} customers stand on two contacts: merge them in Google Contacts (Merge and fix)"
        findings.append(Finding(level="warning", path=path, message=text))
    if count := len(namesakes(index)):
        text = f"further contacts with a customer's address: {count}; merge them where it is the same person"
        findings.append(Finding(level="info", path=path, message=text))
    if index.state.get("full"):
        text = "Google lately refused new contacts because the account is full: delete some and empty the bin"
        findings.append(Finding(level="warning", path=path, message=text))
    return findings


def _videos(config: Config, context: Context, path: str) -> list[Finding]:
    if config.drive_api_key is None or not config.videos:
        return []
    origin = "/".join(config.userinfo_url.split("/", 3)[:3])
    key = config.drive_api_key.reveal()
    with Http(context, origin) as http:
        found = [_video(http, key, v, f"{path}.videos.{i}") for i, v in enumerate(config.videos)]
    return [f for f in found if f is not None]


def _video(http: Http, key: str, video: Video, path: str) -> Finding | None:
    """Whether anyone with the link can see it: an API key sees public files only."""
    headers = {}
    if video.resource_key:
        headers["X-Goog-Drive-Resource-Keys"] = f"{video.file_id}/{video.resource_key}"
    params = {"fields": "id,name,mimeType,trashed,resourceKey", "supportsAllDrives": "true", "key": key}
    try:
        answer = http.get(f"/drive/v3/files/{video.file_id}", params=params, headers=headers)
    except SynccoreError as error:
        return Finding(level="warning", path=path, message=f"{video.title!r} could not be checked: {error.message}")
    data = answer.json_or_none(FILE) or {}
    if answer.status in (403, 404) and "API_KEY" not in answer.text:
        return Finding(
            level="warning",
            path=path,
            message=f'{video.title!r} is not public: share it on Drive with "Anyone with the link"',
        )
    if not answer.ok:
        return Finding(
            level="warning", path=path, message=f"{video.title!r} could not be checked: HTTP {answer.status}"
        )
    if data.get("trashed"):
        return Finding(level="warning", path=path, message=f"{video.title!r} is in the bin of its Drive")
    if not data.get("mimeType", "").startswith("video/"):
        return Finding(level="warning", path=path, message=f"{video.title!r} is no video but {data.get('mimeType')}")
    return None
