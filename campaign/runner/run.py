"""Run what is missing of a campaign: plan, lease, keep, tell, report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from campaign.engines.executors.base import Executor
from campaign.engines.executors.fits import Fit
from campaign.records import TrialRecord
from campaign.runner.afterwards import Afterwards, ending_of
from campaign.runner.assets import digests_of, load_assets
from campaign.runner.checkpoints import checkpoints_of
from campaign.runner.choose import make_executor, make_tracker, results_place
from campaign.runner.code import check_code
from campaign.runner.folder import ResultsFolder
from campaign.runner.place import open_store, opened
from campaign.runner.precision import precision_of
from campaign.runner.provenance import code_version, session_of
from campaign.runner.result import Job, Listener, RunOptions, RunResult, TrainResult
from campaign.runner.rounds import Rounds, rows_by_setup
from campaign.runner.seen import Seen
from campaign.runner.signals import Signals
from campaign.runner.tasks import failures_of, limited, unfinished
from campaign.runner.telling import Telling
from campaign.runner.trainer import Split, Trainer
from campaign.spec.expand import SetupGrid, expand
from campaign.spec.grid import SetupPoints
from campaign.spec.identity import campaign_identity, identify
from campaign.trial.worker import TrialWork

if TYPE_CHECKING:
    from campaign.engines.stores.parquet import ParquetStore
    from campaign.engines.trackers.background import BackgroundTracker

LAST_WORD = 120.0
"""Seconds that the tracker is waited for at the end."""
LAST_WORD_AFTER_SIGNAL = 10.0
"""The same after Ctrl-C or SIGTERM."""


def run_campaign(job: Job, options: RunOptions, listener: Listener) -> RunResult:
    """Run the trials of a spec that have no result yet, and report.

    Raises:
        SetupError: If files, devices or folders are missing.
        DriftError: If the results folder holds rows of another meaning.
        LockedError: If another driver writes to the folder.
    """
    started = time.monotonic()
    with _begun(job, options, listener) as run:
        result = run.everything()
    result.seconds = time.monotonic() - started
    return result


def train_campaign(job: Job, options: RunOptions, listener: Listener) -> TrainResult:
    """Run the trainings of a spec that have not ended yet, and no trial.

    Raises:
        SetupError: If files, devices or folders are missing.
        DriftError: If the results folder holds rows of another meaning.
        LockedError: If another driver writes to the folder.
    """
    started = time.monotonic()
    with _begun(job, options, listener) as run:
        result = run.trainings_alone()
    result.seconds = time.monotonic() - started
    return result


@contextmanager
def _begun(job: Job, options: RunOptions, listener: Listener) -> Iterator[_Run]:
    """A run whose results are open, and signals heard, inside the block."""
    place = results_place(job.spec, options.results)
    with (
        Signals(listener.note) as signals,
        opened(place, listener.note) as folder,
        closing(open_store(place, folder)) as store,
    ):
        yield _Run(job, options, listener, folder, store, signals)


class _Run:
    """One run into one results folder, whose store is open."""

    def __init__(
        self,
        job: Job,
        options: RunOptions,
        listener: Listener,
        folder: ResultsFolder,
        store: ParquetStore,
        signals: Signals,
    ) -> None:
        self.job, self.spec, self.options, self.listener = job, job.spec, options, listener
        self.folder, self.store, self.signals = folder, store, signals
        self.checkpoints = checkpoints_of(job.spec, results_place(job.spec, options.results))
        self.result = RunResult(folder.path)
        self.tracker: BackgroundTracker
        self.rounds: Rounds | None = None
        self.trainer: Trainer
        self._left = options.limit
        self._warned = 0
        self._seen = Seen(job.spec.evaluation.batch_size)

    def everything(self) -> RunResult:
        """All steps, from the digests to the report."""
        self._pass_on_warnings()
        grids, session = self._identified()
        tasks = self._planned(grids)
        self.tracker = self._tracker()
        if tasks := self._allowed(tasks):
            self._run(tasks)
        self._sum_up(grids)
        self.store.seal()
        self._pass_on_warnings()
        self.folder.add_session({**session, **self._ended()})
        self._afterwards()
        return self.result

    def trainings_alone(self) -> TrainResult:
        """The trainings and what tells of them."""
        grids, session = self._identified()
        self.tracker = self._tracker()
        self.trainer = Trainer(
            self.spec, self.folder, self.checkpoints, self.listener, self.tracker
        )
        fits = self.trainer.split([SetupPoints(grid.setup, ()) for grid in grids]).fits
        held = self.trainer
        self.listener.note(f"{held.total} trainings: {held.cached} done, {len(fits)} to run")
        if fits:
            self._train(fits)
        self.folder.add_session({**session, **self._ended()})
        failures = {label: failure.error for label, failure in held.failed.items()}
        found = (held.total, held.cached, held.done, failures, self.signals.received)
        result = TrainResult(self.folder.path, held.checkpoints.place, *found)
        patience = LAST_WORD if result.signal is None else LAST_WORD_AFTER_SIGNAL
        if self.tracker.uri and held.total:
            self.tracker.finish(ending_of(result.exit_code), (), timeout=patience)
        return result

    def _train(self, fits: Sequence[Fit]) -> None:
        executor = make_executor(self.spec, self.options)
        try:
            executor.start()
            self.signals.stop_with(executor.stop)
            for _ in executor.run([], self._work(), {}, fits):
                pass  # trainings without trials give no rows
        finally:
            executor.close()

    def _planned(self, grids: Sequence[SetupGrid]) -> list[SetupPoints]:
        """What is to be run first: all that is missing, or what is needed for the next decision."""
        precision, keep_failed = precision_of(self.spec), self.options.keep_failed
        if precision is None:
            tasks = unfinished(grids, self.store.done(), keep_failed=keep_failed)
            self.result.total = sum(grid.n_trials for grid in grids)
            todo = sum(len(task.points) for task in tasks)
        else:
            rows = rows_by_setup(self.store.read())
            self.rounds = Rounds(
                grids, precision, lambda s: rows.get(s.setup_id, []), keep_failed=keep_failed
            )
            tasks, self.result.total = self.rounds.first(), self.rounds.total
            counts = [self.rounds.count(grid.setup) for grid in grids]
            todo = self.result.total - sum(count.ok + count.failed for count in counts)
            self.listener.note(
                "trials are added until every mean is known to "
                f"{100 * precision.half_width:g} points"
            )
        self.listener.planned(self.result.total, self.result.total - todo, todo, self.folder.path)
        return tasks

    def _allowed(self, tasks: list[SetupPoints]) -> list[SetupPoints]:
        """As many of the points as may still be begun."""
        tasks = limited(tasks, self._left)
        if self._left is not None:
            self._left -= sum(len(task.points) for task in tasks)
        return tasks

    def _identified(self) -> tuple[list[SetupGrid], dict[str, Any]]:
        """The grid with its ids, refused if the folder is for something else; and the session."""
        grids = expand(self.spec)
        check_code((grid.setup for grid in grids), allowed=self.options.allow_code)
        digests = digests_of(grids, self.listener.note)
        grids = identify(grids, digests)
        foreign = 0 if self.folder.lock.exists() else self._foreign_rows(grids)
        self.folder.check_identity(campaign_identity(grids, digests), foreign)
        self.folder.write_spec(self.job.text, self.job.resolved)
        session = session_of(self.job.resolved, digests)
        self.folder.add_session(session)
        return grids, session

    def _foreign_rows(self, grids: Sequence[SetupGrid]) -> int:
        """How many rows belong to setups that the spec does not have."""
        known = {grid.setup.setup_id for grid in grids}
        return sum(trial_id.split("-", 1)[0] not in known for trial_id in self.store.done())

    def _tracker(self) -> BackgroundTracker:
        from campaign.engines.trackers.background import BackgroundTracker

        tracker = make_tracker(self.spec, self.folder, self.job.resolved)
        self.result.tracking_uri = tracker.uri
        return BackgroundTracker(tracker)

    def _run(self, tasks: list[SetupPoints]) -> None:
        """Lease the tasks and keep what comes back, until all is done or a signal came."""
        executor = make_executor(self.spec, self.options)
        telling = Telling(self.tracker, self.store, precision_of(self.spec))
        with closing(executor), telling:
            for records in self._records(executor, tasks):
                self.store.append(records)
                self.result.ran += len(records)
                for line in self._seen.look(records):
                    self.listener.note(line)
                status: dict[str, object] = {**executor.status()}
                if self.rounds is not None:
                    executor.add(self._allowed(self.rounds.follow(records)))
                    status |= {**executor.status(), "total": self.rounds.total}
                self.listener.progressed(records, status)
                telling.now_and_then(status)
                self._pass_on_warnings()

    def _records(self, executor: Executor, tasks: list[SetupPoints]) -> Iterator[list[TrialRecord]]:
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(self._loaded, tasks)
            self.listener.note("starting workers")
            executor.start()
            self.signals.install()
            split, assets = loading.result()
        self.signals.stop_with(executor.stop)
        if self.signals.received is None:
            yield from executor.run(split.ready, self._work(), assets, split.fits)

    def _work(self) -> TrialWork:
        engine = self.spec.engine
        return TrialWork(
            code_version=code_version(),
            batch_size=self.spec.evaluation.batch_size,
            mode=engine.mode,
            threads=engine.cpus_per_worker,
            use_gpu=engine.gpus_per_worker != 0,
        )

    def _loaded(self, tasks: list[SetupPoints]) -> tuple[Split, dict[str, object]]:
        """What waits for trainings and what does not, and what workers read."""
        self.trainer = Trainer(
            self.spec, self.folder, self.checkpoints, self.listener, self.tracker
        )
        split = self.trainer.split(tasks)
        return split, {**load_assets(tasks, self.listener.note), **split.assets}

    def _ended(self) -> dict[str, Any]:
        """What is known of the session only at its end."""
        ended = {"finished_at": time.time(), "trials": self.result.ran}
        return {**ended, "workers": self._seen.workers()}

    def _pass_on_warnings(self) -> None:
        """What the store has met since the last time: parts set aside, failed seals."""
        for line in self.store.warnings[self._warned :]:
            self.listener.note(f"warning: {line}")
        self._warned = len(self.store.warnings)

    def _sum_up(self, grids: Sequence[SetupGrid]) -> None:
        self.result.signal = self.signals.received
        if self.rounds is not None:
            self._sum_up_rounds(self.rounds, grids)
            return
        done = self.store.done()
        counts = Counter(done.get(p.trial_id) for grid in grids for p in grid.points())
        self.result.ok = counts["ok"]
        if sum(counts.values()) > counts["ok"] + counts[None]:
            self.result.failures = failures_of(self.store)

    def _sum_up_rounds(self, rounds: Rounds, grids: Sequence[SetupGrid]) -> None:
        found = [rounds.count(grid.setup) for grid in grids]
        self.result.total, self.result.ok = rounds.total, sum(count.ok for count in found)
        self.result.capped = rounds.capped()
        if any(count.failed for count in found):
            self.result.failures = failures_of(self.store)

    def _afterwards(self) -> None:
        """Tables, figures, the tracker's last word: after a signal only the last, and briefly."""
        after = Afterwards(self.spec, self.folder, self.store, self.listener)
        signalled = self.signals.received is not None
        if self.options.report and self.spec.output.report and self.result.ok and not signalled:
            self.result.written = after.report()
        patience = LAST_WORD_AFTER_SIGNAL if signalled else LAST_WORD
        after.tell(self.tracker, self.result, patience=patience)
