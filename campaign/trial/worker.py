"""Trials to records: what runs on a worker, keeping network, data and setup warm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal, cast

from campaign.lazy import torch
from campaign.records import Failure, TrialRecord
from campaign.sources import Images
from campaign.sources.pixels import normalise
from campaign.spec.grid import Point, Setup
from campaign.trial.ahead import DrawsAhead
from campaign.trial.allocator import keep_freed_memory
from campaign.trial.answers import Answers, handed_on
from campaign.trial.evaluate import Counts, TestSet, chosen_images, held_out_images
from campaign.trial.failures import failure_of, first_line, is_short
from campaign.trial.keys import data_asset as data_asset
from campaign.trial.keys import fault_asset, profile_asset
from campaign.trial.keys import model_asset as model_asset
from campaign.trial.layout import Placed, device_name, may_lie_otherwise, place
from campaign.trial.row import record
from campaign.trial.run import Outcome, run_trial
from campaign.trial.sample import run_sampled
from campaign.trial.setup import Network, Prepared, prepare
from campaign.trial.sharing import restated

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from campaign.faults import FaultModel
    from campaign.methods import State
    from campaign.training.job import Trained


@dataclass(frozen=True)
class TrialWork:
    """How trials are computed; sent to the workers.

    Args:
        code_version: Goes into every row.
        batch_size: Images a forward pass; ``auto`` goes by the network, see
            `campaign.trial.layout.batch_of`.
        threads: Threads of each worker on the CPU.
        use_gpu: Compute on the CUDA device that the worker sees, if it sees one.
        mode: ``fast``, or ``reference``: no short cut is taken, so that a fast one can be compared.
    """

    code_version: str
    batch_size: int | Literal["auto"] = "auto"
    threads: int = 1
    use_gpu: bool = True
    mode: Literal["fast", "reference"] = "fast"

    def open(self, assets: Callable[[str], object]) -> TrialWorker:
        """Make a worker in this process."""
        return TrialWorker(self, assets)

    def failed(
        self, setup: Setup, point: Point, failure: Failure, device: str = "unknown"
    ) -> TrialRecord:
        """The record of a trial without a result; needs no torch."""
        return record(
            setup,
            point,
            status=failure.status,
            error_type=failure.error_type,
            error=first_line(failure.error),
            attempt=failure.attempt,
            seconds=failure.seconds,
            device=device,
            compute="unknown",
            code_version=self.code_version,
        )


class TrialWorker:
    """Keeps device, network, test set and setup between batches.

    Args:
        work: How trials are computed.
        assets: Gives the shared value of a key: state dicts and `Images`.
    """

    def __init__(self, work: TrialWork, assets: Callable[[str], object]) -> None:
        self.work, self.assets = work, assets
        gpu = work.use_gpu and torch.cuda.is_available()
        self.device = torch.device("cuda" if gpu else "cpu")
        if not gpu:
            keep_freed_memory()
            torch.set_num_threads(work.threads)
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
        spare = gpu or work.threads > 1
        self.ahead = DrawsAhead() if spare and work.mode == "fast" else None
        self._networks: dict[tuple[str, str, bool, bool], Placed] = {}
        self._data: dict[str, tuple[object, TestSet]] = {}
        self._most: dict[str, int] = {}  # images that memory held at once, by model
        self._prepared: Prepared | None = None
        self._refused: tuple[str, Exception] | None = None

    def trials(self, setup: Setup, points: Sequence[Point], attempt: int) -> Iterator[TrialRecord]:
        """One record for each point, in order; what raises becomes a record of status error."""
        for point, following in zip_longest(points, points[1:]):
            started = time.perf_counter()
            try:
                prepared, outcome = self._outcome(setup, point, following)
            except Exception as error:
                failure = failure_of(error, attempt, time.perf_counter() - started)
                yield self.work.failed(setup, point, failure, device_name(self.device))
                continue
            yield self._succeeded(prepared, point, outcome, attempt, started)

    def share(self, setup_id: str) -> Answers | None:
        """What spares another worker of preparing the setup, if it is the one prepared here."""
        held = self._prepared
        known = held is not None and held.setup.setup_id == setup_id and not held.reference
        return Answers.of(held.prefix, self._made_on(held.setup)) if held and known else None

    def _outcome(
        self, setup: Setup, point: Point, following: Point | None
    ) -> tuple[Prepared, Outcome]:
        """What a trial gives; where memory runs out, the setup is prepared in smaller batches."""
        run = run_sampled if setup.sampled else run_trial
        while True:
            prepared = self._ready(setup)
            try:
                drawn = self.ahead.flips(prepared, point, following) if self.ahead else None
                return prepared, run(prepared, point, drawn)
            except Exception as error:
                if not is_short(error) or prepared.data.batch_size == 1:
                    raise
                self._most[setup.model_name] = prepared.data.batch_size // 2
            del prepared
            self._prepared = None
            torch.cuda.empty_cache()

    def _succeeded(
        self, prepared: Prepared, point: Point, outcome: Outcome, attempt: int, started: float
    ) -> TrialRecord:
        found = outcome._asdict()
        counts: Counts = found.pop("counts")
        return record(
            prepared.setup,
            point,
            status="ok",
            **counts._asdict(),
            **found,
            stored_bits=prepared.stored_bits,
            check_bits=prepared.check_bits,
            exposed_bits=prepared.exposed_bits,
            n_weights=sum(held.clean.numel() for held in prepared.stored.values()),
            scale_bits=prepared.scale_bits,
            constant_bits=prepared.constant_bits,
            inference_operations=prepared.cost.inference,
            protection_operations=prepared.cost.protection,
            seconds=time.perf_counter() - started,
            device=device_name(self.device),
            compute=self._compute(prepared),
            attempt=attempt,
            code_version=self.work.code_version,
        )

    def _ready(self, setup: Setup) -> Prepared:
        """The setup, prepared; one at a time is kept, for networks hold one set of weights."""
        if self._refused is not None and self._refused[0] == setup.setup_id:
            raise self._refused[1]
        if self._prepared is None or self._prepared.setup.setup_id != setup.setup_id:
            held, self._prepared = self._prepared, None
            try:
                wanted = self._with_fault(setup)
                shared = None if held is None else restated(held, wanted)
                del held
                self._prepared = shared or self._prepare(wanted)
            except Exception as error:
                self._refused = (setup.setup_id, error)
                raise
        return self._prepared

    def _prepare(self, setup: Setup) -> Prepared:
        """The setup, prepared in batches that the memory of the device holds."""
        placed = self._network(setup)
        data, split = self._test_set(setup, placed), self._split(setup, placed)
        known = self._most.get(setup.model_name, len(data))
        answers = handed_on(self.assets, setup.answers_asset, self._made_on(setup))
        reference = self.work.mode == "reference"
        how = partial(prepare, reference=reference, answers=answers)
        for most in (min(size, known) for size in placed.batch_sizes(len(data))):
            part = None if split is None else split.in_batches(most)
            try:
                return how(setup, placed.network, data.in_batches(most), part)
            except Exception as error:
                if not is_short(error):
                    raise
                short_of_memory = error.with_traceback(None)
            torch.cuda.empty_cache()
        raise short_of_memory

    def _with_fault(self, setup: Setup) -> Setup:
        if setup.fault.reads is None:
            return setup
        return replace(setup, fault=cast("FaultModel", self.assets(fault_asset(setup))))

    def _network(self, setup: Setup) -> Placed:
        free = self.work.mode == "fast" and may_lie_otherwise(setup, self.device)
        weights = model_asset(setup)
        key = (setup.model_name, weights, setup.fold_batchnorm, free)
        if key not in self._networks:
            self._networks.clear()
            state, learnt = self._weights(setup, weights)
            built = setup.model.build()
            network = Network.load(
                built, state, self.device, fold=setup.fold_batchnorm, learnt=learnt
            )
            images = cast("Images", self.assets(data_asset(setup.model.preprocess)))
            two = normalise(torch.tensor(images.pixels[:2]).to(self.device), setup.model.preprocess)
            self._networks[key] = place(network, two, self.work.batch_size, channels_last=free)
        return self._networks[key]

    def _weights(
        self, setup: Setup, asset: str
    ) -> tuple[Mapping[str, NDArray[np.generic]], Sequence[State]]:
        """The state dict of the network, and what each method learnt in its training."""
        held = self.assets(asset)
        if setup.training is None:
            return cast("Mapping[str, NDArray[np.generic]]", held), ()
        trained = cast("Trained", held)
        return trained.state, trained.learnt

    def _test_set(self, setup: Setup, placed: Placed) -> TestSet:
        """The images that trials are judged on."""
        profile = setup.profile
        held_out = 0 if profile is None or profile.dataset is not None else profile.images

        def choose(count: int) -> NDArray[np.int64]:
            return chosen_images(count, setup.subset, held_out)

        asset = data_asset(setup.model.preprocess)
        return self._images("test", asset, setup, choose, placed)

    def _split(self, setup: Setup, placed: Placed) -> TestSet | None:
        """The images that the setup learns from, if it does."""
        profile, how = setup.profile, setup.model.preprocess
        if profile is None or setup.needs_profile is None:
            return None
        asset = data_asset(how) if profile.dataset is None else profile_asset(how)
        choose = partial(held_out_images, held_out=profile.images)
        return self._images("profile", asset, setup, choose, placed)

    def _images(
        self,
        use: str,
        asset: str,
        setup: Setup,
        choose: Callable[[int], NDArray[np.int64]],
        placed: Placed,
    ) -> TestSet:
        """Images of an asset as the network takes them; how many at once is not settled yet."""
        preprocess = setup.model.preprocess
        key = (asset, preprocess, setup.subset, setup.profile, placed.channels_last)
        held = self._data.get(use)
        if held is None or held[0] != key:
            self._data.pop(use, None)
            images = cast("Images", self.assets(asset))
            loaded = TestSet.load(
                images,
                preprocess,
                chosen=choose(len(images.labels)),
                batch_size=placed.batch_size,
                device=self.device,
            )
            self._data[use] = key, loaded.channels_last() if placed.channels_last else loaded
        return self._data[use][1]

    def _made_on(self, setup: Setup) -> str:
        """With what answers are computed: workers that differ in it take nothing over."""
        lies = may_lie_otherwise(setup, self.device)
        return f"{device_name(self.device)} {lies} {self.work} {torch.__version__}"

    def _compute(self, prepared: Prepared) -> str:
        """Such as ``fp32 channels_last batch=64 threads=1 torch=2.11.0``."""
        placed = self._network(prepared.setup)
        layout = " channels_last" if placed.channels_last else ""
        mode = " reference" if prepared.reference else ""
        threads = "" if self.device.type == "cuda" else f" threads={self.work.threads}"
        how = f"{prepared.setup.compute}{layout}{mode} batch={prepared.data.batch_size}"
        return f"{how}{threads} torch={torch.__version__}"
