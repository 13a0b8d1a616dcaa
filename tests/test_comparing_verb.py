"""``ramie compare`` as it is typed: what a wrong call says."""

from __future__ import annotations

import pytest

from pipelines.cli import main


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (["--workers", "0"], 1, "--workers 0 would train nothing"),
        (["--share", "five"], 2, "--share 'five' is no list of numbers"),
        (["--share", "0"], 1, "0 % is no share"),
        (["--worlds", "1.5"], 2, "--worlds '1.5' is no list of numbers"),
        (["--noise", "curves.json"], 2, "--noise goes with --plots"),
        (["--ablate", "photos"], 1, "cannot ablate 'photos'; known are levels"),
        (["--ablated", "synthesis"], 1, "--ablated goes with --ablate"),
        (["--fusion", "text_only", "--controls"], 1, "no system that is compared reads"),
        (
            ["--fusion", "text_only,hvpnet", "--ablate", "filters"],
            1,
            "no system that is compared reads",
        ),
        (["--fusion", "synthesis, synthesis"], 1, "name each system to compare once"),
        (["--fusion", "text_only,sinthesis"], 1, "sinthesis"),
        (["--store", "no-such-store"], 1, "no-such-store"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(
    more: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "sample", *more]) == code
    assert said in capsys.readouterr().err
