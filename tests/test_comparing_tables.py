"""Rows and tables from made-up tests: nothing is trained here."""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import pytest
from comparing_helpers import made_up, tiny_recipe
from model_helpers import evidence, stored

from cache import StoreWriter
from cache.errors import InputError, StoreMismatch
from model.scoring.metrics import Counts
from model.scoring.significance import (
    approximate_randomisation,
    bootstrap_interval,
    paired_bootstrap,
    stratified_bootstrap,
    stratified_randomisation,
)
from pipelines.bench import robustness
from pipelines.bench.evidence import PARTS
from pipelines.comparing.compare import Grid
from pipelines.comparing.curves import Curve, noise_curves, share_curves
from pipelines.comparing.evidence_counts import f1_by_evidence
from pipelines.comparing.facts import Facts
from pipelines.comparing.places import place_of
from pipelines.comparing.rows import Row, Significance, rows_of
from pipelines.comparing.scored import Scored
from pipelines.comparing.systems import Block, System
from pipelines.comparing.table import csv_text, latex, markdown

BASE, GOOD, BEST = System("text_only"), System("more"), System("synthesis")
PART = System("synthesis", without="object level")
FACTS = Facts(
    recipe="tiny_data",
    task="mner",
    split="test",
    seeds=(1, 2),
    worlds=("world 31", "world 32"),
    missing=0,
    protocol="Twitter-2015, original labels",
    contaminated="",
    encoder="bert & co",
    stores=("a" * 64,),
    partners=("b" * 64,),
    code=("ramie 0.1.0 at abc",),
    commit="abc",
)
ACCURACY = {BASE: 0.5, GOOD: 0.7, BEST: 0.9, PART: 0.8}


def runs_of(system: System) -> dict[tuple[str, int], Scored]:
    return {
        (world, seed): made_up(ACCURACY[system], 10 * place + seed)
        for place, world in enumerate(("world 31", "world 32"))
        for seed in (1, 2)
    }


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    blocks = [Block("", (BASE, GOOD, BEST)), Block("synthesis, parts taken away", (BEST, PART))]
    results = {system: runs_of(system) for system in ACCURACY}
    return rows_of(blocks, results, Significance(samples=500))


def test_every_row_is_compared_with_the_first_and_with_the_best_other(rows: list[Row]) -> None:
    first = [None if row.against_first is None else row.against_first.other for row in rows]
    best = [None if row.against_best is None else row.against_best.other for row in rows]

    assert first == [None, "text_only", "text_only", None, "synthesis"]
    assert best == ["synthesis", "synthesis", "more", None, None]
    lead = rows[2].against_best
    assert lead is not None
    assert lead.bootstrap.difference == pytest.approx(
        mean(run.micro.f1 for run in runs_of(BEST).values())
        - mean(run.micro.f1 for run in runs_of(GOOD).values())
    )
    assert lead.bootstrap.posts == 120
    assert lead.with_runs is not None
    assert lead.with_runs.difference == lead.bootstrap.difference
    assert lead.to_json()["p_randomisation"] == lead.randomisation.p_two_sided


def test_the_spread_is_that_of_seeds_and_not_of_worlds() -> None:
    """Worlds of different difficulty do not make a system unsteady."""
    runs = {
        (world, seed): made_up(level, 1)
        for world, level in (("a", 0.2), ("b", 0.9))
        for seed in (1, 2)
    }
    row = Row(BASE, "", runs, (0, 1), None, None)
    assert row.spread == 0
    assert stdev(row.f1) > 10

    one_world = {("", seed): made_up(0.7, seed) for seed in (1, 2, 3)}
    row = Row(BASE, "", one_world, (0, 1), None, None)
    assert row.spread == pytest.approx(stdev(row.f1))


def test_worlds_with_one_seed_each_have_no_spread_and_none_is_printed() -> None:
    """A spread of 0.00 would say that the system was seen to be steady."""
    runs = {(world, 1): made_up(level, 1) for world, level in (("a", 0.2), ("b", 0.9))}
    row = Row(BASE, "", runs, (0, 1), None, None)

    assert row.spread is None
    assert row.to_json()["f1_stdev"] is None
    assert f"| 2 | {mean(row.f1):.2f} |" in markdown([row], FACTS)


