"""A plugin's instance whose words hold no secret of it, and nothing of the records it was asked about.

Whoever asks an instance, for a delivery, a check, a connect or an erasure, asks it through this: what a target says may
quote whatever it was sent.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from itertools import islice, repeat
from typing import Any

from attrs import evolve

from .._contained import contained, tellable
from .._redact import conceal, redact
from ..errors import AnotherAccount
from ..types import Check, Delivered, Erased, Failed, Identity, Job, Link, Operation, Page, Unchanged, Unreadable

__all__ = ["Discreet"]

#: Longer than any note: they are cut where they are kept.
_WHOLE = 2000
_NOTHING: Mapping[str, frozenset[str]] = {}


class Discreet:
    """Stands for an instance: attributes are the instance's own, calls are carried out, what they say is looked at.

    Of errors and notes everything goes that looks like personal data; of a check's and a connect's words the secrets
    only, since they speak to the operator of the operator's own account.

    Args:
        sayable: object -> fields whose values may be said (`ObjectType.sayable`).
    """

    __slots__ = ("_instance", "_sayable", "_secrets")

    def __init__(
        self, instance: Any, secrets: Callable[[], Iterable[str]], sayable: Mapping[str, frozenset[str]] = _NOTHING
    ) -> None:
        object.__setattr__(self, "_instance", instance)
        object.__setattr__(self, "_secrets", secrets)
        object.__setattr__(self, "_sayable", sayable)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._instance, name)
        return self._guarded(found) if callable(found) else found

    def __repr__(self) -> str:
        return repr(self._instance)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._instance, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._instance, name)

    def _guarded(self, method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(*args: Any, **named: Any) -> Any:
            try:
                with contained():
                    answer = method(*args, **named)
            except AnotherAccount:
                raise  # names two accounts to whoever has to choose, and holds nothing else
            except Exception as error:
                conceal(error, self._known(args), self._secrets())
                raise
            return self._looked_at(answer, args)

        return call

    def _looked_at(self, answer: Any, args: Sequence[Any]) -> Any:
        job = args[0] if args and isinstance(args[0], Job) else None
        first: Any = job.operations if job else args[0] if args else None
        match answer:
            case list() | tuple():
                # Each answer beside its own record: all beside all would take hours for a job of thousands.
                beside = isinstance(first, Sequence) and len(first) == len(answer)
                abouts = ([one] for one in first) if beside else repeat(args, len(answer))
                return [self._word(one, about) for one, about in zip(answer, abouts, strict=True)]
            case Iterator():
                return self._one_by_one(answer, job.operations if job else ())
        return self._word(answer, args)

    def _one_by_one(self, answers: Iterator[Any], asked: Sequence[Operation]) -> Iterator[Any]:
        """Pages of a listing, or the outcomes of a job's operations as they come."""
        abouts = iter(asked)
        while True:
            about = list(islice(abouts, 1))
            try:
                with contained():
                    answer = next(answers, None)
            except Exception as error:
                conceal(error, self._known([asked]), self._secrets())
                raise
            if answer is None:
                return
            yield self._word(answer, about)

    def _word(self, answer: Any, about: Sequence[Any]) -> Any:
        """An answer without what it must not say; most say nothing at all and are given back as they are."""
        if type(answer) is Delivered and not (answer.note or answer.left_out):
            return answer  # what is said of nearly every record: nothing
        match answer:
            case Failed(error=error):
                conceal(told := tellable(error), self._known(about), self._secrets())
                return evolve(answer, error=told)
            case Delivered() | Unchanged() if answer.note or answer.left_out:
                # Fields are left out for few reasons, and each look goes through all that the record holds.
                said = {text: self._clean(text, about) for text in (answer.note, *answer.left_out.values()) if text}
                left_out = {name: said.get(reason, reason) for name, reason in answer.left_out.items()}
                return evolve(answer, note=answer.note and said[answer.note], left_out=left_out)
            case Erased(note=note) if note:
                return evolve(answer, note=self._clean(note, about))
            case Unreadable():
                return evolve(answer, where=self._clean(answer.where, ()), reason=self._clean(answer.reason, ()))
            case Page(unreadable=unreadable) if unreadable:
                return evolve(answer, unreadable=tuple(self._word(one, ()) for one in unreadable))
            case Check():
                findings = tuple(evolve(f, message=self._secretless(f.message)) for f in answer.findings)
                return evolve(answer, detail=self._secretless(answer.detail), findings=findings)
            case str():
                return self._secretless(answer)
        return answer

    def _clean(self, text: str, about: Sequence[Any]) -> str:
        return redact(text, _WHOLE, known=self._known(about), secrets=self._secrets())

    def _secretless(self, text: str) -> str:
        return redact(text, None, secrets=self._secrets())

    def _known(self, args: Iterable[Any]) -> Mapping[str, Any]:
        """Target field -> what the records a call is about hold and held there."""
        found: dict[str, list[Any]] = {}
        for kind, fields in _fields(args):
            sayable = self._sayable.get(kind, ())
            for name, value in fields.items():
                if name not in sayable:
                    found.setdefault(name, []).append(value)
        return found


def _fields(args: Iterable[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Object and fields of everything a call is about."""
    for one in args:
        match one:
            case [*_]:
                yield from _fields(one)
            case Operation():
                yield one.object, one.fields
                yield one.object, one.previous
            case Link():
                yield one.object, one.fields
                yield one.object, one.asked or {}
            case Job():
                yield from _fields(one.operations)
            case Identity():
                yield "", {"person": [*one.emails, *one.phones]}
