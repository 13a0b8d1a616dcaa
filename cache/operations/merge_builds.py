"""Which stores are parts of one build, which may stand in one store, and what that store is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from pydantic import JsonValue

from cache.errors import StoreMismatch
from cache.keys import fingerprint
from cache.manifest import Manifest, differing_keys, value_at
from cache.operations.source import Source

SameBuild = Callable[[Mapping[str, JsonValue], Mapping[str, JsonValue]], bool]
_SEEING: Final = (
    "settings.observe.encoder",
    "settings.observe.encoder_weights",
    "fingerprints.observe",
)


def group_builds(sources: Sequence[Source], same_build: SameBuild) -> list[list[int]]:
    """Return the places of the stores, those of one build together."""
    builds: list[list[int]] = []
    for place, source in enumerate(sources):
        ours = source.manifest
        for build in builds:
            theirs = sources[build[0]].manifest
            same_size = len(ours.shards) == len(theirs.shards)
            if same_size and same_build(ours.identity, theirs.identity):
                build.append(place)
                break
        else:
            builds.append([place])
    return builds


def differing(sources: Sequence[Source], *, mixed: bool) -> list[str]:
    """Return the dotted keys at which the identities of stores of different builds differ.

    Raises:
        StoreMismatch: vectors cannot be compared; or settings differ, and that is not ``mixed``.
    """
    embedded = [source for source in sources if source.manifest.embedding_dim is not None]
    for other in embedded[1:]:
        if reasons := _other_encoder(embedded[0].manifest, other.manifest):
            raise StoreMismatch(
                f"the embeddings of {embedded[0].path} and {other.path} come from different "
                f"encoders: {', '.join(reasons)} differ, so their vectors cannot be compared. "
                "Build one of them again with the encoder of the other; recorded answers are used."
            )
    first, *others = [source.manifest.identity for source in sources]
    keys = sorted({key for other in others for key in differing_keys(first, other)})
    if keys and not mixed:
        raise StoreMismatch(
            f"the stores were built with other settings: {', '.join(keys)} differ. Build them "
            "with one recipe, or give --mixed to have all of them in one store all the same."
        )
    return keys


def _other_encoder(one: Manifest, other: Manifest) -> list[str]:
    """Return the keys that say that vectors of two stores cannot be compared."""
    if one.embedding_dim != other.embedding_dim:
        return ["embedding_dim"]
    ours, theirs = one.identity, other.identity
    # Where nobody says which encoder it was, what was seen must have been seen alike.
    keys = ("encoder",) if "encoder" in ours and "encoder" in theirs else _SEEING
    return [key for key in keys if value_at(ours, key) != value_at(theirs, key)]


def identity_of_one(sources: Sequence[Source]) -> dict[str, JsonValue]:
    """Return the identity of a build whose parts may differ in what decides nothing."""
    return min((source.manifest.identity for source in sources), key=fingerprint)


def identity_of_several(
    sources: Sequence[Source], keys: Collection[str], prefer: str
) -> dict[str, JsonValue]:
    """Return what the identities of stores have in common, and what each has of the rest."""
    stores: list[JsonValue] = []
    for source in sources:
        differs: JsonValue = {key: value_at(source.manifest.identity, key) for key in keys}
        stores.append({"fingerprint": source.fingerprint, "differs": differs})
    common = _without(sources[0].manifest.identity, keys)
    return {**common, "merged": {"prefer": prefer, "stores": stores}}


def _without(
    value: Mapping[str, JsonValue], keys: Collection[str], prefix: str = ""
) -> dict[str, JsonValue]:
    """Return ``value`` without what is at some dotted keys."""
    return {
        key: _without(inner, keys, f"{prefix}{key}.") if isinstance(inner, dict) else inner
        for key, inner in value.items()
        if prefix + key not in keys
    }
