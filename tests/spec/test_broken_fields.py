"""Each fault of a single field is told in one line with its place, what was got and allowed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

TOP = (
    "name, description, models, dataset, grid, fault, targets, lifetime, fold_batchnorm, profile, "
    "training, precision, evaluation, engine, output, extends"
)
GRID = "dtype, method, ber, seeds, t, nonfinite, vary, clean, exclude, include"
RULE = "model, dtype, method, t, nonfinite, fault, targets, ber, seed"
CASES: dict[str, tuple[dict[str, str], str]] = {
    "unknown top key": (
        {"name: x": "name: x\nzoo: y"},
        f"2:1: zoo: unknown key 'zoo'; allowed: {TOP}",
    ),
    "misspelt top key": (
        {"dataset: digits": "dataset: digits\nengin: {}"},
        f"4:1: engin: unknown key 'engin' (did you mean 'engine'?); allowed: {TOP}",
    ),
    "misspelt grid key": (
        {"  ber": "  bre: 1\n  ber"},
        f"7:3: grid.bre: unknown key 'bre' (did you mean 'ber'?); allowed: {GRID}",
    ),
    "misspelt key of a rule": (
        {"1e-6": "1e-6\n  exclude:\n    - {metod: none}"},
        "9:8: grid.exclude[0].metod: unknown key 'metod' (did you mean 'method'?); "
        f"allowed: {RULE}",
    ),
    "misspelt key of an included part": (
        {"1e-6": "1e-6\n  include:\n    - dtype: fp16\n      seed: 3"},
        "10:7: grid.include[0].seed: unknown key 'seed' (did you mean 'seeds'?); "
        "allowed: model, dtype, method, t, nonfinite, vary, ber, seeds",
    ),
    "misspelt key of a section": (
        {"name: x": "name: x\nevaluation: {batchsize: 5}"},
        "2:14: evaluation.batchsize: unknown key 'batchsize' (did you mean 'batch_size'?); "
        "allowed: subset, compute, batch_size, metrics",
    ),
    "unknown option": (
        {"method: none": "method: {range_clamp: {pre: row}}"},
        "6:26: grid.method.range_clamp.pre: unknown key 'pre' (did you mean 'per'?); "
        "allowed: out_of_range, per, percentile",
    ),
    "option of a class without options": (
        {"dtype: fp32": "dtype: [{fp32: {bits: 8}}]"},
        "5:19: grid.dtype[0].fp32.bits: unknown key 'bits'; allowed: none",
    ),
    "wrong value of an option": (
        {"method: none": "method: [none, {range_clamp: {per: rwo}}]"},
        "6:33: grid.method[1].range_clamp.per: got 'rwo', allowed: 'tensor' or 'row'",
    ),
    "options that are no mapping": (
        {"method: none": "method: {parity: 3}"},
        "6:12: grid.method.parity: got 3; allowed: a mapping of options",
    ),
    "two names in one choice": (
        {"method: none": "method: [{parity: {}, none: {}}]"},
        "6:12: grid.method[0]: a method is one name with its options; got keys: parity, none",
    ),
    "missing key": ({"dataset: digits\n": ""}, "1:1: dataset: is required: labelled test set"),
    "missing name": (
        {"name: x\n": ""},
        "1:1: name: is required: name of the campaign; names its results folder",
    ),
    "missing key of a section": (
        {"  ber: 1e-6\n": ""},
        "4:1: grid.ber: is required: bit error rates: a list, or "
        "{logspace: [low, high], per_decade: n}",
    ),
    "empty section": (
        {"grid:\n  dtype: fp32\n  method: none\n  ber: 1e-6\n": "grid:\n"},
        f"4:1: grid: got nothing; allowed: a mapping with keys of {GRID}",
    ),
    "section that is a list": (
        {"name: x": "name: x\nengine: [ray]"},
        "2:1: engine: got ['ray']; allowed: a mapping with keys of executor, address, workers, "
        "cpus_per_worker, gpus_per_worker, mode, batch_seconds, max_attempts, "
        "patience_seconds, grace_seconds",
    ),
    "name with a slash": (
        {"name: x": "name: a/b"},
        "1:1: name: got 'a/b'; allowed: letters, digits, . _ - (at most 100)",
    ),
    "name that YAML reads as a number": (
        {"name: x": "name: 2411"},
        "1:1: name: got 2411; allowed: a text (quote it)",
    ),
    "no model": (
        {"models: digits_cnn": "models: []"},
        "2:1: models: got an empty list; allowed: at least 1",
    ),
    "unknown model": (
        {"digits_cnn": "digit_cnn"},
        "2:1: models: unknown model 'digit_cnn' (did you mean 'digits_cnn'?); known: %MODELS%",
    ),
    "unknown dataset": (
        {"dataset: digits": "dataset: digit"},
        "3:1: dataset: unknown dataset 'digit' (did you mean 'digits'?); known: %DATASETS%",
    ),
    "missing option": (
        {"models: digits_cnn": "models: [digits_cnn, {files: {weights: w.pt, normalize: half}}]"},
        "2:23: models[1].files.architecture: is required",
    ),
    "list of datasets": (
        {"dataset: digits": "dataset: [digits]"},
        "3:1: dataset: got ['digits']; allowed: a dataset name, or {name: {options}}",
    ),
    "title that is no text": (
        {"models: digits_cnn": "models:\n  - digits_cnn:\n    name: 7"},
        "4:5: models[0].name: got 7; allowed: a text",
    ),
    "unknown dtype": (
        {"dtype: fp32": "dtype: [fp32, fp61]"},
        "5:17: grid.dtype[1]: unknown dtype 'fp61' (did you mean 'fp64'?); known: %DTYPES%",
    ),
    "width of an integer": (
        {"dtype: fp32": "dtype: int1"},
        "5:3: grid.dtype: unknown dtype 'int1'; known: %DTYPES%",
    ),
    "width of a fixed point": (
        {"dtype: fp32": "dtype: q40_1"},
        "5:3: grid.dtype: q40_1 has 42 bits; allowed: 2..32 (1 + m + n)",
    ),
    "no dtype": (
        {"dtype: fp32": "dtype: []"},
        "5:3: grid.dtype: got an empty list; allowed: at least 1",
    ),
    "unknown method": (
        {"method: none": "method: [none, wieght_scaling]"},
        "6:18: grid.method[1]: unknown method 'wieght_scaling' (did you mean 'weight_scaling'?); "
        "known: %METHODS%",
    ),
    "unknown method of a stack": (
        {"method: none": "method: [[parity, rangeclamp]]"},
        "6:21: grid.method[0][1]: unknown method 'rangeclamp' (did you mean 'range_clamp'?); "
        "known: %METHODS%",
    ),
    "empty stack": (
        {"method: none": "method: [none, []]"},
        "6:18: grid.method[1]: got an empty list; use none for no protection",
    ),
    "t as an option": (
        {"method: none": "method: {weight_scaling: {t: 2}}"},
        "6:29: grid.method.weight_scaling.t: t is an axis: give it as grid.t",
    ),
    "a of a function that has none": (
        {"method: none": "method: {saf: {a: 2}}"},
        "6:12: grid.method.saf: a and a_over_max belong to scaled_tanh, not to tanh",
    ),
    "a_over_max of 1": (
        {"method: none": "method: {saf: {function: scaled_tanh, a_over_max: 1}}"},
        "6:12: grid.method.saf: got a=None, a_over_max=1.0; allowed: a > 0 and a_over_max > 1 "
        "with store: inverse",
    ),
    "ber above 1": (
        {"ber: 1e-6": "ber: [1e-3, 2]"},
        "7:15: grid.ber[1]: got 2; allowed: at most 1",
    ),
    "ber below 0": ({"ber: 1e-6": "ber: -1e-6"}, "7:3: grid.ber: got -1e-06; allowed: at least 0"),
    "ber that is no number": (
        {"ber: 1e-6": "ber: [.nan]"},
        "7:9: grid.ber[0]: got nan; allowed: a finite number",
    ),
    "ber that is a text": ({"1e-6": "tiny"}, "7:3: grid.ber: got 'tiny'; allowed: a number"),
    "ber that is a truth value": ({"1e-6": "yes"}, "7:3: grid.ber: got True; allowed: a number"),
    "no ber": ({"1e-6": "[]"}, "7:3: grid.ber: got an empty list; allowed: at least 1"),
    "ber range upside down": (
        {"1e-6": "{logspace: [1e-3, 1e-6]}"},
        "7:9: grid.ber.logspace: got [0.001, 1e-06]; allowed: [low, high], 0 < low < high <= 1",
    ),
    "ber range with three ends": (
        {"1e-6": "{logspace: [1e-6, 1e-5, 1e-4]}"},
        "7:9: grid.ber.logspace: got [1e-06, 1e-05, 0.0001]; allowed: [low, high], "
        "0 < low < high <= 1",
    ),
    "ber range with a misspelt key": (
        {"1e-6": "{logspace: [1e-6, 1e-5], per_decades: 2}"},
        "7:33: grid.ber.per_decades: unknown key 'per_decades' (did you mean 'per_decade'?); "
        "allowed: logspace, per_decade",
    ),
    "ber range without its ends": (
        {"1e-6": "{per_decade: 2}"},
        "7:3: grid.ber.logspace: is required; allowed: logspace, per_decade",
    ),
    "ber range of no steps": (
        {"1e-6": "{logspace: [1e-6, 1e-5], per_decade: 0}"},
        "7:33: grid.ber.per_decade: got 0; allowed: a whole number 1..1000",
    ),
    "no seeds": (
        {"1e-6": "1e-6\n  seeds: 0"},
        "8:3: grid.seeds: got 0; allowed: a whole number 1..10000000",
    ),
    "seeds below 0": (
        {"1e-6": "1e-6\n  seeds: [1, -1]"},
        "8:14: grid.seeds[1]: got -1; allowed: a whole number 0..9223372036854775807",
    ),
    "seed twice": (
        {"1e-6": "1e-6\n  seeds: [4, 2, 4]"},
        "8:17: grid.seeds[2]: seed 4 stands twice",
    ),
    "range of seeds without a count": (
        {"1e-6": "1e-6\n  seeds: {start: 5}"},
        "8:3: grid.seeds.count: is required; allowed: start, count",
    ),
    "t below 0": (
        {"1e-6": "1e-6\n  t: [1, -2]"},
        "8:10: grid.t[1]: got -2; allowed: a number > 0, 2^127, or max",
    ),
    "t too large for any float": (
        {"1e-6": "1e-6\n  t: {fp32: 2^5000}"},
        "8:7: grid.t.fp32: got '2^5000'; allowed: a number > 0, 2^127, or max",
    ),
    "no t": (
        {"1e-6": "1e-6\n  t: []"},
        "8:3: grid.t: got an empty list; allowed: at least one value",
    ),
    "unknown policy": (
        {"1e-6": "1e-6\n  nonfinite: [zero, clmap]"},
        "8:21: grid.nonfinite[1]: got 'clmap' (did you mean 'clamp'?); "
        "allowed: propagate, zero, clamp",
    ),
    "wrong type of a truth value": (
        {"1e-6": "1e-6\n  clean: maybe"},
        "8:3: grid.clean: got 'maybe'; allowed: true or false",
    ),
    "unknown fault model": (
        {"name: x": "name: x\nfault: bitflip"},
        "2:1: fault: unknown fault model 'bitflip' (did you mean 'bit_flip'?); known: %FAULTS%",
    ),
    "exempt bit below 0": (
        {"name: x": "name: x\ntargets:\n  exempt_bits: [sign, -1]"},
        "3:23: targets.exempt_bits[1]: got -1; allowed: at least 0 or a text",
    ),
    "batch of no images": (
        {"name: x": "name: x\nevaluation:\n  batch_size: 0"},
        "3:3: evaluation.batch_size: got 0; allowed: at least 1 or auto",
    ),
    "part of an image": (
        {"name: x": "name: x\nevaluation: {subset: 2.5}"},
        "2:14: evaluation.subset: got 2.5; allowed: a whole number",
    ),
    "unknown metric": (
        {"name: x": "name: x\nevaluation: {metrics: [top1, top50]}"},
        "2:30: evaluation.metrics[1]: got 'top50' (did you mean 'top5'?); allowed: top1, top5",
    ),
    "unknown executor": (
        {"name: x": "name: x\nengine:\n  executor: inlin"},
        "3:3: engine.executor: got 'inlin' (did you mean 'inline'?); allowed: ray, inline",
    ),
    "workers below 1": (
        {"name: x": "name: x\nengine: {workers: -1}"},
        "2:10: engine.workers: got -1; allowed: at least 1 or auto",
    ),
    "workers that are a text": (
        {"name: x": "name: x\nengine: {workers: al}"},
        "2:10: engine.workers: got 'al'; allowed: a whole number or auto",
    ),
    "gpus below 0": (
        {"name: x": "name: x\nengine: {gpus_per_worker: -0.5}"},
        "2:10: engine.gpus_per_worker: got -0.5; allowed: at least 0 or auto",
    ),
    "no time for a batch": (
        {"name: x": "name: x\nengine: {batch_seconds: 0}"},
        "2:10: engine.batch_seconds: got 0; allowed: above 0",
    ),
    "results folder that is a number": (
        {"name: x": "name: x\noutput: {results: 5}"},
        "2:10: output.results: got 5; allowed: a text (quote it)",
    ),
    "a list where one value is meant": (
        {"name: x": "name: x\ndescription: [a, b]"},
        "2:1: description: got ['a', 'b']; allowed: a text",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_field_is_told_in_one_line(
    case: str, problems: Callable[..., list[str]], filled: Callable[[str], str]
) -> None:
    changes, line = CASES[case]
    assert problems(changes) == [filled(line)]


@pytest.mark.parametrize("case", CASES)
def test_the_place_told_is_where_the_key_or_the_item_stands(
    case: str, problems: Callable[..., list[str]], edited: Callable[..., str]
) -> None:
    changes, _ = CASES[case]
    (told,) = problems(changes)
    line, column, path = told.replace(" ", "").split(":")[:3]
    key = path.rpartition(".")[2]
    text = edited(changes).splitlines()[int(line) - 1][int(column) - 1 :]
    if "isrequired" not in told.replace(" ", "") and not key.endswith("]"):
        assert text.startswith(f"{key}:")
    assert text.strip()
    assert text[0] not in " ,]}:"
