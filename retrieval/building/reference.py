"""Which posts stand for "some other post" when evidence is scored: any, but always the same."""

from __future__ import annotations

from collections.abc import Iterable

from cache.keys import content_key
from retrieval.curation.calibration import FEWEST


def reference_ids(example_ids: Iterable[str], count: int) -> list[str]:
    """Return ``count`` of the ids, in an order that nothing but the ids decides.

    None where there are too few posts to say anything.
    """
    ordered = sorted(example_ids, key=lambda name: content_key(name.encode("utf-8", "replace")))
    return ordered[:count] if len(ordered) > FEWEST else []
