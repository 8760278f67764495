"""Run the cells of docs/notebook.ipynb and keep what they show: uv run python docs/notebook.py."""

from __future__ import annotations

import ast
import base64
import io
import json
import os
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_suffix(".ipynb")


def run(cells: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """What each cell shows, by MIME type; None for text and for cells that show nothing."""
    names: dict[str, Any] = {"__name__": "__main__"}
    return [_shown(cell, names) if cell["cell_type"] == "code" else None for cell in cells]


def _shown(cell: dict[str, Any], names: dict[str, Any]) -> dict[str, Any] | None:
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    if last is None:
        return None
    value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    return None if value is None else _bundle(value)


def _bundle(value: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever a cell ends with
    bundle: dict[str, Any] = {"text/plain": repr(value).splitlines(keepends=True)}
    if hasattr(value, "savefig"):
        held = io.BytesIO()
        value.savefig(held, format="png", dpi=100, metadata={"Software": None})
        bundle["image/png"] = base64.b64encode(held.getvalue()).decode()
    elif hasattr(value, "_repr_html_"):
        bundle["text/html"] = value._repr_html_().splitlines(keepends=True)
    return bundle


def main() -> None:
    """Write the notebook again with what its cells show."""
    os.chdir(PATH.parent)
    notebook = json.loads(PATH.read_text("utf-8"))
    for cell, shown in zip(notebook["cells"], run(notebook["cells"]), strict=True):
        if cell["cell_type"] == "code":
            kind = {"output_type": "execute_result", "execution_count": None, "metadata": {}}
            cell["outputs"] = [] if shown is None else [{**kind, "data": shown}]
    PATH.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
