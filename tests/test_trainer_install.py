"""A trainer's machine has none of what builds a store, and trains, compares and explains."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
USED = (
    "model.training",
    "model.scoring.calibrate",
    "pipelines.comparing.compare",
    "pipelines.comparing.worker",
    "pipelines.discovery",
    "pipelines.discovery_cells",
    "pipelines.explaining.explanation",
)
# Imports what is named, as if what the first argument lists were not installed.
SCRIPT = """
import importlib, json, sys
from importlib.machinery import PathFinder
absent = json.loads(sys.argv[1])
find = PathFinder.find_spec
PathFinder.find_spec = staticmethod(
    lambda module, *rest: None if module.split(".")[0] in absent else find(module, *rest)
)
for name in sys.argv[2:]:
    importlib.import_module(name)
"""


def modules_of(extra: str) -> list[str]:
    """Return the modules of the packages that an extra installs, and no other extra needs."""
    config = configparser.ConfigParser()
    config.read(REPOSITORY / "setup.cfg")
    wanted = config["options.extras_require"][extra].split("\n")
    names = {re.split(r"[<>=\[ ]", line)[0].lower().replace("_", "-") for line in wanted if line}
    return [
        module
        for module, owners in packages_distributions().items()
        if names & {owner.lower().replace("_", "-") for owner in owners}
    ]


def test_what_a_trainer_does_needs_nothing_that_builds() -> None:
    absent = modules_of("retrieval")
    assert {"PIL", "py3langid", "ultralytics"} <= set(absent)

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(absent), *USED],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )

    assert done.returncode == 0, done.stderr[-2000:]
