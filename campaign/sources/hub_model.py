"""Networks that a repository offers to torch.hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, WithJsonSchema

from campaign.errors import SetupError
from campaign.lazy import torch
from campaign.sources.base import MODELS, ModelSource, Preprocess
from campaign.sources.cache import combined_digest, file_digest, tree_digest
from campaign.sources.checkpoints import arrays_digest, as_arrays, fit_names, read_checkpoint
from campaign.sources.files_model import Interpolation, Pixels
from campaign.sources.networks import quiet_rng
from campaign.sources.normalization import Normalization, parse_normalization, preprocess_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

Argument: TypeAlias = bool | int | float | str | None


def parse_arguments(raw: object) -> object:
    """A mapping of names to plain values as sorted pairs, so that it can be hashed."""
    return sorted(raw.items()) if isinstance(raw, Mapping) else raw


Arguments = Annotated[
    tuple[tuple[str, Argument], ...],
    BeforeValidator(parse_arguments),
    WithJsonSchema({"type": "object"}),
]


@MODELS.register
@dataclass(frozen=True)
class HubModel(ModelSource):
    """A network from the ``hubconf.py`` of a repository; the code of that repository is run.

    Args:
        repo: ``owner/name:ref`` on GitHub (give a tag or commit as ref, so that it stays the
            same), or a folder.
        entry: The function of ``hubconf.py``.
        normalize: As for ``files``: what the network was trained with.
        source: ``github`` or ``local``.
        arguments: What `entry` is called with, such as ``{pretrained: true}``.
        weights: Your own weight file; None takes those that `entry` loads.
        resize: Length of the shorter side in pixels; None leaves the size.
        crop: Side of the central square in pixels; None leaves the size.
        interpolation: ``bilinear``, ``bicubic`` or ``nearest``.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "hub"

    repo: str
    entry: str
    normalize: Normalization
    source: Literal["github", "local"] = "github"
    arguments: Arguments = ()
    weights: str | None = None
    resize: Pixels | None = None
    crop: Pixels | None = None
    interpolation: Interpolation = "bilinear"

    def __post_init__(self) -> None:
        parse_normalization(self.normalize)

    @property
    def label(self) -> str:
        return self.entry

    @property
    def preprocess(self) -> Preprocess:
        return preprocess_of(
            self.normalize,
            resize=self.resize,
            crop=self.crop,
            interpolation=self.interpolation,
        )

    @property
    def runs_code(self) -> str | None:
        return self.repo

    def digest(self) -> str:
        if self.weights is None:
            held = arrays_digest(self.state())
        else:
            held = file_digest(Path(self.weights), "set the model's weights")
        return combined_digest(self._code(), self.entry, self.arguments, held)

    def state(self) -> dict[str, NDArray[np.generic]]:
        model = self.build()
        if self.weights is None:
            return as_arrays(model.state_dict())
        path = Path(self.weights)
        return as_arrays(fit_names(read_checkpoint(path), model, path=path))

    def build(self) -> nn.Module:
        if self.source == "local" and not (Path(self.repo) / "hubconf.py").is_file():
            raise SetupError(f"model hub: {self.repo}: no such folder with a hubconf.py; set repo")
        with quiet_rng(), self._told():
            model: Any = torch.hub.load(  # type: ignore[no-untyped-call]
                self.repo,
                self.entry,
                source=self.source,
                trust_repo=True,
                verbose=False,
                **dict(self.arguments),
            )
        if not isinstance(model, torch.nn.Module):
            raise SetupError(
                f"model hub: {self.repo} {self.entry}: gave {type(model).__name__}, not a "
                "torch.nn.Module"
            )
        return model.cpu().eval()

    def _code(self) -> str:
        """What the network is made by: the repository's name, or the code in the folder."""
        if self.source == "github":
            return self.repo
        folder = Path(self.repo)
        return tree_digest(folder, folder.rglob("*.py"))

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What goes wrong in loading, as a SetupError."""
        try:
            yield
        except (OSError, RuntimeError, TypeError, ValueError, ImportError) as error:
            raise SetupError(
                f"model hub: {self.repo} {self.entry}: {error}; check repo (owner/name:ref), "
                "entry and arguments, or set source: local with a folder"
            ) from None
