"""Entities and relations by one model: what is shared, what is not, and how steps are sampled."""

from __future__ import annotations

from collections import Counter
from math import ceil
from pathlib import Path
from shutil import copytree

import pytest
import torch
from model_helpers import ALL_STREAMS, MemoryStore, model_settings, stored, train_settings

from cache.errors import InputError
from cache.reader import features_of
from cache.records import Span
from model.build import Parts, for_second_task, load_parts
from model.data import PreparedPost, task_of
from model.scoring.calibrate import calibrate
from model.scoring.evaluation import evaluate
from model.training import train
from model.training.beginning import Sources, begin
from model.training.plan import Plan
from model.training.ranks import Ranks

SPLITS = ("train", "dev", "test")


def entity_store() -> MemoryStore:
    posts = [
        stored(
            f"e-{split}-{number}",
            f"velora {'sings' if number % 2 else 'in'} the club {split}",
            kept=ALL_STREAMS[:5],
            entities=(Span(0, 1, "PER" if number % 2 else "LOC"),),
            split=split,
        )
        for split in SPLITS
        for number in range(10)
    ]
    return MemoryStore(posts)


def relation_store() -> MemoryStore:
    posts = [
        stored(
            f"r-{split}-{number}",
            f"velora {('in', 'sings')[number % 2]} tamber {split}",
            kept=ALL_STREAMS[:4],
            relation=("in", "None")[number % 2],
            mentions=(Span(0, 1), Span(2, 3)),
            split=split,
        )
        for split in SPLITS
        for number in range(6)
    ]
    return MemoryStore(posts)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of both tasks."""
    folder = tmp_path_factory.mktemp("joint") / "run"
    train(
        entity_store(),
        "entities",
        model_settings(fusion="joint"),
        train_settings(epochs=24, learning_rate=3e-3, head_learning_rate=1e-2),
        folder,
        second=relation_store(),
    )
    return folder


def prepared(parts: Parts, store: MemoryStore) -> list[PreparedPost]:
    return [parts.preparer.prepare(store.features(name)) for name in store.example_ids("train")]


def test_one_model_learns_both_tasks_and_is_tested_on_each(run: Path) -> None:
    entities = evaluate(run, entity_store(), "test")
    relations = evaluate(run, relation_store(), "test", task="relations")

    assert entities.task == "entities"
    assert relations.task == "relations"
    assert entities.f1 == 1.0
    assert relations.f1 == 1.0


def test_the_temperature_is_of_the_task_that_is_asked_for(run: Path, tmp_path: Path) -> None:
    copy = copytree(run, tmp_path / "run")

    found = calibrate(copy, relation_store(), task="relations")

    assert (found.task, found.posts) == ("relations", 6)
    assert evaluate(copy, relation_store(), task="relations").temperature == found.temperature
    assert evaluate(copy, entity_store()).temperature is None


def test_the_encoder_and_the_fusion_learn_from_both_tasks_and_each_head_from_its_own(
    run: Path,
) -> None:
    parts = load_parts(run)
    everything = stored(
        "a",
        "velora sings in the club",
        kept=ALL_STREAMS,
        photo=True,
        entities=(Span(0, 1, "PER"),),
        relation="in",
        mentions=(Span(0, 1), Span(4, 5)),
    )
    named = dict(parts.network.named_parameters())
    for view, other in ((parts, "relations"), (for_second_task(parts), "entities")):
        parts.network.zero_grad()
        batch = parts.collator([view.preparer.prepare(features_of(everything))])
        losses = parts.network(batch)
        (losses.task + losses.consistency).backward()

        moved = {n for n, p in named.items() if p.grad is not None and p.grad.any()}
        others = {name for name in named if name.startswith(f"head.heads.{other}.")}
        assert others
        assert moved == named.keys() - others


def planned(run: Path) -> tuple[list[PreparedPost], Plan]:
    """Return the posts of two tasks, and a plan of their training with much mismatch."""
    parts = load_parts(run)
    posts = [
        *prepared(parts, entity_store()),
        *prepared(for_second_task(parts), relation_store()),
    ]
    return posts, Plan(posts, parts.collator, parts.run.train, mismatch=0.9)


def test_an_epoch_shows_every_post_once_and_some_again_with_anothers_evidence(run: Path) -> None:
    posts, plan = planned(run)

    turns = [turn for step in range(plan.steps_per_epoch) for turn in plan.turns(step)]
    own = [turn for turn in turns if turn.shown.own]
    again = [turn for turn in turns if not turn.shown.own]

    assert {id(turn.post): turn.shown.evidence for turn in own} == {
        id(post): post.evidence for post in posts
    }
    assert len(own) == len(posts)
    assert len({id(turn.post) for turn in again}) == len(again)
    for task in ("entities", "relations"):
        of_task = [post for post in posts if task_of(post) == task]
        assert sum(task_of(turn.post) == task for turn in again) == ceil(0.9 * len(of_task))


def test_a_step_shows_posts_of_one_task(run: Path) -> None:
    _, plan = planned(run)

    steps = range(plan.steps_per_epoch)
    tasks = Counter(tuple({task_of(turn.post) for turn in plan.turns(step)}) for step in steps)

    assert tasks == {("entities",): 3, ("relations",): 2}


def test_a_post_is_never_shown_evidence_of_the_other_task(run: Path) -> None:
    posts, plan = planned(run)
    own = {
        task: {id(post.evidence) for post in posts if task_of(post) == task}
        for task in ("entities", "relations")
    }

    for step in range(plan.total):
        for turn in plan.turns(step):
            assert id(turn.shown.evidence) in own[task_of(turn.post)]


def test_a_joint_run_goes_on_exactly_where_it_was_stopped(tmp_path: Path) -> None:
    for name, stop_after in (("whole", None), ("parts", 4), ("parts", None)):
        train(
            entity_store(),
            "entities",
            model_settings(fusion="joint"),
            train_settings(epochs=2),
            tmp_path / name,
            second=relation_store(),
            stop_after=stop_after,
        )

    whole, parts = (
        load_parts(tmp_path / name).network.state_dict() for name in ("whole", "parts")
    )
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_training_posts_that_are_test_posts_of_the_other_task_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entities, relations = entity_store(), relation_store()
    same = stored(
        "r-train-same",
        "VELORA in the club test",
        relation="in",
        mentions=(Span(0, 1), Span(2, 4)),
    )
    relations.posts["r-train-same"] = features_of(same)
    relations.arrays["r-train-same"] = {}

    beginning = begin(
        Sources(entities, "entities", relations),
        model_settings(fusion="joint"),
        train_settings(),
        tmp_path,
        ranks=Ranks(),
        device=torch.device("cpu"),
    )

    ids = {post.example.post.example_id for post in beginning.train}
    assert "r-train-same" not in ids
    assert len(ids) == 16
    assert "1 of 7 training posts have the words of dev or test posts" in caplog.text


def test_joint_without_a_second_store_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="partner_store"):
        train(
            entity_store(),
            "entities",
            model_settings(fusion="joint"),
            train_settings(),
            tmp_path / "run",
        )


def test_a_second_store_without_joint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="partner_store"):
        train(
            entity_store(),
            "entities",
            model_settings(),
            train_settings(),
            tmp_path / "run",
            second=relation_store(),
        )


def test_a_run_of_one_task_has_no_second(tmp_path: Path) -> None:
    train(entity_store(), "entities", model_settings(), train_settings(), tmp_path / "run")

    with pytest.raises(InputError, match="trained for entities only"):
        evaluate(tmp_path / "run", relation_store(), "test", task="relations")


def test_features_of_both_tasks_are_prepared_by_the_same_limits(run: Path) -> None:
    parts = load_parts(run)
    post = stored("x", "velora in tamber", kept=ALL_STREAMS, mentions=(Span(0, 1), Span(2, 3)))

    entities = parts.preparer.prepare(features_of(post))
    relations = for_second_task(parts).preparer.prepare(features_of(post))

    assert (task_of(entities), task_of(relations)) == ("entities", "relations")
    assert len(entities.evidence.texts) == len(relations.evidence.texts)
