"""What a file extends, the variables in it and the overrides make one spec."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from campaign.spec.load import Loaded, load

Read = Callable[..., Loaded]


def labels(choices: Any) -> list[str]:
    return [choice.value.label for choice in choices]


def test_anchors_and_merge_keys_work(read: Read) -> None:
    text = (
        "name: x\nmodels: digits_cnn\ndataset: digits\n"
        "grid:\n  dtype: fp32\n  method: none\n  ber: 1e-6\n  include:\n"
        "    - &a {dtype: fp16, seeds: 3}\n"
        "    - {<<: *a, seeds: 5}\n"
        "    - {<<: [{seeds: 7}, *a]}\n"
    )
    include = read(text).spec.grid.include
    assert [(labels(part.dtype), part.seeds) for part in include] == [
        (["fp16"], range(3)),
        (["fp16"], range(5)),
        (["fp16"], range(7)),
    ]


def test_a_spec_adds_to_and_changes_what_it_extends(read: Read) -> None:
    loaded = read(
        "extends: base/middle.yaml\ngrid: {seeds: 3, ber: [1e-5]}\nengine: {executor: inline}\n",
        files={
            "base/middle.yaml": "extends: ../base.yaml\nname: middle\ngrid: {dtype: fp16}\n",
            "base.yaml": (
                "name: base\nmodels: digits_cnn\ndataset: digits\nengine: {workers: 2}\n"
                "grid: {dtype: [fp32, bf16], method: none, ber: {logspace: [1e-6, 1e-5]}}\n"
            ),
        },
    )
    spec = loaded.spec
    assert (spec.name, labels(spec.grid.dtype), spec.grid.ber) == ("middle", ["fp16"], [1e-5])
    assert (spec.grid.seeds, spec.engine.executor, spec.engine.workers) == (range(3), "inline", 2)
    assert loaded.sources == ("x.yaml", "base/middle.yaml", "base.yaml")
    assert "extends" not in loaded.raw


def test_a_choice_of_another_name_replaces_and_of_the_same_name_merges(read: Read) -> None:
    base = "name: x\nmodels: digits_cnn\ndataset: {cifar10: {root: a, download: true}}\n"
    base += "grid: {dtype: {int8: {per: channel}}, method: none, ber: 0.1}\n"
    loaded = read("extends: b.yaml\ndataset: {cifar10: {root: b}}\n", files={"b.yaml": base})
    assert loaded.raw["dataset"] == {"cifar10": {"root": "b", "download": True}}
    loaded = read("extends: b.yaml\ndataset: {digits: {}}\ngrid: {dtype: {int4: {}}}\n")
    assert loaded.raw["dataset"] == {"digits": {}}
    assert loaded.raw["grid"]["dtype"] == {"int4": {}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "alpha"),
        ("${A:-beta}", "alpha"),
        ("${B:-beta}", "beta"),
        ("${EMPTY:-beta}", "beta"),
        ("'${B:-}'", ""),
        ("'${EMPTY}'", ""),
        ("a ${A} of ${B:-b c}s", "a alpha of b cs"),
        ("$${A}", "${A}"),
        ("costs $5", "costs $5"),
        ("$$${A}", "$${A}"),
        ("'${NUMBER}'", "3"),
        ("see ${NUMBER}: x", "see 3: x"),
        ("'[${A}, ${A}]'", "[alpha, alpha]"),
    ],
)
def test_variables_are_filled_into_texts(read: Read, text: str, value: str) -> None:
    quoted = text if text.startswith("'") or ": " not in text else f"'{text}'"
    spec = read(
        {"name: x": f"name: x\ndescription: {quoted}"}, A="alpha", EMPTY="", NUMBER="3"
    ).spec
    assert spec.description == value


def test_what_fills_an_unquoted_text_takes_its_type(read: Read) -> None:
    text = {
        "name: x": "name: x\noutput: {mlflow: '${OFF}', tracking_uri: '${NOTHING:-}'}",
        "1e-6": "${RATE}\n  seeds: ${COUNT:-7}\n  clean: ${OFF}\n  t: ${T:-}",
    }
    spec = read(text, RATE="1e-4", OFF="false").spec
    assert (spec.grid.ber, spec.grid.seeds, spec.grid.clean) == ([1e-4], range(7), False)
    assert (spec.grid.t, spec.output.mlflow, spec.output.tracking_uri) == (None, False, "")


def test_a_variable_cannot_bring_structure(read: Read) -> None:
    spec = read({"name: x": "name: x\ndescription: ${A}"}, A="{logspace: [1, 2]}").spec
    assert spec.description == "{logspace: [1, 2]}"


def test_the_environment_of_the_process_is_used_by_default(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    read({"name: x": "name: ${CAMPAIGN_TEST_NAME:-none}"})
    monkeypatch.setenv("CAMPAIGN_TEST_NAME", "there")
    assert load("x.yaml").spec.name == "there"


def test_overrides_are_applied_last_and_in_order(read: Read) -> None:
    spec = read(
        {"method: none": "method: [none, parity]"},
        "grid.seeds=5",
        "grid.ber=[1e-3, 1e-2]",
        "grid.ber[1]=0.5",
        "grid.method.1={range_clamp: {per: row}}",
        "engine.executor=inline",
        "engine.executor=ray",
        "evaluation.subset=",
        "dataset={digits: {}, name: ten}",
        "description=a = b",
    ).spec
    assert (spec.grid.seeds, spec.grid.ber) == (range(5), [1e-3, 0.5])
    assert [labels(stack) for stack in spec.grid.method] == [["none"], ["range_clamp(per=row)"]]
    assert (spec.engine.executor, spec.evaluation.subset) == ("ray", None)
    assert (spec.dataset.title, spec.description) == ("ten", "a = b")


def test_an_override_can_give_what_the_file_lacks(read: Read) -> None:
    assert read({"  ber: 1e-6\n": ""}, "grid.ber=1e-3").spec.grid.ber == [1e-3]


def test_a_file_may_have_a_mark_and_windows_line_ends(read: Read) -> None:
    loaded = read({})
    again = read(b"\xef\xbb\xbf" + loaded.text.replace("\n", "\r\n").encode())
    assert again.spec == loaded.spec
