"""What evidence did to the predictions of a run, and which errors it makes, on one split."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cache import STREAMS, Example, Features, InputError, Span, StoreReader, open_store
from model.build import Parts, parts_of, place
from model.data import Task, read_split
from model.device import choose_device
from model.scoring.attribution import Attribution, ItemEffect, attribute
from model.scoring.evaluation import Evaluation, evaluate_posts, prepare_split
from model.scoring.metrics import find_none_label
from model.training.subset import chosen_posts
from pipelines.comparing.protocol import Stated, stated_by
from pipelines.explaining.agreement import Agreement, Measure, agreement, kendall, spearman
from pipelines.explaining.errors import Answered, ErrorAnalysis, analyse, training_forms

# Single precision, summed over a sentence, differs by about this from one batch to another.
ROUNDING: Final = 1e-4
_MEASURES: Final[dict[str, Measure]] = {"spearman": spearman, "kendall": kendall}


@dataclass(frozen=True, slots=True)
class StreamEffect:
    """What the evidence of one stream did.

    Attributes:
        items: how many pieces.
        weight: their mean weight; None where the system gives none.
        effect: their mean effect, in nats: positive supports the answer.
        size: their mean effect without its sign.
        agreement: Spearman of weight and size of the effect, within the stream.
    """

    items: int
    weight: float | None
    effect: float
    size: float
    agreement: Agreement

    def to_json(self) -> dict[str, object]:
        """Return every field by name."""
        return {
            "items": self.items,
            "weight": self.weight,
            "effect": self.effect,
            "size": self.size,
            "agreement": self.agreement.to_json(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Of one run on one split.

    Attributes:
        run: folder of the run.
        fusion: its system.
        stated: protocol of the figures, and whether they are to be believed.
        evaluation: of the whole split.
        errors: of the whole split.
        attributions: of the posts that were looked at.
        agreement: rank agreement of weights with effects: ``spearman`` and ``kendall`` with the
            size of the effect, ``... signed`` with the effect itself. Empty without weights.
        streams: by level and modality; those without evidence are left out.
    """

    run: Path
    fusion: str
    stated: Stated
    evaluation: Evaluation
    errors: ErrorAnalysis
    attributions: tuple[Attribution, ...]
    agreement: Mapping[str, Agreement]
    streams: Mapping[str, StreamEffect]

    def to_json(self) -> dict[str, object]:
        """Return everything but what the posts say."""
        return {
            "run": str(self.run),
            "fusion": self.fusion,
            **self.stated._asdict(),
            "evaluation": self.evaluation.to_json(),
            "errors": self.errors.to_json(),
            "agreement": {name: found.to_json() for name, found in self.agreement.items()},
            "streams": {name: found.to_json() for name, found in self.streams.items()},
            "posts": [_post_json(post) for post in self.attributions],
        }


def explain(
    run: Path,
    store: Path,
    split: str = "test",
    *,
    task: Task | None = None,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
) -> Explanation:
    """Return what evidence did in a split.

    Args:
        run: folder of a trained run.
        store: whose posts, evidence and training split are read.
        split: annotated posts.
        task: of a run that does both, which one; None is the task that it is named by.
        limit: evidence is withheld from so many posts, drawn at random; None is all.
        seed: of the draw, and of the bootstrap.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: show bars where the output is a terminal.

    Raises:
        InputError: no such run or split, it is not annotated, or ``limit`` is below 1.
        StoreError: the store cannot be used.
    """
    if limit is not None and limit < 1:
        raise InputError(f"--limit {limit} looks at no post; give 1 or more, or leave it out")
    parts = parts_of(run, task)
    target = choose_device(device)
    place(parts, target)
    with closing(open_store(store)) as source:
        posts = prepare_split(parts, source, split, progress=progress)
        kept = read_split(source, split)
        evaluation = evaluate_posts(parts, posts, split, "own", device=target, progress=progress)
        errors = _errors(parts, source, kept, evaluation)
    chosen = _draw(len(posts), limit, seed)
    attributions = attribute(parts, [posts[at] for at in chosen], device=target, progress=progress)
    return Explanation(
        run=run,
        fusion=parts.run.model.fusion,
        stated=stated_by(store, run),
        evaluation=evaluation,
        errors=errors,
        attributions=tuple(attributions),
        agreement=_agreement(attributions, seed),
        streams=_streams(attributions, seed),
    )


