"""Stages: a network cut wherever a single tensor goes on, so that a pass can start at any cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from campaign.lazy import torch
from campaign.networks.sites import Site, Visit, Watch, watched
from campaign.networks.tracing import Piece, traced

if TYPE_CHECKING:
    from torch import Tensor, nn

Seen: TypeAlias = "Callable[[int, Tensor], None]"
"""Takes the place of a stage and the value that it is about to get."""


@dataclass(frozen=True)
class Stage:
    """Part of a forward pass: one tensor in, one out; what it calls and reads is the live network.

    Args:
        piece: The calls.
        reads: Names of the parameters it reads, under every name that they have, and of those that
            lie in the same memory.
        macs: Multiply-adds of its convolutions and linear layers for one image: each value that a
            layer gives costs as many as it has weights for it.
        sites_before: How many sites of each kind come before it in a whole pass.
        input_bytes: Bytes that it takes, of one image.
        overwrites_input: Whether it, or a stage after it, changes its input in place.
    """

    piece: Piece
    reads: frozenset[str]
    macs: int
    sites_before: Mapping[str, int]
    input_bytes: int
    overwrites_input: bool

    def __call__(self, value: Tensor, watch: Watch | None = None) -> Tensor:
        """What the stage gives for its input.

        Args:
            value: What the stage before gives, (images, ...).
            watch: What `campaign.networks.sites.watched` yields, for the sites of the stage to be
                those of a whole pass.
        """
        if watch is not None:
            watch.resume(self.sites_before)
        output: Tensor = self.piece(value, watch)
        return output


@dataclass(frozen=True)
class Stages:
    """The stages of a network, in order.

    Args:
        module: The network.
        parts: Its stages; one after the other they give what `module` gives, to the bit.
    """

    module: nn.Module
    parts: tuple[Stage, ...]

    def __len__(self) -> int:
        return len(self.parts)

    def first(self, changed: Iterable[str]) -> int:
        """Place of the first stage that may give something else.

        Args:
            changed: Names of changed parameters; what no stage reads counts for the first one.

        Returns:
            The place, `len(self)` if nothing is changed.
        """
        readers = [self._first_reader(name) for name in changed]
        return min(readers, default=len(self.parts))

    def run(
        self, value: Tensor, first: int = 0, watch: Watch | None = None, seen: Seen | None = None
    ) -> Tensor:
        """What the network gives, from the input of the stage at `first` on.

        Args:
            value: Input of that stage.
            first: Where to start.
            watch: As for a `Stage`.
            seen: Gets the input of each stage before it is run.
        """
        for place in range(first, len(self.parts)):
            if seen is not None:
                seen(place, value)
            value = self.parts[place](value, watch)
        return value

    @property
    def stand_for_module(self) -> bool:
        """Whether running the stages does all that a pass of the network does now.

        Not so with hooks on its modules, which a pass that starts later would leave out, nor in
        training mode.
        """
        return _plain(self.module)

    def _first_reader(self, name: str) -> int:
        return next((place for place, part in enumerate(self.parts) if name in part.reads), 0)


def cut(module: nn.Module, example: Tensor) -> Stages | None:
    """Cut a network into stages.

    Nothing is copied: changes of parameters and buffers in place are seen. Residual blocks and
    other parts through which more than one tensor goes lie within a stage.

    Args:
        module: A network in eval mode without hooks; left as it is.
        example: Some input, float32 (images, ...), on the device of `module`.

    Returns:
        The stages, which were seen to answer `example` to the bit as `module` does and to have the
        same sites; None where there are none: then only whole passes are right.
    """
    if not _plain(module):
        return None
    try:
        # Tensors made in inference mode do not tell whether they were changed in place.
        with torch.inference_mode(False), torch.no_grad():
            stages = _stages(module, example)
        with torch.inference_mode():
            return stages if _agree(stages, example) else None
    except Exception:  # any network of a user: whatever it does here, a whole pass is still right
        return None


class _Probe(NamedTuple):
    """What a piece did with the example."""

    takes: Tensor
    version: int
    sites: tuple[Site, ...]
    macs: int


def _stages(module: nn.Module, example: Tensor) -> Stages:
    pieces = traced(module)
    probes = _probed(module, pieces, example)
    joined: list[tuple[Piece, list[_Probe]]] = []
    for piece, probe in zip(pieces, probes, strict=True):
        if joined and not _owns_its_memory(probe.takes):
            before, held = joined.pop()
            joined.append((before.joined(piece), [*held, probe]))
        else:
            joined.append((piece, [probe]))
    named = list(module.named_parameters(remove_duplicate=False))
    parts, sites = list[Stage](), list[Site]()
    for piece, held in joined:
        parts.append(_stage(piece, held, sites, named, len(example)))
        sites += [site for probe in held for site in probe.sites]
    return Stages(module, tuple(parts))


def _stage(
    piece: Piece,
    probes: list[_Probe],
    before: list[Site],
    named: list[tuple[str, nn.Parameter]],
    images: int,
) -> Stage:
    read = {memory for tensor in piece.reads() for memory in _memory(tensor)}
    takes = probes[0].takes
    return Stage(
        piece,
        frozenset(name for name, parameter in named if read & _memory(parameter)),
        sum(probe.macs for probe in probes),
        {kind: sum(site.kind == kind for site in before) for kind in ("layer", "activation")},
        -(-takes.nbytes // images),
        takes._version != probes[0].version,
    )


def _probed(module: nn.Module, pieces: list[Piece], example: Tensor) -> list[_Probe]:
    """Run the pieces in order; the value that each one takes is kept, to be looked at afterwards.

    A value that shares memory with another shares its version too, so the versions at the end tell
    of every later change.
    """
    value, probes = example.clone(), list[_Probe]()
    sites, macs = list[Site](), list[int]()

    def visit(site: Site, output: Tensor) -> Tensor:
        sites.append(site)
        macs.append(layer_macs(module, site, output) // len(example) if site.kind == "layer" else 0)
        return output

    with watched(module, visit) as watch:
        for piece in pieces:
            takes, done = value, len(sites)
            version = takes._version if isinstance(takes, torch.Tensor) else 0
            value = piece(takes, watch)
            probes.append(_Probe(takes, version, tuple(sites[done:]), sum(macs[done:])))
    return probes


def layer_macs(module: nn.Module, site: Site, output: Tensor) -> int:
    """Multiply-adds of a layer: each value it gives costs as many as it has weights for it.

    Args:
        module: The network.
        site: The layer.
        output: What it gives, of any number of images.
    """
    weights = module.get_submodule(site.module).parameters(recurse=False)
    return sum(output.numel() * held[0].numel() for held in weights if held.dim() > 1)


def _owns_its_memory(value: object) -> bool:
    """Whether a value is a tensor of images that can be kept as it lies, and keeps nothing else."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.dim() == 0:
        return False
    return value.untyped_storage().nbytes() == value.nbytes


