"""``ramie bench scale``: how every stage grows, the laws, and what they mean far beyond."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tqdm import tqdm

from cache.errors import InputError
from pipelines.bench.figures import Figure
from pipelines.bench.scaling.agreement import bench_agreement
from pipelines.bench.scaling.costs import STAGES, Cost, measure_cost
from pipelines.bench.scaling.far import bench_far
from pipelines.bench.scaling.law import fit, held_out_error
from pipelines.bench.scaling.made_up import settings_of, write_documents
from retrieval.kb.knowledge_base import build_kb

SIZES: Final = (1_000, 3_000, 10_000, 30_000, 100_000)
PARTS: Final = ("growth", "metadata", "agreement", "far")
METADATA_SIZES: Final = (10_000, 100_000, 1_000_000)
FAR_POSTS: Final = 10_000_000
_DOCUMENTS: Final = 20_000
_HITS: Final = (5, 20, 60)
_QUESTION_HITS: Final = 10
_GROWTH: Final = 10.5
_TEN: Final = 10
_MEMORY_GB: Final = 16
# Where the law of all smaller sizes is to be by the largest one.
_HELD_OUT: Final = 0.25


def bench_scale(
    folder: Path,
    sizes: Sequence[int] = SIZES,
    metadata: Sequence[int] = METADATA_SIZES,
    far: int = FAR_POSTS,
    agreement_posts: int = 120,
    seed: int = 0,
    only: Sequence[str] = (),
) -> list[Figure]:
    """Measure every stage at ``sizes``, fit the laws, compare the simulation, and look ahead.

    CPU time is told, because the machine may have other work; a made-up knowledge base of 20,000
    texts is asked, of which at most 10 hits a question come.

    Args:
        folder: for what is written; removed.
        sizes: posts of the builds; at least three, the largest ten times one of the others.
        metadata: posts of the builds that ask nobody.
        far: posts of the simulated builds.
        agreement_posts: of the builds that the simulation is compared with.
        seed: of all that is made up.
        only: of `PARTS`; none means all. What is far away needs what growth measures.

    Raises:
        InputError: too few sizes.
    """
    if len(set(sizes)) < 3:
        raise InputError(f"a law needs three sizes or more, not {list(sizes)}.")
    shutil.rmtree(folder, ignore_errors=True)
    write_documents(folder / "documents", _DOCUMENTS, seed)
    kb = folder / "kb"
    build_kb(folder / "documents", kb, settings_of(folder, None, 1).observe)

    def cost(posts: int, hits: int = _QUESTION_HITS, asked: Path | None = kb) -> Cost:
        return measure_cost(folder / "build", posts, asked, hits, seed)

    parts, figures = only or PARTS, list[Figure]()
    if "agreement" in parts:
        figures += bench_agreement(folder / "agreement", kb, agreement_posts, seed)
    if "metadata" in parts:
        alone = [cost(n, 1, None) for n in tqdm(sorted(metadata), "metadata", disable=None)]
        figures += _metadata(alone)
    if {"growth", "far"} & set(parts):
        costs = [cost(posts) for posts in tqdm(sorted(sizes), "sizes", disable=None)]
        figures += [*_laws(costs), *_growth(costs), *_memory(costs)]
        figures += _by_hits([cost(sorted(sizes)[0], hits) for hits in _HITS])
    if "far" in parts:
        largest = costs[-1]
        finish = _cpu(largest, "curate", "write") / largest.posts
        figures += bench_far(far, finish, _cpu(largest, "ask") / largest.posts, seed)
    shutil.rmtree(folder)
    return figures


def _cpu(cost: Cost, *stages: str) -> float:
    return sum(cost.cpu_seconds[stage] for stage in stages)


def _laws(costs: Sequence[Cost]) -> list[Figure]:
    """Return, by stage, CPU time per post at the largest size, and the power of the posts."""
    numbers = [cost.posts for cost in costs]
    figures = []
    for stage in (*STAGES, "all"):
        seconds = [_cpu(cost, *((stage,) if stage != "all" else STAGES)) for cost in costs]
        law = fit(numbers, seconds)
        each = 1e3 * seconds[-1] / numbers[-1]
        figures.append(Figure(f"{stage}: CPU ms a post at {numbers[-1]:,} posts", each))
        figures.append(Figure(f"  power of the posts in {law}", law.power))
        if len(numbers) > 3:
            error = held_out_error(numbers, seconds)
            bound = _HELD_OUT if stage == "all" else None
            what = f"  the law of the smaller sizes misses {numbers[-1]:,} posts by"
            figures.append(Figure(what, error, bound, "below"))
    return figures


def _growth(costs: Sequence[Cost]) -> list[Figure]:
    """Return how curation and writing grow over ten times the posts, in one run."""
    by_size = {cost.posts: cost for cost in costs}
    figures = []
    for many, cost in by_size.items():
        few = by_size.get(many // _TEN)
        if few is None or many % _TEN:
            continue
        # The bound is about large builds; in small ones what is fixed still counts.
        bound = _GROWTH if many == costs[-1].posts else None
        for told, measure in (("CPU", _cpu), ("wall", _wall)):
            growth = measure(cost, "curate", "write") / measure(few, "curate", "write")
            what = f"curating and writing, {few.posts:,} to {many:,} posts: times the {told} time"
            figures.append(Figure(what, growth, bound if told == "CPU" else None, "below"))
    return figures


def _wall(cost: Cost, *stages: str) -> float:
    return sum(cost.seconds[stage] for stage in stages)


def _memory(costs: Sequence[Cost]) -> list[Figure]:
    """Return memory and bytes by posts, and where the memory of a usual machine ends."""
    first, last = costs[0], costs[-1]
    each = (last.memory_bytes - first.memory_bytes) / (last.posts - first.posts)
    figures = [
        *(
            Figure(f"memory at {cost.posts:,} posts, GB", cost.memory_bytes / 1e9)
            for cost in costs
        ),
        Figure("  bytes a post beyond the smallest", each),
        Figure("store at the largest size, bytes a post", last.store_bytes / last.posts),
    ]
    if each > 0:
        ends = (_MEMORY_GB * 1e9 - first.memory_bytes) / each + first.posts
        what = f"million posts that fit into {_MEMORY_GB} GB, one stage after the other"
        figures.append(Figure(what, ends / 1e6))
    return figures


def _by_hits(costs: Sequence[Cost]) -> list[Figure]:
    """Return the cost of a hit, by stage."""
    figures = []
    hits = [cost.hits for cost in costs]
    for stage in ("ask", "curate", "write", "verify"):
        law = fit(hits, [_cpu(cost, stage) for cost in costs])
        each = 1e6 * _cpu(costs[-1], stage) / hits[-1]
        figures.append(Figure(f"{stage}: CPU microseconds a hit at {hits[-1]:,} hits", each))
        figures.append(Figure(f"  power of the hits in {law}", law.power))
    return figures


def _metadata(costs: Sequence[Cost]) -> list[Figure]:
    """Return what posts cost about which nobody is asked: only their metadata is built."""
    figures = []
    for cost in costs:
        for stage, at_all in _METADATA_STAGES.items():
            seconds = _cpu(cost, *at_all)
            what = f"{cost.posts:,} posts, metadata alone, {stage}: CPU seconds"
            figures.append(Figure(what, seconds))
        figures.append(Figure("  memory, GB", cost.memory_bytes / 1e9))
    return figures


_METADATA_STAGES: Final[dict[str, tuple[str, ...]]] = {
    "read and observe": ("read", "look"),
    "write": ("opening", "ask", "curate", "write", "closing"),
    "open": ("open",),
    "verify": ("verify",),
}
