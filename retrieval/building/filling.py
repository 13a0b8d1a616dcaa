"""Fills a store under its lock: what is to be done, who is asked, shards, manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cache.checking.strangers import LOCAL
from cache.errors import StoreDamaged
from cache.manifest import Manifest
from cache.reading.parquet_reader import ParquetReader
from cache.recording.recordings import Recordings
from cache.records import Observation, Post
from cache.writing.tidy import set_aside_cut
from cache.writing.writer import StoreWriter
from retrieval.asking.answers import AnswerBook
from retrieval.asking.estimate import Questions, Seeing, estimate
from retrieval.asking.manner import Manner
from retrieval.building.cases import Seen, Unfinished
from retrieval.building.gather import Gatherer
from retrieval.building.job import Job
from retrieval.building.plan import Plan, open_earlier, refuse_loss
from retrieval.building.progress import BuildProgress
from retrieval.building.recurate import NoObserver, refuse_missing
from retrieval.building.reference import reference_ids
from retrieval.building.report import dataset_counters
from retrieval.building.shards import ShardBuilder, Shards
from retrieval.http.base import Client
from retrieval.providers.base import is_live
from retrieval.settings import AskSettings
from retrieval.sight.look import Eyes, PostObserver
from retrieval.sight.sight import Sight

if TYPE_CHECKING:
    from retrieval.fetching.fetch import Fetcher

RECORDINGS: Final = "recordings"


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """What was done for a store that is complete now.

    Attributes:
        manifest: of the store.
        questions: what was to be asked, as it was known before.
        gatherer: who asked; knows how often, and where the time went.
        fetcher: who fetched; None if nobody.
        sight: who looked; knows how often.
        eyes: it looked with.
        num_written: shards written.
        unfinished: posts without a row in the store.
    """

    manifest: Manifest
    questions: tuple[Questions, ...]
    gatherer: Gatherer
    fetcher: Fetcher | None
    sight: Sight
    eyes: Eyes
    num_written: int
    unfinished: list[Unfinished]


def fill(job: Job, plan: Plan) -> Filled:
    """Write the shards that ``plan`` leaves to do, and the manifest.

    Raises:
        RamieError: as `retrieval.building.builder.build_store`.
    """
    with ExitStack() as stack:
        shards = Shards(job.dataset, job.settings.shard_size, job.asking.part)
        writer = stack.enter_context(
            StoreWriter(job.store, identity=plan.identity, num_shards=len(shards))
        )
        if plan.action == "refreshed":
            # Once answers are renewed, nothing else tells that the shards have yet to follow.
            writer.start_over()
        set_aside_cut(job.store / RECORDINGS, job.store / LOCAL)
        book = stack.enter_context(Recordings(job.store / RECORDINGS))
        earlier = stack.enter_context(_earlier(job, plan))
        todo = shards.todo(writer.finished_shards(), plan.redo)
        refuse_loss(plan, shards.mine, todo)
        known = frozenset(() if earlier is None else earlier.example_ids())
        only = known if job.asking.recurate_only else None
        posts = shards.posts(sorted(shards.mine.intersection(todo)))
        posts = [post for post in posts if only is None or post.example_id in only]
        questions = _questions(job, posts, book, earlier)
        for one in questions:
            job.say(str(one))

        bar = stack.enter_context(_bar(job, shards, todo, questions))
        observer = _observer(job)
        fetcher = _fetcher(job, book)
        gatherer = _gatherer(job, observer, book, bar, fetcher)
        bar.counts = gatherer.asker.counts
        eyes = stack.enter_context(job.engine.eyes(observer, job.dataset.photos, gatherer.watch))
        sight = Sight(eyes, earlier)
        stack.callback(sight.close)
        builder = ShardBuilder(shards, sight, gatherer, writer, bar, only)
        reference = builder.remember(_reference(job, only), todo)
        unfinished = _write_shards(builder, shards, todo, reference)
        with gatherer.watch.stage("write"):
            # Merged while nobody else may write, and what a killed merge leaves is cleared away.
            book.close()
            manifest = _close(job, plan, writer)
    return Filled(
        manifest, questions, gatherer, fetcher, sight, eyes, builder.num_written, unfinished
    )


def make_fetcher(
    client: Client, ask: AskSettings, book: AnswerBook, offline: bool = False
) -> Fetcher:
    """Return what fetches the pages and images that live providers name, into ``book``."""
    # Here, for a store from files at hand needs no code that reaches the network.
    from retrieval.fetching.fetch import Fetcher

    return Fetcher(client, ask.fetch, ask.polite, book, offline)


@contextmanager
def _earlier(job: Job, plan: Plan) -> Iterator[ParquetReader | None]:
    earlier = open_earlier(job.store, plan)
    if earlier is None:
        yield None
        return
    with earlier:
        yield earlier


def _observer(job: Job) -> PostObserver:
    if job.asking.recurate_only:
        return NoObserver(job.observer.fingerprint, job.observer)
    return job.observer


def _fetcher(job: Job, book: AnswerBook) -> Fetcher | None:
    if job.fetch_client is None:
        return None
    offline = job.asking.offline or job.asking.recurate_only
    return make_fetcher(job.fetch_client, job.settings.ask, book, offline)


def _gatherer(
    job: Job,
    observer: PostObserver,
    book: AnswerBook,
    bar: BuildProgress,
    fetcher: Fetcher | None,
) -> Gatherer:
    ask = job.settings.ask
    manner = Manner(job.asking, ask.polite, patient=True, progress=bar.questions)
    return Gatherer(
        job.providers, book, observer, ask.hits_per_query, job.settings.curate, manner, fetcher
    )


def _questions(
    job: Job, posts: Sequence[Post], book: Recordings, earlier: ParquetReader | None
) -> tuple[Questions, ...]:
    """Return what will be asked; nothing where only files at hand are asked.

    Raises:
        StoreMismatch: something would be asked although only curation may be done.
    """
    if not (job.asking.recurate_only or any(map(is_live, job.providers))):
        return ()
    known = frozenset(() if earlier is None else earlier.example_ids())
    observations: dict[str, Observation] = {}
    for post in posts:
        if earlier is not None and post.example_id in known:
            # What is damaged is observed again.
            with suppress(StoreDamaged):
                observations[post.example_id] = earlier.read(post.example_id).observation
    observe, ask = job.settings.observe, job.settings.ask
    regions = 0 if observe.detector == "none" else observe.max_regions
    questions = estimate(
        posts,
        Seeing(observations, job.dataset.photos, regions, bool(job.observer.encoder_fingerprint)),
        job.providers,
        book,
        ask.hits_per_query,
        ask.polite.seconds_between,
    )
    if job.asking.recurate_only:
        refuse_missing(questions)
    return questions


def _write_shards(
    builder: ShardBuilder, shards: Shards, todo: Sequence[int], reference: Sequence[Seen]
) -> list[Unfinished]:
    """Write the shards ``todo``, and those whose evidence was compared with something else.

    Return the posts that could not be finished.
    """
    waiting = set(todo)
    unfinished: dict[int, list[Unfinished]] = {}
    everybody = shards.posts(range(len(shards)))
    while True:
        builder.gatherer.look_around(everybody, reference)
        stale = builder.stale(set(range(len(shards))) - waiting)
        if not (waiting or stale):
            break
        unfinished |= builder.build(sorted(waiting | stale))
        waiting = set()
        # An answer that came at a second try may be to a question about the reference.
        if not builder.gatherer.has_late_answers():
            break
    return [one for found in unfinished.values() for one in found]


def _reference(job: Job, only: frozenset[str] | None) -> list[Post]:
    posts = {example.post.example_id: example.post for example in job.dataset.examples}
    names = [name for name in posts if only is None or name in only]
    return [posts[name] for name in reference_ids(names, job.settings.curate.reference_posts)]


def _bar(
    job: Job, shards: Shards, todo: Sequence[int], questions: Sequence[Questions]
) -> BuildProgress:
    to_ask = sum(one.missing for one in questions) if questions else None
    done = shards.num_posts - len(shards.posts(todo))
    return BuildProgress(job.store.name, shards.num_posts, done, to_ask, show=job.progress)


def _close(job: Job, plan: Plan, writer: StoreWriter) -> Manifest:
    """Write the manifest, its counters counted from the shards of this and all earlier runs."""
    rights: Mapping[str, str] | None = job.rights
    if rights is None:
        rights = {} if plan.earlier is None else plan.earlier.rights
    return writer.close({**writer.count(), **dataset_counters(job.dataset)}, rights=rights)
