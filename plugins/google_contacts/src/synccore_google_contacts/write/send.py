"""Writing to Google what a round planned: batches or single calls by quota cost, every answer kept at once."""

from collections.abc import Callable, Iterable, Sequence

from synccore.errors import Conflict, Rejected, SynccoreError, Transient
from synccore.types import Delivered

from ..client import BATCH, BATCH_COST, DELETE_BATCH, DELETE_BATCH_COST
from ..errors import AccountFull, DailyQuota, EntriesRejected, HiddenQuota, MinuteQuota, NameTaken, NotFound, StaleEtag
from ..labels import MY_CONTACTS
from ..mapping import plain
from ..merge import markers
from ..pause import release
from ..round import LANE, Round, Work
from ..schema import Person

Step = Callable[[Round, list[Work]], None]


def send(round_: Round, works: Sequence[Work]) -> None:
    """Write everything; each operation ends with an outcome or in `round_.again`."""
    creates = [w for w in works if w.name is None]
    updates = [w for w in works if w.name is not None and not w.delete]
    _each(round_, _batches(creates, BATCH), _create)
    for group in _by_mask([w for w in updates if w.mask]):
        _each(round_, _batches(group, BATCH), _update)
    _add_labels(round_, [w for w in updates if w.add])
    _each(round_, _batches([w for w in updates if w.remove and _written(round_, w)], BATCH), _unlabel, written=True)
    _each(round_, _batches([w for w in works if w.delete], DELETE_BATCH), _delete)


def _batches(works: list[Work], size: int) -> Iterable[list[Work]]:
    return (works[start : start + size] for start in range(0, len(works), size))


def _each(round_: Round, batches: Iterable[list[Work]], step: Step, *, written: bool = False) -> None:
    """`written`: the step comes after what was written of these before, which alone is not all of it."""
    for batch in batches:
        stopped = round_.stopped
        if stopped is None:
            try:
                step(round_, batch)
                continue
            except LANE as error:
                stopped = round_.stop(error)
        elif not written:
            return
        for work in batch:
            if work.op not in round_.again and (written or work.op.id not in round_.outcomes):
                round_.fail(work.op, stopped, partly=written and bool(work.mask))


# -- creates ---------------------------------------------------------------------------------------------------------


def _create(round_: Round, works: list[Work]) -> None:
    """Make contacts. Each is noted as intended before it is sent, so that a lost answer is known as such."""
    if len(works) <= BATCH_COST:
        for work in works:
            _create_one(round_, work)
    elif works:
        _create_batch(round_, works)


def _create_one(round_: Round, work: Work) -> None:
    uids = [work.op.uid]
    round_.index.intents.note(uids)
    try:
        person = round_.people.create(work.body)
    except Transient as error:
        if not error.maybe_applied:
            round_.index.intents.withdraw(uids)
        round_.fail(work.op, error)
        raise Transient(error.message, outage=error.outage) from error
    except SynccoreError as error:
        round_.index.intents.withdraw(uids)
        if not isinstance(error, Rejected):
            raise
        _refused(round_, [work], error)
    else:
        _created(round_, [(work, person)])


def _create_batch(round_: Round, works: list[Work]) -> None:
    uids = [w.op.uid for w in works]
    round_.index.intents.note(uids)
    try:
        entries = round_.people.batch_create([w.body for w in works])
    except EntriesRejected as error:
        _without_refused(round_, works, {n: error.errors[str(n)] for n in range(len(works)) if str(n) in error.errors})
    except Rejected as error:
        round_.index.intents.withdraw(uids)
        _refused(round_, works, error)
    except (MinuteQuota, DailyQuota, HiddenQuota):
        # Whether a batch that met a quota half-way was undone is not documented.
        round_.index.intents.doubt(uids)
        raise
    except Transient as error:
        if not error.maybe_applied:
            round_.index.intents.withdraw(uids)
        raise
    except SynccoreError:
        round_.index.intents.withdraw(uids)
        raise
    else:
        _match_entries(round_, works, entries)


def _refused(round_: Round, works: list[Work], error: Rejected) -> None:
    """Google made nothing and does not say which contact is at fault."""
    if isinstance(error, AccountFull):
        round_.full = True
        round_.index.state.put({"full": round_.context.clock.now().timestamp()})
        for work in works:
            round_.fail(work.op, error)
    elif _label_gone(round_, works[0]):
        for work in works:
            round_.retry(work.op, error)
    elif len(works) == 1:
        round_.fail(works[0].op, error)
    else:
        half = len(works) // 2
        _create(round_, works[:half])
        _create(round_, works[half:])


def _label_gone(round_: Round, work: Work) -> bool:
    """Whether the label the contact was to get was deleted meanwhile: a refusal says nothing about the contact then."""
    if work.own.label is None or round_.labels.exists(work.own.label):
        return False
    round_.labels.forget(round_.label_name(work.op))
    return True


