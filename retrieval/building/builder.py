"""Fills a store: observe, ask, curate, write, shard by shard, and go on where a run stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from cache.errors import StoreDamaged
from cache.manifest import Manifest
from cache.reading.parquet_reader import ParquetReader
from cache.recording.recordings import Recordings
from cache.records import FeatureSet
from cache.writing.complete import mend_ends, restate
from cache.writing.lock import LOCK_NAME, remove_dead_lock
from retrieval.asking.asked_at import age_days
from retrieval.asking.manner import AskingOptions
from retrieval.asking.queries import make_queries
from retrieval.building.feature_sets import complete_features
from retrieval.building.filling import RECORDINGS, Filled, fill, make_fetcher
from retrieval.building.identity import store_identity
from retrieval.building.job import Engine, Job, LocalEngine
from retrieval.building.plan import Plan, plan_build
from retrieval.building.report import STAGES, BuildReport
from retrieval.datasets import Dataset
from retrieval.features.maker import FeatureMaker
from retrieval.http.base import Client
from retrieval.providers.base import Provider, is_live, query_key
from retrieval.settings import BuildSettings
from retrieval.sight.look import PostObserver

__all__ = ["RECORDINGS", "build_store", "make_fetcher"]

_FETCHES: Final = ("fetched", "failed", "unavailable")
_EVERYBODY: Final = AskingOptions()
_HERE: Final = LocalEngine()
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
    engine: Engine = _HERE,
    progress: bool = False,
    say: Callable[[str], None] = _log.info,
) -> BuildReport:
    """Fill ``store`` with the evidence for the posts of ``dataset``; return what was done.

    A finished store is left as it is; if only ``settings.curate`` differ, it is curated anew from
    its observations and recordings. An interrupted build goes on; one in which providers could
    not be asked does the shards with unfinished posts again. Feature sets come last, from what the
    store holds by then.

    Stages overlap (`retrieval.building.line`). What one of them raises, and Ctrl-C, ends the build
    in seconds; what was finished by then, and every answer, is kept for the next run.

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
        engine: where posts are looked at; it decides nothing.
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
    job = Job(
        settings=settings,
        store=store,
        dataset=dataset,
        observer=observer,
        providers=providers,
        fetch_client=fetch_client,
        asking=asking,
        rights=rights,
        engine=engine,
        progress=progress,
        say=say,
    )
    plan = _plan(job)
    make_features = _features(job, plan, features)
    if plan.action == "nothing to do" and plan.earlier is not None:
        _mend(job, plan.earlier)
        made = make_features()
        return BuildReport(
            "features added" if made else plan.action,
            plan.earlier.counters,
            num_arrays=made,
            forward_seconds=observer.forward_seconds - forward_before,
            wall_seconds=time.perf_counter() - start,
        )
    filled = fill(job, plan)
    with filled.gatherer.watch.stage("features"):
        made = make_features()
    forward = observer.forward_seconds - forward_before + filled.eyes.forward_seconds
    return _report(plan, filled, made, forward, time.perf_counter() - start)


def _plan(job: Job) -> Plan:
    observer, asking = job.observer, job.asking
    identity = store_identity(
        job.settings,
        job.dataset,
        observer.fingerprint,
        job.providers,
        observer.encoder_fingerprint,
    )
    plan = plan_build(job.store, identity, recurate_only=asking.recurate_only)
    if asking.refresh_days is None or not _is_outdated(job, plan, asking.refresh_days):
        return plan
    return plan_build(job.store, identity, refresh=True, recurate_only=asking.recurate_only)


def _is_outdated(job: Job, plan: Plan, days: float) -> bool:
    """Return whether a question of the posts in a finished store is to be asked again.

    Answers to questions that nobody asks any more stay in the recordings, and get no younger.
    """
    live = [one for one in job.providers if is_live(one) and job.asking.asks(one)]
    names = {provider.name for provider in live}
    with Recordings(job.store / RECORDINGS) as book:
        recorded = (one for one in book.asked() if one.provider in names)
        old = {one.key for one in recorded if age_days(one.asked_at) >= days}
    if not old or plan.earlier is None:
        return False
    k = job.settings.ask.hits_per_query
    try:
        with ParquetReader(job.store, features=False) as earlier:
            return any(
                provider.accepts(query) and query_key(provider, query, k) in old
                for example_id in earlier.example_ids()
                for query in make_queries(earlier.read(example_id).observation)
                for provider in live
            )
    except StoreDamaged:
        # What was asked cannot be read: all of it is asked again that is old.
        return True


def _features(
    job: Job, plan: Plan, maker: FeatureMaker | None
) -> Callable[[], dict[FeatureSet, int]]:
    """Return what gives the store its feature sets once its shards are there.

    Raises:
        InputError: what makes one of them is not there; nothing was built yet.
    """
    if job.asking.recurate_only:
        maker = None
    if maker is not None:
        maker.check()
    earlier = {} if plan.earlier is None else plan.earlier.feature_sets
    return partial(
        complete_features, job.store, maker, earlier, progress=job.progress, say=job.say
    )


def _mend(job: Job, manifest: Manifest) -> None:
    """Give a finished store what a crash took, and the rights that are stated now."""
    remove_dead_lock(job.store / LOCK_NAME)
    mend_ends(job.store, manifest)
    if job.rights is not None and dict(job.rights) != manifest.rights:
        restate(job.store, manifest, job.rights)
        job.say(f"what {job.store} states about rights is what the recipe states now")


def _report(
    plan: Plan, filled: Filled, made: Mapping[FeatureSet, int], forward: float, wall: float
) -> BuildReport:
    asker, watch, fetcher = filled.gatherer.asker, filled.gatherer.watch, filled.fetcher
    seconds = {**watch.seconds, "waiting": max(wall - watch.working_seconds, 0.0)}
    if not made:
        del seconds["features"]
    return BuildReport(
        plan.action,
        filled.manifest.counters,
        num_written=filled.num_written,
        num_observed=filled.sight.num_observed,
        num_arrays=made,
        asked=asker.counts["asked"],
        answered_from_recordings=asker.counts["recorded"],
        unavailable=asker.counts["unavailable"],
        blocked=asker.counts["blocked"],
        outdated=asker.counts["outdated"],
        missing={name: len(keys) for name, keys in sorted(asker.missing.items())},
        fetches={} if fetcher is None else {name: fetcher.counts[name] for name in _FETCHES},
        estimate=filled.questions,
        unfinished=tuple(sorted(filled.unfinished, key=lambda one: one.example_id)),
        photo_problems=dict(sorted(filled.sight.photo_problems.items())),
        seconds={name: seconds[name] for name in STAGES if name in seconds},
        forward_seconds=forward,
        wall_seconds=wall,
    )
