"""A results folder: what lies in it beside the rows."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from campaign.errors import DriftError, SetupError
from campaign.spec.identity import drift, widened
from campaign.text import redacted, redacted_values


@dataclass(frozen=True)
class ResultsFolder:
    """Paths and small files of one campaign's results.

    Args:
        path: The folder; made when first written to.
    """

    path: Path

    @property
    def spec_copy(self) -> Path:
        """The spec as its author wrote it."""
        return self.path / "spec.yaml"

    @property
    def resolved(self) -> Path:
        """The spec as it was understood: defaults, parents and variables filled in."""
        return self.path / "spec.resolved.json"

    @property
    def lock(self) -> Path:
        """What every row of the folder has in common; see `campaign.spec.identity`."""
        return self.path / "lock.json"

    @property
    def provenance(self) -> Path:
        """One entry for each run: versions, hosts, git revision, digests, times."""
        return self.path / "provenance.json"

    def make(self) -> None:
        """Make the folder.

        Raises:
            SetupError: If that is not possible.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"{self.path}: cannot be made ({error.strerror}); use --results DIR"
            ) from None

    def check_identity(self, identity: Mapping[str, Any], foreign_rows: int) -> None:
        """Refuse to mix rows of two meanings; remember the meaning of the first.

        Args:
            identity: What all rows of the spec have in common.
            foreign_rows: Rows that belong to setups which the spec does not have.

        Raises:
            DriftError: With one line for each difference.
        """
        held = self.read_json(self.lock)
        if held is None and foreign_rows:
            raise DriftError(
                f"{self.path}: lock.json is missing, and {foreign_rows} rows belong to setups that "
                "the spec does not have; restore lock.json, or use another --results DIR"
            )
        if held is None:
            self._write_lock({"campaign_id": uuid.uuid4().hex, "identity": dict(identity)})
            return
        before = held["identity"]
        if lines := drift(before, identity):
            raise DriftError(
                "\n".join(
                    [
                        f"{self.path} holds rows of another meaning; nothing was run or changed:",
                        *(f"  {line}" for line in lines),
                        "  use another name or --results DIR, or restore the spec",
                    ]
                )
            )
        if (wider := widened(before, identity)) != before:
            self._write_lock({**held, "identity": wider})

    def artifacts(self) -> list[Path]:
        """What of the folder is worth attaching elsewhere."""
        parts = [self.provenance, self.path / "tables", self.path / "figures"]
        return [path for path in [*parts, *sorted(self.path.glob("report*.html"))] if path.exists()]

    def campaign_id(self) -> str:
        """What tells this folder from others of the same campaign name."""
        return str((self.read_json(self.lock) or {}).get("campaign_id", self.path.name))

    def _write_lock(self, value: Mapping[str, Any]) -> None:
        write_atomic(self.lock, json.dumps(value, indent=1, sort_keys=True))

    def write_spec(self, text: str, resolved: Mapping[str, Any]) -> None:
        """Keep the spec as written and as understood, without passwords."""
        write_atomic(self.spec_copy, redacted(text))
        write_atomic(self.resolved, json.dumps(redacted_values(resolved), indent=1))

    def add_session(self, session: Mapping[str, Any]) -> None:
        """Add or replace this run's entry in the provenance (by its ``session`` id)."""
        held = self.read_json(self.provenance) or {"sessions": []}
        others = [s for s in held["sessions"] if s.get("session") != session["session"]]
        write_atomic(self.provenance, json.dumps({"sessions": [*others, session]}, indent=1))

    def read_json(self, path: Path) -> dict[str, Any] | None:
        """A JSON file of the folder, None where it is missing.

        Raises:
            SetupError: If it cannot be read.
        """
        try:
            return dict(json.loads(path.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise SetupError(f"{path}: cannot be read ({error}); move it away to go on") from None


def write_atomic(path: Path, text: str) -> None:
    """Write a file so that a crash leaves the old or the new one, never a part.

    Raises:
        SetupError: If the disk refuses.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise SetupError(f"{path}: cannot be written ({error.strerror})") from None


def text_digest(text: str) -> str:
    """sha256 of a text, hex."""
    return hashlib.sha256(text.encode()).hexdigest()
