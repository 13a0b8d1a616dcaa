"""A temperature softens probabilities, and nothing else."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from model_helpers import ALL_STREAMS, MemoryStore, make_parts, stored
from torch import Tensor

from cache.errors import InputError
from cache.records import Span
from model.build import Parts
from model.heads import EntityHead, RelationHead
from model.predictor import load_run
from model.run import WEIGHTS, write_run, write_tensors
from model.scoring.calibrate import calibrate
from model.scoring.evaluation import evaluate, prepare_split
from model.scoring.temperature import (
    CALIBRATION,
    Scored,
    Temperature,
    fit,
    head_of,
    held_at,
    nll_at,
    read_temperature,
    tempered,
    weights_digest,
    write_temperature,
)

LABELS = ("O", "B-PER", "I-PER")
RELATIONS = ("None", "in", "sings")
MENTIONS = (Span(0, 1), Span(2, 3))
ENTITY_POSTS = [
    stored(
        "a",
        "velora sings in the club",
        kept=ALL_STREAMS,
        split="dev",
        entities=(Span(0, 1, "PER"),),
    ),
    stored("b", "quill", split="dev", entities=(Span(0, 1, "PER"),)),
    stored("c", "the river in tamber " * 5, kept=ALL_STREAMS[:2], split="dev"),
]
PAIR_POSTS = [
    stored(
        name,
        f"velora {name} tamber",
        kept=ALL_STREAMS,
        relation=relation,
        mentions=MENTIONS,
        split="dev",
    )
    for name, relation in (("in", "in"), ("sings", "sings"), ("a", "None"))
]


def store(task: str) -> MemoryStore:
    posts = ENTITY_POSTS if task == "entities" else PAIR_POSTS
    return MemoryStore(posts)


def saved_run(folder: Path, task: str, fusion: str = "synthesis") -> Parts:
    """Return an untrained network that is also a complete run folder."""
    labels = {} if task == "entities" else {"labels": RELATIONS}
    parts = make_parts(folder, task=task, fusion=fusion, **labels)  # type: ignore[arg-type]
    write_run(folder, parts.run)
    write_tensors(folder / WEIGHTS, parts.network.state_dict())
    return parts


@torch.no_grad()
def answers_at(parts: Parts, task: str, temperature: float) -> tuple[list[Any], list[Any]]:
    """Return the answers of all posts as they are, and at a temperature."""
    batch = parts.collator(prepare_split(parts, store(task), "dev"))
    words = parts.network.read(batch).words
    head = head_of(parts.network.head, batch)
    plain = list(head.predict(words, batch))
    return plain, tempered(head, temperature, words, batch, plain)


@pytest.mark.parametrize("task", ["entities", "relations"])
@pytest.mark.parametrize("fusion", ["synthesis", "more"])
def test_the_temperature_of_one_changes_nothing(fusion: str, task: str, tmp_path: Path) -> None:
    parts = saved_run(tmp_path, task, fusion)
    plain, same = answers_at(parts, task, 1.0)
    assert plain == same
    _, nearly = answers_at(parts, task, 1.0 + 1e-6)
    for one, other in zip(flat(plain), flat(nearly), strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def flat(answers: list[Any]) -> list[float]:
    """Return all probabilities."""
    return [item[-1] for answer in answers for item in answer]


@pytest.mark.parametrize("task", ["entities", "relations"])
@pytest.mark.parametrize("fusion", ["synthesis", "more"])
def test_what_is_predicted_and_its_order_never_change(
    fusion: str, task: str, tmp_path: Path
) -> None:
    parts = saved_run(tmp_path, task, fusion)
    tops = []
    for temperature in (0.05, 0.3, 3.0, 20.0):
        plain, softer = answers_at(parts, task, temperature)
        assert [[item[:-1] for item in answer] for answer in plain] == [
            [item[:-1] for item in answer] for answer in softer
        ]
        assert all(0 <= probability <= 1 for probability in flat(softer))
        if task == "relations":
            for answer in softer:
                probabilities = [probability for _, probability in answer]
                assert probabilities == sorted(probabilities, reverse=True)
                assert sum(probabilities) == pytest.approx(1, abs=1e-5)
        tops.append(max(flat(softer)))
    assert any(flat(plain))
    assert tops == sorted(tops, reverse=True)
    assert tops[0] > tops[-1] + 0.1


def paths_of(head: EntityHead, emissions: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return every path over 3 words and its probability for each post, by enumeration."""
    crf = head.crf
    start = crf.start_scores + crf.start_penalty
    step = crf.step_scores + crf.step_penalty
    paths = torch.tensor(list(itertools.product(range(len(head.labels)), repeat=3)))
    scores = start[paths[:, 0]] + crf.end_scores[paths[:, 2]]
    scores = scores + step[paths[:, 0], paths[:, 1]] + step[paths[:, 1], paths[:, 2]]
    scores = scores + sum(emissions[:, word][:, paths[:, word]] for word in range(3))
    return paths, (scores / temperature).softmax(dim=1)


