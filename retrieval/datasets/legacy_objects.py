"""The object lists that were published with MNRE, for the protocol that compares with old figures.

They are distributed as pickles, which are not read here. What is read is JSON: for each split the
number of objects of each line, or the list of its crops' names, in the order of the text files.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cache.errors import InputError
from cache.keys import fingerprint
from cache.records import Example

_MOST: Final = 100
# Hundred times what was published; of a longer file no JSON is left.
_MOST_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class LegacyObjects:
    """How many objects were published for each post.

    Attributes:
        counts: by example id.
    """

    counts: Mapping[str, int]

    @property
    def fingerprint(self) -> str:
        """What tells one publication from another."""
        return fingerprint(dict(sorted(self.counts.items())))


def read_legacy_objects(
    path: Path | None, examples: Iterable[Example], limit: int | None
) -> LegacyObjects:
    """Return the published objects of ``examples``.

    Args:
        path: the JSON file.
        examples: in file order.
        limit: posts of each split that were read; None means all.

    Raises:
        InputError: no file, or it does not fit the posts.
    """
    if path is None:
        raise InputError(
            "protocol 'legacy-objects' needs dataset.legacy_objects: a JSON file with the number "
            "of published objects of each line, by split. Name it, or use protocol 'clean'."
        )
    content = _content(path)
    by_split: defaultdict[str, list[str]] = defaultdict(list)
    for example in examples:
        by_split[example.split].append(example.post.example_id)
    counts: dict[str, int] = {}
    for split, names in by_split.items():
        lines = content.get(split, content.get("val")) if split == "dev" else content.get(split)
        number = len(lines) if isinstance(lines, list) else 0
        if not isinstance(lines, list) or (
            number != len(names) if limit is None else number < len(names)
        ):
            raise InputError(
                f"{path} has {number} lines for the {len(names)} posts of {split}. Name the file "
                "that was published with these texts."
            )
        counts |= {name: _number(path, line) for name, line in zip(names, lines, strict=False)}
    return LegacyObjects(counts)


def _content(path: Path) -> Mapping[str, object]:
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}). Check the path.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} does not list objects by split. Restore the file.")
    return content


def _number(path: Path, line: object) -> int:
    number = len(line) if isinstance(line, list) else line
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= _MOST:
        raise InputError(
            f"{path} has {str(line)[:40]!r} where a number of objects from 0 to {_MOST}, or "
            "a list of them, should be. Restore the file."
        )
    return number
