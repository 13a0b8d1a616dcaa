"""The low-resource mode: a share of the training posts, the same for every system."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence


def chosen_posts(example_ids: Sequence[str], share: float, seed: int) -> frozenset[str]:
    """Return the ids of a random ``share`` of the posts, at least one.

    Nothing but ids and seed decides: no label is looked at, so a rare label may be absent from the
    subset. The label set of the run then lacks it too, and where dev or test annotate it, it is
    counted as missed. The subset of a smaller share lies inside that of a larger one.

    Args:
        example_ids: of the training split.
        share: in (0, 1].
        seed: another seed chooses other posts.
    """

    def place(example_id: str) -> bytes:
        return hashlib.sha256(f"{seed}:{example_id}".encode()).digest()

    order = sorted(example_ids, key=place)
    # What is 10 % of 30 in floating point must not become 4.
    wanted = math.ceil(round(share * len(order), 6))
    return frozenset(order[: max(1, wanted)])
