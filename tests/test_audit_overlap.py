"""What splits have in common is told of known splits only."""

from __future__ import annotations

import pytest

from cache import InputError
from pipelines.audit.overlap import overlaps


def test_an_unknown_split_is_refused_by_its_name() -> None:
    with pytest.raises(InputError, match=r"'evil'; splits are train, dev, test"):
        overlaps("words", iter([("a", "b")]), {"a": "train", "b": "evil"})
