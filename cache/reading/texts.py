"""Finding the texts that rows name, without holding more of them than the row groups in use."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import pyarrow as pa

from cache.errors import StoreDamaged
from cache.keys import text_key
from cache.schema import Table

# Some 30 KB each: enough for all texts of a big shard, which every post of it looks through.
_KEPT_GROUPS: Final = 256


class _Groups(Protocol):
    """Where tables come from; `ShardCache` keeps their row groups."""

    def column(self, table: Table, index: int, name: str) -> list[str]:
        """Return one column of a shard's table."""
        ...

    def group_starts(self, table: Table, index: int) -> list[int]:
        """Return the first row of each row group of a shard's table, and the number of rows."""
        ...

    def group(self, table: Table, index: int, group: int) -> pa.Table:
        """Return a row group of a shard's table."""
        ...


class _Row(NamedTuple):
    stored_in: int
    text: str | None


class TextFinder:
    """The texts of a store, by key and by the shard whose rows name them.

    The rows of each shard are sorted by key, so the first key of every row group is enough to
    know where a key is: a few thousand of them for a million texts.

    Args:
        groups: where tables come from.
        damaged: makes an error of a reason.
        withheld: whether texts may have been left out of the store; they read as empty.
    """

    def __init__(
        self, groups: _Groups, damaged: Callable[[str], StoreDamaged], *, withheld: bool = False
    ) -> None:
        self._groups = groups
        self._damaged = damaged
        self._withheld = withheld
        self._first_keys: dict[int, list[str]] = {}
        self._keys = lru_cache(_KEPT_GROUPS)(self._read_keys)

    def find(self, index: int, keys: Iterable[str]) -> dict[str, str]:
        """Return the texts that rows of shard ``index`` name.

        Raises:
            StoreDamaged: a text is not where it must be, or is another.
        """
        rows = {key: self._row(index, key) for key in sorted(set(keys))}
        # Shard by shard, so that each row group is decompressed once.
        elsewhere = sorted(
            (row.stored_in, key) for key, row in rows.items() if row.stored_in != index
        )
        for stored_in, key in elsewhere:
            # Contents are in the lowest shard that needs them, never in a later one.
            if not 0 <= stored_in < index:
                raise self._damaged(f"shard {index} says that text {key} is in {stored_in}")
            rows[key] = self._row(stored_in, key)
            if rows[key].stored_in != stored_in:
                raise self._damaged(f"shard {stored_in} has no text {key}")
        return {key: self._checked(key, row.text) for key, row in rows.items()}

    def _row(self, index: int, key: str) -> _Row:
        first_keys = self._first_keys.get(index)
        if first_keys is None:
            starts = self._groups.group_starts("texts", index)
            column = self._groups.column("texts", index, "key")
            # The last start is the number of rows; an empty table has one group all the same.
            first_keys = [column[start] for start in starts if start < len(column)]
            self._first_keys[index] = first_keys
        group = bisect_right(first_keys, key) - 1
        if group >= 0:
            keys = self._keys(index, group)
            row = bisect_left(keys, key)
            if row < len(keys) and keys[row] == key:
                part = self._groups.group("texts", index, group)
                places, texts = (part.column(name).chunk(0) for name in ("stored_in", "text"))
                return _Row(places[row].as_py(), texts[row].as_py())
        raise self._damaged(f"the text {key} is not among those of shard {index}")

    def _read_keys(self, index: int, group: int) -> list[str]:
        keys: list[str] = self._groups.group("texts", index, group).column("key").to_pylist()
        return keys

    def _checked(self, key: str, text: str | None) -> str:
        if text is None and self._withheld:
            return ""
        if text is None or text_key(text) != key:
            raise self._damaged(f"the text {key} is missing or another")
        return text
