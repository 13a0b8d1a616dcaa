"""``ramie discover``: its table, its files, taking them up again, and what it refuses."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from discovery_helpers import store_of, told_by_words
from model_helpers import MemoryStore, tiny_encoder

from cache.errors import InputError
from cache.records import Example, StoredExample
from model.fusion import SYSTEMS
from pipelines.cli import main
from pipelines.config import Recipe, load_recipe
from pipelines.discovery import discover
from pipelines.discovery_cells import Cell, cells_of, decided, network_of
from pipelines.discovery_table import table

FAST = (
    "train.batch_size=6",
    "train.precision=float32",
    "model.max_pieces=24",
    "model.max_evidence_pieces=16",
    "model.heads=2",
    "discover.clusters=3",
    "discover.selfore={loops=1, epochs=1, hidden=8, latent=2, warm_epochs=2, refine_epochs=2}",
    "discover.hiure={epochs=2, layers=[4, 2]}",
    "discover.metasre={increments=1, warm_steps=2, steps=2, meta_steps=1}",
)


def recipe(*overrides: str) -> Recipe:
    fast = [*FAST, f"model.text_encoder={tiny_encoder()}", *overrides]
    return load_recipe("sample-relations", fast)


def small_posts(offset: int = 0) -> list[StoredExample]:
    return [
        *told_by_words(12, "train", offset),
        *told_by_words(4, "dev", offset + 12),
        *told_by_words(6, "test", offset + 16),
    ]


def small_store(offset: int = 0) -> MemoryStore:
    return store_of(small_posts(offset))


def plain(example: Example) -> Example:
    """Return a post that nobody annotated."""
    return Example(example.post, example.split)


def run(out: Path, cells: list[Cell], store: MemoryStore | None = None) -> list[dict[str, Any]]:
    return discover(recipe(), store or small_store(), out, cells, say=lambda text: None)


def test_every_method_comes_with_the_baselines_that_it_is_measured_against() -> None:
    rows = [
        (cell.method, cell.share)
        for cell in cells_of(["selfore", "metasre"], ["on"], [0.05, 0.3], [1])
    ]

    assert rows == [
        ("k-means", 0.0),
        ("selfore", 0.0),
        ("supervised", 0.05),
        ("metasre", 0.05),
        ("supervised", 0.3),
        ("metasre", 0.3),
        ("supervised", 1.0),
    ]


def test_methods_run_with_evidence_and_without_and_fill_both_tables(tmp_path: Path) -> None:
    cells = cells_of(["selfore", "hiure", "metasre"], ["off", "on"], [0.5], [1])

    results = run(tmp_path, cells)

    assert [(r["method"], r["evidence"]) for r in results] == [
        (cell.method, cell.evidence) for cell in cells
    ]
    assert {r["fusion"] for r in results if r["evidence"] == "off"} == {"text_only"}
    assert {r["fusion"] for r in results if r["evidence"] == "on"} == {"synthesis"}
    for result in results:
        if "all" in result:
            assert result["all"]["posts"] == len(result["clusters"]) == 6
        else:
            assert 0 <= result["f1"] <= 1
    written = (tmp_path / "discover.md").read_text()
    assert written == table(results) + "\n"
    assert "| selfore | on |" in written
    assert "| metasre | off |" in written
    assert json.loads((tmp_path / "discover.json").read_text())["cells"] == results


def test_finished_cells_are_taken_as_they_are_and_missing_ones_made(tmp_path: Path) -> None:
    cells = cells_of(["selfore"], ["off"], [], [1])
    first = run(tmp_path, cells)
    path = tmp_path / "cells" / f"{cells[0].name}.json"
    before = path.stat().st_mtime_ns
    (tmp_path / "cells" / f"{cells[1].name}.json").unlink()

    again = run(tmp_path, cells)

    assert path.stat().st_mtime_ns == before
    assert again[0] == first[0]
    assert {**again[1], "seconds": 0} == {**first[1], "seconds": 0}


def test_cells_of_another_store_or_of_other_settings_are_refused(tmp_path: Path) -> None:
    cells = cells_of(["selfore"], ["off"], [], [1])[:1]
    run(tmp_path, cells)
    other = recipe("discover.clusters=4")

    with pytest.raises(InputError, match=r"other settings: discover\.clusters 3 -> 4 \(there"):
        discover(other, small_store(), tmp_path, cells, say=lambda text: None)


def test_what_discovering_never_reads_decides_no_cell(tmp_path: Path) -> None:
    """Nor does the place where the encoder's files lie."""
    cell = Cell("selfore", "on", 0.0, 1)
    elsewhere = shutil.copytree(tiny_encoder(), tmp_path / "elsewhere")
    other = recipe("train.epochs=9", "train.evaluate_every=3", f"model.text_encoder={elsewhere}")

    cpu = torch.device("cpu")
    assert decided(other, small_store(), cell, cpu) == decided(recipe(), small_store(), cell, cpu)