def test_every_world_counts_alike_where_a_grid_has_holes() -> None:
    """Figure, interval and test must speak of the same mean."""
    runs = {("easy", seed): made_up(0.9, seed) for seed in (1, 2, 3)} | {
        ("hard", 1): made_up(0.5, 1)
    }
    row = Row(BASE, "", runs, Significance(samples=400).interval(runs), None, None)

    easy = mean(runs["easy", seed].micro.f1 for seed in (1, 2, 3))
    assert row.mean_f1 == pytest.approx(50 * (easy + runs["hard", 1].micro.f1))
    assert 100 * row.interval[0] < row.mean_f1 < 100 * row.interval[1]
    assert row.strict_f1 == row.mean_f1
    assert row.precision == pytest.approx(row.mean_f1)
    assert row.recall == pytest.approx(row.mean_f1)
    told = row.to_json()["f1_by_type"]
    assert told == {"PER": {"f1": pytest.approx(row.mean_f1), "support": 120}}
    assert f"| {row.mean_f1:.2f} ± " in markdown([row], FACTS)


def test_runs_are_not_drawn_again_where_a_world_has_but_one() -> None:
    """It would be the same interval under another name."""
    full = runs_of(BEST)
    few = {key: run for key, run in runs_of(BASE).items() if key != ("world 31", 2)}

    found = Significance(samples=50).against(full, few, "text_only")

    assert found is not None
    assert found.with_runs is None
    assert found.to_json()["p_with_runs"] is None


def test_a_grid_with_holes_is_compared_where_both_have_runs(rows: list[Row]) -> None:
    full, holes = runs_of(BEST), runs_of(BASE)
    del holes["world 31", 2], holes["world 32", 1], holes["world 32", 2]

    found = Significance(samples=50).against(full, holes, "text_only")

    assert found is not None
    assert found.bootstrap.posts == 60
    assert found.bootstrap.f1_a == full["world 31", 1].micro.f1
    assert Significance(samples=50).against(full, {}, "text_only") is None


def test_tests_on_different_posts_are_not_compared() -> None:
    full, fewer = runs_of(BEST), {("world 31", 1): made_up(0.5, 1, posts=59)}

    with pytest.raises(StoreMismatch, match="different posts"):
        Significance(samples=50).against(full, fewer, "text_only")


def test_one_world_is_the_plain_test() -> None:
    a = np.stack([made_up(0.8, seed).counts for seed in (1, 2)])
    b = np.stack([made_up(0.6, seed).counts for seed in (3, 4)])

    assert stratified_bootstrap([a], [b], 300) == paired_bootstrap(a, b, 300)
    assert stratified_randomisation([a], [b], 300) == approximate_randomisation(a, b, 300)


def test_posts_are_drawn_within_their_world() -> None:
    """Two worlds in which nothing varies: drawn together, the mix of the two would."""
    easy = np.tile([[[1, 0, 0]]], (1, 30, 1))
    hard = np.tile([[[0, 1, 1]]], (1, 30, 1))

    assert bootstrap_interval([easy, hard], 200) == (0.5, 0.5)
    low, high = bootstrap_interval([np.concatenate([easy, hard], axis=1)], 200)
    assert low < 0.45 < 0.55 < high
    result = stratified_bootstrap([easy, hard], [hard, easy], 200)
    assert (result.difference, result.low, result.high) == (0.0, 0.0, 0.0)


def test_the_interval_of_a_score_holds_the_score_and_narrows_with_posts() -> None:
    few, many = made_up(0.7, 1, posts=50), made_up(0.7, 1, posts=800)
    widths = []
    for one in (few, many):
        low, high = bootstrap_interval([one.counts[None]], 2000)
        assert low < one.micro.f1 < high
        # Found or not with the same chance everywhere: F1 is the share that is found.
        expected = 1.96 * (one.micro.f1 * (1 - one.micro.f1) / len(one.counts)) ** 0.5
        assert high - low == pytest.approx(2 * expected, rel=0.1)
        widths.append(high - low)
    assert widths[0] > 3 * widths[1]


def test_markdown_names_everything_that_a_figure_depends_on(rows: list[Row]) -> None:
    text = markdown(rows, FACTS)

    assert "tiny_data, test: 120 entities in 120 posts in 2 worlds" in text
    for told in (
        "Twitter-2015, original labels",
        "lenient spans",
        "1, 2",
        "world 31, world 32",
        "bert & co",
        "aaaaaaaaaaaa",
        "store of the other task: bbbbbbbbbbbb",
        "not corrected for their number",
        "ramie 0.1.0 at abc",
    ):
        assert told in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert f"{mean(rows[2].f1):.2f} ± {rows[2].spread:.2f}" in text
    assert "(n = 120)" in lines[2]
    assert "CONTAMINATED" not in text


def test_a_contaminated_protocol_is_marked_in_every_form(rows: list[Row]) -> None:
    marked = replace(FACTS, contaminated="objects are counted")
    for form in (markdown, latex, csv_text):
        assert "CONTAMINATED" in form(rows, marked)
        assert "objects are counted" in form(rows, marked)


