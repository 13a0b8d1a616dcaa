"""How long the curation of a large data set takes, and how much memory it needs.

Posts, hits and vectors are invented one post at a time, from a world whose things are found again
and again, as a real one's are: the clock and the memory are curation's.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cache.keys import content_key
from cache.records import STREAMS, Hit, Level, Modality, Observation, Post, Region, Vector
from pipelines.bench.figures import Figure
from retrieval.curation.consistency import Reference
from retrieval.curation.curate import Surroundings, curate
from retrieval.curation.dedup_images import ImageHash, image_hash
from retrieval.curation.leaks import LeakGuard
from retrieval.settings import CurateSettings

_SHARD: Final = 256
_DIM: Final = 512
_REGIONS: Final = 2
# A thing for so many posts; it is shown by so many texts and pictures.
_POSTS_PER_THING: Final = 10
_TEXTS_PER_THING: Final = 12
_PICTURES_PER_THING: Final = 6
_LETTERS: Final = ("ba", "do", "ki", "lu", "me", "no", "ra", "si", "ta", "vo")
_JOINTS: Final = ("the", "a", "of", "in", "and", "to", "for", "on", "with", "at", "is", "was")


def bench_speed(posts: int = 20_000, hits: int = 60, seed: int = 0) -> list[Figure]:
    """Curate ``posts`` of ``hits`` hits each, and a quarter of them, in one process.

    Args:
        posts: how many.
        hits: of each, over the six streams.
        seed: of the world.
    """
    settings = CurateSettings()
    curate_posts(_World(seed, 400), 40, hits, settings)
    quarter = curate_posts(_World(seed, posts // 4), posts // 4, hits, settings)
    whole = curate_posts(_World(seed, posts), posts, hits, settings)
    growth = whole.cpu_seconds / (quarter.cpu_seconds * posts / (posts // 4))
    return [
        Figure(f"curate {posts} posts with {hits} hits: seconds", whole.seconds, 180, "below"),
        Figure("  largest memory of the process, GB", _peak_memory_gb(), 3, "below"),
        Figure("  CPU milliseconds per post", 1000 * whole.cpu_seconds / posts),
        Figure("  CPU time per post over that of a quarter of the posts", growth, 1.25, "below"),
        Figure("  the same growth of CPU time", growth, 0.8, "above"),
        Figure("  hits kept as evidence, share", whole.kept / (posts * hits)),
    ]


@dataclass(frozen=True, slots=True)
class Curated:
    """What a run of curation took.

    Attributes:
        seconds: inside curation; inventing is not counted.
        cpu_seconds: the same of the processor's time, whatever else the machine does.
        kept: hits that became evidence.
    """

    seconds: float
    cpu_seconds: float
    kept: int


class _Watch:
    """Adds up time inside ``with``."""

    def __init__(self) -> None:
        self.seconds = self.cpu_seconds = 0.0

    def __enter__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def __exit__(self, *error: object) -> None:
        wall, cpu = self._started
        self.seconds += time.perf_counter() - wall
        self.cpu_seconds += time.process_time() - cpu


def curate_posts(world: _World, posts: int, hits: int, settings: CurateSettings) -> Curated:
    """Curate the first ``posts`` posts of ``world`` with all that a build knows beside them."""
    kept = 0
    watch = _Watch()
    with watch:
        around = world.surroundings(posts, hits, settings)
    for first in range(0, posts, _SHARD):
        cases = [world.case(index, hits) for index in range(first, min(first + _SHARD, posts))]
        with watch:
            done = [curate(*case, settings, around) for case in cases]
        kept += sum(len(evidence) for evidence, _ in done)
    return Curated(watch.seconds, watch.cpu_seconds, kept)


class _World:
    """Things with texts, pictures and a direction; posts about them, hits that are found."""

    def __init__(self, seed: int, posts: int) -> None:
        rng = np.random.default_rng(seed)
        self._seed = seed
        things = max(20, posts // _POSTS_PER_THING)
        self._directions = rng.standard_normal((things, _DIM)).astype(np.float32)
        invented = random.Random(seed)
        self._words = ["".join(invented.choices(_LETTERS, k=4)) for _ in range(5000)]
        self._texts = [
            [
                " ".join(self._sentence(invented, thing) for _ in range(invented.randint(1, 4)))
                for _ in range(_TEXTS_PER_THING)
            ]
            for thing in range(things)
        ]
        # Pictures differ from thing to thing; their hashes are made before the clock starts, for
        # in a build each is made once, when the image comes in.
        self._hashes: dict[str, ImageHash | None] = {}
        for thing in range(things):
            for number, picture in enumerate(_pictures(f"{seed}/{thing}")):
                self._hashes[_key(thing, number)] = image_hash(picture)

    def surroundings(self, posts: int, hits: int, settings: CurateSettings) -> Surroundings:
        """Return what a build of these posts knows."""
        step = max(1, posts // settings.reference_posts)
        sample = [self.case(index, hits) for index in range(0, posts, step)]
        return Surroundings(
            self._hashes.get,
            Reference(sample[: settings.reference_posts]),
            LeakGuard(self._post(index) for index in range(posts)),
        )

    def _post(self, index: int) -> Post:
        thing = index % len(self._directions)
        rng = random.Random(f"{self._seed}/post/{index}")
        return Post(f"p{index}", tuple(self._sentence(rng, thing).split()))

    def case(self, index: int, hits: int) -> tuple[Observation, list[Hit]]:
        """Return post number ``index`` and its hits, the same ones whenever asked."""
        rng = random.Random(f"{self._seed}/{index}")
        noise = np.random.default_rng((self._seed, index))
        thing = index % len(self._directions)
        near = iter(self._near(thing, noise, 2 + _REGIONS))
        observation = Observation(
            self._post(index),
            _key(thing, 0),
            "ok",
            next(near),
            next(near),
            tuple(Region((0, 0, 9, 9), "person", 0.5, vector) for vector in near),
        )
        per_stream = hits // len(STREAMS)
        found = [
            self._hit(stream, rank, thing, rng, noise)
            for stream in STREAMS
            for rank in range(per_stream)
        ]
        return observation, found

    def _hit(
        self,
        stream: tuple[Level, Modality],
        rank: int,
        thing: int,
        rng: random.Random,
        noise: np.random.Generator,
    ) -> Hit:
        """Return one hit: half of them are on the post's thing, the rest on any."""
        level, modality = stream
        about = thing if rng.random() < 0.5 else rng.randrange(len(self._directions))
        number = rng.randrange(_PICTURES_PER_THING if modality == "image" else _TEXTS_PER_THING)
        text = self._texts[about][number]
        if rng.random() < 0.3:
            text = _edited(text, rng)
        vector = self._near(about, noise, 1)[0]
        return Hit(
            level=level,
            modality=modality,
            region_index=rank % _REGIONS if level == "object" else -1,
            provider="kb",
            document_id=f"{about}-{number}",
            rank=rank,
            provider_score=1.0 / (rank + 1),
            text=text,
            media_key=_key(about, number) if modality == "image" else None,
            title=f"Thing {about}",
            url=f"https://pages.example/{about}/{number}",
            query_key=f"{level}{modality}{rank % _REGIONS if level == 'object' else 0}",
            relevance=0.5,
            embedding=vector,
        )

    def _near(self, thing: int, noise: np.random.Generator, count: int) -> Sequence[Vector]:
        rows = self._directions[thing] + noise.standard_normal((count, _DIM), dtype=np.float32)
        unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return list(unit)

    def _sentence(self, rng: random.Random, thing: int) -> str:
        name = self._words[thing % len(self._words)].capitalize()
        rest = [
            rng.choice(_JOINTS) if rng.random() < 0.4 else rng.choice(self._words)
            for _ in range(rng.randint(7, 14))
        ]
        rest.insert(rng.randrange(len(rest)), name)
        return " ".join(rest).capitalize() + "."


def _edited(text: str, rng: random.Random) -> str:
    """Return ``text`` with a word changed, or shortened, or with something before it."""
    found = text.split()
    if rng.random() < 0.5:
        found[rng.randrange(len(found))] = "indeed"
    if rng.random() < 0.5:
        found = found[: max(4, round(0.9 * len(found)))]
    return " ".join(["As", "others", "wrote:", *found])


def _pictures(name: str) -> Iterator[Image.Image]:
    """Yield a picture, edited copies of it and others: `_PICTURES_PER_THING` in all."""
    rng = np.random.default_rng([*name.encode()])
    for _ in range(_PICTURES_PER_THING // 3):
        coarse = rng.integers(0, 256, (9, 12), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((128, 96), Image.Resampling.BICUBIC)
        yield picture
        yield picture.crop((6, 4, 120, 90))
        yield picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _key(thing: int, number: int) -> str:
    return content_key(f"{thing}/{number}".encode())


def _peak_memory_gb() -> float:
    # Linux counts in kB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
