"""What the splits of a store have in common: photos, near copies of photos, sentences, quotes.

Splits overlap in every published data set, a little; whoever reports a figure should know by how
much. That is told, and fails an audit only where it is asked to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cache.errors import InputError
from retrieval.curation.dedup_images import ImageHash
from retrieval.curation.dedup_text import words
from retrieval.curation.leaks import LeakGuard, post_forms

SAME_PHOTO: Final = "the same photo"
NEAR_PHOTO: Final = "a photo that looks the same"
NEAR_TEXT: Final = "the same or nearly the same words"
QUOTED: Final = "evidence that repeats the words"

_SHARE: Final = 0.8
_MAX_BITS: Final = 8
_NUM_SHOWN: Final = 5
_CHUNK: Final = 512
# Whoever trains reads from the right to the left: a test post that is in train is the bad case.
_ORDER: Final = ("train", "dev", "test")

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Overlap:
    """What one split has in common with another.

    Attributes:
        what: they share.
        split: of the posts that are counted.
        other: the split that has the same.
        posts: posts of ``split`` that share it with any post of ``other``.
        examples: a few pairs of ids, of ``split`` and of ``other``.
    """

    what: str
    split: str
    other: str
    posts: int
    examples: tuple[Pair, ...]


def overlaps(what: str, pairs: Iterator[Pair], splits: Mapping[str, str]) -> list[Overlap]:
    """Return how many posts of each split are in a pair with one of another split.

    Args:
        what: the two posts of a pair share.
        pairs: ids of two posts in either order; those of one split do not count.
        splits: split by id.

    Raises:
        InputError: a split is none of train, dev and test.
    """
    if strange := sorted(set(splits.values()).difference(_ORDER)):
        raise InputError(
            f"the posts are in the splits {', '.join(map(repr, strange))}; splits are "
            f"{', '.join(_ORDER)}. Build the store again."
        )
    partners: defaultdict[Pair, dict[str, str]] = defaultdict(dict)
    for pair in pairs:
        early, late = sorted(pair, key=lambda name: (_ORDER.index(splits[name]), name))
        if splits[early] != splits[late]:
            found = partners[splits[late], splits[early]]
            found[late] = min(early, found.get(late, early))
    return [
        Overlap(what, late, early, len(found), tuple(sorted(found.items())[:_NUM_SHOWN]))
        for (late, early), found in sorted(partners.items())
    ]


def pairs_of_equals(keys: Mapping[str, str], splits: Mapping[str, str]) -> Iterator[Pair]:
    """Yield posts with equal keys, one pair for each post and each other split.

    Args:
        keys: what is compared, by id; an empty one equals nothing.
        splits: split by id.
    """
    homes: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in sorted(keys):
        if keys[name]:
            homes[keys[name]][splits[name]].append(name)
    for found in homes.values():
        for one, other in combinations(found.values(), 2):
            yield from ((name, other[0]) for name in one)
            yield from ((one[0], name) for name in other)


def pairs_of_words(tokens: Mapping[str, Sequence[str]], guard: LeakGuard) -> Iterator[Pair]:
    """Yield posts of which one has most of the other's word trigrams; short ones must be equal.

    Args:
        tokens: words by id.
        guard: knows the posts.
    """
    for name in sorted(tokens):
        for form in post_forms(tokens[name]):
            yield from ((name, other) for other in _quoted(form, guard) if other != name)


def pairs_of_quotes(texts: Mapping[str, Sequence[str]], guard: LeakGuard) -> Iterator[Pair]:
    """Yield a post and each other post whose words stand in the evidence of the first.

    Args:
        texts: of the kept evidence, by id of its post.
        guard: knows the posts.
    """
    known: dict[str, tuple[str, ...]] = {}
    for name in sorted(texts):
        for text in texts[name]:
            if text not in known:
                known[text] = tuple(_quoted(words(text), guard))
            yield from ((name, other) for other in known[text] if other != name)


def pairs_of_looks(hashes: Mapping[str, ImageHash]) -> Iterator[Pair]:
    """Yield keys of photos that look the same: both hashes within 8 bits, as in curation.

    Args:
        hashes: by key of the photo.
    """
    keys = sorted(hashes)
    pairs = [(hashes[key].phash, hashes[key].dhash) for key in keys]
    table = np.array(pairs, dtype=np.uint64).reshape(-1, 2)
    for start in range(0, len(keys), _CHUNK):
        near = _near(table[start : start + _CHUNK], table[start:])
        for row, column in np.argwhere(near).tolist():
            if row < column:
                yield keys[start + row], keys[start + column]


def _near(some: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.bool_]:
    near = np.ones((len(some), len(others)), dtype=np.bool_)
    for which in range(2):
        bits = np.bitwise_count(some[:, None, which] ^ others[None, :, which])
        near &= bits <= _MAX_BITS
    return near


def _quoted(found: tuple[str, ...], guard: LeakGuard) -> Iterator[str]:
    yield from guard.equal_posts(found)
    for quote in guard.quotes(found, _SHARE):
        yield from quote.example_ids
