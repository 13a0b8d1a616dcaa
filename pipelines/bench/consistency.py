"""True evidence told from mismatched by the consistency score, in figures."""

from __future__ import annotations

import json
import random
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from cache.errors import ProviderUnavailable
from cache.records import Hit, Observation, Post
from pipelines.bench.figures import Figure
from pipelines.bench.noise import text_hit
from pipelines.bench.real_data import real_data
from pipelines.config import load_recipe
from pipelines.sample.measure import helpful_documents
from pipelines.sample.world import WorldSize, generate_world
from pipelines.sources import make_providers
from retrieval.asking.queries import make_queries
from retrieval.curation.consistency import Reference, cosine, score_consistency
from retrieval.datasets import read_dataset
from retrieval.kb.knowledge_base import build_kb
from retrieval.providers.base import Provider
from retrieval.settings import ObserveSettings
from retrieval.sight.observe import Observer
from retrieval.sight.photos import load_photo

_SIZE: Final = WorldSize(train=100, dev=8, test=60, noise=15)
_REFERENCE_POSTS: Final = 128
_STRANGERS: Final = 10
# Of the headlines of other documents, so many-th are compared with each photo.
_EVERY: Final = 4
_MAX_FALSE_KEEPS: Final = 0.1

Case = tuple[Observation, list[Hit]]


def bench_consistency(seeds: Sequence[int] = (11, 12, 13)) -> list[Figure]:
    """Return how well the score tells true from mismatched evidence, and what it keeps of each.

    True are retrieved pages that the truth of the sample world names as helpful for the post;
    mismatched are pages that help another post and not this one, put among this post's hits one
    at a time. On real news, headlines are told by photo alone.
    """
    scores = _Scores()
    for seed in seeds:
        with tempfile.TemporaryDirectory() as made:
            _score_world(seed, Path(made), scores)
    figures = [
        Figure("consistency, sample world: AUC", auc(scores.true, scores.mismatched), 0.97),
        Figure(
            f"consistency: mismatched hits kept at max_false_keeps={_MAX_FALSE_KEEPS}",
            _kept(scores.mismatched),
            _MAX_FALSE_KEEPS + 0.05,
            "below",
        ),
        Figure("consistency: true hits kept there", _kept(scores.true)),
    ]
    figures += [
        Figure(f"consistency: retrieved {kind} hits dropped there", 1 - _kept(found))
        for kind, found in sorted(scores.noise.items())
        if found
    ]
    return figures + _news_figures()


def auc(true: Sequence[float], mismatched: Sequence[float]) -> float:
    """Return the share of pairs in which the true one scores higher; a tie counts half."""
    others = np.sort(np.array(mismatched))
    values = np.array(true)
    below = np.searchsorted(others, values, "left") + np.searchsorted(others, values, "right")
    return float(below.mean() / (2 * len(others)))


@dataclass(slots=True)
class _Scores:
    true: list[float] = field(default_factory=list)
    mismatched: list[float] = field(default_factory=list)
    noise: dict[str, list[float]] = field(default_factory=dict)


def _kept(scores: Sequence[float]) -> float:
    return float(np.mean([score > 1 - _MAX_FALSE_KEEPS for score in scores]))


def _score_world(seed: int, folder: Path, scores: _Scores) -> None:
    """Score true, mismatched and noisy hits of the test posts of one world."""
    generate_world(seed, folder / "world", _SIZE, progress=False)
    cases = _observed_cases(folder)
    chooser = random.Random(seed)
    reference = Reference(chooser.sample(cases, _REFERENCE_POSTS))
    truth = folder / "world" / "truth"
    kinds = {line["id"]: line["kind"] for line in _lines(truth / "documents.jsonl")}
    posts = {line["post"]: line for line in _lines(truth / "posts.jsonl")}
    helpful = {
        seen.post.example_id: helpful_documents(posts[f"posts/{seen.post.example_id}"])
        for seen, _ in cases
    }
    test = [case for case in cases if case[0].post.example_id.startswith("test")]
    for seen, hits in test:
        own = helpful[seen.post.example_id]
        for hit in score_consistency(hits, seen, reference):
            kind = kinds[hit.document_id]
            if hit.consistency is not None and hit.document_id in own:
                scores.true.append(hit.consistency)
            elif hit.consistency is not None and kind in ("off_topic", "contradicting"):
                scores.noise.setdefault(kind, []).append(hit.consistency)
        strangers = [
            hit
            for other, found in test
            for hit in found
            if hit.document_id in helpful[other.post.example_id] - own
        ]
        for stranger in chooser.sample(strangers, _STRANGERS):
            scored = score_consistency([*hits, stranger], seen, reference)[-1]
            if scored.consistency is not None:
                scores.mismatched.append(scored.consistency)


