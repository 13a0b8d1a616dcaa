"""Where a grid is run: one store, or a store in each of several made-up worlds."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cache import MANIFEST_NAME, open_store
from cache.manifest import read_manifest
from pipelines.config import Recipe

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """One store with the runs on it.

    Attributes:
        name: of the world; empty where there is but one store.
        recipe: of the store.
        store: what systems read.
        runs: folder of the runs.
        unfiltered: the store curated without filters; None where no row reads it.
        fingerprints: of these stores, and of the recipe's partner store where there is one, when
            the grid was made.
    """

    name: str
    recipe: Recipe
    store: Path
    runs: Path
    unfiltered: Path | None = None
    fingerprints: Mapping[Path, str] = field(default_factory=dict)


def place_of(
    name: str, recipe: Recipe, store: Path, runs: Path, unfiltered: Path | None = None
) -> Place:
    """Return a place that knows what its stores are now."""
    partner = recipe.partner_store
    stores = [store, *([unfiltered] if unfiltered else [])]
    if partner is not None and (partner / MANIFEST_NAME).is_file():
        stores.append(partner)
    known = {path: read_manifest(path).fingerprint for path in stores}
    return Place(name, recipe, store, runs, unfiltered, known)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until nobody else holds the lock ``path``: entities and relations may be compared."""
    with path.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def one_place(
    recipe: Recipe, store: Path, runs: Path, *, unfiltered: bool = False, say: Say
) -> Place:
    """Return the place of a store that is there.

    Args:
        recipe: of the store.
        store: its folder.
        runs: folder of the runs.
        unfiltered: also curate a copy of it without filters.
        say: told what happens.

    Raises:
        StoreError: there is no store, or it cannot be used.
    """
    with open_store(store, reader="parquet"):
        pass
    if not unfiltered:
        return place_of("", recipe, store, runs)
    # A trainer's machine has nothing that curates, and compares all the same.
    from pipelines.comparing.unfiltered import without_filters

    return place_of("", recipe, store, runs, without_filters(recipe, store, say))
