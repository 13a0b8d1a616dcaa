"""Downloading and embedding images: the builder's parts against img2dataset and a CLIP loop.

A server of this machine serves the same photos to both, under many addresses, as they lie on many
hosts; one in fifty is missing. img2dataset needs other versions of libraries than this project, so
it is called where it is installed::

    python -m venv data/bench/img2dataset && data/bench/img2dataset/bin/pip install img2dataset
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from tqdm import tqdm

from cache.errors import InputError
from cache.recording.recordings import Recordings
from pipelines.bench.figures import Figure
from pipelines.bench.full_size import grainy_photo, random_encoder
from pipelines.bench.real_data import real_photos
from retrieval.building.worker import Worker
from retrieval.fetching.fetch import Fetcher
from retrieval.fetching.fetch_url import Target
from retrieval.http.client import GuardedClient
from retrieval.settings import FetchSettings, ObserveSettings, PoliteSettings
from retrieval.sight.observe import Observer
from retrieval.sight.photos import decode_image

TOOL: Final = Path("img2dataset/bin/img2dataset")
_HOSTS: Final = 30
_MISSING_ONE_IN: Final = 50
_TOGETHER: Final = 16
_THREADS: Final = 32
_BATCH: Final = 64
_CLIP_BATCH: Final = 32
_STARTED_S: Final = 10.0


def bench_downloading(work: Path, photos: int = 500, seed: int = 0) -> list[Figure]:
    """Return images a second of both, downloaded and embedded, and what is known of each row.

    Loading models and libraries is counted for neither. The loop embeds in batches; the builder's
    parts keep what they download and embed as a build does.

    Args:
        work: holds `TOOL`; a folder in it is made, and removed.
        photos: that are served; real ones where they are at hand.
        seed: of what is made up.

    Raises:
        InputError: img2dataset is not there, or fails.
    """
    tool = work / TOOL
    if not tool.is_file():
        folder = work / TOOL.parts[0]
        raise InputError(
            f"there is no {tool}. Install it: python -m venv {folder} && "
            f"{folder}/bin/pip install img2dataset"
        )
    folder = work / "downloading"
    shutil.rmtree(folder, ignore_errors=True)
    served = folder / "served"
    served.mkdir(parents=True)
    _put_photos(served, photos, seed)
    random_encoder(folder / "encoder")
    with _server(served) as port:
        urls = _urls(sorted(path.name for path in served.iterdir()), port)
        theirs_s, known = _theirs(tool.absolute(), folder, urls)
        ours = [_ours(folder, urls, port, backend, dtype) for backend, dtype in _WAYS]
    shutil.rmtree(folder)
    loop = len(urls) / theirs_s
    best = max(rate for rate, _ in ours)
    return [
        Figure("img2dataset and a CLIP loop: rows a second", loop),
        Figure("  rows that img2dataset tells the status of, share", known / len(urls)),
        *(
            figure
            for (backend, dtype), (rate, told) in zip(_WAYS, ours, strict=True)
            for figure in (
                Figure(f"the builder's parts, {backend} {dtype}: rows a second", rate),
                Figure("  rows that a recording tells the status of, share", told, 1.0),
                Figure("  against img2dataset and the loop", rate / loop),
            )
        ),
        Figure("the fastest: against img2dataset and the loop", best / loop, 1.0),
    ]


_WAYS: Final = (("torch", "float32"), ("torch", "bfloat16"))


def _put_photos(folder: Path, number: int, seed: int) -> None:
    found = real_photos()[:number]
    for place, path in enumerate(found):
        shutil.copyfile(path, folder / f"{place:05d}{path.suffix}")
    rng = np.random.default_rng(seed)
    for place in tqdm(range(len(found), number), "photos", disable=None):
        grainy_photo(rng).save(folder / f"{place:05d}.jpg", quality=85)


def _urls(names: Sequence[str], port: int) -> list[str]:
    urls = []
    for place, name in enumerate(names):
        host = f"127.0.0.{2 + place % _HOSTS}:{port}"
        urls.append(f"http://{host}/{name}")
        if place % _MISSING_ONE_IN == 0:
            urls.append(f"http://{host}/missing-{name}")
    return urls


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    """Serve a folder under all loopback addresses, from a process of its own."""
    with socket.create_server(("", 0)) as free:
        port: int = free.getsockname()[1]
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "0.0.0.0"]
    server = subprocess.Popen(
        [*command, "--directory", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield port
    finally:
        server.terminate()
        server.wait()


def _wait_for(port: int) -> None:
    end = time.monotonic() + _STARTED_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def _theirs(tool: Path, folder: Path, urls: Sequence[str]) -> tuple[float, int]:
    """Return the seconds of downloading and embedding, and the rows with a status."""
    listed, out = folder / "urls.txt", folder / "theirs"
    listed.write_text("\n".join(urls) + "\n")
    cores = len(os.sched_getaffinity(0))
    options = {
        "url_list": listed,
        "output_folder": out,
        "output_format": "files",
        "processes_count": cores,
        "thread_count": _THREADS,
        "number_sample_per_shard": -(-len(urls) // cores),
        # Their bytes as they are: nothing is decoded, scaled or encoded again.
        "resize_mode": "no",
        "disable_all_reencoding": "True",
        "enable_wandb": "False",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    done = subprocess.run(
        [str(tool), *words],
        capture_output=True,
        text=True,
        env={**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1"},
    )
    stats = [json.loads(path.read_text()) for path in sorted(out.glob("*_stats.json"))]
    if done.returncode or not stats:
        raise InputError(f"img2dataset failed: {done.stderr.strip()[-500:]}")
    # From its first shard's start to its last one's end: what it needs to start is left out.
    downloading = max(one["end_time"] for one in stats) - min(one["start_time"] for one in stats)
    return downloading + _clip_loop(folder / "encoder", out), sum(one["count"] for one in stats)


def _clip_loop(encoder: Path, images: Path) -> float:
    """Return the seconds of embedding every file, as the examples of open_clip do, in batches."""
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{encoder}")
    model.eval()
    paths = [path for path in sorted(images.rglob("*")) if path.suffix in (".jpg", ".png")]
    with torch.inference_mode():
        model.encode_image(torch.zeros(_CLIP_BATCH, 3, 224, 224))
        started = time.perf_counter()
        for start in range(0, len(paths), _CLIP_BATCH):
            rows = []
            for path in paths[start : start + _CLIP_BATCH]:
                with Image.open(path) as image:
                    rows.append(preprocess(image.convert("RGB")))
            model.encode_image(torch.stack(rows))
        return time.perf_counter() - started


def _ours(
    folder: Path, urls: Sequence[str], port: int, backend: str, dtype: str
) -> tuple[float, float]:
    """Return rows a second, and the share of rows whose recording tells what came of them."""
    observe = ObserveSettings.model_validate(
        {
            "detector": "none",
            "encoder": f"local-dir:{folder / 'encoder'}",
            "encoder_weights": "",
            "backend": backend,
            "dtype": dtype,
        }
    )
    observer = Observer(observe)
    observer.embed_images([Image.new("RGB", (300, 300))])
    hosts = tuple(f"127.0.0.{2 + number}:{port}" for number in range(_HOSTS))
    settings = FetchSettings(allowed_hosts=hosts, together=_TOGETHER, seconds_between=0)
    polite = PoliteSettings(seconds_between=0)
    client = GuardedClient(polite, allowed_hosts=hosts)
    targets = [Target(url, "image") for url in urls]
    with Recordings(folder / f"recordings-{backend}-{dtype}") as book:
        fetcher = Fetcher(client, settings, polite, book)
        started = time.perf_counter()
        _fetch_and_embed(fetcher, book, observer, targets)
        seconds = time.perf_counter() - started
        told = [fetcher.get(target) for target in targets]
    known = sum(bool(one.media_key) or one.status == 404 for one in told)
    return len(urls) / seconds, known / len(urls)


def _fetch_and_embed(
    fetcher: Fetcher, book: Recordings, observer: Observer, targets: Sequence[Target]
) -> None:
    """Embed a batch while the next one is fetched, as the stages of a build do."""
    worker = Worker("fetch")
    batches = [targets[start : start + _BATCH] for start in range(0, len(targets), _BATCH)]
    fetched = [worker.submit(fetcher.fetch, batch) for batch in batches]
    for batch, future in zip(batches, fetched, strict=True):
        future.result()
        keys = [key for one in batch if (key := fetcher.get(one).media_key)]
        observer.embed_images([decode_image(book.media(key).data).pixels for key in keys])
    worker.stop()