def test_latex_is_escaped_and_of_equal_width(rows: list[Row]) -> None:
    text = latex(rows, FACTS)

    assert r"text\_only" in text
    assert r"bert \& co" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    assert text.count(r"\midrule") == 2
    body = [line for line in text.splitlines() if line.endswith(r"\\") and "&" in line]
    assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {12}
    assert not re.search(r"(?<!\\)[%_#]", text)


def test_csv_has_a_line_per_row_with_unrounded_figures(rows: list[Row]) -> None:
    lines = list(csv.DictReader(io.StringIO(csv_text(rows, FACTS))))

    assert [line["system"] for line in lines] == [row.system.name for row in rows]
    assert float(lines[2]["f1_mean"]) == mean(rows[2].f1)
    assert rows[2].against_best is not None
    assert float(lines[2]["best_difference"]) == 100 * rows[2].against_best.bootstrap.difference
    assert lines[0]["first_difference"] == ""
    assert {line["protocol"].split(",")[0] for line in lines} == {"Twitter-2015"}


def test_relations_have_accuracy_in_the_place_of_strict_spans() -> None:
    runs = {("", 1): made_up(0.5, task="relations")}
    row = Row(BASE, "", runs, (0, 1), None, None)
    text = markdown([row], replace(FACTS, task="mre"))

    assert "accuracy" in text
    assert "strict F1" not in text
    assert json.loads(json.dumps(row.to_json()))["accuracy"] == pytest.approx(row.accuracy)


def test_curves_are_read_and_nonsense_is_refused(tmp_path: Path, rows: list[Row]) -> None:
    path = tmp_path / "curves.json"
    path.write_text('{"with curation": {"0": 90.5, "0.2": 88}}')
    assert dict(noise_curves(path)["with curation"].points) == {0: [90.5], 20: [88]}
    path.write_text("[1]")
    with pytest.raises(InputError, match="bench evidence --only robustness"):
        noise_curves(path)

    assert share_curves(rows) == {}
    low = Row(System("synthesis", share=0.05), "5 %", runs_of(BEST), (0, 1), None, None)
    assert list(share_curves([rows[2], low])["synthesis"].points) == [5, 100]


def test_the_folder_that_is_named_for_curves_is_that_of_the_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []
    monkeypatch.setattr(robustness, "bench_robustness", lambda seed, work: folders.append(work))
    PARTS["robustness"]([21], tmp_path)
    (folder,) = folders

    with pytest.raises(InputError) as refused:
        noise_curves(tmp_path / "none.json")
    assert f"DIR/{folder.name.replace('21', 'SEED')}/curves.json" in str(refused.value)


def test_f1_by_evidence_is_that_of_the_posts_with_so_much(tmp_path: Path) -> None:
    """The bins are 0, 1 to 2, 3 to 5 and so on: 2 and 3, or 20 and 21, are not in one."""
    held = {"a": 0, "b": 2, "c": 3, "d": 20, "e": 21, "f": 40}
    posts = [
        stored(
            name,
            "velora sings",
            kept=[evidence("sentence", "text", rank, f"text {rank}") for rank in range(count)],
            split="test",
        )
        for name, count in held.items()
    ]
    with StoreWriter(tmp_path / "store", identity={}, num_shards=1) as writer:
        writer.write_shard(0, posts, {}, [], [])
        writer.close({})
    counts = {
        1: [[1, 0, 0], [2, 1, 1], [0, 1, 1], [1, 1, 2], [1, 0, 0], [1, 1, 1]],
        2: [[0, 0, 1], [3, 1, 0], [1, 0, 0], [3, 0, 0], [0, 1, 1], [2, 0, 0]],
    }
    runs = {
        ("", seed): replace(made_up(1), counts=np.array(each), example_ids=tuple(held))
        for seed, each in counts.items()
    }
    recipe = tiny_recipe(tmp_path)
    place = place_of("", recipe, tmp_path / "store", tmp_path)
    grid = Grid(recipe, (), (place,), (1, 2), tmp_path)

    (curve,) = f1_by_evidence(grid, [Row(BEST, "", runs, (0, 1), None, None)]).values()

    # F1 = 2 tp / (2 tp + fp + fn); n = tp + fn.
    assert list(curve.labels.values()) == [
        "0\n(n=1)",
        "1 to 2\n(n=3)",
        "3 to 5\n(n=1)",
        "11 to 20\n(n=3)",
        "21 or more\n(n=3)",
    ]
    assert list(curve.points.values()) == [
        [100, 0],
        [pytest.approx(100 * 4 / 6), pytest.approx(100 * 6 / 7)],
        [0, 100],
        [pytest.approx(100 * 2 / 5), 100],
        [pytest.approx(100 * 4 / 6), pytest.approx(100 * 4 / 6)],
    ]