@torch.no_grad()
def entity_head(scale: float) -> EntityHead:
    torch.manual_seed(3)
    head = EntityHead(4, LABELS, 0.0)
    for parameter in head.crf.parameters():
        parameter.copy_(torch.randn(parameter.shape) * scale)
    return head


@torch.no_grad()
def test_probabilities_at_a_temperature_are_those_of_all_paths_with_divided_scores() -> None:
    head = entity_head(1.0)
    emissions = torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(1))
    gold = torch.zeros(5, 3, dtype=torch.long)
    mask = torch.ones(5, 3, dtype=torch.bool)
    for temperature in (0.5, 2.5):
        paths, sure = paths_of(head, emissions, temperature)
        nll = -sure[:, (paths == 0).all(dim=1)].log().mean()
        scored = Scored(head, emissions, gold, mask)
        assert float(nll_at(scored, temperature).mean()) == pytest.approx(float(nll), abs=1e-4)
        for wanted in itertools.product(itertools.product((True, False), repeat=3), repeat=3):
            allowed = torch.tensor(wanted)
            expected = sure[:, allowed[torch.arange(3), paths].all(dim=1)].sum(dim=1)
            found = held_at(head, emissions, mask, allowed.expand(5, 3, 3), temperature)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_entities_that_are_three_times_too_sure_get_a_temperature_near_three() -> None:
    emissions = torch.randn(4000, 3, 3, generator=torch.Generator().manual_seed(1))
    paths, sure = paths_of(entity_head(1.0), emissions, 1.0)
    gold = paths[torch.multinomial(sure, 1, generator=torch.Generator().manual_seed(2))[:, 0]]
    mask = torch.ones(4000, 3, dtype=torch.bool)
    calibrated = Scored(entity_head(1.0), emissions, gold, mask)
    assert fit([calibrated])[0] == pytest.approx(1.0, rel=0.05)
    best, before, after = fit([Scored(entity_head(3.0), 3 * emissions, gold, mask)])
    assert best == pytest.approx(3.0, rel=0.05)
    assert after < before
    assert after == pytest.approx(fit([calibrated])[2], abs=1e-3)


@torch.no_grad()
def test_relations_that_are_three_times_too_sure_get_a_temperature_near_three() -> None:
    head = RelationHead(4, RELATIONS, 0.0)
    scores = 2 * torch.randn(4000, 3, generator=torch.Generator().manual_seed(1))
    gold = torch.multinomial(scores.softmax(1), 1, generator=torch.Generator().manual_seed(2))[
        :, 0
    ]
    mask = torch.ones(4000, dtype=torch.bool)
    found = fit(
        [
            Scored(head, part, g, m)
            for part, g, m in zip(
                (3 * scores).log_softmax(1).chunk(4), gold.chunk(4), mask.chunk(4), strict=True
            )
        ]
    )
    assert found[0] == pytest.approx(3.0, rel=0.05)


