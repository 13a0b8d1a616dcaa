"""How fast a large knowledge base is built, opened and searched, and what memory that takes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from tqdm import tqdm

from pipelines.bench.figures import Figure
from pipelines.bench.searching_child import DIM, queries_of
from retrieval.kb.arrays import map_arrays
from retrieval.kb.format import DOCUMENTS, NEAREST, VECTORS
from retrieval.kb.index import TextIndex, build_text_index
from retrieval.kb.knowledge_base import open_kb
from retrieval.kb.lists import Lists
from retrieval.kb.nearest import NearestLists, find_scanner
from retrieval.kb.ranking import rank_vectors

_WORDS: Final = 200_000
# Zipf's law as Mandelbrot mended it: the n-th word is drawn in proportion to 1 / (n + 2.7).
_MANDELBROT: Final = 2.7
_PASSAGE_WORDS: Final = (30, 90)
_MADE_TOGETHER: Final = 2000
_TEXT_QUERIES: Final = 400
_WARM_UP: Final = 50
_QUERY_WORDS: Final = (3, 6)
_COMPARED: Final = 256  # queries whose neighbours are looked for among all vectors
_COMPARED_TOGETHER: Final = 32
_SEARCHERS: Final = 2
# What the figure is about, and what a knowledge base asks of its text index.
_DEPTHS: Final = (10, 100)
_GIGABYTE: Final = 1e9
# What is asked of a million; a smaller run is told without bounds but that of recall.
_FULL: Final = 1_000_000


def bench_searching(folder: Path, documents: int = _FULL, seed: int = 0) -> list[Figure]:
    """Build a base of made-up documents with 512 made-up numbers each, and search it.

    Building and searching by vectors happen in processes of their own, each with one thread for
    arithmetic; two search at once, and share the mapped files. Passages are 30 to 90 words by
    Zipf's law; vectors lie around topics; queries are no documents.

    Args:
        folder: for about 8 kB a document; what is in it is removed before and afterwards.
        documents: how many.
        seed: of all that is made up.
    """
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "raw").mkdir(parents=True)
    try:
        _write_documents(folder / "raw" / DOCUMENTS, documents, seed)
        built = _child("build", folder / "raw", folder / "kb", documents, seed)[0]
        by_vectors = _child("search", folder / "kb", documents, seed, times=_SEARCHERS)
        return [
            Figure(f"searching: documents with {DIM} numbers each", documents),
            Figure("searching: s to build the base, made-up encoder", built["seconds"]),
            _bounded(
                "searching: GB of memory at most while it is built",
                built["peak_bytes"] / _GIGABYTE,
                documents,
                3,
                "below",
            ),
            *_by_vectors(folder / "kb", by_vectors, documents, seed),
            *_by_words(folder, documents, seed),
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _bounded(what: str, value: float, documents: int, bound: float, better: str) -> Figure:
    if documents < _FULL:
        return Figure(what, value)
    return Figure(what, value, bound, "above" if better == "above" else "below")


def _by_vectors(
    kb: Path, children: list[dict[str, float]], documents: int, seed: int
) -> list[Figure]:
    slowest = min(child["queries_s"] for child in children)
    opened = max(child["open_s"] for child in children)
    recall, all_compared = _recall(kb, documents, seed)
    return [
        Figure("searching: recall@10 by vectors, against comparing with all", recall, 0.99),
        _bounded(
            "searching: queries/s a core by vectors, two cores at once, the slower one",
            slowest,
            documents,
            3000,
            "above",
        ),
        Figure("searching: times as fast as comparing with all", slowest / all_compared),
        Figure("searching: lists searched for a query", children[0]["probes"]),
        Figure("searching: s to open the vectors and lists", opened, 0.1, "below"),
    ]


def _recall(kb: Path, documents: int, seed: int) -> tuple[float, float]:
    """Return recall at ten, and how many queries a second comparing with all answers."""
    # Other queries than those that were timed would do as well; these are at hand.
    queries = queries_of(documents, seed)[:_COMPARED]
    matrix = map_arrays(kb / VECTORS)["text"]
    lists = Lists(kb / NEAREST / "text")
    probes = open_kb(kb).manifest.lists["text"].probes
    nearest = NearestLists(lists, matrix, probes, find_scanner(lists))
    rows = np.arange(len(matrix))
    hits, seconds = 0, 0.0
    for start in tqdm(range(0, _COMPARED, _COMPARED_TOGETHER), "compare with all", disable=None):
        some = queries[start : start + _COMPARED_TOGETHER]
        started = time.perf_counter()
        exact = rank_vectors(some, matrix, rows, 10)
        seconds += time.perf_counter() - started
        for best, found in zip(exact, nearest.search(some, 10)[0], strict=True):
            hits += len({one.row for one in best} & set(found.tolist()))
    return hits / (10 * _COMPARED), _COMPARED / seconds


def _by_words(folder: Path, documents: int, seed: int) -> list[Figure]:
    source = folder / "kb" / DOCUMENTS
    started = time.perf_counter()
    build_text_index(folder / "words", ((text, False) for text in _texts(source)))
    seconds = time.perf_counter() - started
    index = TextIndex(folder / "words")
    queries = _text_queries(source, documents, seed)
    return [
        _bounded("searching: s to index the words, one thread", seconds, documents, 60, "below"),
        *(
            _bounded(
                f"searching: queries/s a core by words, best {depth}",
                _words_rate(index, queries, depth),
                documents,
                150,
                "above",
            )
            for depth in _DEPTHS
        ),
    ]


def _words_rate(index: TextIndex, queries: list[str], depth: int) -> float:
    for query in queries[:_WARM_UP]:
        index.search(query, depth, with_image=False)
    started = time.perf_counter()
    for query in queries:
        index.search(query, depth, with_image=False)
    return len(queries) / (time.perf_counter() - started)


def _text_queries(source: Path, documents: int, seed: int) -> list[str]:
    """Return a few words of each of some passages."""
    rng = np.random.default_rng(seed)
    wanted = set(rng.choice(documents, min(_TEXT_QUERIES, documents), replace=False).tolist())
    queries = []
    for row, text in enumerate(_texts(source)):
        if row in wanted:
            words = text.split()
            num = min(len(words), int(rng.integers(_QUERY_WORDS[0], _QUERY_WORDS[1] + 1)))
            queries.append(" ".join(rng.choice(words, num, replace=False)))
    return queries


def _texts(source: Path) -> Iterator[str]:
    with source.open("rb") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def _write_documents(path: Path, documents: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = np.array([f"w{number:x}{'aeiou'[number % 5]}" for number in range(_WORDS)])
    law = np.cumsum(1 / (1 + np.arange(_WORDS) + _MANDELBROT))
    with path.open("w", encoding="ascii") as file:
        for start in tqdm(range(0, documents, _MADE_TOGETHER), "make up documents", disable=None):
            num = min(_MADE_TOGETHER, documents - start)
            lengths = rng.integers(*_PASSAGE_WORDS, size=num, endpoint=True)
            drawn = np.searchsorted(law, rng.uniform(0, law[-1], int(lengths.sum())))
            ends = np.cumsum(lengths)
            for number, text in enumerate(np.split(words[drawn], ends[:-1]), start):
                document = {"id": f"{rng.integers(2**60):x}-{number}", "text": " ".join(text)}
                file.write(json.dumps(document) + "\n")


def _child(*arguments: object, times: int = 1) -> list[dict[str, float]]:
    """Run so many children at once, and return what each of them tells."""
    module = "pipelines.bench.searching_child"
    command = [sys.executable, "-m", module, *map(str, arguments)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # Building may use what there is; who searches has a core of its own.
    environment = {**os.environ, **(threads if times > 1 else {})}
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(times)
    ]
    told = [child.communicate()[0] for child in running]
    for child in running:
        if child.returncode:
            raise subprocess.CalledProcessError(child.returncode, command)
    return [json.loads(text.splitlines()[-1]) for text in told]