def _observed_cases(folder: Path) -> list[Case]:
    """Return all posts of the world in ``folder`` with what its knowledge base has for them."""
    world = folder / "world"
    recipe = load_recipe("sample", [f"dataset.root={world / 'posts'}", f"ask.kb={folder / 'kb'}"])
    build_kb(world / "kb", folder / "kb", recipe.observe)
    dataset = read_dataset(recipe.dataset)
    observer = Observer(recipe.observe)
    posts = [example.post for example in dataset.examples]
    paths = [dataset.photos.get(post.example_id) for post in posts]
    photos = [None if path is None else load_photo(path) for path in paths]
    seen = observer.observe(posts, photos, ["ok" if photo else "none" for photo in photos])
    provider = make_providers(recipe.ask, observer)[0]
    return [(one, _hits(one, provider, recipe.ask.hits_per_query)) for one in seen]


def _hits(seen: Observation, provider: Provider, k: int) -> list[Hit]:
    queries = [query for query in make_queries(seen) if provider.accepts(query)]
    hits: list[Hit] = []
    for query, body in zip(queries, provider.ask(queries, k), strict=True):
        if isinstance(body, ProviderUnavailable):
            raise body
        hits += provider.parse(query, body, "")
    return hits


def _news_figures() -> list[Figure]:
    """Return AUCs of headline against photo on documents the small CLIP was not trained on.

    A post is a photo with its regions and no words, its hit the headline; mismatched are the
    headlines of all other documents. Nothing is said where data or weights are not at hand.
    """
    data, weights = real_data() / "data" / "news_kb", real_data() / "models" / "miniclip"
    detector = real_data() / "models" / "yolov8n" / "yolov8n.pt"
    if not (data.is_dir() and weights.is_dir() and detector.is_file()):
        return []
    settings = ObserveSettings(
        detector_weights=str(detector),
        encoder=f"local-dir:{weights}",
        encoder_weights="",
        batch_size=16,
    )
    cases = _news_cases(data, Observer(settings))
    reference = Reference(cases[:_REFERENCE_POSTS])
    headlines = [hits[0] for _, hits in cases]
    true: dict[str, list[float]] = defaultdict(list)
    mismatched: dict[str, list[float]] = defaultdict(list)
    for place, (seen, own) in enumerate(cases):
        # Every headline is scored by itself: all of them together would be each other's context.
        for headline in [own[0], *_others(headlines, place)]:
            scored = score_consistency([headline], seen, reference)[0]
            into = true if headline is own[0] else mismatched
            for name, value in _similarities(scored, seen):
                into[name].append(value)
    aucs = {name: auc(true[name], mismatched[name]) for name in sorted(true)}
    found = aucs.pop("consistency")
    return [
        Figure("consistency, headline against photo of news_kb: AUC", found, max(aucs.values())),
        *(Figure(f"raw cosine, headline against {name}: AUC", aucs[name]) for name in aucs),
    ]


def _others(headlines: Sequence[Hit], place: int) -> list[Hit]:
    """Return some of the headlines, the one at ``place`` not among them."""
    return list(headlines[(place + 1) % _EVERY :: _EVERY])


def _similarities(hit: Hit, seen: Observation) -> Iterator[tuple[str, float]]:
    """Yield the consistency and the raw similarities that it is made of, those there are."""
    assert hit.embedding is not None
    if hit.consistency is not None:
        yield "consistency", hit.consistency
    if seen.photo_embedding is not None:
        yield "photo", cosine(hit.embedding, seen.photo_embedding)
    regions = [region.embedding for region in seen.regions if region.embedding is not None]
    if regions:
        yield "best region", max(cosine(hit.embedding, region) for region in regions)


def _news_cases(data: Path, observer: Observer) -> list[Case]:
    """Return photos without words as posts, each with its headline as the only hit."""
    unseen = set(json.loads((data / "unseen_by_miniclip.json").read_text(encoding="utf-8")))
    lines = [line for line in _lines(data / "documents.jsonl") if line["id"] in unseen]
    photos = [load_photo(data / line["image"]) for line in lines]
    posts = [Post(line["id"], ()) for line in lines]
    seen = observer.observe(posts, photos, ["ok"] * len(posts))
    vectors = observer.embed_texts([line["title"] for line in lines])
    assert vectors is not None
    cases: list[Case] = []
    for one, line, vector in zip(seen, lines, vectors, strict=True):
        hit = replace(text_hit(line["id"], "", line["title"]), embedding=vector)
        cases.append((replace(one, sentence_embedding=None), [hit]))
    return cases


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)