def test_a_split_without_known_labels_cannot_be_fitted() -> None:
    with pytest.raises(InputError, match="annotated"):
        fit([])


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_a_fitted_temperature_is_kept_and_applied_by_evaluate_and_predict(
    task: str, tmp_path: Path
) -> None:
    saved_run(tmp_path, task)
    before = evaluate(tmp_path, store(task), "dev")
    assert (before.temperature, before.calibrated) == (None, None)
    assert before.calibration is not None
    plain = load_run(tmp_path).predict(list(store(task).posts.values()))

    found = calibrate(tmp_path, store(task))

    assert found.posts == 3
    assert found.nll_after <= found.nll_before
    assert json.loads((tmp_path / CALIBRATION).read_text())["temperature"] == found.temperature
    after = evaluate(tmp_path, store(task), "dev")
    assert after.temperature == found.temperature != 1
    assert after.calibration == before.calibration
    assert after.calibrated is not None
    assert after.calibrated.confidence != before.calibration.confidence
    assert np.array_equal(after.counts, before.counts)
    assert after.to_json()["f1"] == before.to_json()["f1"]
    softer = load_run(tmp_path).predict(list(store(task).posts.values()))
    for one, other in zip(plain, softer, strict=True):
        assert [e[:3] for e in one.entities] == [e[:3] for e in other.entities]
        assert [label for label, _ in one.relations] == [label for label, _ in other.relations]
        assert one.evidence_weights == other.evidence_weights
    assert flat([p.entities or p.relations for p in plain]) != flat(
        [p.entities or p.relations for p in softer]
    )


def test_what_was_predicted_with_labels_that_training_never_showed_is_left_out(
    tmp_path: Path,
) -> None:
    saved_run(tmp_path, "entities")
    odd = stored("odd", "velora", split="dev", entities=(Span(0, 1, "MISC"),))
    assert calibrate(tmp_path, MemoryStore([*ENTITY_POSTS, odd])).posts == 3


@pytest.mark.parametrize("task", ["entities", "relations"])
def test_the_temperature_is_of_the_evidence_that_the_run_was_shown(
    task: str, tmp_path: Path
) -> None:
    posts = ENTITY_POSTS if task == "entities" else PAIR_POSTS
    bare = MemoryStore([dataclasses.replace(post, evidence=()) for post in posts])
    found = {}
    for shown in ("own", "none", "others"):
        run = saved_run(tmp_path / shown, task).run
        trained = run.train.model_copy(update={"evidence": shown})
        write_run(tmp_path / shown, run.model_copy(update={"train": trained}))
        found[shown] = calibrate(tmp_path / shown, store(task)).nll_before

    assert found["none"] == pytest.approx(calibrate(tmp_path / "own", bare).nll_before, abs=1e-5)
    for shown in ("none", "others"):
        assert abs(found["own"] - found[shown]) > 1e-4


def temperature_of(run: Path) -> Temperature:
    return Temperature(
        task="entities",
        temperature=2.0,
        split="dev",
        posts=3,
        nll_before=1.0,
        nll_after=0.5,
        store="",
        weights_sha256=weights_digest(run),
    )


def test_a_temperature_of_other_weights_is_refused_with_the_way_out(tmp_path: Path) -> None:
    parts = saved_run(tmp_path, "entities")
    assert read_temperature(tmp_path, "entities") is None
    write_temperature(tmp_path, temperature_of(tmp_path))
    assert read_temperature(tmp_path, "entities") == temperature_of(tmp_path)
    assert read_temperature(tmp_path, "relations") is None
    with torch.no_grad():
        next(parts.network.parameters()).add_(1)
    write_tensors(tmp_path / WEIGHTS, parts.network.state_dict())
    with pytest.raises(InputError, match=r"other weights.*--calibrate"):
        load_run(tmp_path)


@pytest.mark.parametrize("content", ["", "[" * 5000, "{}", '{"temperature": 0}', "\x00", "1e999"])
def test_a_damaged_temperature_is_refused_with_the_way_out(content: str, tmp_path: Path) -> None:
    saved_run(tmp_path, "entities")
    (tmp_path / CALIBRATION).write_text(content)
    with pytest.raises(InputError, match=r"calibration.json.*--calibrate"):
        read_temperature(tmp_path, "entities")
