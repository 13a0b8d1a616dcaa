"""Promises of ``ramie bench scale`` and of the table: laws are found, figures are not made up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cache.errors import InputError
from pipelines.bench import efficiency
from pipelines.bench.efficiency import Options, bench_efficiency
from pipelines.bench.figures import Figure
from pipelines.bench.scaling.costs import STAGES, measure_cost
from pipelines.bench.scaling.far import SERVICES, run
from pipelines.bench.scaling.law import fit, held_out_error
from pipelines.bench.scaling.made_up import settings_of, write_documents
from pipelines.cli import main
from pipelines.planning.line import Costs
from retrieval.kb.knowledge_base import build_kb

SIZES = (1000, 3000, 10_000, 30_000, 100_000)


@pytest.mark.parametrize("power", [0.5, 1.0, 1.3])
def test_a_law_is_found_again(power: float) -> None:
    law = fit(SIZES, [2 + 3e-4 * n**power for n in SIZES])
    assert law.power == pytest.approx(power, abs=0.02)
    assert law.fixed == pytest.approx(2, rel=0.1)
    assert law.error < 0.02
    assert law(1e6) == pytest.approx(2 + 3e-4 * 1e6**power, rel=0.15)


def test_no_part_of_a_law_is_negative() -> None:
    # They grow by a higher power than is looked for: what would fit best starts below nothing.
    law = fit((1, 2, 3, 4), (1.0, 8.0, 27.0, 64.0))
    assert (law.fixed, law.power) == (0.0, 2.5)


def test_growth_that_bends_at_the_end_is_noticed_by_the_size_that_was_held_out() -> None:
    straight = [1e-3 * n for n in SIZES]
    assert held_out_error(SIZES, straight) < 0.01
    assert held_out_error(SIZES, [*straight[:-1], 3 * straight[-1]]) > 0.5


@pytest.mark.parametrize("seconds", [(1.0, 2.0), (1.0, 2.0, 0.0)])
def test_too_little_for_a_law_is_refused(seconds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="no law"):
        fit(SIZES[: len(seconds)], seconds)


def test_every_stage_of_a_real_build_is_measured(tmp_path: Path) -> None:
    write_documents(tmp_path / "documents", 60, 1)
    kb = tmp_path / "kb"
    build_kb(tmp_path / "documents", kb, settings_of(tmp_path, None, 1).observe)

    cost = measure_cost(tmp_path / "build", 40, kb, 3, 0)

    assert set(STAGES) <= set(cost.seconds)
    assert all(cost.cpu_seconds[stage] > 0 for stage in STAGES)
    # 40 sentences, three hits each; images are looked for, too, and there are none.
    assert 100 <= cost.hits <= 120
    assert cost.memory_bytes > 50e6
    assert cost.store_bytes > 10_000
    assert not (tmp_path / "build").exists()


def test_ten_million_posts_are_bound_by_what_a_provider_lets_pass() -> None:
    costs = Costs(look_s=0.05, ask_s=1e-4, embed_s=0.0, finish_s=1e-3)
    service, posts = SERVICES[1], 64 * 2000
    alone, many = (run(costs, posts, machines, service, 0) for machines in (1, 64))

    # Two questions a post; failures are asked again, and cost their turns as well.
    least = posts * service.questions * service.seconds_between
    assert least <= many.seconds < alone.seconds < 1.3 * least
    assert many.requests == pytest.approx(posts * 2 / (1 - service.failing), rel=0.01)
    # Files at hand: machines help until the leading one asks and finishes all the time.
    free = run(costs, posts, 64, None, 0)
    assert free.seconds == pytest.approx(posts * 1.1e-3, rel=0.1)


def test_the_table_says_what_was_asked_measured_and_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(options: Options) -> list[Figure]:
        raise InputError("there is no tool. Install it.")

    parts = {
        "one": lambda options: [Figure("fast", 4.0, 3.0), Figure("told", options.size(9, 2))],
        "two": lambda options: [Figure("short", 2.0, 1.5, "below")],
        "three": missing,
    }
    monkeypatch.setattr(efficiency, "PARTS", parts)
    said: list[str] = []

    result = bench_efficiency(["one", "two", "three"], Options(tmp_path, quick=True), said.append)

    table = result["table"]
    assert isinstance(table, list)
    assert [(row["what"], row["met"]) for row in table] == [
        ("fast", True),
        ("short", False),
        ("left out: there is no tool. Install it.", None),
    ]
    assert json.loads(json.dumps(result))["one"][1]["value"] == 2
    told = "\n".join(said)
    assert ">= 3" in told
    assert "MISSED" in told
    assert "three: left out: there is no tool" in told


def test_the_command_knows_its_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "nothing"]) == 2
    assert "scale" in capsys.readouterr().err
    call = ["bench", "starting", "--store", str(tmp_path / "none"), "--work", str(tmp_path)]
    assert main([*call, "--json"]) == 0
    table = json.loads(capsys.readouterr().out)["table"]
    assert "there is no store" in table[0]["what"]


@pytest.mark.parametrize("part", ["observing", "scale", "build"])
def test_a_name_that_no_part_knows_is_refused_before_anything_is_measured(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def measure(options: Options) -> list[Figure]:
        measured.append(part)
        return []

    parts = {part: measure}
    monkeypatch.setattr(efficiency, "PARTS", parts)
    with pytest.raises(InputError, match="no part 'lop'"):
        bench_efficiency([part], Options(tmp_path, only=("lop",)), lambda _: None)
    assert measured == []


@pytest.mark.parametrize("part", ["read", "train", "evidence", "store"])
def test_a_part_that_has_no_quick_sizes_says_so(
    part: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"pipelines.verbs.bench._{part}", lambda options: {})
    assert main(["bench", part, "--quick"]) == 2
    assert f"--quick does nothing for {part!r}" in capsys.readouterr().err
