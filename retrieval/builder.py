"""Fills a store: observe, ask, curate, write, shard by shard, and go on where a run stopped."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Never

from tqdm import tqdm

from cache.journal import JOURNAL_NAME, read_journal
from cache.manifest import Manifest
from cache.recordings import Recordings
from cache.records import Dropped, Example, Media, StoredExample
from cache.writer import StoreWriter
from retrieval.build_plan import open_earlier, plan_build
from retrieval.build_report import BuildReport, count_shards
from retrieval.datasets import Dataset
from retrieval.gather import Gatherer, Seen, Unfinished
from retrieval.identity import store_identity
from retrieval.providers.base import Provider
from retrieval.settings import BuildSettings
from retrieval.sight import PostObserver, Sight

RECORDINGS: Final = "recordings"


def build_store(
    settings: BuildSettings,
    store: Path,
    *,
    dataset: Dataset,
    observer: PostObserver,
    providers: Sequence[Provider],
    progress: bool = False,
) -> BuildReport:
    """Fill ``store`` with the evidence for the posts of ``dataset``; return what was done.

    A finished store is left as it is; if only ``settings.curate`` differ, it is curated anew from
    its observations and recordings. An interrupted build goes on; one in which providers could
    not be asked does the shards with unfinished posts again.

    Args:
        settings: what decides the content.
        store: folder of the store; made where missing.
        dataset: the posts; their annotations only travel along.
        observer: sees posts; its models are needed only for posts not seen before.
        providers: who is asked, in the order of ``settings.ask.providers``.
        progress: show a bar, where the output is a terminal.

    Raises:
        StoreMismatch: the folder holds a store, or an interrupted build, of other posts or
            settings; the message names the differences and the way out.
        StoreError: the folder cannot be written, or another process is at it.
        InputError: models or knowledge base cannot be used.
    """
    start, forward_before = time.perf_counter(), observer.forward_seconds
    plan = plan_build(store, store_identity(settings, dataset, observer.fingerprint, providers))
    if plan.action == "nothing to do" and plan.earlier is not None:
        seconds = time.perf_counter() - start
        return BuildReport(plan.action, plan.earlier.counters, wall_seconds=seconds)
    with ExitStack() as stack:
        shards = _Shards(dataset, settings.shard_size)
        writer = stack.enter_context(
            StoreWriter(store, identity=plan.identity, num_shards=len(shards))
        )
        book = Recordings(store / RECORDINGS)
        stack.callback(book.close)
        ask = settings.ask
        gatherer = Gatherer(providers, book, observer, ask.hits_per_query, settings.curate)
        earlier = open_earlier(store, plan)
        if earlier is not None:
            stack.enter_context(earlier)
        sight = Sight(observer, dataset.photos, earlier, gatherer.watch)

        todo = sorted(set(range(len(shards))) - (writer.finished_shards() - plan.redo))
        unfinished = _ShardBuilder(shards, sight, gatherer, writer).build(todo, progress)
        with gatherer.watch.stage("write"):
            manifest = _close(writer, dataset)
    counts = gatherer.asker.counts
    return BuildReport(
        plan.action,
        manifest.counters,
        num_written=len(todo),
        num_observed=sight.num_observed,
        asked=counts["asked"],
        answered_from_recordings=counts["recorded"],
        unavailable=counts["unavailable"],
        unfinished=tuple(sorted(unfinished, key=lambda one: one.example_id)),
        photo_problems=dict(sorted(sight.photo_problems.items())),
        seconds=dict(gatherer.watch.seconds),
        forward_seconds=observer.forward_seconds - forward_before,
        wall_seconds=time.perf_counter() - start,
    )


class _Shards:
    """Which post is in which shard: by id alone, so neither split nor label decides anything."""

    def __init__(self, dataset: Dataset, size: int) -> None:
        self.num_posts = len(dataset.examples)
        self._examples = sorted(dataset.examples, key=lambda one: one.post.example_id)
        self._size = size

    def __len__(self) -> int:
        return -(-self.num_posts // self._size)

    def __getitem__(self, index: int) -> Sequence[Example]:
        return self._examples[index * self._size : (index + 1) * self._size]


class _ShardBuilder:
    """Takes shards all the way; each is final before the next one is begun."""

    def __init__(
        self, shards: _Shards, sight: Sight, gatherer: Gatherer, writer: StoreWriter
    ) -> None:
        self._shards = shards
        self._sight = sight
        self._gatherer = gatherer
        self._writer = writer

    def build(self, todo: Sequence[int], progress: bool) -> list[Unfinished]:
        """Write the shards ``todo``; return the posts that could not be finished."""
        unfinished: list[Unfinished] = []
        total = self._shards.num_posts
        with tqdm(
            total=total,
            initial=total - sum(len(self._shards[index]) for index in todo),
            desc=f"build {self._writer.path.name}",
            unit="post",
            disable=None if progress else True,
        ) as bar:
            for index in todo:
                unfinished += self._build_shard(index, bar)
                counts = self._gatherer.asker.counts
                bar.set_postfix({**counts, "unfinished": len(unfinished)})
        return unfinished

    def _build_shard(self, index: int, bar: tqdm[Never]) -> list[Unfinished]:
        examples = {one.post.example_id: one for one in self._shards[index]}
        seen: list[Seen] = []
        unfinished: list[Unfinished] = []
        for batch in self._sight.see([one.post for one in examples.values()]):
            seen += [one for one in batch if isinstance(one, Seen)]
            unfinished += [one for one in batch if isinstance(one, Unfinished)]
            bar.update(len(batch))
        rows: list[StoredExample] = []
        dropped: dict[str, tuple[Dropped, ...]] = {}
        media: dict[str, Media] = {}
        for post, found in zip(seen, self._gatherer.gather(seen), strict=True):
            if isinstance(found, Unfinished):
                unfinished.append(found)
                continue
            example = examples[post.example_id]
            rows.append(StoredExample(example, post.observation, found.evidence))
            dropped[post.example_id] = found.dropped
            media |= {image.key: image for image in found.media}
        with self._gatherer.watch.stage("write"):
            names = [one.example_id for one in unfinished]
            self._writer.write_shard(index, rows, dropped, media.values(), names)
        return unfinished


def _close(writer: StoreWriter, dataset: Dataset) -> Manifest:
    """Write the manifest, its counters counted from the shards of this and all earlier runs."""
    journal = read_journal(writer.path / JOURNAL_NAME)
    shards = {} if journal is None else journal.shards
    counters: dict[str, object] = {}
    counters |= count_shards(writer.path, [shard for _, shard in sorted(shards.items())])
    counters |= {f"data set: {problem.kind}": problem.count for problem in dataset.problems}
    return writer.close(counters)
