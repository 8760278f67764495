"""The shape of the package: floors, sizes, docstrings, names, imports and purity."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "campaign"
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES, MOST_FUNCTION_LINES = 300, 50
VAGUE = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "handler"}
PURE = ("bits", "formats", "faults", "methods")
IMPURE = {"datetime", "io", "logging", "os", "pathlib", "random", "shutil", "tempfile", "time"}
EXTERNAL_MOMENTS = {"forward"}
"""Methods that a library calls and describes."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(path: Path) -> ast.Module:
    """The parsed module."""
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path: Path, node: ast.AST | None = None) -> str:
    """Where something stands, as an editor opens it."""
    line = f":{node.lineno}" if isinstance(node, ast.stmt) else ""
    return f"{path.relative_to(ROOT)}{line}"


def imports(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    """Every module that is imported anywhere in the file, with its statement."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module, node


def functions(path: Path) -> list[Function]:
    """Every function and method of the file."""
    return [
        n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_every_floor_imports_only_what_is_below_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()",
         "--no-cache", "--no-logo"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_are_short() -> None:
    counted = {place(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: lines for name, lines in counted.items() if lines > MOST_LINES} == {}


def length(function: Function) -> int:
    """Lines of a function less those of its docstring."""
    text = function.body[0] if ast.get_docstring(function) else None
    whole = (function.end_lineno or 0) - function.lineno + 1
    return whole if text is None else whole - ((text.end_lineno or 0) - text.lineno + 1)


def test_functions_are_short() -> None:
    found = [
        f"{place(path, function)} {function.name}"
        for path in MODULES
        for function in functions(path)
        if length(function) > MOST_FUNCTION_LINES
    ]
    assert found == []


def test_nothing_has_a_name_that_says_nothing() -> None:
    assert [place(path) for path in MODULES if VAGUE & set(path.stem.lower().split("_"))] == []


RAY = ("ray", "ray_fits", "team_actor", "metrics")


def test_ray_is_imported_by_its_executor_its_trainings_and_its_metrics_alone() -> None:
    found = {place(path) for path in MODULES for name, _ in imports(path) if is_of(name, "ray")}
    assert found <= {f"campaign/engines/executors/{name}.py" for name in RAY}


def test_mlflow_is_imported_by_its_trackers_alone() -> None:
    found = [path for path in MODULES for name, _ in imports(path) if is_of(name, "mlflow")]
    trackers = PACKAGE / "engines" / "trackers"
    assert [place(path) for path in found if path.parent != trackers] == []


def is_of(name: str, library: str) -> bool:
    """Whether a module is the library or a part of it."""
    return name == library or name.startswith(f"{library}.")


@pytest.mark.parametrize("floor", PURE)
def test_the_core_knows_no_files_clock_environment_or_log(floor: str) -> None:
    found = [
        f"{place(path, node)} {name}"
        for path in sorted((PACKAGE / floor).rglob("*.py"))
        for name, node in imports(path)
        if name.partition(".")[0] in IMPURE
    ]
    assert found == []


@pytest.mark.parametrize("floor", PURE)
def test_the_core_reads_no_global_generator_and_prints_nothing(floor: str) -> None:
    banned = {"manual_seed", "rand", "randn", "randint", "randperm", "default_rng", "seed"}
    calls = [
        (place(path, path_node), name)
        for path in sorted((PACKAGE / floor).rglob("*.py"))
        for path_node in ast.walk(tree(path))
        if isinstance(path_node, ast.Call)
        for name in [called(path_node)]
        if name in banned | {"print", "open"}
    ]
    assert calls == []


def called(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    function = call.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def test_every_module_says_what_it_is() -> None:
    assert [place(path) for path in MODULES if not ast.get_docstring(tree(path))] == []


def test_every_public_class_and_function_has_a_docstring() -> None:
    found = [
        f"{place(path, node)} {node.name}"
        for path in MODULES
        for node in tree(path).body
        if isinstance(node, ast.ClassDef | Function)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert found == []


def test_every_public_method_has_a_docstring_or_overrides_one_that_has() -> None:
    described = described_methods()
    found = [
        f"{place(path, method)} {owner.name}.{method.name}"
        for path in MODULES
        for owner in ast.walk(tree(path))
        if isinstance(owner, ast.ClassDef) and not owner.name.startswith("_")
        for method in owner.body
        if isinstance(method, Function)
        and not method.name.startswith("_")
        and not ast.get_docstring(method)
        and method.name not in described_above(owner, described) | EXTERNAL_MOMENTS
    ]
    assert found == []


@cache
def classes() -> dict[str, ast.ClassDef]:
    """Every class of the package by its name."""
    nodes = (node for path in MODULES for node in ast.walk(tree(path)))
    return {node.name: node for node in nodes if isinstance(node, ast.ClassDef)}


def described_methods() -> dict[str, set[str]]:
    """Methods with a docstring, by class."""
    return {
        name: {n.name for n in node.body if isinstance(n, Function) and ast.get_docstring(n)}
        for name, node in classes().items()
    }


def described_above(owner: ast.ClassDef, described: dict[str, set[str]]) -> set[str]:
    """Methods that a base of `owner`, or any protocol of the package, describes."""
    names: set[str] = set()
    for base in base_names(owner):
        if base in classes():
            names |= described[base] | described_above(classes()[base], described)
    protocols = (name for name, node in classes().items() if "Protocol" in base_names(node))
    return names.union(*(described[name] for name in protocols))


def base_names(owner: ast.ClassDef) -> list[str]:
    """The bases of a class, without the modules they come from."""
    plain = [b.value if isinstance(b, ast.Subscript) else b for b in owner.bases]
    return [b.attr if isinstance(b, ast.Attribute) else getattr(b, "id", "") for b in plain]


HEAVY = "torch torchvision ray mlflow pyarrow pandas sklearn scipy matplotlib PIL timm".split()
READ_A_SPEC = """
import sys
import campaign.spec.campaign
from campaign.faults import FAULTS
from campaign.formats import FORMATS
from campaign.methods import METHODS
from campaign.sources import DATASETS, MODELS
for registry in (FORMATS, METHODS, FAULTS, MODELS, DATASETS):
    registry.names()
print(*sorted(set(sys.argv[1:]) & set(sys.modules)))
"""


def test_everything_a_spec_can_name_is_known_without_a_heavy_import() -> None:
    done = subprocess.run(
        [sys.executable, "-c", READ_A_SPEC, *HEAVY],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == []


@pytest.mark.xdist_group("together")
def test_tests_of_a_group_stay_in_one_process(request: pytest.FixtureRequest) -> None:
    """Else two local Ray clusters fight for the cores, and no test says so."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        pytest.skip("tests run in one process")
    assert request.node.nodeid.endswith("@together")
