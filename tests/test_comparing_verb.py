"""``ramie compare`` as it is typed: what a wrong call says."""

from __future__ import annotations

import pytest

from pipelines.cli import main


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--workers", "0"], "--workers 0 would train nothing"),
        (["--share", "five"], "--share 'five' is no list of numbers"),
        (["--share", "0"], "0 % is no share"),
        (["--worlds", "1.5"], "--worlds '1.5' is no list of numbers"),
        (["--ablate", "photos"], "cannot ablate 'photos'; known are levels"),
        (["--fusion", "synthesis,synthesis"], "name each system to compare once"),
        (["--store", "no-such-store"], "no-such-store"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "sample", *more]) == 1
    assert said in capsys.readouterr().err
