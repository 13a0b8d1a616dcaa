"""The lowest shard that needs each of many contents, found without going through all shards."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

DIGEST_BYTES: Final = 32
Digests = NDArray[np.bytes_]
Places = NDArray[np.int32]


class _Run(NamedTuple):
    """Digests of some shards, sorted, each once, and the lowest of these shards that has it."""

    digests: Digests
    prefixes: NDArray[np.uint64]
    lowest: Places


class Lowest:
    """Grows shard by shard.

    Like sorted runs of a log-structured tree: of equal sizes they are merged, so that there are
    few to look into, and each digest is merged few times.
    """

    def __init__(self) -> None:
        self._runs: list[_Run] = []

    def add(self, index: int, digests: Digests) -> None:
        """Note that shard ``index`` needs ``digests``, which are sorted and each once."""
        run = _run(digests, np.full(len(digests), index, np.int32))
        while self._runs and len(self._runs[-1].digests) <= 2 * len(run.digests):
            run = _merged(self._runs.pop(), run)
        self._runs.append(run)

    def find(self, index: int, digests: Digests) -> Places:
        """Return the lowest shard up to ``index`` that needs each of ``digests``."""
        places = np.full(len(digests), index, np.int32)
        prefixes = _prefixes(digests)
        for run in self._runs:
            here, there = _matches(run, digests, prefixes)
            places[here] = np.minimum(places[here], run.lowest[there])
        return places


def _run(digests: Digests, lowest: Places) -> _Run:
    return _Run(digests, _prefixes(digests), lowest)


def _merged(one: _Run, other: _Run) -> _Run:
    digests = np.concatenate([one.digests, other.digests])
    # Both parts are sorted already, which a stable sort makes use of.
    order = np.argsort(digests, kind="stable")
    digests = digests[order]
    lowest = np.concatenate([one.lowest, other.lowest])[order]
    twice = np.flatnonzero(digests[1:] == digests[:-1])
    lowest[twice] = np.minimum(lowest[twice], lowest[twice + 1])
    return _run(np.delete(digests, twice + 1), np.delete(lowest, twice + 1))


def _matches(
    run: _Run, wanted: Digests, prefixes: NDArray[np.uint64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the places in ``wanted`` and in ``run`` of what both have.

    The first eight bytes rule out nearly everything, ten times as fast as whole digests would.
    """
    if not len(run.digests):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    last = len(run.digests) - 1
    near = np.searchsorted(run.prefixes, prefixes).clip(max=last)
    maybe = np.flatnonzero(run.prefixes[near] == prefixes)
    exact = np.searchsorted(run.digests, wanted[maybe]).clip(max=last)
    same = run.digests[exact] == wanted[maybe]
    return maybe[same], exact[same]


def _prefixes(digests: Digests) -> NDArray[np.uint64]:
    return digests.view(">u8")[:: DIGEST_BYTES // 8].astype(np.uint64)
