"""What holds for every protection that stands at the sites of a forward pass."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from campaign.formats import FORMATS
from campaign.methods import Method, State
from campaign.networks.sites import Site, Visit, in_turn, watched
from campaign.sources import Preprocess
from campaign.trial.evaluate import TestSet
from campaign.trial.forward import Forward
from campaign.trial.memory import Storage, write
from campaign.trial.subject import StoredSubject

Stack = tuple[Method, ...]


class Gelu(nn.Module):
    """Activations below zero, a call in place, and a module that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice, self.last = nn.Linear(48, 12), nn.Linear(12, 12), nn.Linear(12, 4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.first(x.flatten(1)))
        x = self.relu(self.twice(F.silu(self.twice(x))))
        out: Tensor = self.last(x)
        return out


def convolutional() -> nn.Module:
    """Convolution, BatchNorm, ReLU, linear."""
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Conv2d(5, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(96, 4),
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {"convolutional": convolutional, "gelu": Gelu}


def gaussian(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=list(NETWORKS))
def subject(request: pytest.FixtureRequest) -> StoredSubject:
    """A network with any weights and 30 images, seven a batch."""
    module = NETWORKS[request.param]().eval().requires_grad_(False)
    for place, value in enumerate(module.parameters()):
        value.copy_(0.4 * gaussian(*value.shape, seed=place))
    for name, value in module.named_buffers():
        if name.endswith("running_var"):
            value.copy_(gaussian(*value.shape, seed=9).abs() + 0.1)
    storage = Storage(FORMATS.make("fp32"))
    stored = {name: write(name, value, storage) for name, value in module.named_parameters()}
    labels = torch.arange(30) % 4
    split = TestSet(gaussian(30, 3, 4, 4), labels, Preprocess(), batch_size=7)
    return StoredSubject(Forward(module), stored, storage, split)


def learnt(stack: Stack, subject: StoredSubject) -> Iterator[tuple[Method, State]]:
    """Each method of a stack with what it observes behind those before it."""
    visits: list[Visit] = []
    for method in stack:
        before = subject.forward._replace(visit=in_turn(visits))
        behind = StoredSubject(before, subject.stored, subject.storage, subject.split)
        seen = method.observe(behind) if method.observes else {}
        visits.append(partial(at_site, method, seen))
        yield method, seen


def at_site(method: Method, seen: State, site: Site, value: Tensor) -> Tensor:
    return method.guard(site, value, seen)


def sites(subject: StoredSubject) -> list[tuple[Site, Tensor]]:
    """Every site and what passes there without faults."""
    found: list[tuple[Site, Tensor]] = []

    def visit(site: Site, value: Tensor) -> Tensor:
        found.append((site, value.clone()))
        return value

    with torch.inference_mode(), watched(subject.module, visit):
        subject.module(subject.split.batch(0))
    return found


def any_values(like: Tensor) -> Iterator[Tensor]:
    """Values as faults make them: any bits, nothing but one special value, other batch sizes."""
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        bits = torch.randint(-(2**31), 2**31, like.shape, generator=generator)
        yield bits.to(torch.int32).view(torch.float32)
    for special in (math.nan, math.inf, -math.inf, 3.4e38, -0.0):
        yield torch.full_like(like, special)
    yield like[:1] * 1e20
    yield like[:0]
    yield torch.cat([like, like]) * -3


def same_bits(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.contiguous().view(torch.int32), b.contiguous().view(torch.int32))


def check_values(stack: Stack, subject: StoredSubject) -> None:
    """Shape, dtype, no mutation and repetition, whatever passes."""
    guards = list(learnt(stack, subject))
    for site, like in sites(subject):
        for value in any_values(like):
            before, results = value.clone(), []
            for _ in range(2):
                passed = value
                for method, seen in guards:
                    passed = method.guard(site, passed, seen)
                results.append(passed)
            assert same_bits(value, before), f"{stack} writes into {site.label}"
            assert (results[0].shape, results[0].dtype) == (value.shape, torch.float32)
            assert same_bits(*results), f"{stack} does not repeat itself at {site.label}"


def test_a_guard_takes_any_value_and_leaves_it_unchanged(
    guarding: Method, subject: StoredSubject
) -> None:
    check_values((guarding,), subject)


def test_guards_of_two_methods_compose(guarding_pair: Stack, subject: StoredSubject) -> None:
    check_values(guarding_pair, subject)
    visits = [partial(at_site, method, seen) for method, seen in learnt(guarding_pair, subject)]
    assert subject.logits({}, in_turn(visits)).shape == (30, 4)


def test_what_is_observed_is_flat_and_repeats_itself(
    guarding: Method, subject: StoredSubject
) -> None:
    ((_, first),) = learnt((guarding,), subject)
    ((_, second),) = learnt((guarding,), subject)
    assert list(first) == list(second)
    for name, held in first.items():
        assert held.dtype == torch.float32
        assert same_bits(held, second[name])


def test_a_guard_leaves_alone_what_it_learnt_nothing_of(
    guarding: Method, subject: StoredSubject
) -> None:
    value = gaussian(2, 3)
    for kind in ("layer", "activation"):
        unknown = Site(kind, 10**6, "elsewhere", "relu")  # type: ignore[arg-type]
        if guarding.observes:
            ((_, seen),) = learnt((guarding,), subject)
            assert guarding.guard(unknown, value, seen) is value
            assert guarding.guard(unknown, value, {}) is value


def test_operations_are_those_of_each_value(guarding: Method, subject: StoredSubject) -> None:
    costs = [guarding.guard_operations(site, 1) for site, _ in sites(subject)]
    assert sum(costs) > 0
    for (site, _), cost in zip(sites(subject), costs, strict=True):
        assert guarding.guard_operations(site, 1000) == 1000 * cost >= 0
        assert guarding.guard_operations(site, 0) == 0


def test_gradients_pass_a_guard(guarding: Method, subject: StoredSubject) -> None:
    visits = []
    for method, seen in learnt((guarding,), subject):
        kept = {name: held.clone() for name, held in seen.items()}
        visits.append(partial(at_site, method, kept))
    guarded = subject.forward._replace(visit=in_turn(visits))
    behind = StoredSubject(guarded, subject.stored, subject.storage, subject.split)
    gradients = behind.gradients({})
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert any(gradient.any() for gradient in gradients.values())
