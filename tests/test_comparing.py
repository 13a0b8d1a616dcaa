"""The grid of a comparison, on a store and networks so small that a run takes a second."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from comparing_helpers import tiny_grid, tiny_recipe, write_posts

from cache import open_store
from cache.errors import InputError, StoreMismatch
from cache.manifest import read_manifest
from model.run import (
    CHECKPOINT,
    METRICS,
    SecondTask,
    read_run,
    read_tensors,
    write_run,
    write_tensors,
)
from model.scoring.evaluation import evaluate
from model.training import train
from pipelines.bench import robustness
from pipelines.building import build_recipe
from pipelines.comparing import scored as scoring
from pipelines.comparing.compare import Grid, compare
from pipelines.comparing.curves import learning_curves
from pipelines.comparing.jobs import Job, is_finished
from pipelines.comparing.keep import keep
from pipelines.comparing.protocol import stated_by
from pipelines.comparing.scored import kept_score
from pipelines.comparing.systems import ABLATIONS, System, blocks_of, systems_in
from pipelines.comparing.workers import LOG, Failure, do_jobs, environment
from pipelines.config import Recipe
from pipelines.runs import store_of_run, write_recipe


def silent(said: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return tiny_recipe(write_posts(tmp_path_factory.mktemp("comparing") / "data"))


@pytest.fixture(scope="module")
def store(recipe: Recipe) -> Path:
    folder = recipe.dataset.root.parent / "store"
    build_recipe(recipe, folder, say=silent)
    return folder


@pytest.fixture(scope="module")
def finished(recipe: Recipe, store: Path) -> Path:
    """Return a folder with two systems and two seeds."""
    out = store.parent / "finished"
    compare(tiny_grid(recipe, store, out, seeds=(1, 2)), say=silent)
    return out


def test_a_table_is_made_again_without_training_or_testing(
    recipe: Recipe, store: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path: path.read_bytes() for path in sorted(finished.glob("compare.*"))}
    assert {path.suffix for path in before} == {".json", ".md", ".csv", ".tex"}
    monkeypatch.setattr(scoring, "evaluate", None)
    monkeypatch.setattr("pipelines.comparing.jobs.train", None)

    said: list[str] = []
    compare(tiny_grid(recipe, store, finished, seeds=(1, 2)), say=said.append)

    assert said == []
    assert {path: path.read_bytes() for path in before} == before


def test_a_kept_test_is_the_test(recipe: Recipe, store: Path, finished: Path) -> None:
    run = finished / "synthesis-seed1"
    fingerprint = read_manifest(store).fingerprint

    kept = kept_score(run, fingerprint, "test", "own")
    again = evaluate(run, store, "test", "own")

    assert kept is not None
    assert kept.counts.tolist() == again.counts.tolist()
    assert kept.example_ids == again.example_ids
    assert (kept.micro.tp, kept.micro.fp, kept.micro.fn) == tuple(kept.counts.sum(0).tolist())


def test_what_is_kept_makes_the_same_table_without_weights_or_places(
    recipe: Recipe, store: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = tiny_grid(recipe, store, finished, seeds=(1, 2))
    done = compare(grid, say=silent)
    kept = tmp_path / "kept"

    assert keep(done, grid, kept) == 4
    files = [path for path in kept.rglob("*") if path.is_file()]
    assert all(path.suffix in (".json", ".jsonl", ".md") for path in files)
    place = str(Path(recipe.model.text_encoder).parent).encode()
    # No places, and nothing of how sure a run was: a temperature may be fitted afterwards.
    for word in (place, b"calibrat", b"temperature"):
        assert not [path for path in files if word in path.read_bytes()]

    monkeypatch.setattr(scoring, "evaluate", None)
    monkeypatch.setattr("pipelines.comparing.jobs.train", None)
    again = compare(tiny_grid(recipe, store, kept, seeds=(1, 2)), say=silent)
    assert again.table() == done.table()
    curves = learning_curves(tiny_grid(recipe, store, kept, seeds=(1, 2)), again.rows)
    assert curves["dev-f1-by-epoch"].keys() == {"text_only", "synthesis"}
    assert curves == learning_curves(grid, done.rows)


def test_curves_hold_every_epoch_of_every_run(
    recipe: Recipe, store: Path, finished: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    noted: dict[str, list[dict[str, float]]] = {}
    for seed in (1, 2):
        with (out / f"synthesis-seed{seed}" / METRICS).open("a") as file:
            file.write(json.dumps({"epoch": 2, "dev_f1": seed / 4, "train_loss": seed}) + "\n")
            file.write('{"epoch": 3, "dev_f1"')  # it was killed here
    for run in ("text_only-seed1", "text_only-seed2"):
        lines = (out / run / METRICS).read_text().splitlines()
        noted[run] = [json.loads(line) for line in lines]
    grid = tiny_grid(recipe, store, out, seeds=(1, 2))

    curves = learning_curves(grid, compare(grid, only_finished=True, say=silent).rows)

    f1, loss = curves["dev-f1-by-epoch"], curves["loss-by-epoch"]
    assert [list(curve.points) for curve in (*f1.values(), *loss.values())] == 2 * [[1], [1, 2]]
    assert (f1["synthesis"].points[2], loss["synthesis"].points[2]) == ([25, 50], [1, 2])
    ((one,), (two,)) = noted.values()
    assert f1["text_only"].points[1] == [100 * one["dev_f1"], 100 * two["dev_f1"]]
    assert loss["text_only"].points[1] == [one["train_loss"], two["train_loss"]]


def test_what_the_bench_of_noise_writes_is_drawn_beside_the_curves(
    recipe: Recipe, store: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    from pipelines.comparing.plots import FORMATS, write_plots

    bench = tmp_path / "robustness-1"
    bench.mkdir()
    for name, made in {"generate_world": None, "_take_over": None, "_f1": 90.5}.items():
        monkeypatch.setattr(robustness, name, lambda *_, made=made: made)
    robustness.bench_robustness(1, bench, shares=(0.0, 0.2))
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    grid = tiny_grid(recipe, store, out, seeds=(1, 2))
    done = compare(grid, only_finished=True, say=silent)

    files = {path.name: path for path in write_plots(done, grid, bench / "curves.json")}

    figures = ("f1-by-type", "dev-f1-by-epoch", "loss-by-epoch", "f1-by-evidence", "f1-by-noise")
    assert files.keys() == {f"{figure}.{kind}" for figure in figures for kind in FORMATS}
    assert {path.parent for path in files.values()} == {out / "plots"}
    noise = files["f1-by-noise.svg"].read_text()
    for told in ("with curation", "without", "% noise in the knowledge base"):
        assert f"<!-- {told} -->" in noise


def test_another_run_is_never_kept_over_one_that_is_there(
    recipe: Recipe, store: Path, finished: Path, tmp_path: Path
) -> None:
    grid = tiny_grid(recipe, store, finished, seeds=(1, 2))
    done = compare(grid, say=silent)
    kept = tmp_path / "kept"
    keep(done, grid, kept)
    longer = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 9})})
    for run in kept.glob("*-seed*"):
        there = read_run(run)
        write_run(run, there.model_copy(update={"train": longer.train}))
    before = {path: path.read_bytes() for path in kept.rglob("*") if path.is_file()}

    with pytest.raises(InputError, match=r"another run: train\.epochs"):
        keep(done, grid, kept)
    shutil.copytree(finished, tmp_path / "trained")
    with pytest.raises(InputError, match="is a run with its weights"):
        keep(done, grid, tmp_path / "trained")
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("change", ["store", "split", "evidence", "run", "cut"])
def test_a_kept_test_of_something_else_is_none(
    change: str, store: Path, finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished / "text_only-seed1", run)
    fingerprint = read_manifest(store).fingerprint
    assert kept_score(run, fingerprint, "test", "own") is not None
    score = run / scoring.FOLDER / "test-own.json"
    if change == "run":
        with (run / "run.json").open("a") as file:
            file.write(" ")
    elif change == "cut":
        score.write_bytes(score.read_bytes()[:-20])
    elif change in ("split", "evidence"):
        score.rename(score.with_name("dev-own.json" if change == "split" else "test-others.json"))

    asked = (
        "0" * 64 if change == "store" else fingerprint,
        "dev" if change == "split" else "test",
    )
    assert kept_score(run, *asked, "others" if change == "evidence" else "own") is None


def test_one_run_that_fails_costs_no_other(recipe: Recipe, store: Path, tmp_path: Path) -> None:
    grid = tiny_grid(recipe, store, tmp_path, ("text_only", "hvpnet", "synthesis"))

    done = compare(grid, say=silent)

    assert [row.system.fusion for row in done.rows] == ["text_only", "synthesis"]
    (failure,) = done.failures
    assert "observe.features" in failure.reason  # what it reads is not in the store
    assert done.facts.missing == 1
    written = json.loads((tmp_path / "compare.json").read_text())
    assert written["failures"][0]["run"] == "hvpnet-seed1"


def test_where_every_run_fails_the_reason_is_said(
    recipe: Recipe, store: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"every run failed.*hvpnet"):
        compare(tiny_grid(recipe, store, tmp_path, ("hvpnet",)), say=silent)


@pytest.mark.slow
def test_runs_side_by_side_are_those_made_one_by_one(
    recipe: Recipe, store: Path, finished: Path, tmp_path: Path
) -> None:
    """With one thread here, too; a failing one has a log of its own."""
    fusions = ("text_only", "hvpnet", "synthesis")
    done = compare(tiny_grid(recipe, store, tmp_path, fusions), workers=2, say=silent)

    (failure,) = done.failures
    assert failure.log == tmp_path / "hvpnet-seed1" / LOG
    assert failure.log.read_text().strip().endswith(failure.reason)
    for name in ("text_only-seed1", "synthesis-seed1"):
        here, there = (
            json.loads((folder / name / scoring.FOLDER / "test-own.json").read_text())
            for folder in (tmp_path, finished)
        )
        assert here["counts"] == there["counts"]


def test_a_table_of_what_is_finished_trains_nothing(
    recipe: Recipe, store: Path, finished: Path
) -> None:
    grid = tiny_grid(recipe, store, finished, seeds=(1, 2, 3))

    done = compare(grid, only_finished=True, say=silent)

    assert [len(row.f1) for row in done.rows] == [2, 2]
    assert done.facts.missing == 2
    assert not (finished / "text_only-seed3").exists()


def test_a_run_without_one_of_its_tests_is_missing(
    recipe: Recipe, store: Path, finished: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "out"))
    grid = tiny_grid(recipe, store, out, seeds=(1, 2), controls="all")

    done = compare(grid, only_finished=True, say=silent)

    # Both seeds of `synthesis` were never shown others' evidence, or trained on it.
    assert done.facts.missing == 4
    assert "without --finished" in done.to_text()


def test_a_worker_that_cannot_be_started_costs_no_other(
    recipe: Recipe, store: Path, tmp_path: Path
) -> None:
    grid = tiny_grid(recipe, store, tmp_path, fusions=("text_only",), seeds=(1, 2))
    (tmp_path / "text_only-seed1").write_text("a file where a folder should be")
    ended: dict[str, Failure | None] = {}

    do_jobs(grid.jobs(), 2, lambda job, failure: ended.update({job.run.name: failure}))

    assert "exists" in str(ended["text_only-seed1"])
    assert ended["text_only-seed2"] is None


VISIBLE = "CUDA_VISIBLE_DEVICES"


@pytest.mark.parametrize(
    ("gpus", "named", "given"),
    [
        (0, None, [None, None, None]),
        (1, None, [None, None, None]),
        (1, "3", ["3", "3", "3"]),
        (2, None, ["0", "1", "0"]),
        (2, "5,GPU-1f2e", ["5", "GPU-1f2e", "5"]),
        # What stands behind a name that is none is not there, says CUDA.
        (2, "5,4,-1,3", ["5", "4", "5"]),
    ],
)
def test_workers_are_dealt_the_gpus_in_turn(
    gpus: int, named: str | None, given: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.delenv(VISIBLE, raising=False)
    if named is not None:
        monkeypatch.setenv(VISIBLE, named)

    told = [environment(slot) for slot in range(3)]

    assert [one.get(VISIBLE) for one in told] == given
    assert {one["OMP_NUM_THREADS"] for one in told} == {"1"}


def test_workers_side_by_side_have_different_gpus_and_leave_them_to_the_next(
    recipe: Recipe, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv(VISIBLE, raising=False)
    start, given = subprocess.Popen, list[str]()

    def started(command: list[str], *, env: dict[str, str], **options: Any) -> Any:
        given.append(env[VISIBLE])
        # The first lasts until the others, which have the other one, are through.
        code = "import sys; sys.stdin.read()" if len(given) == 1 else ""
        return start([sys.executable, "-c", code], env=env, **options)

    monkeypatch.setattr(subprocess, "Popen", started)
    jobs = tiny_grid(recipe, store, tmp_path, fusions=("text_only",), seeds=(1, 2, 3)).jobs()
    ended: list[str] = []

    def done(job: Job, failure: Failure | None) -> None:
        ended.append(job.name)
        if len(ended) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do_jobs(jobs, 2, done)

    assert given == ["0", "1", "1"]


def test_a_folder_with_another_training_is_refused(
    recipe: Recipe, store: Path, finished: Path
) -> None:
    longer = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 2})})

    with pytest.raises(InputError, match=r"another run: train\.epochs differ"):
        compare(tiny_grid(longer, store, finished), say=silent)


def test_an_encoder_in_another_folder_is_the_same_one(
    recipe: Recipe, store: Path, finished: Path, tmp_path: Path
) -> None:
    """Runs are trained on several machines and brought together."""
    moved = tmp_path / Path(recipe.model.text_encoder).parent.name
    model = recipe.model.model_copy(
        update={"text_encoder": str(moved / Path(recipe.model.text_encoder).name)}
    )
    grid = tiny_grid(recipe.model_copy(update={"model": model}), store, finished)

    assert all(is_finished(job) for job in grid.jobs())


def test_an_encoder_is_known_by_what_it_holds(
    recipe: Recipe, store: Path, finished: Path, tmp_path: Path
) -> None:
    """Checkpoints of different trainings often lie under one name."""
    assert read_run(finished / "text_only-seed1").encoder
    there = Path(recipe.model.text_encoder)
    moved = shutil.copytree(there, tmp_path / "of another name")
    trained = shutil.copytree(there, tmp_path / there.parent.name / there.name)
    tensors, _ = read_tensors(trained / "model.safetensors")
    (trained / "model.safetensors").unlink()
    write_tensors(trained / "model.safetensors", {name: 2 * t for name, t in tensors.items()})

    def grid(encoder: Path) -> Grid:
        model = recipe.model.model_copy(update={"text_encoder": str(encoder)})
        changed = recipe.model_copy(update={"model": model})
        return tiny_grid(changed, store, finished, ("text_only",))

    assert all(is_finished(job) for job in grid(moved).jobs())
    with pytest.raises(InputError, match=r"another run: model\.text_encoder differ"):
        compare(grid(trained), say=silent)


def test_a_run_whose_store_is_another_by_now_says_so(
    store: Path, finished: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(finished / "text_only-seed1", tmp_path / "run")
    assert store_of_run(run) == store
    write_run(run, read_run(run).model_copy(update={"store": "0" * 64}))

    with pytest.raises(StoreMismatch, match=r"fingerprint 000000000000, but .* has .*--store"):
        store_of_run(run)


def test_what_only_changes_the_cost_is_no_other_run(
    recipe: Recipe, store: Path, finished: Path
) -> None:
    train = recipe.train.model_copy(update={"accumulate": 2, "checkpointing": True})
    grid = tiny_grid(recipe.model_copy(update={"train": train}), store, finished)

    assert all(is_finished(job) for job in grid.jobs())


def test_a_run_that_breaks_costs_no_other_and_leaves_its_trace(
    recipe: Recipe, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.comparing import jobs

    def breaking(*args: Any, **options: Any) -> Any:
        if args[2].fusion == "synthesis":
            raise ValueError("a fault of ours")
        return train(*args, **options)

    monkeypatch.setattr(jobs, "train", breaking)
    done = compare(tiny_grid(recipe, store, tmp_path, ("synthesis", "text_only")), say=silent)

    assert [row.system.fusion for row in done.rows] == ["text_only"]
    (failure,) = done.failures
    assert failure.reason == "ValueError: a fault of ours"
    assert failure.log is not None
    assert "breaking" in failure.log.read_text()
    assert "- missing runs: 1" in done.table()


def test_the_copy_without_filters_is_curated_as_the_store_was(
    recipe: Recipe, tmp_path: Path
) -> None:
    """A recipe may say something else by now."""
    store = tmp_path / "store"
    build_recipe(recipe, store, say=silent)
    curate = recipe.curate.model_copy(update={"keep_per_stream": 1})
    changed = recipe.model_copy(update={"curate": curate})

    (place,) = tiny_grid(changed, store, tmp_path, ("synthesis",), ablate=("filters",)).places

    assert place.unfiltered is not None
    settings: Any = read_manifest(place.unfiltered).identity["settings"]
    assert settings["curate"]["keep_per_stream"] == recipe.curate.keep_per_stream
    assert settings["curate"]["noise"]["too_short"] == 0


def test_rows_change_what_they_say(recipe: Recipe) -> None:
    blocks = blocks_of(
        ("text_only", "synthesis"),
        recipe=recipe,
        ablate=ABLATIONS,
        shares=(0.05, 1),
        controls="all",
    )
    systems = systems_in(blocks)
    names = {system.run_name(1) for system in systems}

    # Whose evidence is shown at the test alone makes no run of its own.
    trained = [system for system in systems if system.shown == system.trained_on]
    assert len(names) == len(trained) < len(systems)
    assert "synthesis-without-object-level-share5-seed1" in names
    by_name = {system.run_name(3): system for system in systems}
    model = by_name["synthesis-without-object-level-seed3"].model(recipe.model)
    assert model.levels == ("image", "sentence")
    assert by_name["synthesis-without-text-evidence-seed3"].model(recipe.model).modalities == (
        "image",
    )
    assert not by_name["synthesis-without-consistency-seed3"].model(recipe.model).consistency
    assert by_name["synthesis-without-names-seed3"].model(recipe.model).match_bonus == 0
    assert by_name["synthesis-share5-seed3"].training(recipe.train, 3).share == 0.05
    assert by_name["synthesis-others-seed3"].training(recipe.train, 3).evidence == "others"
    both = by_name["synthesis-without-filters-and-consistency-seed3"]
    assert both.reads_unfiltered
    assert not both.model(recipe.model).consistency
    noisy, _, noisy_others = blocks[-3:]
    for block, shown in ((noisy, "own"), (noisy_others, "others")):
        assert [(system.without, system.shown) for system in block.systems] == [
            ("filters", shown),
            ("filters and consistency", shown),
        ]
    assert noisy_others.systems[0].name == (
        "synthesis without filters, shown the evidence of others at the test"
    )
    whole = System("synthesis")
    assert whole.model(recipe.model) == recipe.model
    assert whole.training(recipe.train, recipe.train.seed) == recipe.train


def test_a_control_of_the_test_alone_trains_nothing(recipe: Recipe) -> None:
    asked: dict[str, Any] = {"recipe": recipe, "ablate": ("consistency",)}
    fusions = ("text_only", "synthesis")

    plain, controlled = (
        systems_in(blocks_of(fusions, **asked, controls=controls)) for controls in ("none", "test")
    )

    assert {system.run_name(1) for system in controlled} == {row.run_name(1) for row in plain}
    more = {(row.fusion, row.without) for row in controlled if row.shown == "others"}
    assert more == {("synthesis", ""), ("synthesis", "consistency")}


def test_only_what_reads_evidence_is_shown_that_of_others_and_loses_parts(recipe: Recipe) -> None:
    """A row of a system that reads none would be the same run under another name."""
    blocks = blocks_of(
        ("text_only", "mega", "more"), recipe=recipe, ablate=("levels",), controls="all"
    )
    changed = {system.fusion for system in systems_in(blocks) if not system.is_whole}

    assert changed == {"more"}


def test_a_system_does_not_lose_what_it_never_had(recipe: Recipe) -> None:
    """It would be the same training twice, and a difference of 0.00 that says nothing."""
    blocks = blocks_of(("text_only", "more"), recipe=recipe, ablate=ABLATIONS)

    lost = {system.without for system in systems_in(blocks)} - {""}
    assert lost == {"image level", "object level", "sentence level", "filters"}
    with pytest.raises(InputError, match=r"mega reads no evidence.*--ablated"):
        blocks_of(("mega",), recipe=recipe, ablate=("levels",), ablated=("mega",))
    with pytest.raises(InputError, match=r"joint reads two stores.*--ablated"):
        blocks_of(("joint",), recipe=recipe, ablate=("filters",))


def test_a_share_stands_in_the_heading_or_nowhere(recipe: Recipe) -> None:
    train = recipe.train.model_copy(update={"share": 0.05})

    with pytest.raises(InputError, match=r"train\.share = 0\.05 .* --share"):
        blocks_of(("text_only",), recipe=recipe.model_copy(update={"train": train}))


def test_a_run_that_learned_from_another_store_of_the_other_task_is_refused(
    recipe: Recipe, store: Path, finished: Path, tmp_path: Path
) -> None:
    model = recipe.model.model_copy(update={"fusion": "joint"})
    joint = recipe.model_copy(update={"model": model, "partner_store": store})
    (job,) = tiny_grid(joint, store, tmp_path, fusions=("joint",)).jobs()
    there = read_run(finished / "text_only-seed1")
    other = SecondTask(task="relations", labels=("None",), store="another")
    write_run(job.run, there.model_copy(update={"model": job.recipe.model, "second": other}))

    with pytest.raises(InputError, match="partner_store differ"):
        is_finished(job)


def test_the_last_level_and_the_last_modality_are_not_taken_away(recipe: Recipe) -> None:
    model = recipe.model.model_copy(update={"levels": ("sentence",), "modalities": ("text",)})
    only = recipe.model_copy(update={"model": model})

    blocks = blocks_of(("synthesis",), recipe=only, ablate=("levels", "modalities"))

    assert [system.without for block in blocks for system in block.systems] == ["", ""]


@pytest.mark.parametrize(
    ("fusions", "rows", "named"),
    [
        ((), {}, "at least one"),
        (("a", "a"), {}, "once"),
        (("a",), {"ablate": ["level"]}, "cannot ablate 'level'; known are levels"),
        (("a",), {"shares": [5]}, "500 % is no share"),
        (("a",), {"shares": [0.0]}, "0 % is no share"),
    ],
)
def test_a_call_that_means_nothing_is_refused(
    fusions: tuple[str, ...], rows: dict[str, list[object]], named: str, recipe: Recipe
) -> None:
    with pytest.raises(InputError, match=named):
        blocks_of(fusions, recipe=recipe, **rows)  # type: ignore[arg-type]


def test_an_ablation_without_filters_reads_a_store_without_them(tmp_path: Path) -> None:
    """What the filters drop is in it, but not what would give the answer away."""
    data = write_posts(tmp_path / "data")
    post, *others = (data / "test.txt").read_text().split("\n\n")
    copy = "".join(f"{line.split()[0]}\tX\n" for line in post.splitlines()[:3])
    noise = "click\tX\nhere\tX\n"
    evidence = f"{post}\n<EOS>\tX\n{noise}<EOS>\tX\n{copy}"
    (data / "test.txt").write_text("\n\n".join([evidence.rstrip(), *others]))
    recipe, store = tiny_recipe(data), tmp_path / "store"
    build_recipe(recipe, store, say=silent)

    grid = tiny_grid(recipe, store, tmp_path / "runs", ("synthesis",), ablate=("filters",))

    (place,) = grid.places
    assert place.unfiltered is not None
    kept = {}
    for name, path in (("with", store), ("without", place.unfiltered)):
        with open_store(path, reader="parquet") as reader:
            first = reader.read(reader.example_ids("test")[0])
            kept[name] = {item.hit.text for item in first.evidence}
    assert kept["without"] - kept["with"] == {"click here"}
    jobs = {job.name: job.store for job in grid.jobs()}
    assert jobs == {
        "synthesis-seed1": store,
        "synthesis-without-filters-seed1": place.unfiltered,
    }


def test_stores_of_two_protocols_are_not_compared(
    recipe: Recipe, store: Path, finished: Path, tmp_path: Path
) -> None:
    stated = recipe.model_copy(
        update={"dataset": recipe.dataset.model_copy(update={"protocol": "refined"})}
    )
    build_recipe(stated, tmp_path / "store", say=silent)
    grid = tiny_grid(recipe, store, finished)
    (place,) = grid.places
    mixed = replace(grid, places=(place, replace(place, name="other", store=tmp_path / "store")))

    with pytest.raises(StoreMismatch, match="refined labels as the recipe states"):
        compare(mixed, only_finished=True, say=silent)


def test_a_run_that_learned_from_what_is_contaminated_is_marked_on_any_store(
    recipe: Recipe, store: Path, tmp_path: Path
) -> None:
    for protocol, marked in (("original", False), ("legacy-objects", True)):
        dataset = recipe.dataset.model_copy(update={"protocol": protocol})
        run = tmp_path / protocol
        run.mkdir()
        write_recipe(run, recipe.model_copy(update={"dataset": dataset}), store, ())
        assert ("CONTAMINATED" in stated_by(store, run).line()) == marked
    assert stated_by(store, tmp_path / "no run").line() == ""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_comparison_that_is_stopped_leaves_no_process_and_goes_on(
    how: signal.Signals, recipe: Recipe, store: Path, tmp_path: Path
) -> None:
    long = recipe.model_copy(update={"train": recipe.train.model_copy(update={"epochs": 60})})
    job = tiny_grid(long, store, tmp_path, ("text_only",)).jobs()[0]
    while not _stopped_midway(job, how):
        shutil.rmtree(job.run)
    assert not is_finished(job)
    # Marked, for an epoch that is taken again says the same.
    first, *others = (job.run / METRICS).read_text().splitlines()
    marked = json.dumps({**json.loads(first), "sitting": 1})
    (job.run / METRICS).write_text("".join(f"{line}\n" for line in (marked, *others)))
    failures: list[Failure | None] = []
    # The lock of a process that was killed holds nobody up.
    do_jobs([job], 2, lambda job, failure: failures.append(failure))
    assert failures == [None]
    assert is_finished(job)
    lines = (job.run / METRICS).read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, 61))
    assert lines[0] == marked


def _stopped_midway(job: Job, how: signal.Signals) -> bool:
    """Send a signal to a process that has a worker at ``job``, and wait for the end of both.

    False where the run was nearly through by then; what comes of it is no matter.
    """
    script = (
        "import sys; from pathlib import Path\n"
        "from pipelines.comparing.jobs import Job\n"
        "from pipelines.comparing.workers import do_jobs\n"
        "job = Job.model_validate_json(sys.stdin.readline())\n"
        "do_jobs([job], 2, lambda job, failure: print(failure))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None
    process.stdin.write(job.model_dump_json().encode() + b"\n")
    process.stdin.close()
    # The first epoch is the best so far, and saved.
    assert _until(lambda: (job.run / CHECKPOINT).exists() or process.poll() is not None)
    try:
        pid = json.loads((job.run / "compare.lock").read_text())["pid"]
        # It goes on when it has been told to end, by those whose signal comes whenever it does.
        os.kill(pid, signal.SIGSTOP)
    except (FileNotFoundError, ProcessLookupError):
        assert process.wait(timeout=300) == 0
        return False
    midway = len((job.run / METRICS).read_text().splitlines()) < 40
    process.send_signal(how)
    told = _until(lambda: process.poll() is not None or _is_told(pid, signal.SIGINT))
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    assert told
    process.wait(timeout=300)
    assert _until(lambda: not Path(f"/proc/{pid}").exists())
    return midway


def _is_told(pid: int, signal_number: int) -> bool:
    """Return whether a signal waits for a process."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    waiting = next(line for line in status.splitlines() if line.startswith("ShdPnd:"))
    return bool(int(waiting.split()[1], 16) >> (signal_number - 1) & 1)


def _until(holds: Callable[[], bool], seconds: float = 300) -> bool:
    """Return whether it came to hold in time."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()
