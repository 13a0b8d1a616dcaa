from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file
from tiny_kb import write_folder
from tiny_vision import tiny_settings

from cache.errors import StoreDamaged
from cache.records import MODALITIES
from retrieval.kb import knowledge_base, sides
from retrieval.kb.arrays import Pieces, map_arrays, write_arrays
from retrieval.kb.build import build_kb
from retrieval.kb.clusters import assign, make_cells, rounding
from retrieval.kb.format import KbLists
from retrieval.kb.knowledge_base import KnowledgeBase, Search, open_kb
from retrieval.kb.lists import Cells, Lists, NumpyScanner, Scanned
from retrieval.kb.nearest import NearestLists, build_lists, find_scanner, subset_of
from retrieval.kb.ranking import rank_vectors
from retrieval.kb.verifying import damages_of

NONE = tiny_settings(None)
DIM = 24


def near(seed: int, num: int, dim: int = DIM, *, topics: int = 40) -> NDArray[np.float16]:
    """Return unit vectors around a few topics."""
    rng = np.random.default_rng(seed)
    middles = np.random.default_rng(99).normal(size=(topics, dim))
    vectors = middles[rng.integers(topics, size=num)] + 0.4 * rng.normal(size=(num, dim))
    unit: NDArray[np.float16] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(
        np.float16
    )
    return unit


def quietly(_: str, __: float) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.float16], KbLists]:
    matrix = near(0, 3000)
    matrix[1200:1260] = matrix[7]  # copies, more than are fetched at first
    stem = tmp_path_factory.mktemp("nearest") / "text"
    return stem, matrix, build_lists(stem, matrix, quietly)


def searcher(
    built: tuple[Path, NDArray[np.float16], KbLists], *, probes: int = 0, plain: bool = False
) -> NearestLists:
    stem, matrix, how = built
    lists = Lists(stem)
    scanner = NumpyScanner(lists) if plain else find_scanner(lists)
    return NearestLists(lists, matrix, probes or how.probes, scanner)


def test_arrays_are_written_as_safetensors_writes_them_and_are_mapped(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for rows in (0, 3):
        image, text = (rng.normal(size=(n, 6)).astype(np.float16) for n in (rows, 5))
        numbers = np.arange(rows, dtype=np.uint64)
        save_file({"image": image, "text": text, "n": numbers}, tmp_path / "theirs")
        write_arrays(
            tmp_path / "ours",
            {
                "text": Pieces("<f2", text.shape, [text[:2].tobytes(), text[2:]]),
                "n": Pieces("<u8", numbers.shape, [numbers]),
                "image": Pieces("<f2", image.shape, [image]),
            },
        )
        assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
        mapped = map_arrays(tmp_path / "theirs")
        assert np.array_equal(mapped["text"], text)
        assert np.array_equal(mapped["image"], image)
        assert np.array_equal(mapped["n"], numbers)
        assert not mapped["text"].flags.writeable
    with pytest.raises(ValueError, match="not 12 bytes"):
        write_arrays(tmp_path / "short", {"a": Pieces("<f2", (2, 3), [b"1234567890"])})


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xff" * 8 + b"{}",
        b"\x02" + bytes(7) + b"[]",
        (100).to_bytes(8, "little") + b"{}",
        *(
            len(text).to_bytes(8, "little") + text.encode()
            for text in (
                '{"a":{"dtype":"F16","shape":[2],"data_offsets":[0,400]}}',
                '{"a":{"dtype":"F16","shape":[-2],"data_offsets":[0,4]}}',
                '{"a":{"dtype":"F16","shape":[9223372036854775807,4],"data_offsets":[0,4]}}',
                '{"a":{"dtype":"object","shape":[2],"data_offsets":[0,4]}}',
                '{"a":7}',
                "{" * 20,
            )
        ),
    ],
)
def test_a_strangers_arrays_are_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "x").write_bytes(header + b"1234")
    with pytest.raises(ValueError, match=r"\w"):
        map_arrays(tmp_path / "x")


