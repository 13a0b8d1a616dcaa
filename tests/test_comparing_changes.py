"""What changes under a grid, or comes from somebody else: stores, code, logs, kept runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from comparing_helpers import made_up, tiny_grid, tiny_recipe, write_posts

from cache.errors import InputError, StoreError, StoreMismatch
from cache.manifest import read_manifest
from cache.records import Post, Span
from cache.writing.lock import WriterLock
from model.run import SecondTask, read_run
from model.settings import ModelSettings, TrainSettings
from model.training import train
from pipelines import prediction, runs
from pipelines.building import build_recipe
from pipelines.comparing import workers
from pipelines.comparing.compare import compare
from pipelines.comparing.facts import Facts
from pipelines.comparing.jobs import is_finished
from pipelines.comparing.keep import refuse_to_keep
from pipelines.comparing.rows import Significance
from pipelines.comparing.unfiltered import without_filters
from pipelines.config import Recipe
from pipelines.reproducing import reproduce as reproducing
from pipelines.runs import RECIPE_FILE, code_commit, commit_of_run, recipe_of_run
from pipelines.tasks import model_task


def silent(said: str) -> None:
    """Say nothing."""


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return tiny_recipe(write_posts(tmp_path / "data"))


@pytest.fixture
def store(recipe: Recipe, tmp_path: Path) -> Path:
    build_recipe(recipe, tmp_path / "store", say=silent)
    return tmp_path / "store"


def other_curation(recipe: Recipe) -> Recipe:
    curate = recipe.curate.model_copy(update={"keep_per_stream": 1})
    return recipe.model_copy(update={"curate": curate})


def test_a_store_that_is_built_anew_ends_the_grid_that_reads_it(
    recipe: Recipe, store: Path, tmp_path: Path
) -> None:
    grid = tiny_grid(recipe, store, tmp_path / "runs", ("text_only",), seeds=(1, 2))

    def rebuild(said: str) -> None:
        if "text_only-seed1" in said:
            build_recipe(other_curation(recipe), store, say=silent)

    was = read_manifest(store).fingerprint
    done = compare(grid, say=rebuild)

    assert done.facts.stores == (was,)
    assert [len(row.f1) for row in done.rows] == [1]
    (failure,) = done.failures
    assert "was built anew while systems were compared on it" in failure.reason
    anew = tiny_grid(recipe, store, tmp_path / "runs", ("text_only",), seeds=(1, 2))
    with pytest.raises(InputError, match=r"store differ.*Or build the store as it was"):
        compare(anew, say=silent)


def test_a_copy_without_filters_is_made_anew_for_another_store(
    recipe: Recipe, store: Path
) -> None:
    copy = without_filters(recipe, store, silent)
    (copy / "mine.txt").write_text("a copy that is taken as it is keeps this")
    assert without_filters(recipe, store, silent) == copy
    assert (copy / "mine.txt").exists()

    build_recipe(other_curation(recipe), store, say=silent)
    without_filters(recipe, store, silent)

    assert not (copy / "mine.txt").exists()


def test_a_copy_that_lacked_answers_is_made_anew(recipe: Recipe, store: Path) -> None:
    lacking = SimpleNamespace(unfinished=[SimpleNamespace(reason="no recording.")])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pipelines.comparing.unfiltered.build_recipe", lambda *_, **__: lacking)
        with pytest.raises(InputError, match=r"no recording\. The recordings of .*: pull them"):
            without_filters(recipe, store, silent)
    said: list[str] = []

    without_filters(recipe, store, said.append)

    assert any("curated without filters" in line for line in said)


def test_a_folder_in_the_place_of_the_copy_is_left_alone(recipe: Recipe, store: Path) -> None:
    mine = store.with_name(f"{store.name}-unfiltered")
    mine.mkdir()

    with pytest.raises(InputError, match="was not made as one"):
        without_filters(recipe, store, silent)
    assert mine.is_dir()


def test_the_commit_of_a_run_is_that_of_its_beginning(
    recipe: Recipe, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.comparing import jobs

    run = tmp_path / "runs" / "text_only-seed1"
    begun = run / "run.json"
    monkeypatch.setattr(jobs, "code_commit", lambda: "2" * 10 if begun.exists() else "1" * 10)
    compare(tiny_grid(recipe, store, tmp_path / "runs", ("text_only",)), say=silent)

    assert commit_of_run(run) == "1" * 10


def test_a_run_names_the_commits_of_all_its_sittings(
    recipe: Recipe, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.comparing import jobs

    grid = tiny_grid(recipe, store, tmp_path / "runs", ("text_only",))
    (job,) = grid.jobs()
    train(
        store,
        model_task(job.recipe),
        job.recipe.model,
        job.recipe.train,
        job.run,
        stop_after=1,
        code="1" * 10,
    )
    assert not is_finished(job)
    monkeypatch.setattr(jobs, "code_commit", lambda: "2" * 10 + "+")
    compare(grid, say=silent)
    assert commit_of_run(job.run) == "1111111111, 2222222222+"

    (job.run / "scores").rename(tmp_path / "elsewhere")
    monkeypatch.setattr(jobs, "code_commit", lambda: "3" * 10)
    compare(grid, say=silent)
    assert commit_of_run(job.run) == "1111111111, 2222222222+"


def test_code_in_the_folder_of_another_project_has_not_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "venv" / "pipelines" / "runs.py"
    installed.parent.mkdir(parents=True)
    shutil.copy(runs.__file__, installed)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "theirs"], check=True)
    monkeypatch.setattr(runs, "__file__", str(installed))

    assert code_commit() == ""
    subprocess.run([*git, "add", str(installed)], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "ours"], check=True)
    assert len(code_commit()) == 10


def test_a_commit_that_is_none_is_not_printed(tmp_path: Path) -> None:
    for commit in ("x\n\n| synthesis | 5 | 99.00 |", "0" * 50, 7, "1234567\n"):
        (tmp_path / RECIPE_FILE).write_text(json.dumps({"commit": commit}))
        assert commit_of_run(tmp_path) == ""


def test_what_a_table_is_of_stays_on_its_line() -> None:
    forged = "ramie 1\n\n| synthesis | 5 | 99.00 |"
    facts = Facts("r", "mner", "test", (1,), (), 0, forged, "", "e", (), (), (forged,), "")

    assert all("\n" not in text for _, text in facts.lines())


def test_runs_of_one_row_on_different_posts_are_not_pooled() -> None:
    pooled = {("", 1): made_up(0.5, 1, posts=60), ("", 2): made_up(0.5, 2, posts=50)}

    with pytest.raises(StoreMismatch, match="tested on different posts"):
        Significance(samples=10).interval(pooled)


def test_runs_are_not_kept_where_they_are(recipe: Recipe, store: Path, tmp_path: Path) -> None:
    grid = tiny_grid(recipe, store, tmp_path / "runs")

    with pytest.raises(InputError, match="is where the runs are"):
        refuse_to_keep(grid, tmp_path / "data" / ".." / "runs")


def test_a_kept_run_says_that_it_has_no_weights(tmp_path: Path) -> None:
    (tmp_path / RECIPE_FILE).write_text('{"commit": "1234567890"}')

    with pytest.raises(InputError, match=r"kept by `ramie compare --keep`, without weights"):
        recipe_of_run(tmp_path)


def test_a_second_process_leaves_the_log_of_the_first(
    recipe: Recipe, store: Path, tmp_path: Path
) -> None:
    grid = tiny_grid(recipe, store, tmp_path / "runs", ("text_only", "synthesis"))
    job = grid.jobs()[0]
    job.run.mkdir(parents=True)
    (job.run / workers.LOG).write_text("what the first process said\n")
    lock = WriterLock(job.run / "compare.lock")
    try:
        done = compare(grid, workers=2, say=silent)
    finally:
        lock.release()

    (failure,) = done.failures
    assert "is being written by another process" in failure.reason
    assert (job.run / workers.LOG).read_text().startswith("what the first process said\n")


def test_two_trainings_do_not_write_into_one_folder(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path / "run" / "train.lock")
    try:
        with pytest.raises(StoreError, match="is being written by another process"):
            train(
                tmp_path / "none", "entities", ModelSettings(), TrainSettings(), tmp_path / "run"
            )
    finally:
        lock.release()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"seeds": 0}, "--seeds 0 would train nothing"),
        ({"seeds": 1, "workers": 0}, "--workers 0 would train nothing"),
        ({"seeds": 1, "fusions": ["more", "more"]}, "name each system to compare once"),
        ({"seeds": 1, "fusions": ["mor"]}, "'mor'"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_the_build(
    asked: dict[str, object], said: str, recipe: Recipe, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(InputError, match=said):
        reproducing.reproduce(recipe, tmp_path / "store", tmp_path / "out", say=silent, **asked)  # type: ignore[arg-type]

    assert not (tmp_path / "store").exists()


# What `ramie predict` retrieves by


def test_a_prediction_says_that_its_store_was_built_anew(
    recipe: Recipe, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    compare(tiny_grid(recipe, store, tmp_path / "runs", ("text_only",)), say=silent)
    run = tmp_path / "runs" / "text_only-seed1"
    prediction.of_task(recipe, store, read_run(run), "entities")
    assert "built anew" not in capsys.readouterr().err

    build_recipe(other_curation(recipe), store, say=silent)
    prediction.of_task(recipe, store, read_run(run), "entities")

    assert "built anew since the run was trained" in capsys.readouterr().err
    mentions = Post("new", ("a", "b"), head=Span(0, 1), tail=Span(1, 2))
    with pytest.raises(InputError, match="finds entities, and mentions are given"):
        prediction.predict_post(run, mentions, None)


def test_the_second_task_is_predicted_by_the_store_of_its_own(
    recipe: Recipe, store: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    build_recipe(other_curation(recipe), second, say=silent)
    both = recipe.model_copy(
        update={
            "partner_store": second,
            "model": recipe.model.model_copy(update={"fusion": "joint"}),
        }
    )
    compare(tiny_grid(recipe, store, tmp_path / "runs", ("text_only",)), say=silent)
    run = tmp_path / "runs" / "text_only-seed1"
    there = read_run(run).model_copy(
        update={
            "second": SecondTask(
                task="relations", labels=("a",), store=read_manifest(second).fingerprint
            )
        }
    )

    first = prediction.of_task(both, store, there, "entities")
    other = prediction.of_task(both, store, there, "relations")

    assert (first[0].curate.keep_per_stream, first[1]) == (recipe.curate.keep_per_stream, store)
    assert (other[0].curate.keep_per_stream, other[1]) == (1, second)
