"""Errors, grouped by what the caller does next.

RamieError
├── InputError            fix the data, the recipe or the call
├── StoreError            the store cannot be used as it is
│   ├── StoreDamaged      restore or rebuild what the message names
│   ├── StoreChanged      open it again: a newer build took its place
│   ├── StoreWithheld     ask its owner: posts, texts or images were left out of it
│   └── StoreMismatch     another schema or recipe: rebuild, or use the matching one
│       └── StoreOutdated an older schema: migrate it, or build again, asking nobody
└── ProviderUnavailable   ask again later; never an empty answer
"""

from __future__ import annotations


class RamieError(Exception):
    """Base of every error that a user can act on; its text says what is wrong and the way out."""


class InputError(RamieError):
    """Data, recipe or call is wrong: the message names file, line or key, and the way out."""


class StoreError(RamieError):
    """A store cannot be used as it is."""


class StoreDamaged(StoreError):
    """Bytes on disk are not what the manifest promises."""


class StoreChanged(StoreError):
    """The store was replaced by a newer build while this reader was open: open it again."""


class StoreWithheld(StoreError):
    """What is asked for was left out of the store by its owner."""


class StoreMismatch(StoreError):
    """The store was made by another schema or by another recipe."""


class StoreOutdated(StoreMismatch):
    """The store follows an older schema; migrating it, or building it again, loses no answer."""


class ProviderUnavailable(RamieError):
    """A provider could not answer (timeout, quota, missing index). Not the same as no hits."""
