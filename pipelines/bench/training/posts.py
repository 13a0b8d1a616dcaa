"""Posts whose sentences and evidence texts are as long as real ones; what they say is made up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cache.reader import Features, features_of
from cache.records import Evidence, Example, Hit, Level, Observation, Post, Span, StoredExample

# The authors' code reads eleven evidence texts of each post, and cuts each at 80 pieces with the
# special tokens (THU-BPM/MRE b5e1e1c).
TEXTS_PER_POST: Final = 11
MAX_TEXT_PIECES: Final = 80
SPECIAL: Final = 2
# Pieces without special tokens, at shares 0, 0.05, 0.25, 0.5, 0.75, 0.95 and 1: Twitter-2017's
# training sentences, the captions recorded for its photos, and the entity strings and captions
# of the lines that the authors released (MiniLM's tokenizer, which is BERT's).
_SHARES: Final = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
SENTENCES: Final = (4, 9, 14, 17, 22, 29, 54)
CAPTIONS: Final = (4, 5, 8, 10, 11, 15, 21)
NAMES: Final = (1, 1, 1, 2, 3, 4, 20)
# The recorded passages of Twitter-2017 are all longer than what is kept of them.
PASSAGES: Final = (MAX_TEXT_PIECES - SPECIAL,) * len(_SHARES)


@dataclass(frozen=True, slots=True)
class Texts:
    """What the evidence of a post is.

    Attributes:
        what: in words.
        lengths: for each text its distribution.
    """

    what: str
    lengths: tuple[Sequence[int], ...]


TEXTS: Final = {
    "step": Texts("a passage and ten captions", (PASSAGES, *[CAPTIONS] * 10)),
    "names": Texts("eleven entity names", (NAMES,) * TEXTS_PER_POST),
    "long": Texts("six passages and five captions", (*[PASSAGES] * 6, *[CAPTIONS] * 5)),
}


def made_up_posts(count: int, texts: Texts, words: Sequence[str], seed: int) -> list[Features]:
    """Return annotated posts with evidence of all three levels.

    Args:
        count: how many.
        texts: how long the evidence is.
        words: each of them one piece.
        seed: of lengths and words.
    """
    rng = np.random.default_rng(seed)
    return [_post(index, texts, words, rng) for index in range(count)]


def _post(index: int, texts: Texts, words: Sequence[str], rng: np.random.Generator) -> Features:
    post = Post(f"post-{index}", tuple(_some(words, SENTENCES, rng)))
    levels: tuple[Level, ...] = ("sentence", "image", "object")
    kept = []
    for number, lengths in enumerate(texts.lengths):
        text = " ".join(_some(words, lengths, rng))
        level, rank = levels[number % len(levels)], number // len(levels)
        hit = Hit(level, "text", -1, "made up", f"{index}-{number}", rank, 1.0, text=text)
        kept.append(Evidence(hit, rank, 1.0))
    example = Example(post, "train" if index else "dev", entities=(Span(1, 3, "PER"),))
    return features_of(StoredExample(example, Observation(post), tuple(kept)))


def _some(words: Sequence[str], lengths: Sequence[int], rng: np.random.Generator) -> list[str]:
    length = round(float(np.interp(rng.random(), _SHARES, lengths)))
    return [words[at] for at in rng.integers(len(words), size=length)]