def test_a_cell_of_another_precision_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``auto`` is another precision on another machine."""
    cells = cells_of(["selfore"], ["off"], [], [1])[:1]
    auto = recipe("train.precision=auto")
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: False)
    discover(auto, small_store(), tmp_path, cells, say=lambda text: None)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: True)

    with pytest.raises(InputError, match=r"precision.*float32.*bfloat16"):
        discover(auto, small_store(), tmp_path, cells, say=lambda text: None)


def test_posts_without_annotations_are_clustered_and_dev_is_not_needed(tmp_path: Path) -> None:
    posts = [
        post if post.example.split == "test" else replace(post, example=plain(post.example))
        for post in small_posts()
        if post.example.split != "dev"
    ]
    cells = cells_of(["selfore"], ["off"], [], [1])

    results = run(tmp_path, cells, store_of(posts))

    assert [result["all"]["posts"] for result in results] == [6, 6]


def test_a_test_that_cannot_be_scored_is_found_out_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = [replace(post, example=plain(post.example)) for post in small_posts()]
    monkeypatch.setattr("pipelines.discovery._find", lambda *_: pytest.fail("it was trained"))

    with pytest.raises(InputError, match="is not annotated with a relation"):
        run(tmp_path, cells_of(["selfore"], ["off"], [], [1]), store_of(posts))


@pytest.mark.parametrize("fusion", sorted(SYSTEMS))
def test_a_row_with_evidence_is_of_a_system_that_reads_evidence(fusion: str) -> None:
    named = recipe(f"model.fusion={fusion}")

    shown, blind = (
        network_of(named, Cell("selfore", "on" if on else "off", 0.0, 1)).fusion
        for on in (True, False)
    )

    reads = fusion in ("synthesis", "more")
    assert shown == (fusion if reads else "synthesis")
    assert blind == "text_only"


def test_a_recipe_for_both_tasks_is_read_by_its_fusion(tmp_path: Path) -> None:
    cells = cells_of(["selfore"], ["on"], [], [1])[:1]
    both = recipe("model.fusion=joint")

    (result,) = discover(both, small_store(), tmp_path, cells, say=lambda text: None)

    assert result["fusion"] == "synthesis"


def test_related_posts_are_those_with_a_relation_whatever_none_is_called(tmp_path: Path) -> None:
    posts = small_posts()
    none = [replace(post, example=replace(post.example, relation="NA")) for post in posts[::2]]
    cells = cells_of(["selfore"], ["off"], [], [1])[:1]

    (result,) = run(tmp_path, cells, store_of([*none, *posts[1::2]]))

    assert (result["all"]["posts"], result["related"]["posts"]) == (6, 3)


@pytest.mark.parametrize(
    "setting",
    [
        "layer_decay=0.9",
        "rates={head=0.1}",
        "evidence=others",
        "mismatch=0.3",
        "consistency_weight=0.5",
        "share=0.5",
        "accumulate=2",
        "checkpointing=true",
        "compile=true",
    ],
)
def test_what_discovering_does_not_do_is_refused_before_anything_is_computed(
    tmp_path: Path, setting: str
) -> None:
    cells = cells_of(["selfore"], ["off"], [], [1])
    name = setting.split("=")[0]

    with pytest.raises(InputError, match=rf"not for discovering: train\.{name}\. Leave it out"):
        discover(recipe(f"train.{setting}"), small_store(), tmp_path, cells, say=print)

    assert not (tmp_path / "cells").exists()


def test_settings_of_one_method_leave_the_cells_of_another_alone(tmp_path: Path) -> None:
    cells = cells_of(["selfore"], ["off"], [], [1])[:1]
    first = run(tmp_path, cells)
    other = recipe("discover.hiure.epochs=1")

    assert discover(other, small_store(), tmp_path, cells, say=lambda text: None) == first


def test_a_damaged_cell_says_so(tmp_path: Path) -> None:
    cells = cells_of(["selfore"], ["off"], [], [1])[:1]
    (first,) = run(tmp_path, cells)
    path = tmp_path / "cells" / f"{cells[0].name}.json"
    damaged = [
        "{",
        "[" * 100_000,
        "[]",
        json.dumps({"decided": first["decided"], "all": {}}),
        json.dumps({**first, "decided": "<script>"}),
        json.dumps({name: value for name, value in first.items() if name != "seconds"}),
        json.dumps({**first, "all": {**first["all"], "ari": math.nan}}),
        json.dumps({**first, "all": {**first["all"], "ari": "<script>"}}),
    ]

    for text in damaged:
        path.write_text(text)
        with pytest.raises(InputError, match="is damaged"):
            run(tmp_path, cells)


def test_spread_over_seeds_is_in_the_table() -> None:
    results = [
        {
            "method": method,
            "evidence": "on",
            "share": 0.05,
            "labelled": 12,
            "commit": "abc",
            "seed": seed,
            "f1": f1,
        }
        for method, seed, f1 in (("metasre", 1, 0.5), ("metasre", 2, 0.6), ("supervised", 1, 0.4))
    ]

    text = table(results)

    assert "| few labels | evidence | 5 % (12) |" in text
    assert "| metasre | on | 55.0 ± 7.1 |" in text
    assert "| supervised (seeds 1) | on | 40.0 |" in text
    assert text.endswith("seeds 1, 2; commit abc.")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["sample", "--method", "selfore"], 1, "is about entities"),
        (["sample-relations", "--method", "self-ore"], 1, "no method is called 'self-ore'"),
        (["sample-relations", "--labels", "five"], 2, "no list of numbers"),
        (["sample-relations", "--labels", "100"], 1, "between 0 and 100"),
        (["sample-relations", "--evidence", "some"], 1, "'some'"),
        (["sample-relations", "--seeds", "0"], 1, "at least one"),
        (["sample-relations", "--set", "discover.cluster=4"], 2, "did you mean 'clusters'?"),
    ],
)
def test_a_wrong_call_is_told_what_to_do(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["discover", *arguments]) == code
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "methods", "evidence"),
    [
        ("sample-relations-world-41", ["selfore", "hiure", "metasre"], ["off", "on"]),
        ("mnre-text", ["selfore"], ["off"]),
    ],
)
def test_a_kept_discovery_is_the_table_of_its_cells(
    folder: str, methods: list[Any], evidence: list[Any]
) -> None:
    kept = Path(__file__).parents[1] / "docs" / "discoveries" / folder
    cells = cells_of(methods, evidence, [0.05, 0.1, 0.3], [1])
    results = [json.loads((kept / "cells" / f"{c.name}.json").read_text()) for c in cells]

    assert (kept / "discover.md").read_text() == table(results) + "\n"
    assert table(results).replace(" | ", "|") in (
        (kept.parents[1] / "discovering.md").read_text().replace(" | ", "|")
    )
