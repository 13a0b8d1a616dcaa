"""The contract between the two halves of RAMIE: what a store holds, how it is written and read.

Built stores are data and live elsewhere (``data/stores/...``); this package only knows their form.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cache.checking.verify import VerifyReport, verify_store
    from cache.errors import (
        InputError,
        ProviderUnavailable,
        RamieError,
        StoreChanged,
        StoreDamaged,
        StoreError,
        StoreMismatch,
        StoreOutdated,
        StoreWithheld,
    )
    from cache.keys import canonical_json, content_key, fingerprint, is_content_key, post_sha256
    from cache.manifest import (
        MANIFEST_NAME,
        FeatureSetEntry,
        Manifest,
        differing_keys,
        read_manifest,
    )
    from cache.reader import EvidenceItem, Features, StoreReader, features_of
    from cache.recording.recordings import Recording, Recordings
    from cache.records import (
        FEATURE_SETS,
        LEVELS,
        MODALITIES,
        STREAMS,
        Dropped,
        Evidence,
        Example,
        FeatureSet,
        Hit,
        Level,
        Media,
        Modality,
        Observation,
        Post,
        Query,
        Region,
        Relation,
        Span,
        StoredExample,
        Vector,
    )
    from cache.schema import SCHEMA_VERSION
    from cache.store import open_store
    from cache.writing.writer import StoreWriter

__all__ = [
    "FEATURE_SETS",
    "LEVELS",
    "MANIFEST_NAME",
    "MODALITIES",
    "SCHEMA_VERSION",
    "STREAMS",
    "Dropped",
    "Evidence",
    "EvidenceItem",
    "Example",
    "FeatureSet",
    "FeatureSetEntry",
    "Features",
    "Hit",
    "InputError",
    "Level",
    "Manifest",
    "Media",
    "Modality",
    "Observation",
    "Post",
    "ProviderUnavailable",
    "Query",
    "RamieError",
    "Recording",
    "Recordings",
    "Region",
    "Relation",
    "Span",
    "StoreChanged",
    "StoreDamaged",
    "StoreError",
    "StoreMismatch",
    "StoreOutdated",
    "StoreReader",
    "StoreWithheld",
    "StoreWriter",
    "StoredExample",
    "Vector",
    "VerifyReport",
    "canonical_json",
    "content_key",
    "differing_keys",
    "features_of",
    "fingerprint",
    "is_content_key",
    "open_store",
    "post_sha256",
    "read_manifest",
    "verify_store",
]

# A name is imported when somebody takes it: what prints a help text needs no Arrow.
_PLACES = {
    "cache.checking.verify": ("VerifyReport", "verify_store"),
    "cache.errors": (
        "InputError",
        "ProviderUnavailable",
        "RamieError",
        "StoreChanged",
        "StoreDamaged",
        "StoreError",
        "StoreMismatch",
        "StoreOutdated",
        "StoreWithheld",
    ),
    "cache.keys": (
        "canonical_json",
        "content_key",
        "fingerprint",
        "is_content_key",
        "post_sha256",
    ),
    "cache.manifest": (
        "MANIFEST_NAME",
        "FeatureSetEntry",
        "Manifest",
        "differing_keys",
        "read_manifest",
    ),
    "cache.reader": ("EvidenceItem", "Features", "StoreReader", "features_of"),
    "cache.recording.recordings": ("Recording", "Recordings"),
    "cache.records": (
        "FEATURE_SETS",
        "LEVELS",
        "MODALITIES",
        "STREAMS",
        "Dropped",
        "Evidence",
        "Example",
        "FeatureSet",
        "Hit",
        "Level",
        "Media",
        "Modality",
        "Observation",
        "Post",
        "Query",
        "Region",
        "Relation",
        "Span",
        "StoredExample",
        "Vector",
    ),
    "cache.schema": ("SCHEMA_VERSION",),
    "cache.store": ("open_store",),
    "cache.writing.writer": ("StoreWriter",),
}
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> object:
    """Return a name of ``__all__`` from where it is defined (PEP 562)."""
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(_PLACE_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return what may be taken."""
    return sorted({*globals(), *__all__})
