"""The demo shows what evidence is worth, and says so where it shows the opposite."""

from __future__ import annotations

import pytest
from comparing_helpers import made_up

from cache.errors import RamieError
from pipelines.comparing.rows import Row
from pipelines.comparing.systems import System
from pipelines.demo import check_gain


def result(text_only: float, synthesis: float) -> list[Row]:
    shares = {"text_only": text_only, "synthesis": synthesis}
    return [
        Row(System(name), "", {("", 1): made_up(share, posts=400)}, (0, 1), None, None)
        for name, share in shares.items()
    ]


def test_a_result_in_which_evidence_is_worth_nothing_is_a_failure() -> None:
    check_gain(result(0.5, 0.9))
    for synthesis in (0.5, 0.1):
        with pytest.raises(RamieError, match=r"synthesis reaches an F1 of .* report it"):
            check_gain(result(0.5, synthesis))
