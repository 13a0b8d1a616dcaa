"""Which posts form a step, and whose evidence they are shown: all a function of seed and epoch."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final, Literal, TypeVar

import numpy as np

from cache.errors import InputError
from model.collate import Shown
from model.data import Evidences, PreparedPost

EvidenceOf = Literal["own", "others", "none"]
_Step = TypeVar("_Step")

# Posts are sorted by length within runs of this many batches: enough to avoid padding, few enough
# that batches differ between epochs.
_RUN_BATCHES: Final = 24
_TRIES: Final = 20


def batches_of_epoch(
    costs: Sequence[int], batch_size: int, seed: int, epoch: int
) -> list[list[int]]:
    """Return indices of posts in steps of similar cost, in random order.

    Every index occurs exactly once. The same arguments give the same order on any machine, so a
    position in training is (epoch, step) and nothing else.
    """
    chance = np.random.default_rng([seed, 1, epoch])
    shuffled = chance.permutation(len(costs))
    run = batch_size * _RUN_BATCHES
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), run):
        part = sorted(shuffled[start : start + run].tolist(), key=lambda index: costs[index])
        batches.extend(part[at : at + batch_size] for at in range(0, len(part), batch_size))
    return [batches[index] for index in chance.permutation(len(batches))]


def mixed(tasks: Sequence[list[_Step]], seed: int, epoch: int) -> list[_Step]:
    """Return the steps of all tasks in random order, so that each comes in proportion.

    The steps of a single task keep the order that they have.
    """
    steps = [step for of_task in tasks for step in of_task]
    if len(tasks) == 1:
        return steps
    chance = np.random.default_rng([seed, 4, epoch])
    return [steps[index] for index in chance.permutation(len(steps))]


def batches_in_order(costs: Sequence[int], batch_size: int) -> list[list[int]]:
    """Return indices of posts by cost, for evaluation."""
    order = sorted(range(len(costs)), key=lambda index: costs[index])
    return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]


def derangement(posts: Sequence[PreparedPost], seed: int) -> list[int]:
    """Return for each post the index of another one, never of the same text or photo if possible.

    A random cycle through all posts; neighbours that show the same text or photo (data sets repeat
    them) are moved apart as far as the data allow.
    """
    chance = np.random.default_rng([seed, 2])
    cycle: list[int] = chance.permutation(len(posts)).tolist()
    for _ in range(_TRIES):
        clashes = [at for at in range(len(cycle)) if _same(posts, cycle[at - 1], cycle[at])]
        if not clashes:
            break
        for at in clashes:
            other = int(chance.integers(len(cycle)))
            cycle[at], cycle[other] = cycle[other], cycle[at]
    donor = [0] * len(cycle)
    for at, index in enumerate(cycle):
        donor[index] = cycle[at - 1]
    return donor


def shown_evidence(posts: Sequence[PreparedPost], of: EvidenceOf, seed: int) -> list[Shown]:
    """Return what each post is shown: its own evidence, another post's, or none.

    Raises:
        InputError: there is no other post.
    """
    if of == "none":
        return [Shown(Evidences()) for _ in posts]
    if of == "own":
        return [Shown(post.evidence) for post in posts]
    if len(posts) < 2:
        raise InputError(
            "there is but one post, and so no other one whose evidence it could be shown. Take a "
            "split of more posts, or its own evidence."
        )
    return [Shown(posts[donor].evidence, own=False) for donor in derangement(posts, seed)]


def mismatched(
    posts: Sequence[PreparedPost], share: float, seed: int, epoch: int
) -> list[tuple[int, Shown]]:
    """Return a random ``share`` of the posts, by index, each with another post's evidence.

    How many they are is the same in every epoch, which ones is not.
    """
    count = ceil(share * len(posts)) if len(posts) > 1 else 0
    if not count:
        return []
    chosen = np.random.default_rng([seed, 3, epoch]).permutation(len(posts))[:count]
    donors = derangement(posts, seed + 7919 * (epoch + 1))
    return [(at, Shown(posts[donors[at]].evidence, own=False)) for at in sorted(chosen.tolist())]


def _same(posts: Sequence[PreparedPost], left: int, right: int) -> bool:
    one, other = posts[left].example.post, posts[right].example.post
    same_photo = bool(one.photo_name) and one.photo_name == other.photo_name
    return left == right or same_photo or one.tokens == other.tokens
