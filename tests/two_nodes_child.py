"""Builds with a cluster of two nodes: ``python two_nodes_child.py ADDRESS FOLDER``."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path

from builder_helpers import CountingObserver
from ray_child import build
from test_build_overlap import many_posts

from cache.errors import InputError
from retrieval.engines.ray_engine import RayEngine, RayOptions, join_cluster
from retrieval.sight.look import PostObserver

OTHER = "ramie-other-node"


def on_every_node(folder: Path, kill: bool) -> PostObserver:
    """Return an observer that notes where it is; with ``kill`` the other node ends at once."""
    host = socket.gethostname()
    (folder / f"{host}.up").touch()

    def before(what: str) -> None:
        (folder / f"{host}.saw").touch()
        # So slow that no node does everything.
        time.sleep(0.2)
        end = time.monotonic() + 60
        while not (folder / f"{OTHER}.up").exists() and time.monotonic() < end:
            time.sleep(0.05)
        if kill and host == OTHER:
            (folder / "killed.saw").touch()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)

    return CountingObserver(before=before)


def join_both(address: str) -> None:
    """Join the cluster once it is there, with both of its nodes."""
    import ray

    end = time.monotonic() + 240
    while True:
        try:
            join_cluster(address)
            if ray.cluster_resources().get("CPU", 0) >= 2:
                return
        except InputError:
            if time.monotonic() > end:
                raise
        assert time.monotonic() < end, "the other node does not come"
        time.sleep(1)


def run(address: str, folder: Path) -> dict[str, str]:
    """Build by path, where the other node has no photos, with photos sent, and with its end."""
    dataset = many_posts(folder / "photos", 24)
    told: dict[str, str] = {}
    join_both(address)
    for name, ship, kill in (
        ("path", False, False),
        ("sent", True, False),
        ("killed", True, True),
    ):
        seen = folder / f"{name}-seen"
        seen.mkdir()
        options = RayOptions(address=address, workers=2, ship_photos=ship)
        try:
            build(folder / name, dataset, RayEngine(options, partial(on_every_node, seen, kill)))
        except InputError as problem:
            told[name] = str(problem)
    return told


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], Path(sys.argv[2]))))
