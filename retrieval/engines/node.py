"""What runs on the nodes of a cluster: the stage functions of a build on one machine."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cache.errors import InputError, RamieError
from retrieval.building.stopwatch import Stopwatch
from retrieval.sight.loading import PhotoSource
from retrieval.sight.look import LocalEyes, PostObserver
from retrieval.sight.photos import PhotoProblem, read_photo

# A row of Ray Data: objects by the name of their column.
Row = dict[str, Any]


def photo_bytes(row: Row) -> Row:
    """Return a batch with the bytes of its photos in place of their paths.

    What cannot be read becomes reason and message, as `read_photo` raises them.
    """
    shipped: dict[str, bytes | tuple[str, str]] = {}
    for name, (path, _) in row["photos"].items():
        try:
            shipped[name] = read_photo(Path(path))
        except PhotoProblem as problem:
            shipped[name] = (problem.reason, str(problem))
    return {**row, "photos": shipped}


class Looker:
    """Looks at batches of posts, on one node; an actor of Ray Data."""

    def __init__(
        self, make_observer: Callable[[], PostObserver], fingerprint: str, decoders: int
    ) -> None:
        """Make the observer of this node.

        Args:
            make_observer: makes it.
            fingerprint: that it must have: the one of whoever builds.
            decoders: threads that decode photos.
        """
        self._decoders = decoders
        self._refusal = ""
        try:
            self._observer = make_observer()
            _check_fingerprint(self._observer.fingerprint, fingerprint)
        except RamieError as problem:
            # Raised, it would be one of many errors of an actor that does not start.
            self._refusal = str(problem)

    def __call__(self, rows: Mapping[str, np.ndarray[Any, Any]]) -> Iterator[Row]:
        """Yield a row for each batch in ``rows``: what was seen, or why the node cannot look."""
        try:
            if self._refusal:
                raise InputError(self._refusal)
            yield from self._look(rows)
        except RamieError as problem:
            told = f"node {socket.gethostname()} (pid {os.getpid()}): {problem}"
            yield _row({"error": told})

    def _look(self, rows: Mapping[str, np.ndarray[Any, Any]]) -> Iterator[Row]:
        sources: dict[str, PhotoSource] = {}
        for photos in rows["photos"]:
            sources |= {name: _source(photo) for name, photo in photos.items()}
        watch = Stopwatch()
        eyes = LocalEyes(self._observer, sources, watch, self._decoders)
        forward, began = self._observer.forward_seconds, time.time()
        for looked in eyes.look(list(rows["batch"])):
            seconds, watch.seconds = watch.seconds, type(watch.seconds)(float)
            now = self._observer.forward_seconds
            yield _row(
                {
                    "looked": looked,
                    "seconds": dict(seconds),
                    "forward_seconds": now - forward,
                    "began_at": began,
                }
            )
            forward, began = now, time.time()


def _check_fingerprint(here: str, wanted: str) -> None:
    if here != wanted:
        raise InputError(
            f"its models, weights or libraries differ (fingerprint {here[:12]}, wanted "
            f"{wanted[:12]}; ramie {version('ramie')}). Install the same versions on all nodes, "
            "and put the same weights under the same path."
        )


def _source(photo: bytes | tuple[str, str] | tuple[str, int]) -> PhotoSource:
    """Return where the bytes of a photo are.

    Raises:
        InputError: this node has not the file that whoever builds has.
    """
    if isinstance(photo, bytes):
        return photo
    first, second = photo
    if isinstance(second, str):
        return PhotoProblem(first, second)
    path = Path(first)
    if second >= 0:
        try:
            here = path.stat().st_size
        except OSError as error:
            raise InputError(
                f"photo {path} is not there ({error.strerror}). Share the folder under the same "
                "path, or let the photos be sent with --ship-photos."
            ) from error
        if here != second:
            raise InputError(
                f"photo {path} has {here:,} bytes, and {second:,} where the build was started. "
                "Share one folder, or let the photos be sent with --ship-photos."
            )
    return path


def _row(values: Row) -> Row:
    """Return one row as Ray Data wants it: a column of one object."""
    column = np.empty(1, dtype=object)
    column[0] = values
    return {"told": column}
