"""What is no spec at all is told in one line: YAML, files, extends, variables, overrides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from campaign.errors import SpecError
from campaign.spec.load import load

Problems = Callable[..., list[str]]
SPEC = "allowed: a mapping with name, models, dataset, grid"
TEXTS: dict[str, tuple[str | bytes, str]] = {
    "empty file": ("", f"1:1: is empty; {SPEC}"),
    "only comments": ("# nothing\n", f"1:1: is empty; {SPEC}"),
    "list at the top": ("- a\n- b\n", f"1:1: is a list; {SPEC}"),
    "text at the top": ("\n  hello\n", f"2:3: is a lone value ('hello'); {SPEC}"),
    "tab": ("name: x\ngrid:\n\tdtype: fp32\n", "3:1: a tab cannot indent; use spaces"),
    "bad indent": (
        "name: x\n  models: y\n",
        "2:9: is no YAML: mapping values are not allowed here",
    ),
    "open bracket": (
        "name: [a, b\ngrid: 1\n",
        "2:5: is no YAML: expected ',' or ']', but got ':'",
    ),
    "open quote": ('name: "x\n', "2:1: is no YAML: found unexpected end of stream"),
    "alias of nothing": ("name: *x\n", "1:7: is no YAML: found undefined alias 'x'"),
    "second document": (
        "name: x\n---\nname: y\n",
        "2:1: a second document begins; allowed: one, remove this ---",
    ),
    "variable in brackets": (
        "models: [${A}]\n",
        "1:11: is no YAML: expected ',' or ']', but got '{'; "
        "quote a ${NAME} that stands inside [ ] or { }",
    ),
    "control character": (
        "name: x\nmodels: \x07\n",
        "2:9: has a character that YAML does not allow: '\\x07'",
    ),
    "binary file": (b"PK\x03\x04\nab\xff", "2:3: is no UTF-8 text: byte 0xff"),
    "UTF-16": ("name: x".encode("utf-16"), "1:1: is no UTF-8 text: byte 0xff"),
    "endless nesting": ("[" * 5_000, "nests deeper than 50 lists and mappings"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_text_that_is_no_spec_is_told_in_one_line(case: str, problems: Problems) -> None:
    text, line = TEXTS[case]
    assert problems(text) == [line]


def test_a_duplicate_key_is_told_with_the_first_place(problems: Problems) -> None:
    told = problems({"ber: 1e-6": "ber: 1e-6\n  dtype: fp16"})
    assert told == ["8:3: grid.dtype: duplicate key 'dtype'; first given on line 5"]


def test_a_key_that_is_no_text_is_told(problems: Problems) -> None:
    assert problems({"name: x": "name: x\n? [a]\n: 1"}) == [
        "2:3: a key is a text, not a list or a mapping"
    ]


def test_tags_make_no_objects(problems: Problems, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    evil = f"!!python/object/apply:pathlib.Path.touch [!!python/name:x {touched}]"
    told = problems({"name: x": f"name: x\ndescription: {evil}"})
    tag = "tag:yaml.org,2002:python/object/apply:pathlib.Path.touch"
    assert told == [f"2:1: description: unknown tag '{tag}'; leave it out"]
    assert not touched.exists()


def test_a_value_that_does_not_fit_its_tag_is_told(problems: Problems) -> None:
    told = problems({"name: x": "name: x\nevaluation: {batch_size: !!int many}"})
    assert told == ["2:14: evaluation.batch_size: got 'many'; it cannot be read as int"]


def test_an_anchor_that_contains_itself_is_told(problems: Problems) -> None:
    told = problems({"name: x": "name: x\ntargets: &a {include: [*a]}"})
    assert told == ["2:10: targets.include[0]: an alias stands inside of its own anchor"]


def test_aliases_cannot_stand_for_a_huge_spec(problems: Problems) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert problems("\n".join(lines)) == ["has more than 100000 values"]


def test_deep_nesting_is_told_whatever_the_depth(problems: Problems) -> None:
    for depth in (60, 150, 300, 450, 600):
        told = problems("[" * depth + "]" * depth)
        assert told == ["nests deeper than 50 lists and mappings"]


def test_a_merge_of_no_mapping_is_told(problems: Problems) -> None:
    assert problems({"dtype: fp32": "<<: [3]\n  dtype: fp32"}) == [
        "5:3: grid: << takes an alias of a mapping, or a list of these"
    ]


def test_a_missing_file_is_told_with_the_nearest_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("specs").mkdir()
    Path("specs/quickstart.yaml").touch()
    Path("specs/other.yml").touch()
    said = {
        "specs/quikstart.yaml": "does not exist (did you mean 'quickstart.yaml'?)",
        "specs/zzzzz": "does not exist",
        "spec/x.yaml": "does not exist: there is no folder 'spec'",
        "specs": "is a folder; name a file in it: other.yml, quickstart.yaml",
        ".": "is a folder without any spec; name a YAML file",
        "specs/other.yml/x": "does not exist: there is no folder 'specs/other.yml'",
        "a\0b": "cannot be read: embedded null byte",
    }
    for path, text in said.items():
        with pytest.raises(SpecError) as caught:
            load(path)
        assert caught.value.problems == [f"{path}: {text}"]


EXTENDS: dict[str, tuple[dict[str, str], list[str]]] = {
    "missing": (
        {"base.yml": ""},
        ["1:1: extends: base.yaml does not exist (did you mean 'base.yml'?)"],
    ),
    "itself": (
        {"base.yaml": "extends: x.yaml"},
        ["base.yaml:1:1: extends: goes in a circle: x.yaml -> base.yaml -> x.yaml"],
    ),
    "not a mapping": ({"base.yaml": "[1]"}, [f"base.yaml:1:1: is a list; {SPEC}"]),
    "no YAML": (
        {"base.yaml": "\n\ta"},
        ["base.yaml:2:1: a tab cannot indent; use spaces"],
    ),
    "a fault in either": (
        {"base.yaml": "models: 5\ndataset: digits\ngrid: {dtype: fp32, method: none}"},
        [
            "2:1: name: got 3; allowed: a text (quote it)",
            "base.yaml:1:1: models: got 5; allowed: a model name, or {name: {options}}",
            "base.yaml:3:1: grid.ber: is required: bit error rates: a list, or "
            "{logspace: [low, high], per_decade: n}",
        ],
    ),
}


@pytest.mark.parametrize("case", EXTENDS)
def test_a_fault_in_what_is_extended_is_told_where_it_stands(case: str, problems: Problems) -> None:
    files, lines = EXTENDS[case]
    assert problems("extends: base.yaml\nname: 3\n", files=files) == lines


def test_extends_is_a_path(problems: Problems) -> None:
    assert problems("name: x\nextends: [a, b]\n") == [
        "2:1: extends: got ['a', 'b']; allowed: the path of another spec, relative to this one"
    ]


VARIABLES: dict[str, tuple[str, str]] = {
    "not set": ("${NOPE}", "the variable NOPE is not set; set it, or write ${NOPE:-default}"),
    "not set, quoted": (
        '"a ${NOPE} b"',
        "the variable NOPE is not set; set it, or write ${NOPE:-default}",
    ),
    "no name": (
        "${1}",
        "${ begins a variable; allowed: ${NAME}, ${NAME:-default}, or $${ for a ${",
    ),
    "other operator": (
        "${A:=b}",
        "${ begins a variable; allowed: ${NAME}, ${NAME:-default}, or $${ for a ${",
    ),
}


@pytest.mark.parametrize("case", VARIABLES)
def test_a_broken_variable_is_told_once(case: str, problems: Problems) -> None:
    text, line = VARIABLES[case]
    assert problems({"name: x": f"name: {text}"}) == [f"1:1: name: {line}"]


def test_what_a_variable_brings_is_checked(problems: Problems) -> None:
    told = problems({"1e-6": "${RATE}"}, RATE="7")
    assert told == ["7:3: grid.ber: got 7; allowed: at most 1"]


OVERRIDES: dict[str, tuple[str, str]] = {
    "no value": ("grid.seeds", "--set: got 'grid.seeds'; allowed: KEY=VALUE, such as grid.seeds=5"),
    "no key": ("=5", "--set: got '=5'; allowed: KEY=VALUE, such as grid.seeds=5"),
    "wrong value": (
        "grid.seeds=0",
        "--set grid.seeds: got 0; allowed: a whole number 1..10000000",
    ),
    "unknown key": (
        "grid.sedes=5",
        "--set grid.sedes: unknown key 'sedes' (did you mean 'seeds'?); allowed: dtype, method, "
        "ber, seeds, t, nonfinite, vary, clean, exclude, include",
    ),
    "no YAML": (
        "grid.ber=[1",
        "--set grid.ber: is no YAML: expected ',' or ']', but got '<stream end>'",
    ),
    "fault below the key": (
        "grid.ber=[1e-3, 2]",
        "--set grid.ber: grid.ber[1]: got 2; allowed: at most 1",
    ),
    "key below a value": (
        "dataset.root=/data",
        "--set dataset.root: dataset is 'digits', so this cannot be set; set it as a whole",
    ),
    "place beyond a list": (
        "grid.method[7]=none",
        "--set grid.method[7]: grid.method is 'none', so this cannot be set; set it as a whole",
    ),
    "variable": (
        "name=${NOPE}",
        "--set name: the variable NOPE is not set; set it, or write ${NOPE:-default}",
    ),
}


@pytest.mark.parametrize("case", OVERRIDES)
def test_a_broken_override_is_told_as_such(case: str, problems: Problems) -> None:
    override, line = OVERRIDES[case]
    assert problems({}, override) == [line]


def test_all_faults_are_told_at_once_in_order_of_place(problems: Problems) -> None:
    told = problems(
        "grid:\n"
        "  ber: [1e-6, 3]\n"
        "  dtype: {int8: {per: chanel, bits: 3}}\n"
        "  seeds: 0\n"
        "  method: [none, saff]\n"
        "models: digits_cnn\n"
        "models: digits_cnn\n"
        "dataset: ${NOPE}\n",
        "engine.workers=0",
    )
    assert [line.split(": ")[0:2] for line in told] == [
        ["1:1", "name"],
        ["2:15", "grid.ber[1]"],
        ["3:18", "grid.dtype.int8.per"],
        ["3:31", "grid.dtype.int8.bits"],
        ["4:3", "grid.seeds"],
        ["5:18", "grid.method[1]"],
        ["7:1", "models"],
        ["8:1", "dataset"],
        ["--set engine.workers", "got 0; allowed"],
    ]
