"""Promises of the start: nobody waits for a library that the call does not use."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import cache
from pipelines.cli import VERBS

REPOSITORY = Path(__file__).resolve().parents[1]
STORE = REPOSITORY / "tests" / "stores" / "schema-3"
# Each takes a tenth of a second or more.
HEAVY = {
    *("datasets", "duckdb", "faiss", "fsspec", "matplotlib", "mlflow", "numba", "onnxruntime"),
    *("open_clip", "openvino", "pandas", "polars", "ray", "requests", "scipy", "sklearn", "spacy"),
    *("tantivy", "timm", "torch", "torchvision", "trafilatura", "transformers", "ultralytics"),
}
SCRIPT = """
import json, sys
from pipelines.cli import main
code = 0
try:
    code = main(json.loads(sys.argv[1]))
except SystemExit as stopped:
    code = stopped.code
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def modules_after(*call: str) -> set[str]:
    """Return what a new process has imported once the call is done."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(call)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stdout
    return set(modules)


def test_the_overview_imports_no_library_of_numbers_or_settings() -> None:
    loaded = modules_after("--help")

    assert "pipelines.verbs.build" in loaded  # it is really there that this process looked
    assert not loaded & (HEAVY | {"numpy", "pyarrow", "pydantic", "lmdb"})


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_imports_nothing_heavy(verb: str) -> None:
    assert not modules_after(verb, "--help") & (HEAVY | {"numpy", "pyarrow", "pydantic"})


def test_verifying_imports_neither_models_nor_pandas() -> None:
    loaded = modules_after("verify", str(STORE))

    assert "pyarrow" in loaded
    assert not loaded & HEAVY


def test_who_wants_data_frames_after_verifying_gets_them() -> None:
    pytest.importorskip("pandas")
    script = (
        "from pipelines.cli import main\n"
        f"assert main(['verify', {str(STORE)!r}]) == 0\n"
        "import pyarrow as pa\n"
        "frame = pa.table({'a': [1, 2]}).to_pandas()\n"
        "assert pa.Table.from_pandas(frame).column('a').to_pylist() == [1, 2]\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=REPOSITORY)


def test_every_public_name_of_the_contract_comes_from_where_it_is_said_to_be() -> None:
    tree = ast.parse(Path(str(cache.__file__)).read_text())
    stated = {
        alias.name: node.module
        for branch in tree.body
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert sorted(stated) == sorted(cache.__all__)
    for name, place in stated.items():
        assert getattr(cache, name) is getattr(importlib.import_module(str(place)), name)
    with pytest.raises(AttributeError, match="open_stor"):
        getattr(cache, "open_stor")  # noqa: B009
