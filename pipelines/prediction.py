"""One new post through the same retrieval as a build, then through a trained run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from cache.records import Evidence, Example, Post, StoredExample
from model.data import check_post
from model.predictor import Prediction, load_run
from pipelines.config import Recipe
from pipelines.runs import recipe_of_run
from pipelines.sources import make_providers
from retrieval.gather import Seen, gather_evidence
from retrieval.observe import Observer
from retrieval.photos import Photo, load_photo

_BAR_WIDTH = 20
_TEXT_SHOWN = 90


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A prediction with the post and the evidence that it rests on."""

    post: Post
    prediction: Prediction
    evidence: tuple[Evidence, ...]

    def weighed(self) -> list[tuple[float, Evidence]]:
        """Return the evidence with its share of attention, most first."""
        pairs = zip(self.prediction.evidence_weights, self.evidence, strict=True)
        return sorted(pairs, key=lambda pair: -pair[0])

    def to_json(self) -> dict[str, object]:
        """Return the answer without vectors."""
        return {
            "tokens": list(self.post.tokens),
            "entities": [entity._asdict() for entity in self.prediction.entities],
            "relations": [
                {"label": label, "probability": probability}
                for label, probability in self.prediction.relations
            ],
            "evidence": [
                {"weight": weight, "rank": evidence.rank, **_plain(evidence)}
                for weight, evidence in self.weighed()
            ],
        }


def predict_post(run: Path, post: Post, image: Path | None, *, device: str = "auto") -> Answer:
    """Return what ``run`` says of ``post``, after retrieving evidence as its recipe does.

    Args:
        run: folder of a trained run.
        post: the new post; relations need its two mentions.
        image: its photo.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        InputError: run, photo, or post cannot be used.
        ProviderUnavailable: a provider could not be asked; no prediction rests on half of it.
    """
    recipe, _ = recipe_of_run(run)
    predictor = load_run(run, device=device)
    check_post(post, predictor.run.task)
    photo = load_photo(image) if image is not None else None
    stored = retrieve(recipe, post, photo)
    return Answer(post, predictor.predict([stored])[0], stored.evidence)


def retrieve(recipe: Recipe, post: Post, photo: Photo | None) -> StoredExample:
    """Return ``post`` as a store built with ``recipe`` would hold it."""
    observer = Observer(recipe.observe)
    status = "ok" if photo is not None else "none"
    observation = observer.observe([post], [photo], [status])[0]
    gathered = gather_evidence(
        Seen(observation, photo.media if photo is not None else None),
        providers=make_providers(recipe.ask, observer),
        encoder=observer,
        hits_per_query=recipe.ask.hits_per_query,
        settings=recipe.curate,
    )
    return StoredExample(Example(post, "test"), observation, gathered.evidence)


def describe(answer: Answer, num_evidence: int) -> str:
    """Return the answer for a person: what was found, and the evidence that weighed most."""
    tokens = answer.post.tokens
    lines = [" ".join(tokens), ""]
    for entity in answer.prediction.entities:
        name = " ".join(tokens[entity.start : entity.end])
        lines.append(f"  {entity.label:<6} {name}  ({100 * entity.probability:.0f} %)")
    if answer.prediction.relations:
        label, probability = answer.prediction.relations[0]
        lines.append(f"  {_mention(answer, 'head')} -> {_mention(answer, 'tail')}: {label}")
        lines[-1] += f"  ({100 * probability:.0f} %)"
    elif not answer.prediction.entities:
        lines.append("  no entity found")
    lines += ["", f"evidence that weighed most (of {len(answer.evidence)} kept)"]
    for weight, evidence in answer.weighed()[:num_evidence]:
        hit = evidence.hit
        bar = "#" * round(weight * _BAR_WIDTH)
        what = hit.text or hit.title or hit.document_id
        short = what if len(what) <= _TEXT_SHOWN else what[: _TEXT_SHOWN - 1] + "…"
        lines.append(f"  {weight:5.2f} {bar:<{_BAR_WIDTH}} {hit.level} {hit.modality}: {short}")
        lines.append(f"        {hit.provider} {hit.document_id} {hit.url}".rstrip())
    return "\n".join(lines)


def _mention(answer: Answer, end: str) -> str:
    span = answer.post.head if end == "head" else answer.post.tail
    return " ".join(answer.post.tokens[span.start : span.end]) if span else "?"


def _plain(evidence: Evidence) -> dict[str, object]:
    fields = asdict(evidence.hit)
    del fields["embedding"]
    return fields