def test_cells_are_those_of_exact_arithmetic() -> None:
    matrix, middles = near(0, 60), near(1, 30)
    # Small parts, so that what differs is far below what float32 keeps of a sum.
    middles[:, :2] /= 512
    middles[20] = middles[4]  # a tie, which the first one wins
    middles[21:26] = middles[:5]  # nearly one, which float32 cannot tell
    middles[21:26, 0] = np.nextafter(middles[21:26, 0], np.float16(np.inf), dtype=np.float16)
    middles[21:26, 1] = np.nextafter(middles[21:26, 1], np.float16(-np.inf), dtype=np.float16)
    slow = [
        max(
            range(30),
            key=lambda cell: (
                sum(
                    Fraction(float(a)) * Fraction(float(b))
                    for a, b in zip(line, middles[cell], strict=True)
                ),
                -cell,
            ),
        )
        for line in matrix[:60]
    ]
    assert assign(matrix[:60], middles).tolist() == slow
    assert max(slow) > 20


_THREADS = """
import sys, hashlib, numpy as np
sys.path[:0] = sys.argv[1:3]
from test_kb_nearest import near
from retrieval.kb.clusters import assign, make_cells
matrix = near(0, 8000, 64)
cells = make_cells(matrix, 100, 0, lambda _: None)
print(hashlib.sha256(cells.tobytes() + assign(matrix, cells).tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_cells_do_not_depend_on_the_number_of_threads() -> None:
    here = Path(__file__).parent
    found = set()
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        done = subprocess.run(
            [sys.executable, "-c", _THREADS, str(here), str(here.parent)],
            env={**os.environ, **dict.fromkeys(names, threads)},
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_all_lists_together_find_exactly_what_comparing_with_all_finds(
    built: tuple[Path, NDArray[np.float16], KbLists],
) -> None:
    _, matrix, how = built
    queries = near(2, 50).astype(np.float32)
    queries[0] = matrix[7]
    exact = rank_vectors(queries, matrix, np.arange(len(matrix)), 20)
    lines, scores = searcher(built, probes=how.lists).search(queries, 20)
    assert lines.tolist() == [[one.row for one in found] for found in exact]
    assert scores.tolist() == [[one.score for one in found] for found in exact]
    # Copies come in the order of lines, cut there too.
    assert lines[0].tolist() == [7, *range(1200, 1219)]


def test_the_probes_that_were_measured_find_nearly_all(
    built: tuple[Path, NDArray[np.float16], KbLists],
) -> None:
    _, matrix, how = built
    assert 1 < how.probes < how.lists == int(4 * 3000**0.5)
    queries = near(3, 300).astype(np.float32)
    exact = rank_vectors(queries, matrix, np.arange(len(matrix)), 10)
    lines, _ = searcher(built).search(queries, 10)
    hits = [
        len({one.row for one in best} & set(found))
        for best, found in zip(exact, lines.tolist(), strict=True)
    ]
    assert sum(hits) >= 0.985 * 10 * 300


def test_what_is_found_depends_neither_on_the_engine_nor_on_the_company(
    built: tuple[Path, NDArray[np.float16], KbLists],
) -> None:
    pytest.importorskip("faiss", reason="compares faiss with numpy; pip install faiss-cpu")
    _, matrix, _ = built
    queries = near(4, 120).astype(np.float32)
    queries[3] = matrix[1230]
    subset = subset_of(np.arange(0, 3000, 3), 3000)
    for within in (None, subset):
        for limit in (1, 10, 100, 150):
            fast = searcher(built).search(queries, limit, within)
            slow = searcher(built, plain=True).search(queries, limit, within)
            alone = [searcher(built).search(queries[n : n + 1], limit, within) for n in range(5)]
            assert np.array_equal(fast[0], slow[0])
            assert np.array_equal(fast[1], slow[1])
            assert [one[0][0].tolist() for one in alone] == fast[0][:5].tolist()
    assert {line % 3 for line in fast[0].ravel().tolist() if line >= 0} == {0}


class Sloppy:
    """A scanner whose scores are off by as much as rounding allows, either way."""

    def __init__(self, scanner: NumpyScanner, seed: int) -> None:
        self._scanner, self._rng = scanner, np.random.default_rng(seed)

    def nearest_cells(self, queries: NDArray[np.float32], most: int) -> Scanned:
        return self._off(self._scanner.nearest_cells(queries, 10**6), most)

    def scan(
        self,
        queries: NDArray[np.float32],
        cells: Cells,
        most: int,
        allowed: NDArray[np.uint8] | None,
    ) -> Scanned:
        return self._off(self._scanner.scan(queries, cells, 4000, allowed), most)

    def _off(self, found: Scanned, most: int) -> Scanned:
        bound = rounding(DIM)
        scores = found.scores + self._rng.uniform(-bound, bound, found.scores.shape)
        order = np.argsort(-scores, axis=1)[:, :most]
        return Scanned(
            np.take_along_axis(scores, order, 1).astype(np.float32),
            np.take_along_axis(found.lines, order, 1),
        )


def test_rounding_by_an_engine_has_no_say(
    built: tuple[Path, NDArray[np.float16], KbLists],
) -> None:
    stem, matrix, _ = built
    # Neighbours that differ in the last bits only.
    queries = near(5, 20).astype(np.float32)
    queries[:10] = matrix[1200:1210].astype(np.float32)
    lists = Lists(stem)
    found = [
        NearestLists(lists, matrix, 3, Sloppy(NumpyScanner(lists), seed)).search(queries, 30)
        for seed in range(3)
    ]
    for lines, scores in found[1:]:
        assert np.array_equal(lines, found[0][0])
        assert np.array_equal(scores, found[0][1])


def test_lists_that_were_tampered_with_are_refused(
    built: tuple[Path, NDArray[np.float16], KbLists], tmp_path: Path
) -> None:
    stem, matrix, how = built
    for name in ("text.lists", "text.cells.safetensors"):
        shutil.copyfile(stem.parent / name, tmp_path / name)
    data = bytearray((tmp_path / "text.lists").read_bytes())
    (tmp_path / "text.lists").write_bytes(data[:-8])
    with pytest.raises(ValueError, match="bytes of lists"):
        Lists(tmp_path / "text")
    lists = Lists(stem)
    for cell in range(how.lists):
        if lists.sizes[cell]:
            at = int(lists.places[cell] + lists.capacities[cell] * lists.line_bytes)
            data[at : at + 8] = (2**40).to_bytes(8, "little")
    (tmp_path / "text.lists").write_bytes(data)
    broken = (tmp_path / "text", matrix, how)
    for plain in (True, False):
        with pytest.raises(ValueError, match="name line"):
            searcher(broken, probes=how.lists, plain=plain).search(
                matrix[:50].astype(np.float32), 100
            )


class Topics:
    """An embedder whose vectors lie around topics, by the last number in a text."""

    encoder_fingerprint = "t" * 64

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([near(int(text.split()[-1]), 1)[0] for text in texts]).astype(np.float32)

    def embed_images(self, images: Sequence[Image.Image]) -> NDArray[np.float32]:
        return np.stack([near(image.size[0], 1)[0] for image in images]).astype(np.float32)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base whose texts are in lists, because so few already count as many."""
    lines: list[dict[str, object]] = [
        {"id": f"{n:04d}", "text": f"text {n}", **({"image": "1.png"} if n % 2 else {})}
        for n in range(1000)
    ]
    folder = write_folder(tmp_path_factory.mktemp("large") / "raw", lines)
    out = folder.parent / "kb"
    return build_kb(folder, out, NONE, embedder=Topics(), exact_up_to=600).path


