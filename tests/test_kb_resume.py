from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tiny_kb import Line, write_folder
from tiny_vision import tiny_settings

from cache.errors import InputError, StoreError
from retrieval.kb import embedding, estimate, finishing, sorting
from retrieval.kb.build import build_kb
from retrieval.kb.documents import RawDocument, load_document_image
from retrieval.kb.estimate import estimate_kb
from retrieval.kb.work import STATE, Work, work_folder
from retrieval.sight import lots
from retrieval.sight.photos import Photo

NONE = tiny_settings(None)
LINES: list[Line] = [
    *(json.dumps({"id": f"{(7 * n) % 400:03d}", "text": f"words {n}"}) for n in range(400)),
    {"id": "pictured", "text": "seen", "image": "1.png"},
    {"id": "lost", "image": "9.png"},
    "{broken",
    {"id": "003", "text": "taken"},
]
_KEPT = ("documents.jsonl", "vectors.safetensors", "rows.safetensors", "problems.jsonl")


class Hashing:
    """An embedder of words by their bytes; stops, as a kill would, after so many texts."""

    encoder_fingerprint = "h" * 64

    def __init__(self, most: int = 10**9) -> None:
        self.texts: list[str] = []
        self._most = most

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if len(self.texts) + len(texts) > self._most:
            raise KeyboardInterrupt
        self.texts += texts
        seeds = [int.from_bytes(text.encode()[-8:], "big") for text in texts]
        made = [np.random.default_rng(seed).normal(size=8) for seed in seeds]
        vectors = np.stack(made) / np.linalg.norm(made, axis=1, keepdims=True)
        halved: NDArray[np.float32] = vectors.astype(np.float16).astype(np.float32)
        return halved

    def embed_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        return self.embed_texts([str(image.size) for image in images])


