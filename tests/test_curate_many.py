"""Promises of retrieval.curation.curate_many."""

from __future__ import annotations

import os

import pytest
from curation_helpers import make_hit, no_hash, observe

from cache.errors import InputError
from retrieval.curation.curate import Surroundings, curate
from retrieval.curation.curate_many import Case, Curated, curate_many
from retrieval.curation.dedup_images import ImageHash
from retrieval.settings import CurateSettings

SETTINGS = CurateSettings()
PARENT = os.getpid()


def make_cases(count: int) -> list[Case]:
    """Return posts, each with hits of its own."""
    return [
        (
            observe(f"rain stops cup final number {post} in Oslo"),
            [
                make_hit(f"d{post}-{place}", f"the final {post} of the cup went on at {place}")
                for place in range(post % 4)
            ],
        )
        for post in range(count)
    ]


def told(found: list[Curated | None]) -> list[object]:
    """Return results as values that compare; records compare by identity."""
    return [
        one
        and (
            [(kept.hit.document_id, kept.rank, kept.fused_score) for kept in one[0]],
            [(gone.hit.document_id, gone.step, gone.reason) for gone in one[1]],
        )
        for one in found
    ]


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_number_of_processes_changes_no_result(workers: int, count: int) -> None:
    cases, around = make_cases(count), Surroundings(no_hash)
    alone: list[Curated | None] = [curate(*case, SETTINGS, around) for case in cases]
    assert told(curate_many(cases, SETTINGS, around, workers)) == told(alone)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_post_that_fails_leaves_the_others_alone(workers: int) -> None:
    def broken(key: str) -> ImageHash | None:
        if os.getpid() == PARENT and workers > 1:
            return None
        raise InputError(key)

    cases = make_cases(6)
    cases[3] = (observe(), [make_hit("x", modality="image", media_key="x")])
    found = curate_many(cases, SETTINGS, Surroundings(broken), workers)
    assert [place for place, one in enumerate(found) if one is None] == [3]


def test_the_posts_of_a_process_that_is_killed_are_curated_all_the_same() -> None:
    def deadly(key: str) -> ImageHash | None:
        if os.getpid() != PARENT:
            os._exit(9)
        return None

    cases = make_cases(6)
    cases[3] = (observe(), [make_hit("x", modality="image", media_key="x")])
    found = curate_many(cases, SETTINGS, Surroundings(deadly), 2)
    assert None not in found
