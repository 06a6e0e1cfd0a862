"""An outbox whose process dies at a given statement, before it or right after the commit; or at a given call to the
shop or a target: before it goes out, once it was carried out and nobody knows, or when its answer was read."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from synccore._store.sqlite import SqliteStore

__all__ = ["Died", "MortalStore"]


class Died(KeyboardInterrupt):
    """The process is gone. Nothing catches it, as nothing would a kill -9: core makes a bug of whatever else is no
    `Exception` and comes out of a plugin's code, where a process may die too."""


class MortalStore(SqliteStore):
    """Counts statements and commits, and by themselves the moments of calls; once `fuse` or `calls` is burnt down, and
    ever after, it raises `Died`."""

    def __init__(self, path: Path) -> None:
        self.fuse: int | None = None
        self.calls: int | None = None
        self.dead = False
        self._asked = False
        #: Called before each transaction, if anybody looks.
        self.look: Callable[[], None] | None = None
        super().__init__(path)

    def burn(self) -> None:
        """One more moment at which a process may die."""
        if self.fuse is not None:
            self.fuse -= 1
            self.dead = self.dead or self.fuse < 0
        if self.dead and not self._asked:
            raise Died

    def burn_call(self) -> None:
        """One more moment of a call. Who is dead calls nobody."""
        if self._asked:
            return
        if self.calls is not None:
            self.calls -= 1
            self.dead = self.dead or self.calls < 0
        if self.dead:
            raise Died

    @contextmanager
    def spared(self) -> Iterator[None]:
        """What happens in between is no moment to die."""
        fuses, self.fuse, self.calls = (self.fuse, self.calls), None, None
        yield
        self.fuse, self.calls = fuses

    @contextmanager
    def asked_by_a_stranger(self) -> Iterator[None]:
        """A question of the simulator's own burns the fuse like any other, and is no moment to die."""
        self._asked = True
        yield
        self._asked = False

    def peek(self) -> AbstractContextManager[Any]:
        """A question of the simulator's own of which nothing is to be noticed: no moment at all."""
        return super().reading()

    @contextmanager
    def writing(self) -> Iterator[Any]:
        self.looked_at()
        with super().writing() as tx:
            yield _Mortal(self, tx)
            self.burn()
        self.burn()

    def reading(self) -> AbstractContextManager[Any]:
        return _View(self, super().reading())

    def looked_at(self) -> None:
        """A transaction begins."""
        if self.look is not None:
            self.look()

    def close(self) -> None:
        """Nothing is written any more, not even by what tidies up."""
        self.dead = True
        super().close()


class _View(AbstractContextManager[Any]):
    def __init__(self, store: MortalStore, inner: AbstractContextManager[Any]) -> None:
        self._store = store
        self._inner = inner

    def __enter__(self) -> Any:
        self._store.looked_at()
        return _Mortal(self._store, self._inner.__enter__())

    def __exit__(self, *error: Any) -> bool | None:
        return self._inner.__exit__(*error)


class _Mortal:
    def __init__(self, store: MortalStore, inner: Any) -> None:
        self._store = store
        self._inner = inner

    def execute(self, *statement: Any) -> Any:
        self._store.burn()
        return self._inner.execute(*statement)

    def executemany(self, *statement: Any) -> Any:
        self._store.burn()
        return self._inner.executemany(*statement)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)