def content(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in _KEPT}


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seal after every chunk of documents, and make runs of a few documents."""
    monkeypatch.setattr(embedding, "_SEAL_EVERY_S", 0.0)
    monkeypatch.setattr(embedding, "_CHUNK", 16)
    monkeypatch.setattr(sorting, "_RUN_BYTES", 5_000)
    monkeypatch.setattr(sorting, "_RUNS_AT_ONCE", 3)


@pytest.mark.usefixtures("eager")
def test_an_interrupted_build_goes_on_and_embeds_nothing_twice(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw", LINES)
    whole = build_kb(folder, tmp_path / "whole", NONE, embedder=Hashing())
    texts: list[str] = []
    for most in (20, 100, 33):
        stopped = Hashing(most)
        with pytest.raises(KeyboardInterrupt):
            build_kb(folder, tmp_path / "kb", NONE, embedder=stopped)
        texts += stopped.texts
    last = Hashing()
    report = build_kb(folder, tmp_path / "kb", NONE, embedder=last)
    texts += last.texts
    assert report.resumed
    assert len(texts) == len(set(texts)) == 402
    assert report.fingerprint == whole.fingerprint
    assert (report.documents, report.with_image) == (whole.documents, whole.with_image) == (401, 1)
    assert report.problems == whole.problems
    assert report.counts == whole.counts
    assert content(report.path) == content(whole.path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kb", "raw", "whole"]


@pytest.mark.usefixtures("eager")
def test_what_was_written_but_not_sealed_is_written_again_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "raw", LINES)
    whole = build_kb(folder, tmp_path / "whole", NONE, embedder=Hashing())
    for most, pause in ((40, 0.0), (100, 1e9), (50, 0.0)):
        monkeypatch.setattr(embedding, "_SEAL_EVERY_S", pause)
        with pytest.raises(KeyboardInterrupt):
            build_kb(folder, tmp_path / "kb", NONE, embedder=Hashing(most))
    report = build_kb(folder, tmp_path / "kb", NONE, embedder=Hashing())
    assert content(report.path) == content(whole.path)
    assert report.counts == whole.counts


@pytest.mark.usefixtures("eager")
def test_a_build_that_stops_while_it_reads_goes_on_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "raw", LINES)
    whole = build_kb(folder, tmp_path / "whole", NONE)
    read: list[int] = []
    checked = sorting._entry

    def stopping(number: int, name: str, document: RawDocument) -> Any:
        read.append(document.line)
        if len(read) in (150, 151, 300):
            raise KeyboardInterrupt
        return checked(number, name, document)

    monkeypatch.setattr(sorting, "_entry", stopping)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            build_kb(folder, tmp_path / "kb", NONE)
    report = build_kb(folder, tmp_path / "kb", NONE)
    # No more than the run that was open is read again.
    assert len(read) < 404 + 3 * 30
    assert content(report.path) == content(whole.path)
    assert report.counts == whole.counts


def test_a_build_of_something_else_begins_anew(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw", LINES)
    with pytest.raises(KeyboardInterrupt):
        build_kb(folder, tmp_path / "kb", NONE, embedder=Hashing(100))
    write_folder(folder, LINES[:50])
    report = build_kb(folder, tmp_path / "kb", NONE, embedder=Hashing())
    assert (report.resumed, report.documents) == (False, 50)


def test_an_input_that_is_no_good_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw", [{"id": "a", "image": "9.png"}])
    with pytest.raises(InputError):
        build_kb(folder, tmp_path / "kb", NONE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


@pytest.mark.usefixtures("eager")
def test_an_encoder_that_cannot_be_used_loses_nothing_that_was_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Hashing):
        def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
            try:
                return super().embed_texts(texts)
            except KeyboardInterrupt as error:
                raise InputError("vectors without a direction") from error

    folder = write_folder(tmp_path / "raw", LINES)
    failing, last = Failing(200), Hashing()
    with pytest.raises(InputError, match="without a direction"):
        build_kb(folder, tmp_path / "kb", NONE, embedder=failing)
    report = build_kb(folder, tmp_path / "kb", NONE, embedder=last)
    assert report.resumed
    assert len(failing.texts) > 100
    assert len({*failing.texts, *last.texts}) == len(failing.texts) + len(last.texts) == 402


def test_lists_that_cannot_be_made_lose_no_vector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(*_: object) -> NoReturn:
        raise InputError("faiss keeps its lists otherwise. Install the version that ...")

    folder, unused = write_folder(tmp_path / "raw", LINES), Hashing()
    with monkeypatch.context() as patch:
        patch.setattr(finishing, "build_lists", refusing)
        with pytest.raises(InputError, match="Install"):
            build_kb(folder, tmp_path / "kb", NONE, embedder=Hashing(), exact_up_to=100)
    report = build_kb(folder, tmp_path / "kb", NONE, embedder=unused, exact_up_to=100)
    assert (report.resumed, report.documents, unused.texts) == (True, 401, [])


class Alive:
    """Loads images, and counts how many of them are in memory at a time."""

    def __init__(self) -> None:
        self.most = 0
        self._images: list[weakref.ref[Image.Image]] = []

    def load(self, document: RawDocument) -> Photo:
        photo = load_document_image(document)
        self._images.append(weakref.ref(photo.pixels))
        self.most = max(self.most, sum(image() is not None for image in self._images))
        return photo


def test_few_decoded_images_are_in_memory_where_they_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[Line] = [{"id": f"{n:02d}", "text": "x", "image": "1.png"} for n in range(64)]
    folder = write_folder(tmp_path / "raw", lines)
    whole = build_kb(folder, tmp_path / "whole", NONE, embedder=Hashing())
    alive = Alive()
    monkeypatch.setattr(embedding, "load_document_image", alive.load)
    monkeypatch.setattr(lots, "PIXELS_TOGETHER", 1)
    report = build_kb(folder, tmp_path / "kb", NONE, embedder=Hashing())
    # One is embedded, one is next, and some are decoded ahead.
    assert alive.most <= 6
    assert content(report.path) == content(whole.path)
    assert report.fingerprint == whole.fingerprint


def test_an_estimate_embeds_few_images_at_a_time_where_they_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[Line] = [{"id": f"{n:02d}", "image": "1.png"} for n in range(32)]
    folder = write_folder(tmp_path / "raw", lines)
    whole = estimate_kb([folder], tmp_path / "kb", Hashing())
    alive = Alive()
    monkeypatch.setattr(estimate, "load_document_image", alive.load)
    monkeypatch.setattr(lots, "PIXELS_TOGETHER", 1)
    guess = estimate_kb([folder], tmp_path / "kb", Hashing())
    assert alive.most <= 3
    assert (guess.documents, guess.disk_bytes) == (whole.documents, whole.disk_bytes)


def test_two_builds_of_one_base_do_not_get_in_each_others_way(tmp_path: Path) -> None:
    folder, out = write_folder(tmp_path / "raw"), tmp_path / "kb"
    with Work(work_folder(out), "x"), pytest.raises(StoreError, match="another process"):
        build_kb(folder, out, NONE)
    # A lock that nobody holds is none.
    assert build_kb(folder, out, NONE).documents == 5


def test_a_damaged_state_begins_anew(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw", LINES)
    with pytest.raises(KeyboardInterrupt):
        build_kb(folder, tmp_path / "kb", NONE, embedder=Hashing(100))
    (work_folder(tmp_path / "kb") / STATE).write_text('{"identity": 7')
    report = build_kb(folder, tmp_path / "kb", NONE, embedder=Hashing())
    assert (report.resumed, report.documents) == (False, 401)


# Builds until so many texts are embedded, some more than are waited for, and then hangs: it is
# killed at any moment after the one that was waited for, but never comes to an end.
_CHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import test_kb_resume as here
here.embedding._SEAL_EVERY_S = 0.0
here.embedding._CHUNK = 16
class Slow(here.Hashing):
    def embed_texts(self, texts):
        time.sleep(0.02)
        if len(self.texts) >= int(sys.argv[4]):
            time.sleep(600)
        return super().embed_texts(texts)
here.build_kb(Path(sys.argv[2]), Path(sys.argv[3]), here.NONE, embedder=Slow())
"""


def embedded(state: Path) -> int:
    """Return how many documents a build has sealed; 0 while it says nothing."""
    try:
        number: int = json.loads(state.read_bytes())["embedded"]
    except FileNotFoundError:
        return 0
    return number


@pytest.mark.slow
def test_a_killed_build_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw", LINES)
    whole = build_kb(folder, tmp_path / "whole", NONE, embedder=Hashing())
    command = [sys.executable, "-c", _CHILD, str(Path(__file__).parent), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    state = work_folder(tmp_path / "kb") / STATE
    for wanted in (16, 200):
        child = subprocess.Popen(
            [*command, str(tmp_path / "kb"), str(wanted + 48)], env=environment
        )
        while child.poll() is None and embedded(state) < wanted:
            time.sleep(0.005)
        child.kill()
        assert child.wait() == -signal.SIGKILL, "it ended before it was killed"
    embedder = Hashing()
    report = build_kb(folder, tmp_path / "kb", NONE, embedder=embedder)
    assert report.resumed
    assert 0 < len(embedder.texts) <= 402 - 200
    assert content(report.path) == content(whole.path)
    assert report.fingerprint == whole.fingerprint
