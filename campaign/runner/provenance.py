"""Which code, on which machine, with which versions, in which session."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import campaign
from campaign.runner.folder import text_digest
from campaign.spec.identity import Digests, canonical

PACKAGES = (
    "ray",
    "torch",
    "torchvision",
    "numpy",
    "pandas",
    "pyarrow",
    "mlflow",
    "pydantic",
    "scipy",
    "scikit-learn",
)


@cache
def code_version() -> str:
    """The version, with the git revision where the package lies in a checkout.

    A ``+`` at the end says that tracked files differ from the revision.
    """
    root = Path(campaign.__file__).resolve().parent.parent
    revision = _git(root, "rev-parse", "--short=12", "HEAD")
    if not revision or not (root / "pyproject.toml").is_file():
        return campaign.__version__
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "campaign")
    return f"{campaign.__version__}+g{revision}{'+' if changed else ''}"


def environment() -> dict[str, Any]:
    """Versions, host, processor: no names of users, no variables, no secrets."""
    return {
        "code_version": code_version(),
        "semantics": campaign.SEMANTICS,
        "python": sys.version.split()[0],
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "host": platform.node(),
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
    }


def session_of(resolved: Mapping[str, Any], digests: Digests) -> dict[str, Any]:
    """What is kept of a run that begins now."""
    return {
        "session": uuid.uuid4().hex[:12],
        "started_at": time.time(),
        "spec_sha256": text_digest(canonical(resolved)),
        "digests": {"dataset": digests.dataset, "models": dict(digests.models)},
        **environment(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _git(root: Path, *arguments: str) -> str:
    """What git prints, or nothing where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
