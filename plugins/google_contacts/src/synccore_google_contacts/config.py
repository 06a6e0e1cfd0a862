"""The settings of `[sinks.NAME] type = "google_contacts"`."""

import re
from typing import Any, Literal

from attrs import Attribute, frozen

from synccore.config import option
from synccore.secrets import Secret

__all__ = ["Config", "Video"]

Ambiguity = Literal["skip", "create", "first"]
Deletion = Literal["keep", "unlabel", "delete"]

_FILE_ID = re.compile(r"[A-Za-z0-9_-]{10,}")
_RESOURCE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def _file_id(_: Any, attribute: "Attribute[str]", value: str) -> None:
    if not _FILE_ID.fullmatch(value):
        raise ValueError(
            f"{attribute.name} is the part of a Drive link between /d/ and the next slash: "
            "at least 10 letters, digits, - or _"
        )


def _resource_key(_: Any, attribute: "Attribute[str | None]", value: str | None) -> None:
    if value is not None and not _RESOURCE_KEY.fullmatch(value):
        raise ValueError(f"{attribute.name} is the part of a Drive link after resourcekey=: letters, digits, - and _")


@frozen(kw_only=True)
class Video:
    """A set-up or troubleshooting video kept on Google Drive, shared with "anyone with the link"."""

    title: str = option(help="shown to people")
    file_id: str = option(help="the part of the Drive link between /d/ and the next slash", validator=_file_id)
    resource_key: str | None = option(
        default=None, help="the part after resourcekey=, where the link has one", validator=_resource_key
    )

    @property
    def preview_url(self) -> str:
        """The player, for a frame."""
        return self._url("preview")

    @property
    def view_url(self) -> str:
        """The page on Drive, for a link."""
        return self._url("view")

    def _url(self, page: str) -> str:
        key = f"?resourcekey={self.resource_key}" if self.resource_key else ""
        return f"https://drive.google.com/file/d/{self.file_id}/{page}{key}"


@frozen(kw_only=True)
class Config:
    """How to reach one Google account and what to do with its contacts.

    Either `client_id` and `client_secret` (a person connects with `synccore connect`), or `service_account` and
    `subject` (Google Workspace with domain-wide delegation, no person needed).
    """

    client_id: str | None = option(default=None, help="OAuth client id of a desktop app (or web app)")
    client_secret: Secret | None = option(default=None, help="its secret; Google asks for it from desktop apps too")
    service_account: Secret | None = option(
        default=None, help="path of a service account's JSON key file (or the key itself as a secret); Workspace only"
    )
    subject: str | None = option(default=None, help="e-mail address of the user the service account acts for")
    label: str = option(default="Customers", help="the label (contact group) customers get; empty for none")
    ambiguous: Ambiguity = option(
        default="skip", help="two contacts could be the customer: skip (park it), create a third, or take the first"
    )
    on_delete: Deletion = option(
        default="keep", help="a customer deleted in the shop: keep the contact, take the label off, or delete it"
    )
    videos: tuple[Video, ...] = option(default=(), help="support videos on Google Drive: title, file_id, resource_key")
    drive_api_key: Secret | None = option(
        default=None, help="API key with which `check` sees whether the videos are public"
    )
    api_url: str = option(default="https://people.googleapis.com", help="the People API")
    auth_url: str = option(default="https://accounts.google.com/o/oauth2/v2/auth", help="the consent screen")
    token_url: str = option(default="https://oauth2.googleapis.com/token", help="where tokens come from")
    revoke_url: str = option(default="https://oauth2.googleapis.com/revoke", help="where a grant ends")
    userinfo_url: str = option(
        default="https://www.googleapis.com/oauth2/v2/userinfo",
        help="who is connected; tokeninfo beside it and Drive on the same host are used by `check`",
    )
