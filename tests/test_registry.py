"""The registry: claims, look-up, options, families, and plugins of other distributions."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import pytest
from pydantic import ConfigDict

from campaign.registry import (
    OptionError,
    Registry,
    UnknownNameError,
    changed_options,
    describe,
    nearest,
    options_of,
)


@dataclass(frozen=True)
class Plain:
    """A thing with options and no family."""

    __pydantic_config__ = ConfigDict(extra="forbid")
    name: ClassVar[str] = "plain"
    mode: Literal["fast", "slow"] = "fast"
    factor: float = 1.0
    deep: bool = False


@dataclass(frozen=True)
class Lax:
    """A thing that forgot to forbid what it does not know."""

    name: ClassVar[str] = "lax"


@dataclass(frozen=True)
class Family:
    """Names such as ``f8``."""

    name: ClassVar[str] = "f{size}"
    pattern: ClassVar[str] = r"f(?P<size>\d+)"
    size: int
    per: Literal["tensor", "channel"] = "tensor"

    def __post_init__(self) -> None:
        if self.size > 64:
            raise ValueError(f"f{self.size} is too wide; allowed: up to 64")


@dataclass(frozen=True)
class Needy:
    """A thing with an option that has no default."""

    name: ClassVar[str] = "needy"
    path: str


@dataclass(frozen=True)
class Axis:
    """A thing whose ``t`` is an axis of the grid."""

    name: ClassVar[str] = "axis"
    takes_t: ClassVar[bool] = True
    per: str = "layer"
    t: float | None = None


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[object]:
    """A registry over an empty package, with every class of this module."""
    package = tmp_path / "empty_things"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[object] = Registry("thing", "empty_things", "campaign.no_such_group")
    for cls in (Plain, Lax, Family, Needy, Axis):
        registry.register(cls)
    monkeypatch.delitem(sys.modules, "empty_things", raising=False)
    return registry


def refusal(registry: Registry[object], name: str, options: dict[str, object]) -> list[str]:
    """The lines with which `options` are refused."""
    with pytest.raises(OptionError) as caught:
        registry.make(name, options)
    return [f"{'.'.join(map(str, path))}: {text}" for path, text in caught.value.problems]


def test_a_name_with_options_makes_the_object(things: Registry[object]) -> None:
    assert things.make("plain") == Plain()
    assert things.make("plain", {"mode": "slow", "factor": "1e-6"}) == Plain("slow", 1e-6)
    assert things.make("needy", {"path": "x"}) == Needy("x")


def test_names_are_sorted_and_iteration_gives_the_classes(things: Registry[object]) -> None:
    assert things.names() == ["axis", "f{size}", "lax", "needy", "plain"]
    assert list(things) == [Axis, Family, Lax, Needy, Plain]


def test_a_second_claim_to_a_name_raises(things: Registry[object]) -> None:
    other = type("Other", (), {"name": "plain"})
    with pytest.raises(ValueError, match=r"thing 'plain' is claimed by .*Plain.* and by .*Other"):
        things.register(other)


def test_registering_the_same_class_again_is_no_second_claim(things: Registry[object]) -> None:
    assert things.register(Plain) is Plain
    assert things.names().count("plain") == 1


@pytest.mark.parametrize("name", ["f8", "f16"])
def test_a_name_that_a_family_covers_cannot_mean_two_things(
    things: Registry[object], name: str
) -> None:
    assert things.find("f8") == (Family, {"size": "8"})
    things.register(type("Single", (), {"name": name}))
    with pytest.raises(ValueError, match=rf"thing '{name}' is claimed by .* and by "):
        things.find(name)


def test_the_parts_of_a_family_name_become_options(things: Registry[object]) -> None:
    assert things.make("f12") == Family(12)
    assert things.make("f12", {"per": "channel"}) == Family(12, "channel")


@pytest.mark.parametrize("name", ["f", "f-1", "f8x", "xf8", "f{size}", "F8", ""])
def test_only_a_whole_match_belongs_to_a_family(things: Registry[object], name: str) -> None:
    with pytest.raises(UnknownNameError):
        things.find(name)


def test_what_a_name_states_cannot_be_an_option_too(things: Registry[object]) -> None:
    assert options_of(Family) == ["per"]
    assert refusal(things, "f8", {"size": 4}) == ["size: unknown key 'size'; allowed: per"]


def test_a_family_member_that_the_class_refuses_has_its_own_text(things: Registry[object]) -> None:
    assert refusal(things, "f65", {}) == [": f65 is too wide; allowed: up to 64"]


@pytest.mark.parametrize(
    ("asked", "meant"), [("plane", "plain"), ("PLAIN", "plain"), ("ned", "needy"), ("lux", "lax")]
)
def test_an_unknown_name_is_told_the_nearest_known_one(
    things: Registry[object], asked: str, meant: str
) -> None:
    with pytest.raises(UnknownNameError) as caught:
        things.make(asked)
    assert str(caught.value) == (
        f"unknown thing {asked!r} (did you mean {meant!r}?); "
        "known: axis, f{size}, lax, needy, plain"
    )
    assert (caught.value.kind, caught.value.name) == ("thing", asked)


def test_a_name_like_nothing_is_told_all_names(things: Registry[object]) -> None:
    with pytest.raises(UnknownNameError, match=r"^unknown thing 'zzzz'; known: axis, "):
        things.make("zzzz")


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        ("plain", {"mode": "quick"}, "mode: got 'quick', allowed: 'fast' or 'slow'"),
        ("plain", {"modes": "fast"}, "modes: unknown key 'modes' (did you mean 'mode'?); "
         "allowed: mode, factor, deep"),
        ("plain", {"factor": "high"}, "factor: got 'high'; input should be a valid number, unable "
         "to parse string as a number"),
        ("plain", {"deep": 2}, "deep: got 2; input should be a valid boolean, unable to interpret "
         "input"),
        ("plain", {3: 4}, "3: unknown key '3'; allowed: mode, factor, deep"),
        ("lax", {"anything": 1}, "anything: unknown key 'anything'; allowed: none"),
        ("needy", {}, "path: is required"),
        ("axis", {"pre": 1}, "pre: unknown key 'pre' (did you mean 'per'?); allowed: per"),
    ],
)  # fmt: skip
def test_an_option_is_refused_in_one_line(
    things: Registry[object], name: str, options: dict[str, object], line: str
) -> None:
    assert refusal(things, name, options) == [line]


def test_all_refused_options_are_told_at_once(things: Registry[object]) -> None:
    lines = refusal(things, "plain", {"mod": 1, "mode": "quick", "factor": None})
    assert [line.partition(":")[0] for line in lines] == ["mod", "mode", "factor"]


def test_an_axis_is_not_an_option_of_the_spec(things: Registry[object]) -> None:
    assert options_of(Axis) == ["per"]
    assert things.make("axis", {"t": 2}) == Axis(t=2.0)


def test_nearest_says_nothing_where_nothing_is_near() -> None:
    assert nearest("zzzz", ["fp32"]) == ""
    assert nearest("FP23", ["fp32", "bf16"]) == " (did you mean 'fp32'?)"


def test_changed_options_leave_out_the_defaults() -> None:
    assert changed_options(Plain()) == {}
    assert changed_options(Plain("slow", 1.0, True)) == {"mode": "slow", "deep": True}
    assert describe("plain", changed_options(Plain("slow"))) == "plain(mode=slow)"


PLUGIN = '''
from dataclasses import dataclass
from typing import ClassVar
from campaign.methods import METHODS, Method

{decorator}
@dataclass(frozen=True)
class Outside(Method):
    """From elsewhere."""
    name: ClassVar[str] = "{name}"
    strength: int = 1
'''
ASK = "from campaign.methods import METHODS; print(METHODS.make('{name}', {{'strength': 3}}))"


def installed(folder: Path, source: str, program: str) -> subprocess.CompletedProcess[str]:
    """Run `program` where a distribution with one entry point is installed."""
    (folder / "outside.py").write_text(source)
    info = folder / "outside_methods-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-methods\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[campaign.methods]\noutside = outside:Outside\n")
    root = Path(__file__).parents[1]
    path = os.pathsep.join(map(str, (folder, root)))
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("decorator", ["", "@METHODS.register"])
def test_a_method_of_another_distribution_is_found(tmp_path: Path, decorator: str) -> None:
    source = PLUGIN.format(name="outside", decorator=decorator)
    done = installed(tmp_path, source, ASK.format(name="outside"))
    assert done.stdout == "Outside(strength=3)\n", done.stderr


def test_another_distribution_cannot_take_a_name(tmp_path: Path) -> None:
    source = PLUGIN.format(name="parity", decorator="")
    done = installed(tmp_path, source, ASK.format(name="parity"))
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "entry point 'outside' of outside-methods cannot be used: method 'parity' is" in last


@pytest.mark.parametrize(
    "source", ["import no_such_module", "Other = 1", "raise RuntimeError('x')"]
)
def test_a_broken_distribution_is_named(tmp_path: Path, source: str) -> None:
    done = installed(tmp_path, source, ASK.format(name="none"))
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("campaign.errors.SetupError: campaign.methods: entry point 'outside' of")
    assert last.endswith("; repair or uninstall outside-methods")
