"""What it costs to hand a store on through a bucket, and to be interrupted while at it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from cache import (
    Example,
    Media,
    Observation,
    Post,
    StoredExample,
    StoreWriter,
    content_key,
    verify_store,
)
from pipelines.bench.counting_proxy import CountingProxy
from pipelines.bench.figures import Figure
from pipelines.bench.s3_server import BUCKET, s3_environment, s3_server

_IMAGE_BYTES: Final = 128 << 10
_SHARD_IMAGES: Final = 512
_INTERRUPTIONS: Final = 3
# A line of 1 Gbit/s: what is in the kernel's buffers stays little, as between two machines.
_LINE_BYTES_PER_SECOND: Final = 125e6


def bench_sharing(size_bytes: int = 1 << 30, seed: int = 0) -> list[Figure]:
    """Push and pull a store of images that do not compress, on this machine.

    The server is moto's, in a process of its own. First both directions run undisturbed. Then
    both run again, to another place, through a proxy that counts what travels: each is killed
    (SIGKILL) three times at random moments and started again, and the result is verified.

    Args:
        size_bytes: of the store, about.
        seed: of its content, and of the moments.

    Returns:
        Speeds; bytes that travelled over bytes of the store, requests included; whether what
        arrived is the store that was sent.
    """
    rng = np.random.default_rng(seed)
    with (
        tempfile.TemporaryDirectory() as folder,
        s3_server() as port,
        CountingProxy(port) as proxy,
    ):
        store, back, again = (Path(folder) / name for name in ("store", "back", "again"))
        size = _write(store, rng, size_bytes)
        straight = s3_environment(f"http://127.0.0.1:{port}")
        speeds = [
            _megabytes_per_second(_ramie(arguments, straight))
            for arguments in (
                ["push", str(store), f"s3://{BUCKET}/first"],
                ["pull", f"s3://{BUCKET}/first", str(back)],
            )
        ]
        counted = s3_environment(proxy.url)
        proxy.bytes_per_second = _LINE_BYTES_PER_SECOND
        place = f"s3://{BUCKET}/second"
        _interrupted(["push", str(store), place], counted, proxy, _moments(rng, size))
        pushed, proxy.to_client = proxy.to_server, 0
        _interrupted(["pull", place, str(again)], counted, proxy, _moments(rng, size))
        pulled, proxy.to_server = proxy.to_client, 0
        _ramie(["push", str(store), place], counted)
        second = proxy.to_server
        sound = all(verify_store(one).ok and _same(one, store) for one in (back, again))
    return [
        Figure("push, MB/s", speeds[0]),
        Figure("pull, MB/s", speeds[1]),
        # What three kills may lose: four parts of 8 MiB each, of a store of 1 GiB.
        Figure(
            "push killed 3 times: bytes sent / bytes of the store", pushed / size, 1.1, "below"
        ),
        Figure("pull killed 3 times: bytes got / bytes of the store", pulled / size, 1.1, "below"),
        Figure("second push: bytes sent / bytes of the store", second / size, 0.001, "below"),
        Figure("what arrived verified, and equal (1: yes)", float(sound), 1.0),
    ]


def _write(store: Path, rng: np.random.Generator, size_bytes: int) -> int:
    """Write a store; return the bytes of its files."""
    num_images = max(1, size_bytes // _IMAGE_BYTES)
    num_shards = -(-num_images // _SHARD_IMAGES)
    with StoreWriter(store, identity={"bench": "sharing"}, num_shards=num_shards) as writer:
        for index in range(num_shards):
            rows, images = [], []
            for number in range(
                index * _SHARD_IMAGES, min(num_images, (index + 1) * _SHARD_IMAGES)
            ):
                data = rng.bytes(_IMAGE_BYTES)
                images.append(Media(content_key(data), data, "JPEG", 640, 480))
                post = Post(f"post-{number:07d}", ("word",), f"{number}.jpg")
                seen = Observation(post, images[-1].key, "ok")
                rows.append(StoredExample(Example(post, "train"), seen, ()))
            writer.write_shard(index, rows, {}, images)
        manifest = writer.close({})
    return sum(file.size_bytes for one in manifest.shards for file in one.files.values())


def _moments(rng: np.random.Generator, size: int) -> list[int]:
    """Return after how many bytes of each run it is killed; together less than all."""
    return [int(size * share) for share in rng.uniform(0.05, 0.3, _INTERRUPTIONS)]


def _interrupted(
    arguments: Sequence[str], environment: dict[str, str], proxy: CountingProxy, after: list[int]
) -> None:
    """Run ``ramie`` again and again, killed after so many bytes each time, then to the end."""
    for num_bytes in after:
        end = proxy.to_server + proxy.to_client + num_bytes
        child = subprocess.Popen(_command(arguments), env={**os.environ, **environment})
        while proxy.to_server + proxy.to_client < end and child.poll() is None:
            time.sleep(0.005)
        child.kill()
        if child.wait() >= 0:
            raise RuntimeError(f"{arguments[0]} ended before it was killed")
    _ramie(arguments, environment)


def _ramie(arguments: Sequence[str], environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        _command([*arguments, "--json"]),
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.PIPE,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli", *arguments]


def _megabytes_per_second(result: dict[str, Any]) -> float:
    return float(result["sent_bytes"]) / 1e6 / float(result["seconds"])


def _same(one: Path, other: Path) -> bool:
    return all(
        (one / path.relative_to(other)).read_bytes() == path.read_bytes()
        for path in other.rglob("*")
        if path.is_file()
    )
