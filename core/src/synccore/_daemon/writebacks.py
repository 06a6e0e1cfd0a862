"""Write-back that is switched on later: what is linked already is owed too, once, behind everything else."""

from .._app.app import App
from .._delivery.writeback import route_name, rule

__all__ = ["WriteBacks"]

#: Where it stands what was owed at the switch: a key of the source's cursors.
_MARK = "write_back:"
_OWED = "owed"


class WriteBacks:
    """What one source is owed of remote ids of records that were linked before it was written back to."""

    def __init__(self, app: App, source: str) -> None:
        self._app = app
        self._source = source
        self._on = app.writes_back(source)
        self._routes: dict[str, list[str]] = {}
        for route in app.routes.values():
            if route.source == source:
                self._routes.setdefault(route.entity, []).append(route.name)

    def owe_new(self) -> None:
        """Where it was switched on since: everything that is linked. Switched off and on again, what came meanwhile."""
        store, now = self._app.store, self._app.clock.now()
        for entity in self._routes:
            mark = store.get_cursor(self._source, _MARK + entity)
            if self._on and mark is None:
                if self.owe(entity) is None:
                    return
                store.put_cursor(self._source, _MARK + entity, _OWED, now)
            elif not self._on and mark is not None:
                store.put_cursor(self._source, _MARK + entity, None, now)

    def owe(self, entity: str) -> int | None:
        """Owe every record of `entity` that is linked and was not written back; how many. None: stopped half-way."""
        if not self._on or entity not in self._routes:
            return 0
        owed, after = 0, ""
        while True:
            if self._app.stopping.is_set():
                return None
            more, last = self._app.store.owe_unwritten(
                rule(self._source, entity), self._source, self._routes[entity], self._app.clock.now(), after=after
            )
            owed += more
            if last is None:
                break
            after = last
        if owed:
            self._app.log.info("write-back owed", route=route_name(self._source, entity), records=owed)
            self._app.engine.wake([self._source])
        return owed
