"""What decides the content of a store, and what to do about a store that is there already."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import JsonValue

from cache.errors import InputError
from cache.keys import canonical_json, fingerprint
from cache.manifest import differing_keys
from retrieval.curation.curate import CURATION_VERSION
from retrieval.datasets import Dataset
from retrieval.providers.base import Provider, is_live
from retrieval.settings import BuildSettings

Identity = dict[str, JsonValue]

# Machine facts. Where files lie is one: fingerprints name them by content. Feature sets come to a
# store, and go, without a change of anything else; the manifest says of each what made it.
_PLACES: Final[Mapping[str, Any]] = {
    # Its protocol is stated as the posts tell it, below.
    "dataset": {"root": True, "photos": True, "legacy_objects": True, "protocol": True},
    "observe": {"features": True, "parser": True},
    "ask": {
        "kb": True,
        "imports": {"__all__": {"path"}},
        "polite": True,
        "prices": True,
        "ca_file": True,
        "lancedb": {"uri"},
        "web": {"proxy"},
        "wikipedia": {"contact"},
        "fetch": {"allowed_hosts", "together", "seconds_between"},
    },
}
_FILE_NAMES: Final = ("detector_weights", "encoder", "encoder_weights")


def store_identity(
    settings: BuildSettings,
    dataset: Dataset,
    observer_fingerprint: str,
    providers: Sequence[Provider],
    encoder_fingerprint: str = "",
) -> Identity:
    """Return what a manifest says about where its store comes from.

    ``fingerprints`` and ``shard_size`` decide whether two stores are the same; ``settings``,
    ``providers`` and ``code_version`` tell people; ``encoder`` tells whether vectors of two stores
    can be compared. No fingerprint but the data set's knows an annotation.

    Raises:
        InputError: a photo of the data set is not to be found.
    """
    groups = {
        name: getattr(settings, name).model_dump(mode="json", exclude=_PLACES.get(name))
        for name in ("dataset", "observe", "ask", "curate")
    }
    if dataset.protocol:
        groups["dataset"]["protocol"] = dataset.protocol
    for name in _FILE_NAMES:
        groups["observe"][name] = Path(groups["observe"][name]).name
    identity = {
        "code_version": version("ramie"),
        "settings": groups,
        "shard_size": settings.shard_size,
        "encoder": encoder_fingerprint,
        "providers": {provider.name: provider.fingerprint for provider in providers},
        "fingerprints": {
            "dataset": dataset_fingerprint(dataset),
            "observe": observer_fingerprint,
            "ask": fingerprint(
                {
                    "providers": [_of_provider(provider) for provider in providers],
                    "hits_per_query": settings.ask.hits_per_query,
                    "fetch": groups["ask"]["fetch"] if any(map(is_live, providers)) else None,
                }
            ),
            "curate": fingerprint({**groups["curate"], "version": CURATION_VERSION}),
        },
    }
    plain: Identity = json.loads(canonical_json(identity))
    return plain


def dataset_fingerprint(dataset: Dataset) -> str:
    """Return what tells two data sets apart: posts, annotations, and which photos are there.

    Raises:
        InputError: a photo of the data set is not to be found.
    """
    return fingerprint([dataset.digest, _photo_sizes(dataset)])


def _of_provider(provider: Provider) -> list[str | int]:
    """Return what a provider contributes to the content of a store.

    How the answers of a live one are read is told apart from who answers, for it is in no key of
    an answer. To ask files at hand again costs nothing, so their fingerprint says all.
    """
    reading = [provider.reading] if is_live(provider) else []
    return [provider.name, provider.fingerprint, *reading]


def compare(ours: Identity, theirs: Mapping[str, JsonValue]) -> Literal["same", "curate", "other"]:
    """Return whether two identities are of one store, differ in curation alone, or otherwise."""
    keys = differing_keys(_deciding(ours), _deciding(theirs))
    if not keys:
        return "same"
    return "curate" if keys == ["fingerprints.curate"] else "other"


def differences(ours: Identity, theirs: Mapping[str, JsonValue]) -> list[str]:
    """Return what differs, as ``key: old -> new``, for a person who must decide what to do."""
    told: list[str] = []
    for key in differing_keys(_deciding(ours), _deciding(theirs)):
        group = key.removeprefix("fingerprints.")
        mine, other = _at(ours, f"settings.{group}"), _at(theirs, f"settings.{group}")
        named = differing_keys(_mapping(mine), _mapping(other))
        told += [
            f"{group}.{name}: {_short(_at(other, name))} -> {_short(_at(mine, name))}"
            for name in named
        ]
        if not named:
            change = f"{_short(_at(theirs, key))} -> {_short(_at(ours, key))}"
            told.append(f"{group} ({_CONTENT.get(group, 'value')}): {change}")
    return told


_CONTENT: Final = {
    "dataset": "posts, annotations or photos",
    "observe": "weights or libraries",
    "ask": "what the providers know, or how their answers are read",
    "curate": "how the steps work",
}


def _deciding(identity: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    return {
        "shard_size": identity.get("shard_size"),
        "fingerprints": identity.get("fingerprints"),
        # A store that lacks posts of the data set, since a join with another one.
        "joined": identity.get("joined"),
    }


def _photo_sizes(dataset: Dataset) -> dict[str, int]:
    """Return the size of each photo's file: photos that come, go or change are noticed at once.

    Reading them all to be sure would take longer than everything else a second build does.
    """
    sizes: dict[str, int] = {}
    for example_id, path in dataset.photos.items():
        try:
            sizes[example_id] = path.stat().st_size
        except OSError as error:
            # Without its size the store would be one of another data set once the file is back.
            raise InputError(
                f"cannot look at {path}: {error.strerror or error}. It was there when the data "
                "set was read: bring its folder back, and build again."
            ) from error
    return sizes


def _at(value: object, dotted: str) -> object:
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _mapping(value: object) -> dict[str, JsonValue]:
    return dict(value) if isinstance(value, Mapping) else {}


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{text[:12]}..." if len(text) == 64 else text
