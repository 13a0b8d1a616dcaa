"""Curation of many posts on several cores.

Processes are forked for each batch: so they have all that is known without a copy of it, images
and caches included, and only what comes out travels back. Part of a batch is done by the process
that asks, so its caches stay warm.
"""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection

from cache.records import Dropped, Evidence, Hit, Observation
from retrieval.curation.curate import Surroundings, curate
from retrieval.settings import CurateSettings

Case = tuple[Observation, Sequence[Hit]]
Curated = tuple[list[Evidence], list[Dropped]]


def curate_many(
    cases: Sequence[Case], settings: CurateSettings, around: Surroundings, workers: int
) -> list[Curated | None]:
    """Return what `curate` returns for each of ``cases``, in their order.

    Args:
        cases: posts with their hits.
        settings: the thresholds.
        around: what is known beside them.
        workers: processes at work, this one included; the result does not depend on it.

    Returns:
        None for a case that failed: ask `curate` for it alone, and it says why.
    """
    # Hashed here: files that are read by seeking must not be shared with a forked process.
    if workers > 1:
        _hash_all(cases, around)
    helpers = [_start(cases[first::workers], settings, around) for first in range(1, workers)]
    found: list[Curated | None] = [None] * len(cases)
    found[::workers] = [_try(case, settings, around) for case in cases[::workers]]
    for first, (process, results) in enumerate(helpers, start=1):
        share = cases[first::workers]
        try:
            found[first::workers] = results.recv()
        except EOFError:  # it was killed; its posts are not lost
            found[first::workers] = [_try(case, settings, around) for case in share]
        results.close()
        process.join()
    return found


def _start(
    cases: Sequence[Case], settings: CurateSettings, around: Surroundings
) -> tuple[multiprocessing.process.BaseProcess, Connection]:
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work() -> None:
        sender.send([_try(case, settings, around) for case in cases])

    process = context.Process(target=work, daemon=True)
    process.start()
    # The forked process has its own; only when that is closed too does waiting for it end.
    sender.close()
    return process, receiver


def _try(case: Case, settings: CurateSettings, around: Surroundings) -> Curated | None:
    try:
        return curate(*case, settings, around)
    except Exception:  # whatever it is concerns this post, and is raised again where it is asked
        return None


def _hash_all(cases: Sequence[Case], around: Surroundings) -> None:
    keys = {hit.media_key for _, hits in cases for hit in hits if hit.modality == "image"}
    keys |= {observation.photo_key for observation, _ in cases}
    for key in sorted(key for key in keys if key):
        # What is wrong with an image concerns its post, and comes up again there.
        with contextlib.suppress(Exception):
            around.hash_of(key)