def answers(knowledge: KnowledgeBase) -> list[list[tuple[str, float]]]:
    queries = [near(5000 + n, 1)[0].astype(np.float32) for n in range(30)]
    found = knowledge.search(
        [Search(side, text, q) for q in queries for side in MODALITIES for text in ("x", "")],
        10,
    )
    return [[(one.document.id, one.score) for one in best] for best in found]


def test_a_large_base_answers_nearly_as_one_that_compares_with_all(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = open_kb(large).manifest
    assert list(manifest.lists) == ["text"]
    exact = answers(open_kb(large))  # so few are compared with each query all the same
    for threshold in (600, 400):  # with 500 images, the second one searches parts of lists
        monkeypatch.setattr(sides, "EXACT_UP_TO", threshold)
        found = answers(open_kb(large))
        same = [len(set(a) & set(b)) / max(1, len(b)) for a, b in zip(found, exact, strict=True)]
        assert np.mean(same) > 0.97
        assert all(same[n] == 1.0 or len(exact[n]) == 10 for n in range(len(same)))


def test_a_large_base_is_the_same_with_and_without_faiss(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faiss", reason="compares faiss with numpy; pip install faiss-cpu")
    monkeypatch.setattr(sides, "EXACT_UP_TO", 400)
    with_faiss = answers(open_kb(large))
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.delitem(sys.modules, "retrieval.kb.faiss_lists", raising=False)
    knowledge = open_kb(large)
    assert answers(knowledge) == with_faiss
    assert isinstance(knowledge._sides._nearest["text"]._scanner, NumpyScanner)


def test_how_lists_are_searched_is_part_of_the_fingerprint(large: Path, tmp_path: Path) -> None:
    folder = large.parent / "raw"
    plain = build_kb(folder, tmp_path / "kb", NONE, embedder=Topics())
    assert plain.fingerprint != open_kb(large).fingerprint


@pytest.mark.parametrize("name", ["documents.jsonl", "vectors.safetensors"])
def test_damage_in_a_base_that_is_not_read_whole_shows_where_it_is_handed_out(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(knowledge_base, "_DIGESTED_AT_ONCE", 0)
    copy = tmp_path / "kb"
    shutil.copytree(large, copy)
    assert list(damages_of(open_kb(copy))) == []
    with (copy / name).open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        byte = file.read(1)
        file.seek(-5, os.SEEK_END)
        file.write(bytes([byte[0] ^ 1]))
    knowledge = open_kb(copy)  # sizes are as they were
    query = near(999, 1)[0].astype(np.float32)
    with pytest.raises(StoreDamaged, match="has changed"):
        knowledge.search([Search("text", "999", query)], 10)
    assert [name in damage for damage in damages_of(open_kb(copy))] == [True]


def test_verifying_names_images_that_changed(large: Path, tmp_path: Path) -> None:
    copy = tmp_path / "kb"
    shutil.copytree(large, copy)
    image = next(path for path in (copy / "images").rglob("*") if path.is_file())
    image.write_bytes(b"other")
    assert [image.name in damage for damage in damages_of(open_kb(copy))] == [True]


def test_rows_that_were_tampered_with_are_damage(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge_base, "_DIGESTED_AT_ONCE", 0)
    copy = tmp_path / "kb"
    shutil.copytree(large, copy)
    path = copy / "rows.safetensors"
    data = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    at, until = header["end"]["data_offsets"]
    data[start + at : start + until] = b"\xff" * (until - at)
    path.write_bytes(data)
    with pytest.raises(StoreDamaged, match="has changed"):
        open_kb(copy).search([Search("text", "999", near(999, 1)[0].astype(np.float32))], 10)


def test_making_cells_needs_no_more_vectors_than_cells() -> None:
    matrix = near(0, 12)
    assert make_cells(matrix, 12, 0, lambda _: None).shape == (12, DIM)
