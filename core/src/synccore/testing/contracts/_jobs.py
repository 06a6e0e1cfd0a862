"""Cases about jobs: what holds for one call holds for a job's rows, its answer and its results."""

from datetime import timedelta

from ..harness import upsert
from ..server import Fault
from ..strategies import HOSTILE_TEXTS
from ._size import SizeSinkCases
from ._stage import Stage

__all__ = ["JobSinkCases"]


class JobSinkCases(SizeSinkCases):
    """Part of `SinkContract`."""

    def test_odd_texts_and_a_lost_answer_in_bulk_double_nobody(self, on: Stage) -> None:
        """Quotes and line breaks move nobody to another row; what took them was carried out, and nobody told us."""
        texts = list(HOSTILE_TEXTS.values())
        count = max(self.jobs_from, len(texts) + 2)
        odd = (self.customer(n, first_name=t, last_name=t, company=t) for n, t in enumerate(texts))
        plain = (self.customer(n) for n in range(len(texts), count))
        on.stand_in.fail_next(self._only_writes(Fault.commit_then_drop()))
        on.app.emit(*map(upsert, (*odd, *plain)), bulk=True)
        on.app.settle_down(timedelta(minutes=30))
        parked = {d.key: d.error_kind for d in on.app.deliveries() if d.state != "done"}
        assert set(parked.values()) <= {"rejected"}, on.errors()
        assert {int(key) for key in parked} <= set(range(len(texts))), "an odd text sinks its mates"
        there = [n for n in range(count) if str(n) not in parked]
        assert on.held() == sorted(self.customer(n).email or "" for n in there)
        self._all_are_their_own(on, there)
        self._read_back(on, [on.link(n) for n in there[: len(texts)]])
