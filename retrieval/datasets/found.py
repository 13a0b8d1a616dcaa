"""What a reader hands over, before photos are looked up and duplicates are refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from cache.errors import InputError
from cache.records import Example

_SHOWN_PLACES: Final = 3


class Found(NamedTuple):
    """An example and where it stands: ``file:line``."""

    example: Example
    place: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something odd that stopped nothing: how often it occurred, and the first few places."""

    kind: str
    count: int
    places: tuple[str, ...]

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.places) else ""
        return f"{self.kind}: {self.count} ({', '.join(self.places)}{more})"


class Problems:
    """Collects problems while a data set is read."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._places: dict[str, list[str]] = {}

    def add(self, kind: str, place: str, count: int = 1) -> None:
        """Note that ``kind`` occurred ``count`` times at ``place``."""
        self._counts[kind] = self._counts.get(kind, 0) + count
        places = self._places.setdefault(kind, [])
        if len(places) < _SHOWN_PLACES:
            places.append(place)

    def freeze(self) -> tuple[Problem, ...]:
        """Return what was noted, by kind."""
        return tuple(
            Problem(kind, self._counts[kind], tuple(self._places[kind]))
            for kind in sorted(self._counts)
        )


@dataclass(slots=True)
class Reading:
    """A data set as its reader found it.

    Attributes:
        found: in file order, split after split.
        photo_folders: where the photos of a split may lie, in order of preference.
        declared_labels: the label set as the data set itself lists it; None if it lists none.
        problems: noted on the way.
    """

    found: list[Found] = field(default_factory=list)
    photo_folders: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    declared_labels: tuple[str, ...] | None = None
    problems: Problems = field(default_factory=Problems)


def split_file(folder: Path, names: tuple[str, ...]) -> Path | None:
    """Return the one file of a split among its possible names, or None.

    Raises:
        InputError: there are two, and which one is meant cannot be known.
    """
    present = [folder / name for name in names if (folder / name).is_file()]
    if len(present) > 1:
        raise InputError(
            f"{present[0]} and {present[1].name} are both there, and either may be the split. "
            "Move one of them away."
        )
    return present[0] if present else None


def check_root(root: Path) -> None:
    """Refuse a data set's folder that is not one."""
    if not root.is_dir():
        raise InputError(
            f"{root} is not a folder. Set dataset.root to the folder that holds the data set."
        )


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Turn an operating-system error while reading ``path`` into an `InputError`."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}. Check the path and its permissions."
        ) from error
