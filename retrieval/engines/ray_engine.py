"""Posts are looked at by the machines of a Ray cluster: the only file that imports ray.

Ray Data moves batches of posts to actors on the nodes, restarts what dies, and gives back what was
seen in the order of the posts. All else (asking, recording, curating, writing) stays in the
process that called, so that limits of providers are those of the whole build, and one process
alone writes.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cache.errors import InputError
from cache.records import Post
from retrieval.building.stopwatch import Stopwatch
from retrieval.engines.node import Looker, photo_bytes
from retrieval.sight.look import Looked, PostObserver

# Batches that an actor gets at a time where a GPU is to be kept busy: it decodes one ahead.
_BATCHES_FOR_A_GPU: Final = 4
_ENVIRONMENT: Final = {
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    # Of a cluster that is started here. By default workers give way to every other process, but
    # they are the build.
    "RAY_worker_niceness": "0",
}
# Ray's ports are open to the network, and it runs what it is told to: a cluster that is started
# here takes orders only from who has a token that is made up for it (Ray 2.52 and later).
_OWN: Final = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
# Of a cluster that is started here. Not 127.0.0.1, in whose place Ray puts the address of this
# machine in the network, which it looks for by a socket to a host outside.
_LOOPBACK: Final = "127.0.0.2" if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RayOptions:
    """How a cluster is used; machine facts, for they change nothing that is seen.

    Attributes:
        address: ``host:port`` or ``auto`` of a cluster that runs; None starts one on this machine.
        workers: actors that look, each with its own models; None starts as many as the cluster's
            processors, or, where they need GPUs, its GPUs have room for.
        cpus: processors that each of them takes.
        gpus: GPUs that each of them takes; a share such as 0.5 puts two on one GPU.
        ship_photos: send the bytes of photos along. Otherwise every node reads them under the same
            path as this machine.
    """

    address: str | None = None
    workers: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    ship_photos: bool = False


class RayEngine:
    """Looks with the machines of a Ray cluster; see `retrieval.building.job.Engine`.

    Attributes:
        began_at: when a node began to look at the first post, its models loaded, as `time.time`
            tells it there; None before.
    """

    def __init__(self, options: RayOptions, make_observer: Callable[[], PostObserver]) -> None:
        """Take how the cluster is used, and what makes the observer on each node.

        Raises:
            InputError: ray is not installed, or the options cannot be.
        """
        no_workers = options.workers is not None and options.workers < 1
        if options.cpus <= 0 or options.gpus < 0 or no_workers:
            raise InputError(
                f"{options.workers} workers with {options.cpus} CPUs and {options.gpus} GPUs each "
                "cannot be; give at least one worker, and it more than 0 CPUs."
            )
        _ray(alone=options.address is None)
        self.began_at: float | None = None
        self._options = options
        self._make = make_observer

    @contextmanager
    def eyes(
        self, observer: PostObserver, photos: Mapping[str, Path], watch: Stopwatch
    ) -> Iterator[RayEyes]:
        """Return what looks; the cluster is not asked for before there is a post to look at."""
        eyes = RayEyes(self._options, self._make, observer.fingerprint, photos, watch)
        try:
            # Ray tells on standard output what becomes of workers, where only results belong.
            with redirect_stdout(sys.stderr):
                yield eyes
        finally:
            self.began_at = eyes.began_at
            eyes.close()


class RayEyes:
    """Looks at posts by a cluster; see `retrieval.sight.look.Eyes`.

    Attributes:
        forward_seconds: wall time inside forward passes on the nodes, all of them together.
        began_at: see `RayEngine`.
    """

    def __init__(
        self,
        options: RayOptions,
        make_observer: Callable[[], PostObserver],
        fingerprint: str,
        photos: Mapping[str, Path],
        watch: Stopwatch,
    ) -> None:
        self.forward_seconds = 0.0
        self.began_at: float | None = None
        self._options = options
        self._make = make_observer
        self._fingerprint = fingerprint
        self._photos = photos
        self._watch = watch
        self._connected = False

    def look(self, batches: Sequence[Sequence[Post]]) -> Iterator[Looked]:
        """Yield what is seen in each of ``batches``, in their order.

        Raises:
            InputError: the cluster cannot be reached, a node cannot look (the message names it),
                or the cluster gave up.
        """
        self._connect()
        rows: list[dict[str, object]] = [
            {"batch": list(batch), "photos": self._of(batch)} for batch in batches
        ]
        for row in self._results(rows):
            if "error" in row:
                raise InputError(row["error"])
            for name, seconds in row["seconds"].items():
                self._watch.add(name, seconds)
            self.forward_seconds += row["forward_seconds"]
            self.began_at = min(row["began_at"], self.began_at or row["began_at"])
            yield row["looked"]

    def close(self) -> None:
        """Leave the cluster, if it was this object that joined or started it."""
        if self._connected:
            leave_cluster()
            self._connected = False

    def _of(self, posts: Sequence[Post]) -> dict[str, tuple[str, int]]:
        """Return path and size of the photo of each post that has one; -1 for none to be had."""
        found: dict[str, tuple[str, int]] = {}
        for post in posts:
            path = self._photos.get(post.example_id)
            if path is not None:
                found[post.example_id] = (str(path.absolute()), _size(path))
        return found

    def _results(self, rows: list[dict[str, object]]) -> Generator[dict[str, Any]]:
        ray, options = _ray(), self._options
        data = ray.data.from_items(rows, override_num_blocks=len(rows))
        if options.ship_photos:
            # By this machine; without a processor of their own, for actors that wait for them may
            # have all.
            here = {f"node:{ray.util.get_node_ip_address()}": 0.001}
            data = data.map(photo_bytes, num_cpus=0, resources=here)
        data = data.map_batches(
            Looker,
            fn_constructor_args=(self._make, self._fingerprint, max(int(options.cpus), 1)),
            batch_size=_BATCHES_FOR_A_GPU if options.gpus else 1,
            num_cpus=options.cpus,
            num_gpus=options.gpus,
            compute=ray.data.ActorPoolStrategy(size=self._num_workers(len(rows))),
        )
        try:
            for row in data.iter_rows():
                yield row["told"]
        except ray.exceptions.RayError as error:
            raise InputError(
                f"the cluster gave up: {error}. What was finished is kept; run the same command "
                "again, with fewer --workers if nodes ran out of memory."
            ) from error

    def _num_workers(self, num_batches: int) -> int:
        options, resources = self._options, _ray().cluster_resources()
        room = resources.get("CPU", 0.0) / options.cpus
        if options.gpus:
            room = min(room, resources.get("GPU", 0.0) / options.gpus)
        workers = options.workers or int(room)
        if workers > room or not workers:
            raise InputError(
                f"the cluster has {resources.get('CPU', 0):g} CPUs and "
                f"{resources.get('GPU', 0):g} GPUs: no room for {max(workers, 1)} workers with "
                f"{options.cpus:g} CPUs and {options.gpus:g} GPUs each. Take fewer, or smaller."
            )
        return min(workers, num_batches)

    def _connect(self) -> None:
        if not self._connected:
            needed = (self._options.workers or 0) * self._options.cpus
            self._connected = join_cluster(self._options.address, math.ceil(needed) or None)


def join_cluster(address: str | None, num_cpus: int | None = None) -> bool:
    """Join the cluster at ``address``, or start one here; return False if this process is in one.

    Args:
        address: ``host:port`` or ``auto``; None starts a cluster on this machine.
        num_cpus: of the cluster that is started; None takes all of this machine.

    Raises:
        InputError: ray is not installed, or there is no cluster.
    """
    ray = _ray(alone=address is None)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    if ray.is_initialized():
        return False
    here: dict[str, object] = {}
    if address is None:
        here = {"num_cpus": num_cpus, "include_dashboard": False, "_node_ip_address": _LOOPBACK}
    try:
        # Without "local" it would join a cluster that somebody else runs on this machine.
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **here
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"there is no cluster at {address or 'this machine'}: {error}. Start one with "
            "`ray start --head`, or leave --address out."
        ) from error
    return True


def leave_cluster() -> None:
    """Leave the cluster that this process is in; one that it started ends."""
    _ray().shutdown()


def _ray(alone: bool = False) -> Any:
    """Return ray with its parts that are used here; ``alone``, where no cluster is joined.

    Raises:
        InputError: it is not installed.
    """
    # What is in the environment when ray is imported counts.
    if "ray" not in sys.modules:
        # Nobody is told that, or how, it is used.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        for name, value in {**_ENVIRONMENT, **(_OWN if alone else {})}.items():
            os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
        import ray.util
    except ModuleNotFoundError as error:
        raise InputError(
            "engine 'ray' needs Ray Data, which is not installed. Install it with "
            "`pip install '.[ray]'`, or leave --engine out."
        ) from error
    return ray


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
