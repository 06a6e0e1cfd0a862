"""Writing one profile at a time, and finding the right one where identifiers clash."""

from collections.abc import Collection

from synccore.errors import Conflict
from synccore.types import Delivered, Operation

from ._profile import EXTRA_IDENTIFIERS, Profile
from ._reading import find_by_email
from .client import PROFILE_IMPORT, PROFILE_MERGE, ApiError, Client

__all__ = ["write"]

#: Answers that mean: these identifiers do not all belong to the profile you mean.
CLASH = (404, 409)


def write(client: Client, operation: Operation, profile: Profile) -> Delivered:
    """Create or update the profile; with a link it is the linked one, so that an e-mail change follows the person.

    Klaviyo's upsert answers 409 where a phone number or external id belongs to somebody else, and 404 for an id it
    knows when the e-mail address does. Neither sinks the record.
    """
    known = operation.link.remote_id if operation.link else None
    try:
        remote_id = _import(client, profile, known)
    except ApiError as error:
        if error.status not in CLASH:
            raise
        return _resolve(client, operation, profile, known, error)
    return Delivered(remote_id=remote_id, note="; ".join(profile.notes) or None)


def _import(client: Client, profile: Profile, remote_id: str | None, without: Collection[str] = ()) -> str:
    answer = client.call(PROFILE_IMPORT, body={"data": profile.resource(remote_id, without)})
    return str(answer["data"]["id"])


def _resolve(client: Client, operation: Operation, profile: Profile, known: str | None, error: ApiError) -> Delivered:
    owner = find_by_email(client, profile.email)
    extras = [n for n in EXTRA_IDENTIFIERS if n in profile.attributes]
    notes = list(profile.notes)
    target = known
    if known and owner and owner != known:
        target = None
        notes.append(_join(client, operation, known, owner))
    elif known and owner is None and error.status == 404:
        target = None
        notes.append("the profile it was linked to is gone: found or made by its e-mail address")
    attempts: list[Collection[str]] = [()] if target != known else []
    if extras and profile.email:
        attempts.append(extras)
    for without in attempts:
        try:
            remote_id = _import(client, profile, target, without)
        except ApiError as again:
            if again.status not in CLASH:
                raise
            continue
        if without:
            notes.append(f"{', '.join(without)} left out: it belongs to another profile")
        return Delivered(remote_id=remote_id, note="; ".join(notes) or None)
    raise Conflict(error.message) from error


def _join(client: Client, operation: Operation, known: str, owner: str) -> str:
    """What becomes of the linked profile when its new e-mail address already has a profile."""
    if operation.settings.get("on_conflict") != "merge":
        return "the new e-mail address has a profile already: that one is kept up to date from now on"
    relationships = {"profiles": {"data": [{"type": "profile", "id": known}]}}
    try:
        client.call(
            PROFILE_MERGE, body={"data": {"type": "profile-merge", "id": owner, "relationships": relationships}}
        )
    except ApiError as error:
        if error.status != 404:
            raise
        return "the profile it was linked to is gone"
    return "merged with the profile that has the new e-mail address"
