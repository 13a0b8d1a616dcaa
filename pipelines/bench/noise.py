"""Planted noise that is dropped, in figures.

The thresholds were set on the world of seed 7 and its half of the wording; the worlds measured
draw from the other half.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from cache.records import Hit
from pipelines.bench.figures import Figure
from pipelines.bench.real_data import real_data
from pipelines.sample.noise import WORDED_KINDS
from pipelines.sample.world import WorldSize, generate_world
from retrieval.curation.noise import drop_noise
from retrieval.kb.json_lines import read_documents
from retrieval.kb.problems import ProblemLog
from retrieval.settings import NoiseSettings

_SIZE: Final = WorldSize(train=60, dev=8, test=60, noise=80)
_HELPFUL: Final = ("biography", "news", "pair")
# Pages that no filter of texts should drop: they are as well written as those they contradict or
# copy, and others than the noise filter are to find them.
_WELL_WRITTEN: Final = (*_HELPFUL, "contradicting", "near_duplicate", "post_copy")


def bench_noise(seeds: Sequence[int] = (11, 12, 13)) -> list[Figure]:
    """Return precision and recall of every kind of planted noise, over the worlds of ``seeds``.

    Documents are judged as the knowledge base would answer them, one by one: the noise filter
    looks at nothing else. Precision counts what a step drops that is noise of any kind; that a
    casino's page falls as boilerplate is no mistake.
    """
    dropped: Counter[tuple[str, str]] = Counter()
    planted: Counter[str] = Counter()
    for seed in seeds:
        with tempfile.TemporaryDirectory() as made:
            world = Path(made) / "world"
            generate_world(seed, world, _SIZE, progress=False)
            for kind, step in judged_documents(world):
                planted[kind] += 1
                dropped[kind, step] += 1
    figures: list[Figure] = []
    for kind in WORDED_KINDS:
        of_step = {known: count for (known, step), count in dropped.items() if step == kind}
        right = sum(count for known, count in of_step.items() if known not in _WELL_WRITTEN)
        precision = right / max(sum(of_step.values()), 1)
        figures.append(Figure(f"noise {kind}: precision", precision, 0.95))
        recall = 1 - dropped[kind, ""] / planted[kind]
        figures.append(Figure(f"noise {kind}: recall", recall, 0.90))
    return figures + _told(planted, dropped)


def judged_documents(world: Path) -> Iterator[tuple[str, str]]:
    """Yield the true kind of each document and the step that drops it, empty for none."""
    truth = (world / "truth" / "documents.jsonl").read_text(encoding="utf-8").splitlines()
    kinds = {line["id"]: line["kind"] for line in map(json.loads, truth)}
    settings = NoiseSettings(languages=("en",))
    for document in read_documents(world / "kb", ProblemLog()):
        hit = text_hit(document.document_id, document.title, document.passage)
        _, gone = drop_noise([hit], settings)
        yield kinds[document.document_id], gone[0].step if gone else ""


def _told(planted: Mapping[str, int], dropped: Mapping[tuple[str, str], int]) -> list[Figure]:
    """Return what has no bound: what falls of the kinds that are not this filter's to find."""
    pages = sum(planted[kind] for kind in _HELPFUL)
    kept = sum(dropped[kind, ""] for kind in _HELPFUL)
    figures = [Figure("noise filter: helpful pages dropped", 1 - kept / pages, 0.005, "below")]
    for kind in sorted(set(planted) - {*_HELPFUL, *WORDED_KINDS}):
        share = 1 - dropped[kind, ""] / planted[kind]
        figures.append(Figure(f"noise filter: {kind} pages dropped (others' to find)", share))
    headlines = _headlines()
    if headlines:
        _, gone = drop_noise(headlines, NoiseSettings(languages=("en",)))
        share = len(gone) / len(headlines)
        figures.append(Figure("noise filter: real headlines dropped", share, 0.005, "below"))
    return figures


def _headlines() -> list[Hit]:
    """Return the headlines of the real news collection as hits; none where it is not at hand."""
    path = real_data() / "data" / "news_kb" / "documents.jsonl"
    if not path.is_file():
        return []
    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [text_hit(line["id"], line["title"], line["title"]) for line in lines]


def text_hit(document_id: str, title: str, text: str) -> Hit:
    """Return the hit that a knowledge base would answer with a document."""
    return Hit(
        level="sentence",
        modality="text",
        region_index=-1,
        provider="kb",
        document_id=document_id,
        rank=0,
        provider_score=1.0,
        text=text,
        title=title,
    )
