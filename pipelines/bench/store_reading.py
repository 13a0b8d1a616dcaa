"""How fast whole posts come out, at random and warm, beside other layouts of the same posts."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

from cache import Media, StoreDamaged, open_store
from cache.reader import Features
from cache.store import ReaderName
from pipelines.bench.figures import Figure
from pipelines.bench.store_peers import PEERS, Peer, opened_peer
from pipelines.bench.store_posts import PostMaker, WholePost, from_features, image_keys

OURS: Final = "store, lmdb"
_FORMS: Final[dict[str, ReaderName]] = {OURS: "lmdb", "store, packed": "packed"}
RAW: Final = "raw packed, our records"
_RAW_LAYOUTS: Final = frozenset((RAW, "raw packed, msgpack"))
_ROUNDS: Final = 3
Read = Callable[[int], object]


class StorePosts:
    """Posts of a store, by number."""

    def __init__(self, store: Path, maker: PostMaker, reader: ReaderName) -> None:
        self.reader = open_store(store, reader=reader, images=True)
        self._names = [maker.name(number) for number in range(maker.posts)]

    def whole(self, number: int) -> tuple[Features, list[Media]]:
        """Return all of a post."""
        features = self.light(number)
        return features, [self.reader.media(key) for key in image_keys(features)]

    def light(self, number: int) -> Features:
        """Return a post without its images."""
        return self.reader.features(self._names[number])

    def values(self, post: tuple[Features, list[Media]]) -> WholePost:
        """Return the values of a post."""
        features, images = post
        return from_features(features, [image.data for image in images])

    def close(self) -> None:
        """Let the files go."""
        self.reader.close()


def bench_reading(maker: PostMaker, store: Path, folder: Path) -> list[Figure]:
    """Read all posts at random from the store and from every peer, round by round.

    Before anything is timed each post is read once from each layout, and all of its values are
    compared with those that were written. Every layout holds and decodes the same: texts as
    ``str``, vectors as float32, images as ``bytes``, and what a trainer gets beside them. The
    best of three rounds counts.

    Args:
        maker: of the posts.
        store: holds them.
        folder: the peers are written below it.
    """
    order = list(range(maker.posts))
    random.Random(maker.seed).shuffle(order)
    digests = [maker.whole(number).digest for number in range(maker.posts)]
    with ExitStack() as stack:
        layouts: dict[str, Peer] = {
            name: stack.enter_context(closing(StorePosts(store, maker, reader)))
            for name, reader in _FORMS.items()
        }
        for name in PEERS:
            layouts[name] = stack.enter_context(closing(opened_peer(name, maker, folder)))
        for name, layout in layouts.items():
            compare(name, layout, order, digests)
        whole = _best({name: layout.whole for name, layout in layouts.items()}, order)
        light = _best({name: layout.light for name, layout in layouts.items()}, order)
    peers = set(layouts) - set(_FORMS) - _RAW_LAYOUTS
    figures = [Figure(f"posts/s, whole, {name}", rate) for name, rate in whole.items()]
    figures.append(Figure("whole, times the raw packed map", whole[OURS] / whole[RAW], 0.7))
    fastest = max(whole[name] for name in peers)
    figures.append(Figure("whole, times the fastest peer", whole[OURS] / fastest, 1.0))
    figures += [
        Figure(f"posts/s, texts and vectors, {name}", rate) for name, rate in light.items()
    ]
    fastest = max(light[name] for name in peers)
    figures.append(Figure("texts and vectors, times the fastest peer", light[OURS] / fastest))
    return figures


def compare(
    name: str, layout: Peer, order: Sequence[int], digests: Mapping[int, int] | Sequence[int]
) -> None:
    """Read posts once and compare every value.

    Raises:
        StoreDamaged: a layout gives back something else than was written.
    """
    for number in order:
        if layout.values(layout.whole(number)).digest != digests[number]:
            raise StoreDamaged(f"post {number} comes back changed from: {name}. Report this.")


def read_all(read: Read, order: Sequence[int]) -> None:
    """Read posts; no layout leaves anything undecoded."""
    for number in order:
        read(number)


def _best(reads: dict[str, Read], order: Sequence[int]) -> dict[str, float]:
    """Return posts a second, the best round of each."""
    best = dict.fromkeys(reads, 0.0)
    for _ in range(_ROUNDS):
        for name, read in reads.items():
            started = time.perf_counter()
            read_all(read, order)
            best[name] = max(best[name], len(order) / (time.perf_counter() - started))
    return best
