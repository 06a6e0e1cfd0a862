"""One source at work: its polls, its listings handed over by commands, its webhooks."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta

from attrs import evolve

from .._app.app import App
from .._app.units import FAILED, SourceUnit, lane_name
from .._delivery.policy import PauseLane, Tried, decide, error_text
from .._delivery.writeback import route_name
from .._ingest.hints import Follower, parted
from .._ingest.listing import Listed, Lister, MassDeletionError, Stopped
from .._ingest.rules import only, rules_of
from .._set_back import TURN, lately
from .._verbs.backfill import CONFIRMED
from ..config import Schedule, SourceSettings
from ..errors import ConfigError, SignatureError
from ..store import BackfillJob, Hint, Ingest, Ingested, StoreError, email_of
from ..types import WebhookRequest
from .beginning import Beginning
from .faults import not_taken
from .progress import NowAndThen
from .standing import LOOK, RECHECK, Standing
from .writebacks import WriteBacks

#: How often the shop's webhooks are looked at.
HEAL_EVERY = timedelta(minutes=10)
#: Where it stands that webhooks were not taken and nothing was compared since.
GAP = "gap"
#: Hints followed at a time.
HINTS = 100
TICK = timedelta(seconds=1)
#: What a thread waits after trouble with the store (disk full, database locked).
TROUBLE_WAIT = timedelta(seconds=5)


class SourceWorker:
    """Polls and lists one source. `poll_due` and `work_job` do one thing each; threads only repeat them."""

    def __init__(self, app: App, unit: SourceUnit) -> None:
        self._app = app
        self._unit = unit
        self._store, self._clock = app.store, app.clock
        self._settings: SourceSettings = unit.settings.config
        self._lister: Lister = app.lister(unit.name)
        self._rules = rules_of(app.routes.values(), unit.name)
        self._standing = Standing(app, unit)
        self._healed_at: datetime | None = None
        #: When a comparison was last owed because webhooks were not taken.
        self._swept_at: datetime | None = None
        self._follower = Follower(unit.name, unit.instance, self._rules, intake=app.intake, clock=app.clock)
        self._hinted = threading.Event()
        #: Entities compared as a whole since this process began.
        self._compared: set[str] = set()
        #: Entities polled since then: what came while nobody listened is asked for at once, however rare the polls.
        self._polled: set[str] = set()
        #: Entity that was never listed -> what its first listing holds back.
        self._holds: dict[str, ExitStack] = {}
        #: Routes that are new here, and what keeps them from telling anything before it is known what was.
        self._beginning: Beginning | None = None
        self._begins = ExitStack()
        self._write_backs = WriteBacks(app, unit.name)
        self._write_backs_owed = False

    # -- webhooks

    def receive(self, request: WebhookRequest) -> Ingested:
        """Take a webhook; durable when this returns. Raises SignatureError and StoreError.

        What the plugin cannot read, or fails on, is kept as unreadable, and everything is compared soon: whoever is
        told of a failure sends nothing again and ends by sending nothing at all (WooCommerce after seven).
        """
        try:
            changes, unreadable = parted(self._unit.instance.receive(request))
        except (SignatureError, StoreError):
            raise
        except Exception as error:  # noqa: BLE001  the plugin's bug, at the outermost place that can bear it
            changes, unreadable = [], [not_taken(error)]
            self._app.log.warning("webhook not taken", source=self._unit.name, what=unreadable[0].reason)
        if any(record.key is None for record in unreadable):
            self._mark_gap("open")  # whatever it was about has to be found by comparing: nothing names it
        if not changes and not unreadable:
            return Ingested()
        unit = Ingest(source=self._unit.name, changes=changes, unreadable=unreadable, rules=self._rules)
        taken = self._app.intake.submit(unit)
        if taken.hinted:
            self._hinted.set()
        return taken

    # -- hints

    def follow_hints(self) -> bool:
        """Ask for what the source only named, and forget whom it says is to be forgotten; whether anything was done."""
        now = self._clock.now()
        if not self._standing.may_ask(now):
            return False
        try:
            self._standing.recognise()
        except Exception as trouble:  # noqa: BLE001  the policy decides
            self._standing.failed(trouble)
            return False
        hints = self._store.hints(self._unit.name, now, HINTS)
        followed = self._follower.follow([hint for hint in hints if hint.op == "touch"])
        for hint, error in followed.failed:
            self._later(hint, error)
        if followed.answered:
            self._standing.succeeded()
        for hint in hints:
            if hint.op == "forget":
                self._forget(hint)
        return bool(hints)

    def _later(self, hint: Hint, error: Exception) -> None:
        now = self._clock.now()
        decision = decide(
            error, Tried(attempts=hint.attempts, lane_failures=self._standing.failures), now, self._app.random
        )
        if isinstance(decision, PauseLane):
            if self._standing.retry_at is None or self._standing.retry_at <= now:
                self._standing.failed(error)
            self._store.snooze_hint(hint, self._standing.retry_at or now + LOOK, error_text(error))
            return
        until = getattr(decision, "at", None) or getattr(decision, "until", None) or now + RECHECK
        self._store.snooze_hint(hint, until, error_text(error))

    def _forget(self, hint: Hint) -> None:
        """Whom the shop has erased, where the settings say that this means everywhere."""
        from .._verbs.forget import forget  # rarely needed, and a backfill begins with this module

        snapshot = self._store.snapshot(hint.source, hint.entity, hint.key)
        email = email_of(snapshot.data) if snapshot is not None else None
        result = forget(self._app, email) if email is not None else None
        if result is None or result.complete:
            self._app.intake.submit(Ingest(source=hint.source, changes=(), rules=self._rules, answers=[hint]))
            return
        open_ = [*result.failed, *result.pending]
        why = "; ".join(f"{e.sink}: {e.error or e.note or 'not proven yet'}" for e in open_)
        self._store.snooze_hint(hint, self._clock.now() + RECHECK, why)

    # -- polls

    def poll_all(self) -> bool:
        """Poll every entity now; whether all went well. One that a person paused is left alone, and that is well."""
        if self._standing.paused():
            return True
        went_well = True
        self.hold_first()
        self._begin()
        for entity in self._settings.entities:
            went_well = self._poll(entity) and went_well
            self._release()
        return went_well

    def poll_due(self) -> None:
        """Poll what is due, queue a comparison where its time has come, look after the webhooks."""
        self._begin()
        now = self._clock.now()
        if not self._standing.may_ask(now):
            return
        for entity in self._settings.entities:
            missed = self._settings.poll is not None and entity not in self._polled
            if missed or self._due(self._settings.poll, f"polled:{entity}", now):
                self._poll(entity)
            self._release()
        self._queue_reconcile(now)
        self._fill_gap(now)
        self._heal(now)

    def _never_listed(self) -> list[str]:
        marks = {e: self._store.get_cursor(self._unit.name, f"listed:{e}") for e in self._settings.entities}
        return [entity for entity, mark in marks.items() if mark is None]

    @contextmanager
    def listing(self, entities: Iterable[str]) -> Iterator[Callable[[str], None]]:
        """Hold each route's bulk rows back until all of these that concern it are listed.

        A customer's memberships come after the customer: so it is sent once, with all. Gives what to call when an
        entity was listed.
        """
        holds: dict[str, ExitStack] = {}
        unknown = self._never_listed()
        with ExitStack() as stack:
            for entity in entities:
                holds[entity] = stack.enter_context(ExitStack())
                self._hold(holds[entity], entity, known=entity not in unknown)
            yield lambda entity: holds[entity].close() if entity in holds else None

    def _hold(self, stack: ExitStack, entity: str, *, known: bool) -> None:
        """Routes that include what was never listed send nothing of the past; all others send full batches."""
        rules = self._rules.get(entity, ())
        stack.enter_context(self._app.engine.filling({rule.route for rule in rules}))
        if not known:
            stack.enter_context(self._app.engine.holding({rule.route for rule in rules if rule.target == "owner"}))

    def hold_first(self) -> None:
        """From here on hold what was never listed, until it is: also while a listing fails and is tried again."""
        for entity in self._never_listed():
            if entity not in self._holds:
                self._holds[entity] = ExitStack()
                self._hold(self._holds[entity], entity, known=False)

    def _find_new_routes(self) -> Beginning:
        self._beginning = Beginning(self._app, self._unit.name)
        self._begins.enter_context(self._app.engine.holding(self._beginning.routes))
        return self._beginning

    def _begin(self) -> None:
        """Before a first poll may bring what is newer: new routes of news learn what was known before them."""
        (self._beginning or self._find_new_routes()).run()
        self._begins.close()
        if not self._write_backs_owed:
            self._write_backs.owe_new()
            self._write_backs_owed = True

    def _release(self) -> None:
        if not self._holds:
            return  # as in every round but the first few
        kept = self._never_listed()  # asked once: the polling and the listing thread both come here
        for entity in [*self._holds]:
            if entity not in kept and (stack := self._holds.pop(entity, None)):
                stack.close()

    def _due(self, schedule: Schedule | None, mark: str, now: datetime) -> bool:
        if schedule is None:
            return False
        last = self._store.get_cursor(self._unit.name, mark)
        if last is None:
            return True
        at = datetime.fromisoformat(last)
        return at > now + TURN or schedule.next_after(at) <= now

    def _poll(self, entity: str) -> bool:
        try:
            self._standing.recognise()
            self._lister.poll(entity, self._standing.unless_paused)
        except Stopped:
            return False
        except Exception as error:  # noqa: BLE001  the policy decides; the next poll goes on from the cursor
            self._standing.failed(error)
            self._listing_failed(entity, error)
            return False
        now = self._clock.now()
        self._store.put_cursor(self._unit.name, f"polled:{entity}", now.isoformat(), now)
        self._listing_failed(entity, None)
        self._polled.add(entity)
        self._standing.succeeded()
        return True

    def _listing_failed(self, entity: str, error: Exception | None) -> None:
        """Count failures in a row, for whoever watches; None: it did not fail."""
        mark, now = FAILED + entity, self._clock.now()
        before = self._store.get_cursor(self._unit.name, mark)
        if error is not None:
            times = int(before.partition(" ")[0]) + 1 if before else 1
            self._store.put_cursor(self._unit.name, mark, f"{times} {error_text(error)}", now)
        elif before:
            self._store.put_cursor(self._unit.name, mark, None, now)

    def _queue_reconcile(self, now: datetime) -> None:
        mark = "reconciled"
        last = self._store.get_cursor(self._unit.name, mark)
        if last is None:
            # The first listing is complete by itself; comparisons count from here.
            self._store.put_cursor(self._unit.name, mark, now.isoformat(), now)
        elif self._due(self._settings.reconcile, mark, now):
            self.queue_reconcile(now)

    def _fill_gap(self, now: datetime) -> None:
        """Compare everything after webhooks that were not taken; at most once in HEAL_EVERY, however many there are."""
        if self._swept_at is not None and lately(self._swept_at, now, HEAL_EVERY):
            return
        if self._store.get_cursor(self._unit.name, GAP) is not None:  # by whichever daemon
            self._swept_at = now
            self.queue_reconcile(now)
            self._mark_gap(None)

    def _mark_gap(self, mark: str | None) -> None:
        self._store.put_cursor(self._unit.name, GAP, mark, self._clock.now())

    def queue_reconcile(self, now: datetime) -> None:
        """Owe a full comparison of every entity."""
        for entity in self._settings.entities:
            self._store.queue_backfill("reconcile", self._unit.name, entity, {}, None, now)
        self._store.put_cursor(self._unit.name, "reconciled", now.isoformat(), now)

    def _heal(self, now: datetime) -> None:
        heal = getattr(self._unit.instance, "heal", None)
        url = self._unit.context.public_url
        if heal is None or url is None or (self._healed_at and lately(self._healed_at, now, HEAL_EVERY)):
            return
        self._healed_at = now
        try:
            healed = heal(f"{url.rstrip('/')}/hooks/{self._unit.name}")
        except Exception as error:  # noqa: BLE001  the policy decides
            self._standing.failed(error)
            return
        lane, said = self._store.lane(lane_name(self._unit.name)), "; ".join(healed) or None
        if lane.state == "ok" and lane.reason == said:
            # Nothing new: the same trouble has been swept after already.
            return
        if said:
            self._app.log.warning("webhooks healed", source=self._unit.name, what=said)
            self._standing.put_state("ok", said)
            self.queue_reconcile(now)
        elif lane.state == "ok":
            self._standing.put_state("ok", None)

    # -- jobs

    def work_job(self) -> bool:
        """Go on with the oldest listing that was handed over; whether there was one."""
        job = self._store.next_backfill(self._unit.name)
        if job is None or not self._standing.may_ask(self._clock.now()):
            return False
        try:
            self.run_job(job, watch=self._standing.unless_paused)
        except Stopped:
            return False
        except MassDeletionError:
            pass  # kept with the job, and shown by `status`
        except ConfigError as error:
            if not job.filters:  # a filter that the source does not know says nothing about the source
                self._standing.failed(error)
        except Exception as error:  # noqa: BLE001  transient: the job stays and goes on from its cursor
            self._standing.failed(error)
            self._store.update_backfill(job.id, error=error_text(error), now=self._clock.now())
            self._listing_failed(job.entity, error)
        return True

    def run_job(self, job: BackfillJob, *, watch: Callable[[Listed], None] = lambda _: None) -> Listed:
        """List as the job says, page by page from where it stopped; `watch` is told all that it listed so far.

        Raises what the source raises, and MassDeletionError; a job that cannot succeed has failed then.
        """
        self._standing.doubt()  # a comparison with another shop finds every record gone
        self._standing.recognise()
        reconciling = job.kind == "reconcile"
        cursor = f"reconcile:{job.id}:{job.entity}" if reconciling else f"backfill:{job.id}"
        before = job.seen if self._store.get_cursor(self._unit.name, cursor) is not None else 0
        self._store.update_backfill(job.id, state="running", now=self._clock.now())
        if reconciling:  # of one that was stopped while its page was on its way, or by an earlier version
            self._end_sweeps()

        def write(found: Listed) -> None:
            self._store.update_backfill(job.id, seen=found.seen, total=found.total, now=self._clock.now())

        keep = NowAndThen(self._clock, write)

        def report(listed: Listed) -> None:
            if self._ended(job):  # by a person, while this page was on its way
                self._end_sweeps()
                raise Stopped
            keep(listed := evolve(listed, seen=before + listed.seen))
            watch(listed)

        try:
            if reconciling:
                confirmed = CONFIRMED.items() <= job.filters.items()
                listed = self._lister.reconcile(job.entity, str(job.id), report, confirmed=confirmed)
                if listed.stale:  # a few are overtaken by webhooks; the same ones each time: their versions do not grow
                    told = {"entity": job.entity, "records": listed.stale}
                    self._app.log.info("older than what is known", source=self._unit.name, **told)
                self._doubt(job.entity, None)
                self._compared.add(job.entity)
                if self._compared >= set(self._settings.entities):
                    self._store.believe_again(self._unit.name, self._clock.now())
            elif job.route == route_name(self._unit.name, job.entity):
                listed = Listed(seen=self._write_backs.owe(job.entity) or 0)
                report(listed)
            else:
                force = only({job.entity: self._rules.get(job.entity, ())}, job.route)
                listed = self._lister.backfill(job.entity, job.filters, force, cursor, report)
        except ConfigError as error:
            if isinstance(error, MassDeletionError):
                self._doubt(job.entity, error.message)
            self._end(job, "failed", error.message)
            raise
        keep.close()
        self._end(job, "done", None)
        self._listing_failed(job.entity, None)
        self._release()
        self._standing.succeeded()
        return listed

    def _doubt(self, entity: str, message: str | None) -> None:
        """Keep what a comparison did not dare to do, until one of the same entity succeeds."""
        mark = f"doubted:{entity}"
        if message is not None or self._store.get_cursor(self._unit.name, mark) is not None:
            self._store.put_cursor(self._unit.name, mark, message, self._clock.now())

    def _ended(self, job: BackfillJob) -> bool:
        found = self._store.get_backfill(job.id)
        return found is not None and found.finished_at is not None

    def _end_sweeps(self) -> None:
        """With which nobody goes on: else whatever comes would be marked for them for ever."""
        self._store.end_sweeps(self._unit.name, {str(job.id) for job in self._store.backfills()})

    def _end(self, job: BackfillJob, state: str, error: str | None) -> None:
        self._store.update_backfill(job.id, state=state, error=error, now=self._clock.now())

    # -- threads

    def threads(self) -> list[threading.Thread]:
        """One thread polls, one works off listings, so that a long backfill holds up no change."""
        if self._settings.poll is not None:
            self.hold_first()
        self._find_new_routes()
        return [
            threading.Thread(target=self._repeat, args=(self.poll_due,), name=f"poll-{self._unit.name}", daemon=True),
            threading.Thread(target=self._repeat, args=(self.work_job,), name=f"jobs-{self._unit.name}", daemon=True),
            threading.Thread(target=self._attend, name=f"hints-{self._unit.name}", daemon=True),
        ]

    def _attend(self) -> None:
        """Follow hints as they come; while a source is away, and after a kill, look what is left."""
        while not self._unit.context.stopping():
            if self._leads():
                self._guarded(self.follow_hints)
            self._hinted.wait(TICK.total_seconds())
            self._hinted.clear()

    def _repeat(self, work: Callable[[], object]) -> None:
        while not self._unit.context.stopping():
            self._guarded(work if self._leads() else self.follow)
            self._clock.sleep(TICK)

    def _leads(self) -> bool:
        """Whether this daemon is the one that asks the source. Any takes webhooks."""
        return self._store.leads()

    def follow(self) -> None:
        """While another daemon leads: let go of what is held back here as well, once that one has listed it."""
        if self._holds:
            self._release()
        if self._beginning is not None and self._beginning.routes:
            self._beginning = Beginning(self._app, self._unit.name)
            if not self._beginning.routes:
                self._begins.close()

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  the store failed: try again
            reason = error.message if isinstance(error, StoreError) else type(error).__name__
            self._app.log.warning("source trouble", source=self._unit.name, reason=reason)
            self._clock.sleep(TROUBLE_WAIT)