def test_what_is_annotated_is_counted_once_in_each_world_and_not_for_each_run(
    tmp_path: Path,
) -> None:
    with StoreWriter(tmp_path / "store", identity={}, num_shards=1) as writer:
        posts = [stored(f"p{number}", "velora", split="test") for number in range(60)]
        writer.write_shard(0, posts, {}, [], [])
        writer.close({})
    recipe = tiny_recipe(tmp_path)
    places = [place_of(name, recipe, tmp_path / "store", tmp_path) for name in "ab"]
    grid = Grid(recipe, (), tuple(places), (1, 2), tmp_path)
    full = {(world, seed): made_up(0.5, seed) for world in "ab" for seed in (1, 2)}
    holes = {("a", 1): made_up(0.7, 3)}
    rows = [Row(one, "", of, (0, 1), None, None) for one, of in ((BASE, full), (BEST, holes))]

    for curve in f1_by_evidence(grid, rows).values():
        assert list(curve.labels.values()) == ["0\n(n=120)"]


def test_figures_are_drawn_without_a_warning_and_alike(tmp_path: Path, rows: list[Row]) -> None:
    pytest.importorskip("matplotlib")
    from pipelines.comparing.plots import FORMATS, draw

    curves = {"with & <without>": Curve({0: [90.5, 91], 20: [88, 86]}, {0: "none", 20: "some"})}
    named = [replace(row, block="all of them") for row in rows[:3]]
    files = [
        draw(named, {"f1-by-noise": curves}, FACTS, tmp_path / name) for name in ("one", "two")
    ]

    names = {path.name for path in files[0]}
    assert names == {
        f"{name}.{kind}" for name in ("f1-by-type", "f1-by-noise") for kind in FORMATS
    }
    for one, two in zip(*files, strict=True):
        assert one.read_bytes() == two.read_bytes()
        if one.suffix == ".svg":
            ET.parse(one)
            # Other figures are of the first block alone, which they name.
            assert ("all of them" in one.read_text()) == (one.stem == "f1-by-type")
        else:
            assert one.read_bytes().startswith(b"\x89PNG")


def test_every_figure_says_what_it_is_of_and_whether_to_believe_it(
    tmp_path: Path, rows: list[Row]
) -> None:
    """A figure is passed on without its table."""
    pytest.importorskip("matplotlib")
    from pipelines.comparing.plots import draw

    line = {"synthesis": Curve({1: [90.5]})}
    of_these = ("f1-by-type", "dev-f1-by-epoch", "loss-by-epoch", "f1-by-evidence", "f1-by-share")
    curves = {name: line for name in (*of_these[1:], "f1-by-noise")}
    marked = replace(FACTS, contaminated="objects are counted", protocol="MNRE\nlegacy-objects")

    for facts, told in ((FACTS, FACTS.protocol), (marked, "MNRE legacy-objects, CONTAMINATED")):
        files = draw(rows[:3], curves, facts, tmp_path / told)
        texts = {path.stem: path.read_text() for path in files if path.suffix == ".svg"}
        assert texts.keys() == {*of_these, "f1-by-noise"}
        for name in of_these:
            assert f"tiny_data, {told}" in texts[name]
        assert "CONTAMINATED" in told or "CONTAMINATED" not in "".join(texts.values())
        # Its worlds are none of the table's.
        assert "tiny_data" not in texts["f1-by-noise"]
        assert "made-up worlds" in texts["f1-by-noise"]
        assert "(n=120)" in texts["f1-by-type"]


def test_a_type_is_counted_over_the_worlds_where_it_is_annotated() -> None:
    there, never = made_up(0.9, 1), made_up(0.9, 2)
    runs = {
        ("a", 1): replace(there, by_type={"PER": Counts(3, 1, 1), "LOC": Counts(0, 2, 0)}),
        ("a", 2): replace(there, by_type={"PER": Counts(4, 0, 0)}),
        ("b", 1): replace(never, by_type={"MISC": Counts(1, 0, 1)}),
    }

    found = Row(BASE, "", runs, (0, 1), None, None).f1_by_type()

    # LOC is predicted and never annotated.
    assert {name: one.support for name, one in found.items()} == {"MISC": 2, "PER": 4}
    assert found["MISC"].f1 == pytest.approx(100 * 2 / 3)
    assert found["PER"].f1 == pytest.approx(100 * (6 / 8 + 1) / 2)