def _draw(count: int, limit: int | None, seed: int) -> list[int]:
    if limit is None or limit >= count:
        return list(range(count))
    return sorted(random.Random(seed).sample(range(count), limit))


def _errors(
    parts: Parts, source: StoreReader, kept: Sequence[Features], evaluation: Evaluation
) -> ErrorAnalysis:
    task = parts.run.task
    answered = []
    for post, answer in zip(kept, evaluation.predictions, strict=True):
        found = tuple(Span(*guess[:3]) for guess in answer) if isinstance(answer, tuple) else ()
        relation = answer[0][0] if isinstance(answer, list) else ""
        answered.append(Answered(post.example, found, relation, post.evidence))
    labels = [*parts.run.labels, *(post.example.relation or "" for post in kept)]
    none = find_none_label(labels) if task == "relations" else None
    return analyse(task, answered, training_forms(task, _trained_on(parts, source)), none)


def _trained_on(parts: Parts, source: StoreReader) -> list[Example]:
    """Return the posts of the training split that the run learned from, which may be a share.

    What a joint training left out because the other task tests on its words is among them.
    """
    train = parts.run.train
    chosen = chosen_posts(source.example_ids("train"), train.share, train.seed)
    examples = [post.example for post in read_split(source, "train")]
    return [example for example in examples if example.post.example_id in chosen]


def _agreement(posts: Sequence[Attribution], seed: int) -> dict[str, Agreement]:
    items = [_weighed(post.items) for post in posts]
    if not any(items):
        return {}
    found = {}
    for name, measure in _MEASURES.items():
        found[name] = agreement([_pair(i, signed=False) for i in items], measure, seed=seed)
        signed = [_pair(i, signed=True) for i in items]
        found[f"{name} signed"] = agreement(signed, measure, seed=seed)
    return found


def _streams(posts: Sequence[Attribution], seed: int) -> dict[str, StreamEffect]:
    found = {}
    for number, (level, modality) in enumerate(STREAMS):
        mine = [[item for item in post.items if item.stream == number] for post in posts]
        items = [item for of_post in mine for item in of_post]
        if not items:
            continue
        weights = [item.weight for item in items if item.weight is not None]
        effects = [_rounded(item.effect) for item in items]
        pairs = [_pair(_weighed(of_post), signed=False) for of_post in mine if of_post]
        found[f"{level} {modality}"] = StreamEffect(
            items=len(items),
            weight=sum(weights) / len(weights) if weights else None,
            effect=sum(effects) / len(items),
            size=sum(map(abs, effects)) / len(items),
            agreement=agreement(pairs, spearman, seed=seed),
        )
    return found


def _weighed(items: Sequence[ItemEffect]) -> list[tuple[float, float]]:
    """Return weight and effect of the items that have a weight."""
    return [(i.weight, _rounded(i.effect)) for i in items if i.weight is not None]


def _pair(
    items: Sequence[tuple[float, float]], *, signed: bool
) -> tuple[list[float], list[float]]:
    weights, effects = [weight for weight, _ in items], [effect for _, effect in items]
    return weights, effects if signed else [abs(effect) for effect in effects]


def _rounded(effect: float) -> float:
    """Return the effect without the noise of single precision, which would pass for an order."""
    return round(effect / ROUNDING) * ROUNDING


def _post_json(post: Attribution) -> dict[str, object]:
    answer: list[dict[str, object]]
    if isinstance(post.answer, tuple):
        answer = [entity._asdict() for entity in post.answer]
    else:
        answer = [{"label": label, "probability": sure} for label, sure in post.answer]
    return {
        "example_id": post.example_id,
        "answer": answer,
        "log_probability": post.log_probability,
        "gold_log_probability": post.gold_log_probability,
        "items": [
            {
                "index": item.index,
                "stream": " ".join(STREAMS[item.stream]),
                "weight": item.weight,
                "effect": item.effect,
                "gold_effect": item.gold_effect,
            }
            for item in post.items
        ],
    }
