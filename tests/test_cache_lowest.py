"""Which shard is the lowest that needs a content: compared with looking into every shard."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cache.writing.lowest import DIGEST_BYTES, Digests, Lowest

# Few of them, some with equal first bytes, and one that ends in zeros.
_KNOWN = [bytes([a]) * 8 + bytes([b]) * (DIGEST_BYTES - 8) for a in range(4) for b in range(4)]
_NEEDS = st.lists(st.sets(st.sampled_from(_KNOWN)), min_size=1, max_size=24)


def _digests(keys: set[bytes]) -> Digests:
    return np.sort(np.array(sorted(keys), f"S{DIGEST_BYTES}"))


@settings(max_examples=60, deadline=None)
@given(_NEEDS, st.randoms(use_true_random=False))
def test_the_lowest_shard_is_found_in_whatever_order_shards_came(
    needs: list[set[bytes]], shuffle: random.Random
) -> None:
    order = list(range(len(needs)))
    shuffle.shuffle(order)
    lowest = Lowest()
    for index in order:
        lowest.add(index, _digests(needs[index]))
    everything = _digests(set(_KNOWN))
    for index in range(len(needs)):
        expected = [
            min([other for other in range(index) if digest in needs[other]], default=index)
            for digest in sorted(_KNOWN)
        ]
        assert lowest.find(index, everything).tolist() == expected


def test_a_thousand_shards_are_few_runs_to_look_into() -> None:
    rng = np.random.default_rng(0)
    lowest = Lowest()
    for index in range(1000):
        lowest.add(index, _digests({rng.bytes(DIGEST_BYTES) for _ in range(5)}))
    assert len(lowest._runs) <= 12