def _match_entries(round_: Round, works: list[Work], entries: Sequence[Person | Exception]) -> None:
    """The order of the answer is not documented: the marker tells which contact is whose."""
    by_uid = {marker: e for e in entries if isinstance(e, dict) for marker in markers(e)}
    _created(round_, [(w, by_uid[w.op.uid]) for w in works if w.op.uid in by_uid])
    for position, work in enumerate(works):
        if work.op.uid in by_uid:
            continue
        entry = entries[position] if len(entries) == len(works) else None
        if isinstance(entry, Rejected):
            round_.index.intents.withdraw([work.op.uid])
            _refused(round_, [work], entry)
        else:
            # No word on this one: the intent stays, its marker will tell.
            round_.fail(work.op, Transient("Google's answer leaves this contact out", maybe_applied=True))


def _created(round_: Round, made: Sequence[tuple[Work, Person]]) -> None:
    round_.index.store(
        [person for _, person in made],
        {person["resourceName"]: work.own for work, person in made},
        [work.op.uid for work, _ in made],
    )
    release(round_.index.state)
    if round_.index.state.get("full"):
        round_.index.state.put({"full": None})
    for work, person in made:
        round_.done(work, person["resourceName"], person)


def _without_refused(round_: Round, works: list[Work], errors: dict[int, SynccoreError]) -> None:
    """Google names the entries at fault: those are refused, the rest is sent again.

    The People API's page on these details says both that nothing and that the rest was written, and a listing lags:
    the rest is planned anew, which looks for markers and waits while one may still show up.
    """
    refused = {position for position in range(len(works)) if position in errors}
    if not refused:
        raise Transient("Google refuses a batch for entries that are not in it", maybe_applied=True)
    round_.index.sync(now=True)
    rest = [w for position, w in enumerate(works) if position not in refused]
    round_.index.intents.doubt(w.op.uid for w in rest)
    round_.again += [w.op for w in rest]
    round_.index.intents.withdraw(works[position].op.uid for position in refused)
    for position in refused:
        _refuse(round_, works[position], errors[position])


def _refuse(round_: Round, work: Work, error: SynccoreError) -> None:
    if isinstance(error, Rejected):
        _refused(round_, [work], error)
    else:
        round_.fail(work.op, error)


# -- updates ---------------------------------------------------------------------------------------------------------


def _by_mask(works: list[Work]) -> list[list[Work]]:
    """Groups with one mask each; all in one group where that costs less."""
    groups: dict[frozenset[str], list[Work]] = {}
    for work in works:
        groups.setdefault(work.mask, []).append(work)
    apart = sum(_cost(len(g)) for g in groups.values())
    return list(groups.values()) if apart <= _cost(len(works)) else [works]


def _cost(count: int) -> int:
    full, rest = divmod(count, BATCH)
    return full * BATCH_COST + min(rest, BATCH_COST)


def _update(round_: Round, works: list[Work]) -> None:
    """Write on contacts. Of one that was found it is noted whose it is to be, lest a lost answer leave nobody know."""
    if found := {w.op.uid: w.name for w in works if w.op.op == "upsert" and w.op.link is None and w.name is not None}:
        round_.index.intents.aim(found)
    if len(works) <= BATCH_COST:
        for work in works:
            _update_one(round_, work)
        return
    mask = frozenset[str]().union(*(w.mask for w in works))
    bodies = {w.name or "": _in_full(round_, w, mask) for w in works}
    try:
        answers = round_.people.batch_update(bodies, mask)
    except EntriesRejected as error:
        # Nothing was written. Those named are handled, the rest goes again.
        if not any(w.name in error.errors for w in works):
            raise Transient("Google refuses a batch for contacts that are not in it") from error
        for work in works:
            _update_failed(round_, work, error.errors.get(work.name or ""))
    except (StaleEtag, Rejected) as error:
        # Google does not say whose. All are read anew; one that conflicts for ever must not hold the others.
        if isinstance(error, StaleEtag) and max(round_.tries(w.op) for w in works) < 2:
            _reread(round_, works, error)
        else:
            _halves(round_, works)
    else:
        release(round_.index.state)
        for work in works:
            _settle_update(round_, work, answers.get(work.name or ""))


def _settle_update(round_: Round, work: Work, answer: Person | Exception | None) -> None:
    if isinstance(answer, dict):
        _updated(round_, work, answer)
    elif isinstance(answer, SynccoreError):
        _update_failed(round_, work, answer)
    else:
        round_.retry(work.op, Transient("Google did not say what became of this contact", outage=False))


def _in_full(round_: Round, work: Work, mask: frozenset[str]) -> Person:
    """A masked field that is not sent is cleared: send all of them as they are."""
    if mask == work.mask:
        return work.body
    person = round_.index.person(work.name or "")
    rest = {name: person[name] for name in mask - work.mask if person.get(name)}
    return {**work.body, **{name: [plain(e) for e in entries] for name, entries in rest.items()}}


def _update_one(round_: Round, work: Work) -> None:
    try:
        person = round_.people.update(work.name or "", work.body, work.mask)
    except (Conflict, Rejected) as error:
        _update_failed(round_, work, error)
    else:
        release(round_.index.state)
        _updated(round_, work, person)


