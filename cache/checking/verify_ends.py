"""Whether manifest and card of a store are what was written, and not only what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cache.card import card_fits
from cache.checking.strangers import is_being_written
from cache.errors import StoreError
from cache.files import check_regular
from cache.manifest import MANIFEST_NAME, Manifest, manifest_bytes
from cache.writing.complete import CARD_NAME

_MAX_CARD_BYTES: Final = 1 << 20


def manifest_problems(root: Path, manifest: Manifest) -> Iterator[str]:
    """Yield a problem where the file of ``manifest`` was written by something else."""
    path = root / MANIFEST_NAME
    if path.read_bytes() != manifest_bytes(manifest):
        yield (
            f"{path} was written by something else, or damaged where nothing is lost by it: it "
            "says what its hash promises. `ramie verify --repair` writes it anew."
        )


def card_problems(root: Path, manifest: Manifest) -> Iterator[str]:
    """Yield a problem where the data card is not of ``manifest``."""
    path = root / CARD_NAME
    why = (
        "`ramie verify --repair` writes it anew. Until then whoever gets the store is not told "
        "what is in it and whose that is."
    )
    try:
        size = check_regular(path, root).st_size
        fits = size <= _MAX_CARD_BYTES and card_fits(path.read_bytes(), manifest)
        # The card is written before the manifest that it is of.
        if not fits and not is_being_written(root):
            where = root / MANIFEST_NAME
            yield f"{path} is not the data card of {where}: one of both was edited. {why}"
    except StoreError as error:
        yield f"{error} {why}"
    except OSError as error:
        yield f"{path} cannot be read: {error.strerror or error}. {why}"
