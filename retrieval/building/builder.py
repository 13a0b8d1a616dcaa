"""Fills a store: observe, ask, curate, write, shard by shard, and go on where a run stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cache.checking.strangers import LOCAL
from cache.errors import StoreDamaged
from cache.manifest import Manifest
from cache.reading.parquet_reader import ParquetReader
from cache.recording.recordings import Recordings
from cache.records import FeatureSet, Observation, Post
from cache.writing.complete import mend_ends, restate
from cache.writing.lock import LOCK_NAME, remove_dead_lock
from cache.writing.tidy import set_aside_cut
from cache.writing.writer import StoreWriter
from retrieval.asking.answers import AnswerBook
from retrieval.asking.asked_at import age_days
from retrieval.asking.estimate import Questions, Seeing, estimate
from retrieval.asking.manner import AskingOptions, Manner
from retrieval.building.feature_sets import complete_features
from retrieval.building.gather import Gatherer, Seen, Unfinished
from retrieval.building.identity import store_identity
from retrieval.building.plan import Plan, open_earlier, plan_build, refuse_loss
from retrieval.building.progress import BuildProgress
from retrieval.building.recurate import NoObserver, refuse_missing
from retrieval.building.reference import reference_ids
from retrieval.building.report import BuildReport, dataset_counters
from retrieval.building.shards import ShardBuilder, Shards
from retrieval.datasets import Dataset
from retrieval.features.maker import FeatureMaker
from retrieval.http.base import Client
from retrieval.providers.base import Provider, is_live
from retrieval.settings import AskSettings, BuildSettings
from retrieval.sight.sight import PostObserver, Sight

if TYPE_CHECKING:
    from retrieval.fetching.fetch import Fetcher

RECORDINGS: Final = "recordings"
_FETCHES: Final = ("fetched", "failed", "unavailable")
_EVERYBODY: Final = AskingOptions()
_log = logging.getLogger(__name__)


def build_store(
    settings: BuildSettings,
    store: Path,
    *,
    dataset: Dataset,
    observer: PostObserver,
    providers: Sequence[Provider],
    features: FeatureMaker | None = None,
    fetch_client: Client | None = None,
    asking: AskingOptions = _EVERYBODY,
    rights: Mapping[str, str] | None = None,
    progress: bool = False,
    say: Callable[[str], None] = _log.info,
) -> BuildReport:
    """Fill ``store`` with the evidence for the posts of ``dataset``; return what was done.

    A finished store is left as it is; if only ``settings.curate`` differ, it is curated anew from
    its observations and recordings. An interrupted build goes on; one in which providers could
    not be asked does the shards with unfinished posts again. Feature sets come last, from what the
    store holds by then.

    Args:
        settings: what decides the content.
        store: folder of the store; made where missing.
        dataset: the posts; their annotations only travel along.
        observer: sees posts; its models are needed only for posts not seen before.
        providers: who is asked, in the order of ``settings.ask.providers``.
        features: makes the feature sets that ``settings.observe`` asks for; None makes none, and
            those that the store has stay.
        fetch_client: fetches the images and pages that live providers name; None fetches none.
        asking: whether live providers, or any, are asked, and whether answers are renewed.
        rights: whose the posts and the evidence are; they decide nothing. None leaves what a
            finished store states as it is.
        progress: show a bar, where the output is a terminal.
        say: told how much will be asked, before anything is.

    Raises:
        StoreMismatch: the folder holds a store, or an interrupted build, of other posts or
            settings; or there is more to do than ``asking.recurate_only`` allows. The message
            names the differences and the way out.
        StoreError: the folder cannot be written, or another process is at it.
        InputError: models or knowledge base cannot be used.
    """
    start, forward_before = time.perf_counter(), observer.forward_seconds
    plan = _plan(settings, store, dataset, observer, providers, asking)
    make_features = _features(store, plan, features, asking, progress=progress, say=say)
    if plan.action == "nothing to do" and plan.earlier is not None:
        remove_dead_lock(store / LOCK_NAME)
        mend_ends(store, plan.earlier)
        if rights is not None and dict(rights) != plan.earlier.rights:
            restate(store, plan.earlier, rights)
            say(f"what {store} states about rights is what the recipe states now")
        made = make_features()
        return BuildReport(
            "features added" if made else plan.action,
            plan.earlier.counters,
            num_arrays=made,
            forward_seconds=observer.forward_seconds - forward_before,
            wall_seconds=time.perf_counter() - start,
        )
    with ExitStack() as stack:
        shards = Shards(dataset, settings.shard_size, asking.part)
        writer = stack.enter_context(
            StoreWriter(store, identity=plan.identity, num_shards=len(shards))
        )
        if plan.action == "refreshed":
            # Once answers are renewed, nothing else tells that the shards have yet to follow.
            writer.start_over()
        set_aside_cut(store / RECORDINGS, store / LOCAL)
        book = stack.enter_context(Recordings(store / RECORDINGS))
        earlier = stack.enter_context(_earlier(store, plan))
        todo = shards.todo(writer.finished_shards(), plan.redo)
        refuse_loss(plan, shards.mine, todo)
        only = None
        if asking.recurate_only:
            observer = NoObserver(observer.fingerprint, observer)
            only = frozenset(() if earlier is None else earlier.example_ids())
        posts = shards.posts(sorted(shards.mine.intersection(todo)))
        posts = [post for post in posts if only is None or post.example_id in only]
        questions = _questions(settings, posts, dataset, providers, book, earlier, asking)
        for one in questions:
            say(str(one))

        bar = stack.enter_context(_bar(store, shards, todo, questions, progress))
        manner = Manner(asking, settings.ask.polite, patient=True, progress=bar.questions)
        offline = asking.offline or asking.recurate_only
        fetcher = None
        if fetch_client is not None:
            fetcher = make_fetcher(fetch_client, settings.ask, book, offline)
        k = settings.ask.hits_per_query
        gatherer = Gatherer(providers, book, observer, k, settings.curate, manner, fetcher)
        bar.counts = gatherer.asker.counts
        sight = Sight(observer, dataset.photos, earlier, gatherer.watch)
        reference = _reference(dataset, settings.curate.reference_posts, only)
        builder = ShardBuilder(shards, sight, gatherer, writer, bar, only)
        unfinished = _fill(builder, shards, todo, sight.remember(reference))
        with gatherer.watch.stage("write"):
            # Merged while nobody else may write, and what a killed merge leaves is cleared away.
            book.close()
            if rights is None:
                rights = {} if plan.earlier is None else plan.earlier.rights
            manifest = _close(writer, dataset, rights)
    begun = time.perf_counter()
    if made := make_features():
        gatherer.watch.seconds["features"] += time.perf_counter() - begun
    asker = gatherer.asker
    return BuildReport(
        plan.action,
        manifest.counters,
        num_written=builder.num_written,
        num_observed=sight.num_observed,
        num_arrays=made,
        asked=asker.counts["asked"],
        answered_from_recordings=asker.counts["recorded"],
        unavailable=asker.counts["unavailable"],
        blocked=asker.counts["blocked"],
        outdated=asker.counts["outdated"],
        missing={name: len(keys) for name, keys in sorted(asker.missing.items())},
        fetches={} if fetcher is None else {name: fetcher.counts[name] for name in _FETCHES},
        estimate=questions,
        unfinished=tuple(sorted(unfinished, key=lambda one: one.example_id)),
        photo_problems=dict(sorted(sight.photo_problems.items())),
        seconds=dict(gatherer.watch.seconds),
        forward_seconds=observer.forward_seconds - forward_before,
        wall_seconds=time.perf_counter() - start,
    )


def _features(
    store: Path,
    plan: Plan,
    maker: FeatureMaker | None,
    asking: AskingOptions,
    *,
    progress: bool,
    say: Callable[[str], None],
) -> Callable[[], dict[FeatureSet, int]]:
    """Return what gives the store its feature sets once its shards are there.

    Raises:
        InputError: what makes one of them is not there; nothing was built yet.
    """
    if asking.recurate_only:
        maker = None
    if maker is not None:
        maker.check()
    earlier = {} if plan.earlier is None else plan.earlier.feature_sets
    return partial(complete_features, store, maker, earlier, progress=progress, say=say)


def _plan(
    settings: BuildSettings,
    store: Path,
    dataset: Dataset,
    observer: PostObserver,
    providers: Sequence[Provider],
    asking: AskingOptions,
) -> Plan:
    identity = store_identity(
        settings, dataset, observer.fingerprint, providers, observer.encoder_fingerprint
    )
    refresh = False
    if asking.refresh_days is not None:
        live = {provider.name for provider in providers if is_live(provider)}
        with Recordings(store / RECORDINGS) as book:
            refresh = any(
                age_days(one.asked_at) >= asking.refresh_days
                for one in book.asked()
                if one.provider in live
            )
    return plan_build(store, identity, refresh=refresh, recurate_only=asking.recurate_only)


@contextmanager
def _earlier(store: Path, plan: Plan) -> Iterator[ParquetReader | None]:
    earlier = open_earlier(store, plan)
    if earlier is None:
        yield None
        return
    with earlier:
        yield earlier


def _questions(
    settings: BuildSettings,
    posts: Sequence[Post],
    dataset: Dataset,
    providers: Sequence[Provider],
    book: Recordings,
    earlier: ParquetReader | None,
    asking: AskingOptions,
) -> tuple[Questions, ...]:
    """Return what will be asked; nothing where only files at hand are asked.

    Raises:
        StoreMismatch: something would be asked although only curation may be done.
    """
    if not (asking.recurate_only or any(map(is_live, providers))):
        return ()
    known = frozenset(() if earlier is None else earlier.example_ids())
    observations: dict[str, Observation] = {}
    for post in posts:
        if earlier is not None and post.example_id in known:
            # What is damaged is observed again.
            with suppress(StoreDamaged):
                observations[post.example_id] = earlier.read(post.example_id).observation
    regions = 0 if settings.observe.detector == "none" else settings.observe.max_regions
    ask = settings.ask
    questions = estimate(
        posts,
        Seeing(observations, dataset.photos, regions),
        providers,
        book,
        ask.hits_per_query,
        ask.polite.seconds_between,
    )
    if asking.recurate_only:
        refuse_missing(questions)
    return questions


def _fill(
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


def _reference(dataset: Dataset, count: int, only: frozenset[str] | None) -> list[Post]:
    posts = {example.post.example_id: example.post for example in dataset.examples}
    names = [name for name in posts if only is None or name in only]
    return [posts[name] for name in reference_ids(names, count)]


def make_fetcher(
    client: Client, ask: AskSettings, book: AnswerBook, offline: bool = False
) -> Fetcher:
    """Return what fetches the pages and images that live providers name, into ``book``."""
    # Here, for a store from files at hand needs no code that reaches the network.
    from retrieval.fetching.fetch import Fetcher

    return Fetcher(client, ask.fetch, ask.polite, book, offline)


def _bar(
    store: Path, shards: Shards, todo: Sequence[int], questions: Sequence[Questions], show: bool
) -> BuildProgress:
    to_ask = sum(one.missing for one in questions) if questions else None
    done = shards.num_posts - len(shards.posts(todo))
    return BuildProgress(store.name, shards.num_posts, done, to_ask, show=show)


def _close(writer: StoreWriter, dataset: Dataset, rights: Mapping[str, str]) -> Manifest:
    """Write the manifest, its counters counted from the shards of this and all earlier runs."""
    return writer.close({**writer.count(), **dataset_counters(dataset)}, rights=rights)