def _updated(round_: Round, work: Work, person: Person) -> None:
    done = [work.op.uid] if work.op.link is None else []
    round_.index.store([person], {person["resourceName"]: work.own}, done)
    work.name = person["resourceName"]
    round_.done(work, person["resourceName"], person)


def _halves(round_: Round, works: list[Work]) -> None:
    half = len(works) // 2
    _update(round_, works[:half])
    _update(round_, works[half:])


def _update_failed(round_: Round, work: Work, error: SynccoreError | None) -> None:
    """Plan again where the contact changed or vanished, and where it was not written for another's sake."""
    if isinstance(error, StaleEtag | NotFound | NameTaken):
        _reread(round_, [work], error)
    elif error is None:
        round_.again.append(work.op)
    else:
        round_.fail(work.op, error)


def _reread(round_: Round, works: list[Work], error: SynccoreError) -> None:
    now = round_.index.refresh(w.name or "" for w in works)
    if None in now.values():
        # Gone, or merged or renamed: the listing may know, and one read of it is cheaper than a second contact.
        round_.index.sync(now=True)
    for work in works:
        round_.retry(work.op, error)


# -- labels and deletes ----------------------------------------------------------------------------------------------


def _add_labels(round_: Round, works: list[Work]) -> None:
    """Put the label on contacts that were there before. What failed above is not labelled."""
    groups: dict[str, list[Work]] = {}
    for work in works:
        if _written(round_, work):
            groups.setdefault(work.add or "", []).append(work)
    for label, members in groups.items():
        _each(round_, [members], lambda r, batch, label=label: _add_label(r, batch, label), written=True)  # type: ignore[misc]


def _written(round_: Round, work: Work) -> bool:
    """Whether its fields, if any were to be written, are at Google."""
    return not work.mask or isinstance(round_.outcomes.get(work.op.id), Delivered)


def _add_label(round_: Round, works: list[Work], label: str) -> None:
    try:
        missing, _ = round_.people.modify_members(label, add=[w.name or "" for w in works])
    except NotFound as error:
        for work in works:
            round_.labels.forget(round_.label_name(work.op))
            round_.retry(work.op, error)
        return
    release(round_.index.state)
    fresh = round_.people.batch_get([w.name or "" for w in works if w.name not in missing])
    if gone := [w for w in works if w.name not in fresh]:
        _reread(round_, gone, NotFound())
    for work in works:
        if (person := fresh.get(work.name or "")) is not None:
            work.own.label = label
            round_.index.store([person], {person["resourceName"]: work.own})
            round_.done(work, person["resourceName"], person)


def _unlabel(round_: Round, works: list[Work]) -> None:
    for label in {w.remove or "" for w in works}:
        members = [w for w in works if w.remove == label]
        names, missing = [w.name or "" for w in members], frozenset[str]()
        try:
            missing, last = round_.people.modify_members(label, remove=names)
            if unknown := [w for w in members if w.name in missing]:
                _reread(round_, unknown, NotFound())
            if last:
                # A contact must keep one label: first into "My contacts", then off ours.
                round_.people.modify_members(MY_CONTACTS, add=sorted(last))
                round_.people.modify_members(label, remove=sorted(last))
        except NotFound:
            round_.labels.forget(round_.label_name(members[0].op))
        release(round_.index.state)
        fresh = round_.people.batch_get(names)
        for work in (w for w in members if w.name not in missing):
            person = fresh.get(work.name or "", {"resourceName": work.name})
            round_.index.store([person] if work.name in fresh else (), {person["resourceName"]: work.own})
            round_.done(work, person["resourceName"], person)


def _delete(round_: Round, works: list[Work]) -> None:
    if len(works) <= DELETE_BATCH_COST:
        for work in works:
            _delete_one(round_, work)
        return
    try:
        round_.people.batch_delete([w.name or "" for w in works])
    except Rejected as error:
        # Most likely some are gone already, which refuses the whole batch.
        there = round_.people.batch_get([w.name or "" for w in works])
        if gone := [w for w in works if w.name not in there]:
            _unfound(round_, gone, error)
        rest = [w for w in works if w.name in there]
        for part in (rest,) if len(rest) < len(works) else (rest[: len(rest) // 2], rest[len(rest) // 2 :]):
            _delete(round_, part)
    else:
        _deleted(round_, works)


def _delete_one(round_: Round, work: Work) -> None:
    try:
        round_.people.delete(work.name or "")
    except NotFound as error:
        _unfound(round_, [work], error)
        return
    except Rejected as error:
        round_.fail(work.op, error)
        return
    _deleted(round_, [work])


def _unfound(round_: Round, works: list[Work], error: SynccoreError) -> None:
    """Gone, or called by another name by now, which the listing tells: planned again with what it says."""
    round_.index.refresh(work.name or "" for work in works)
    round_.index.sync(now=True)
    for work in works:
        round_.retry(work.op, error)


def _deleted(round_: Round, works: list[Work]) -> None:
    round_.index.drop(w.name or "" for w in works)
    release(round_.index.state)
    for work in works:
        round_.outcomes[work.op.id] = Delivered(remote_id=work.name, note="deleted")
