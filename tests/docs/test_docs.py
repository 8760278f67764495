"""The docs say what the code does."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from campaign.spec.load import load

ROOT = Path(__file__).parents[2]
PLAIN = {"NO_COLOR": "1", "COLUMNS": "200"}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["results.md", "catalogue.md", "reproduction.md"])
def test_generated_tables_are_current(name) -> None:
    """If not: uv run python docs/generate.py."""
    made = generator().PAGES[name]()
    assert made == (ROOT / "docs" / name).read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_to_files_lead_somewhere(page) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def commands() -> list[str]:
    found = []
    for page in PAGES:
        for block in re.findall(r"```bash\n(.*?)```", page.read_text("utf-8"), re.S):
            lines = [line.split("#")[0].strip() for line in block.splitlines()]
            found += [line.removeprefix("uv run ") for line in lines if "campaign " in line]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("line", commands())
def test_commands_of_the_docs_exist_with_their_options(line) -> None:
    words = shlex.split(line)
    assert words[0] == "campaign"
    done = subprocess.run(
        [sys.executable, "-m", "campaign", words[1], "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=PLAIN,
    )
    assert done.returncode == 0
    for option in (word for word in words if word.startswith("-")):
        assert option in done.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "specs").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_specs_are_valid_and_known_to_editors(path) -> None:
    assert path.read_text("utf-8").startswith(
        "# yaml-language-server: $schema=campaign.schema.json\n"
    )
    loaded = load(path, environment={})
    assert loaded.spec.description
    assert loaded.spec.name == path.stem


def test_the_spec_of_the_readme_is_valid(tmp_path) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    (tmp_path / "mine.yaml").write_text(block, "utf-8")
    assert load(tmp_path / "mine.yaml", environment={}).spec.name == "mine"
    assert yaml.safe_load(block)["grid"]["seeds"] == 50


@pytest.mark.slow
def test_the_example_protection_of_the_docs_works(tmp_path) -> None:
    """It registers, loses no healthy weight, and detects a flipped sign.

    The trained one takes the mean of the gradient at w = 2 and of that at w + noise.
    """
    page = (ROOT / "docs" / "extending.md").read_text("utf-8")
    code, trained = re.findall(r"```python\n(.*?)```", page, re.S)
    (tmp_path / "sign_copy.py").write_text(code, "utf-8")
    (tmp_path / "noisy_training.py").write_text(trained, "utf-8")
    script = (
        "import sign_copy, torch\n"
        "from campaign.formats import FORMATS\n"
        "from campaign.methods import METHODS\n"
        "from campaign.bits import flip\n"
        "method, fmt = METHODS.make('sign_copy'), FORMATS.make('fp16')\n"
        "words = fmt.encode(torch.tensor([0.5, -0.25]), None)\n"
        "words, check = method.encode(words)\n"
        "assert method.decode(words, check).detected == 0\n"
        "found = method.decode(flip(words, torch.tensor([15])), check)\n"
        "assert found.detected == 1\n"
        "print(fmt.decode(found.words, None).tolist())\n"
        "import noisy_training\n"
        "from campaign.methods.fitting import Batch, Context\n"
        "from campaign.training.fittings import Fittings\n"
        "fittings = Fittings([METHODS.make('noisy_training', {'std': 0.5})])\n"
        "net, one = torch.nn.Linear(1, 1, bias=False), torch.ones(1, 1)\n"
        "torch.nn.init.constant_(net.weight, 2.0)\n"
        "def generator(): return torch.Generator().manual_seed(4)\n"
        "forward = lambda module, inputs: module(inputs)\n"
        "context = Context(0, None, torch.device('cpu'), 1, forward, None, generator())\n"
        "fittings.prepare(net, context)\n"
        "square = lambda logits, labels: (logits * logits).sum()\n"
        "loss = fittings.step(net, Batch(one, one), square, context)\n"
        "noise = 0.5 * torch.randn(1, 1, generator=generator())\n"
        "torch.testing.assert_close(net.weight.grad, (2 * 2 + 2 * (2 + noise)) / 2)\n"
        "assert (float(loss), float(net.weight)) == (4.0, 2.0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0.0, -0.25]\n"
