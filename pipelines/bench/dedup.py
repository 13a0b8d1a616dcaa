"""Which copies of a text deduplication finds, and what it takes for a copy that is none.

The settings were chosen by looking at one sample world (and at real headlines and passages); the
worlds that are measured are others. Images: `pipelines.bench.images`.
"""

from __future__ import annotations

import json
import random
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from cache.records import Hit
from pipelines.bench.figures import Figure
from pipelines.bench.real_data import real_data
from pipelines.sample.cast import BadgeMint, cast_entities
from pipelines.sample.names import Namer
from pipelines.sample.pages import entity_pages, pair_pages
from pipelines.sample.posts import relation_posts
from retrieval.curation.dedup_text import (
    drop_contained_texts,
    drop_near_texts,
    drop_same_texts,
    words,
)
from retrieval.settings import CurateSettings

_SETTINGS: Final = CurateSettings()
_PASSAGES: Final = 1000
_PREFIXES: Final = (
    "As others wrote",
    "Breaking",
    "Just in",
    "More on this",
    "We read elsewhere that",
)
_STREAM: Final = 60
_WORD: Final = re.compile(r"\w+")

Tokens = list[str]
Edit = Callable[[Tokens, Sequence[str], random.Random], Tokens]


def bench_text_duplicates(seeds: Sequence[int], real: Path | None = None) -> list[Figure]:
    """Return what is found of edited texts, and what is lost of other ones.

    Args:
        seeds: of the sample worlds; what is given is measured over all of them.
        real: folder with real headlines and passages; None looks for one.
    """
    figures = []
    for name, texts_of in corpora(real or real_data()).items():
        figures += _figures_of_texts(name, [(seed, texts_of(seed)) for seed in seeds])
    return figures


def corpora(real: Path) -> dict[str, Callable[[int], list[Tokens]]]:
    """Return sources of texts by name, each for a seed; real ones where there are any."""
    found: dict[str, Callable[[int], list[Tokens]]] = {"sample world": _world_texts}
    headlines = real / "data" / "news_kb" / "documents.jsonl"
    passages = real / "data" / "twitter2017" / "recorded_evidence" / "sentence_knowledge.zip"
    if headlines.is_file():
        found["headlines"] = lambda seed: _headlines(headlines)
    if passages.is_file():
        found["passages"] = lambda seed: _recorded(passages)
    return found


def _world_texts(seed: int) -> list[Tokens]:
    """Return the helpful pages of a sample world; no photo is drawn."""
    rng = random.Random(f"{seed}/texts")
    namer = Namer(random.Random(f"{seed}/names"))
    cast = cast_entities("test", 120, namer, BadgeMint(random.Random(f"{seed}/badges")), rng)
    drafts = list(relation_posts("test", 300, cast, rng))
    pages = [*entity_pages(cast, namer, rng), *pair_pages(drafts, cast, rng)]
    return [_WORD.findall(page.text) for page in pages]


def _headlines(path: Path) -> list[Tokens]:
    with path.open(encoding="utf-8") as lines:
        return [_WORD.findall(json.loads(line)["title"]) for line in lines]


def _recorded(path: Path) -> list[Tokens]:
    """Return the passages that stand behind ``<EOS>``, a token in a line."""
    with zipfile.ZipFile(path) as folder:
        blocks = folder.read("test.txt").decode("utf-8").split("\n\n")
    found = []
    for block in blocks:
        tokens = [line.split("\t")[0] for line in block.splitlines()]
        if "<EOS>" in tokens:
            found.append(_WORD.findall(" ".join(tokens[tokens.index("<EOS>") + 1 :])))
    return [tokens for tokens in found if tokens]