def _memory(tensor: Tensor) -> set[int]:
    """Where the memory of a tensor begins: tensors that share it are changed together."""
    return {tensor.untyped_storage().data_ptr()} if tensor.numel() else set()


def _plain(module: nn.Module) -> bool:
    """Whether there are no hooks, and every module is in eval mode."""
    if torch.nn.modules.module._has_any_global_hook():  # type: ignore[no-untyped-call]
        return False
    return not any(
        part.training or part._forward_hooks or part._forward_pre_hooks for part in module.modules()
    )


def _agree(stages: Stages, example: Tensor) -> bool:
    """Whether the stages in turn answer as the network does, with the same sites."""
    lists: tuple[list[Site], list[Site]] = [], []

    def noting(sites: list[Site]) -> Visit:
        def visit(site: Site, output: Tensor) -> Tensor:
            sites.append(site)
            return output

        return visit

    with watched(stages.module, noting(lists[0])):
        whole: Tensor = stages.module(example.clone())
    with watched(stages.module, noting(lists[1])) as watch:
        staged = stages.run(example.clone(), 0, watch)
    return lists[0] == lists[1] and same_bits(whole, staged)


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors of floating point numbers are equal to the bit, NaN and signs included.

    Example:
        >>> same_bits(torch.tensor([0.0]), torch.tensor([-0.0]))
        False
    """
    if (one.dtype, one.shape) != (other.dtype, other.shape):
        return False
    return torch.equal(one.contiguous().view(torch.uint8), other.contiguous().view(torch.uint8))
