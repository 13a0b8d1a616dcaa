"""The documentation of training settings is complete and true."""

from __future__ import annotations

import json
import re
from pathlib import Path

from model.settings import TrainSettings

_PAGE = Path(__file__).parents[1] / "docs" / "training.md"


def test_every_training_setting_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", _PAGE.read_text(), flags=re.MULTILINE)

    documented = {name: value.strip("`") for name, value in rows}
    assert documented == {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in TrainSettings().model_dump(mode="json").items()
    }