def _figures_of_texts(name: str, worlds: Sequence[tuple[int, list[Tokens]]]) -> list[Figure]:
    def dropped(lengths: tuple[int, int], edit: Edit) -> float:
        found = 0
        for seed, texts in worlds:
            rng = random.Random(f"{seed}/{edit.__name__}/{lengths}")
            plain = [word for text in texts for word in text if word.islower()]
            for tokens in _passages(texts, lengths, rng):
                found += _falls(" ".join(tokens), " ".join(edit(tokens, plain, rng)))
        return found / (_PASSAGES * len(worlds))

    usual, short = (10, 60), (5, 8)
    rows = [
        Figure("one word changed: found", dropped(usual, one_word), 0.99),
        Figure("three words changed, cut, prefixed: found", dropped(usual, three_words), 0.97),
        Figure("half of the words replaced: dropped", dropped(usual, half), 0.001, "below"),
        Figure("quoted within a longer text: found", dropped(usual, quoted)),
        Figure("another name in its place: dropped", dropped(usual, renamed)),
        Figure("5 to 8 words, one changed: found", dropped(short, one_word)),
        Figure("5 to 8 words, half replaced: dropped", dropped(short, half)),
        Figure("other texts in a stream of 60: lost", _lost_texts(worlds)),
    ]
    return [Figure(f"{name}: {row.what}", row.value, row.bound, row.better) for row in rows]


def _passages(
    texts: Sequence[Tokens], lengths: tuple[int, int], rng: random.Random
) -> Iterator[Tokens]:
    """Yield beginnings of texts, laid end to end where one is too short."""
    for _ in range(_PASSAGES):
        goal = rng.randint(*lengths)
        found: Tokens = []
        while len(found) < goal:
            found += rng.choice(texts)
        yield found[:goal]


def one_word(tokens: Tokens, plain: Sequence[str], rng: random.Random) -> Tokens:
    """Return the text with another word somewhere; words that come in are no names."""
    return _replaced(tokens, 1, plain, rng)


def three_words(tokens: Tokens, plain: Sequence[str], rng: random.Random) -> Tokens:
    """Return the text less a tenth at either end, three words changed, something before it."""
    cut = max(1, round(len(tokens) / 10))
    left = tokens[cut:] if rng.random() < 0.5 else tokens[:-cut]
    return [*rng.choice(_PREFIXES).split(), *_replaced(left, 3, plain, rng)]


def half(tokens: Tokens, plain: Sequence[str], rng: random.Random) -> Tokens:
    """Return the text with half of its words replaced."""
    return _replaced(tokens, len(tokens) // 2, plain, rng)


def quoted(tokens: Tokens, plain: Sequence[str], rng: random.Random) -> Tokens:
    """Return a fifth of the text to a third of it, at least five words, from its middle."""
    length = max(5, round(len(tokens) * rng.uniform(0.2, 0.33)))
    start = rng.randrange(len(tokens) - length + 1)
    return tokens[start : start + length]


def renamed(tokens: Tokens, plain: Sequence[str], rng: random.Random) -> Tokens:
    """Return the text with each name in it (capitalised, not the first word) made another."""
    return [
        word[0] + word[1:][::-1] + "on" if place and word[0].isupper() else word
        for place, word in enumerate(tokens)
    ]


def _replaced(tokens: Tokens, count: int, plain: Sequence[str], rng: random.Random) -> Tokens:
    edited = list(tokens)
    for place in rng.sample(range(len(tokens)), min(count, len(tokens))):
        while words(edited[place]) == words(tokens[place]):
            edited[place] = rng.choice(plain)
    return edited


def _falls(original: str, edited: str) -> bool:
    """Return whether the edited text goes beside the original, which is ranked better."""
    return len(_kept_texts([original, edited])) == 1


def _kept_texts(texts: Sequence[str]) -> list[Hit]:
    hits = [_hit(str(place), place, text=text) for place, text in enumerate(texts)]
    scores = {hit: -hit.rank for hit in hits}
    hits, _ = drop_same_texts(hits, scores)
    hits, _ = drop_near_texts(hits, scores, _SETTINGS.near_duplicate_text)
    hits, _ = drop_contained_texts(hits, scores, _SETTINGS.contained_text)
    return hits


def _lost_texts(worlds: Sequence[tuple[int, list[Tokens]]]) -> float:
    """Return the share of texts with words of their own that streams of many of them lose."""
    lost = total = 0
    for seed, texts in worlds:
        rng = random.Random(f"{seed}/streams")
        distinct = sorted({words(" ".join(text)): " ".join(text) for text in texts}.values())
        for _ in range(20):
            stream = rng.sample(distinct, min(_STREAM, len(distinct)))
            lost += len(stream) - len(_kept_texts(stream))
            total += len(stream)
    return lost / total


def _hit(name: str, rank: int, text: str) -> Hit:
    return Hit("sentence", "text", -1, "bench", name, rank, 0.0, text)
