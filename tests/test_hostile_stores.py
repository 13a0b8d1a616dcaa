"""Whatever a store from a stranger holds: it is named, and nothing else happens."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile_stores import Hostile, catalogue

HERE = Path(__file__).parent
CASES = {case.name: case for case in catalogue()}
# Above what the process has before.
MOST_BYTES = 1 << 30


def wrong(lines: list[dict[str, Any]]) -> list[str]:
    """Return what is not as it must be."""
    found = []
    last: dict[str, str] = {}
    for line in lines:
        case = CASES[line["case"]]
        if "begun" in line:
            last[case.name] = line["begun"]
        elif "exit" in line:
            if line["exit"]:
                found.append(f"{case.name}: {last.get(case.name)} ended with {line['exit']}")
        elif "outside" in line:
            found.append(f"{case.name}: something changed beside the store")
        else:
            found += [f"{case.name}: {line['operation']}: {what}" for what in _odd(case, line)]
    return found


def _odd(case: Hostile, line: dict[str, Any]) -> list[str]:
    odd = [line["wrong"]] * bool(line["wrong"])
    odd += line["seen"]
    if line["bytes"] > MOST_BYTES:
        odd.append(f"took {line['bytes'] >> 20} MiB")
    if line["operation"] == "verify" and not re.search(case.named, line["said"]):
        odd.append(f"not named: {line['said'][:300]}")
    return odd


def run(folder: Path, which: str) -> list[dict[str, Any]]:
    """Run the catalogue in two processes; return their lines."""
    folder.mkdir(parents=True, exist_ok=True)
    children = []
    for part in range(2):
        (folder / str(part)).mkdir()
        command = [sys.executable, str(HERE / "hostile_child.py"), str(folder / str(part)), which]
        environment = {**os.environ, "PYTHONPATH": f"{HERE.parent}:{HERE}", "OMP_NUM_THREADS": "1"}
        children.append(
            subprocess.Popen(
                [*command, str(part), "2"],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    lines = []
    for child in children:
        said, complaints = child.communicate(timeout=900)
        assert child.returncode == 0, complaints[-2000:]
        lines += [json.loads(line) for line in said.splitlines()]
    return lines


@pytest.mark.slow
@pytest.mark.parametrize("which", ["light", "heavy"])
def test_a_hostile_store_is_named_and_harms_nothing(tmp_path: Path, which: str) -> None:
    lines = run(tmp_path, which)
    cases = [case.name for case in CASES.values() if case.heavy == (which == "heavy")]
    assert sorted({line["case"] for line in lines}) == sorted(cases)
    assert wrong(lines) == []
