"""Builds a sample of a data set one stage after the other, so that each is timed by itself.

The stages are the builder's own. A build lets them overlap; how that adds up is simulated.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

from cache.recording.recordings import Recordings
from cache.records import Observation
from cache.writing.writer import StoreWriter
from retrieval.asking.manner import AskingOptions, Manner
from retrieval.building.builder import RECORDINGS
from retrieval.building.cases import Case, Seen
from retrieval.building.feature_sets import complete_features
from retrieval.building.gather import Gatherer
from retrieval.building.identity import store_identity
from retrieval.building.reference import reference_ids
from retrieval.building.shard_rows import ShardRows
from retrieval.building.shards import Shards
from retrieval.datasets import Dataset
from retrieval.features.maker import FeatureMaker
from retrieval.providers.base import Provider
from retrieval.settings import BuildSettings
from retrieval.sight.look import LocalEyes, PostObserver, in_batches
from retrieval.sight.sight import Sight


@dataclass(slots=True, kw_only=True)
class StageTimes:
    """Adds up time by stage.

    Attributes:
        seconds: wall time.
        cpu_seconds: the same of the processor's time, of all threads.
    """

    seconds: defaultdict[str, float] = field(default_factory=partial(defaultdict, float))
    cpu_seconds: defaultdict[str, float] = field(default_factory=partial(defaultdict, float))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time inside the block for a stage."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.seconds[name] += time.perf_counter() - wall
        self.cpu_seconds[name] += time.process_time() - cpu


@dataclass(slots=True, kw_only=True)
class SampleBuild(StageTimes):
    """What building a sample took, and what came of it.

    Attributes:
        posts: in the sample.
        seconds: wall time by stage: ``look``, ``ask``, ``embed``, ``opening``, ``curate``,
            ``write``, ``closing`` and ``features``.
        cpu_seconds: the same of the processor's time.
        observations: of the posts.
        asked: distinct questions that files at hand answered.
        hits: that answers named.
        kept: of them that became evidence.
        size_bytes: of the files, by folder of the store.
    """

    posts: int
    observations: list[Observation] = field(default_factory=list)
    asked: int = 0
    hits: int = 0
    kept: int = 0
    size_bytes: dict[str, int] = field(default_factory=dict)


def part_of(dataset: Dataset, posts: int) -> Dataset:
    """Return ``posts`` of the posts, evenly spread over all of them in the order of shards."""
    ordered = sorted(dataset.examples, key=lambda one: one.post.example_id)
    number = min(posts, len(ordered))
    chosen = tuple(ordered[place * len(ordered) // number] for place in range(number))
    names = {one.post.example_id for one in chosen}
    photos = {name: path for name, path in dataset.photos.items() if name in names}
    return replace(dataset, examples=chosen, photos=photos, problems=())


def build_sample(
    settings: BuildSettings,
    store: Path,
    dataset: Dataset,
    observer: PostObserver,
    providers: Sequence[Provider],
    features: FeatureMaker | None = None,
) -> SampleBuild:
    """Build the posts of ``dataset`` into ``store``, stage by stage; ask no live provider.

    Args:
        settings: of the recipe.
        store: a folder that is not there yet.
        dataset: the sample.
        observer: sees posts.
        providers: who is asked: files at hand. Of live ones nothing is known, so leave them out.
        features: makes feature sets; None makes none.
    """
    done = SampleBuild(posts=len(dataset.examples))
    identity = store_identity(
        settings, dataset, observer.fingerprint, providers, observer.encoder_fingerprint
    )
    with ExitStack() as stack:
        with done.stage("opening"):
            shards = Shards(dataset, settings.shard_size)
            writer = stack.enter_context(
                StoreWriter(store, identity=identity, num_shards=len(shards))
            )
            book = stack.enter_context(Recordings(store / RECORDINGS))
            manner = Manner(AskingOptions(offline=True), settings.ask.polite)
            k = settings.ask.hits_per_query
            gatherer = Gatherer(providers, book, observer, k, settings.curate, manner)
        with done.stage("look"):
            seen = _look(dataset, observer, gatherer, shards)
        _look_around(gatherer, dataset, seen, settings.curate.reference_posts, done)
        for index in range(len(shards)):
            _build_shard(gatherer, shards, index, seen, writer, done)
        with done.stage("closing"):
            book.close()
            writer.close(writer.count())
    if features is not None:
        with done.stage("features"):
            complete_features(store, features, {}, say=lambda _: None)
    done.asked = gatherer.asker.counts["asked"]
    done.observations = [one.observation for one in seen.values()]
    done.size_bytes = folder_bytes(store)
    return done


def folder_bytes(store: Path) -> dict[str, int]:
    """Return the bytes of a store by its folders; ``manifest`` has those of files beside them."""
    sizes: dict[str, int] = {}
    for path in store.rglob("*"):
        if path.is_file():
            parts = path.relative_to(store).parts
            name = parts[0] if len(parts) > 1 else "manifest"
            sizes[name] = sizes.get(name, 0) + path.stat().st_size
    return sizes


def _look(
    dataset: Dataset, observer: PostObserver, gatherer: Gatherer, shards: Shards
) -> dict[str, Seen]:
    posts = shards.posts(range(len(shards)))
    sight = Sight(LocalEyes(observer, dataset.photos, gatherer.watch), None)
    found = chain.from_iterable(sight.see(in_batches(posts)))
    return {one.example_id: one for one in found if isinstance(one, Seen)}


def _ask(gatherer: Gatherer, seen: Sequence[Seen], done: SampleBuild) -> list[Case]:
    cases: list[Case] = []
    for part in in_batches(seen):
        with done.stage("ask"):
            batch = gatherer.ask(part)
            gatherer.fetch(batch)
        with done.stage("embed"):
            gatherer.embed(batch)
        cases += batch
    return cases


def _look_around(
    gatherer: Gatherer,
    dataset: Dataset,
    seen: Mapping[str, Seen],
    count: int,
    done: SampleBuild,
) -> None:
    reference = [seen[name] for name in reference_ids(seen, count)]
    # Asked before, so that the time of asking is not counted for comparing.
    _ask(gatherer, reference, done)
    with done.stage("opening"):
        gatherer.look_around([example.post for example in dataset.examples], reference)


def _build_shard(
    gatherer: Gatherer,
    shards: Shards,
    index: int,
    seen: Mapping[str, Seen],
    writer: StoreWriter,
    done: SampleBuild,
) -> None:
    examples = {one.post.example_id: one for one in shards[index]}
    cases = _ask(gatherer, [seen[name] for name in examples if name in seen], done)
    shard = ShardRows()
    with done.stage("curate"):
        for part in in_batches(cases):
            shard.add(part, gatherer.curate(part), examples)
    missing = sorted(examples.keys() - shard.dropped.keys())
    with done.stage("write"):
        shard.write(writer, index, missing, gatherer.compared_with)
    done.hits += sum(len(case.hits) for case in cases)
    done.kept += sum(len(row.evidence) for row in shard.rows)
