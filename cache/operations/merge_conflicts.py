"""Who is believed where several stores have one post; ``docs/merging.md`` states the rules."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from cache.errors import StoreMismatch
from cache.operations.source import Claim, Source

Prefer = Literal["first", "latest"]
Kind = Literal["equal", "evidence", "post"]
_NAMED: Final = 5


class Home(NamedTuple):
    """A shard of one of the stores: the place of the store among them, and the shard's index."""

    store: int
    shard: int


class Conflict(NamedTuple):
    """A post that several stores have.

    Attributes:
        example_id: of the post.
        kind: ``equal`` rows; other ``evidence`` for one post; or another ``post`` under one id.
        taken: fingerprint of the store whose evidence was taken.
        stores: fingerprints of all that have it, sorted.
    """

    example_id: str
    kind: Kind
    taken: str
    stores: tuple[str, ...]


class Settled(NamedTuple):
    """A post that several stores have, and what is done.

    Attributes:
        conflict: for the report.
        home: where its rows are taken from.
        inputs: where its words are, if they were left out there and are to be had.
    """

    conflict: Conflict
    home: Home
    inputs: Home | None


def settle(
    sources: Sequence[Source], homes: Mapping[str, Sequence[Home]], prefer: Prefer | None
) -> dict[str, Settled]:
    """Return what is done about each post that has several ``homes``, by id.

    Raises:
        StoreMismatch: an id has different posts, and nobody said whom to believe.
    """
    shared: dict[Home, list[str]] = {}
    for name, places in homes.items():
        for home in places if len(places) > 1 else ():
            shared.setdefault(home, []).append(name)
    claims: dict[str, dict[Home, Claim]] = {}
    for home, names in sorted(shared.items()):
        for name, claim in sources[home.store].claims(home.shard, names).items():
            claims.setdefault(name, {})[home] = claim
    if prefer is None:
        _refuse_unlike(claims)
    return {name: _settled(name, found, sources, prefer) for name, found in sorted(claims.items())}


def _settled(
    name: str, claims: Mapping[Home, Claim], sources: Sequence[Source], prefer: Prefer | None
) -> Settled:
    ranked = sorted(
        claims, key=lambda home: _merit(claims[home], home, sources, prefer), reverse=True
    )
    home, best = ranked[0], claims[ranked[0]]
    kind: Kind = "evidence"
    if _unlike(claims.values()):
        kind = "post"
    elif all(claim.found == best.found for claim in claims.values()):
        kind = "equal"
    stores = sorted(sources[one.store].fingerprint for one in claims)
    conflict = Conflict(name, kind, sources[home.store].fingerprint, tuple(stores))
    inputs = None
    if best.labels is None:
        inputs = next((one for one in ranked if _has_words_of(claims[one], best)), None)
    return Settled(conflict, home, inputs)


def _merit(
    claim: Claim, home: Home, sources: Sequence[Source], prefer: Prefer | None
) -> tuple[object, ...]:
    """Return what is greatest for what is taken; where a store stands only if that is asked."""
    if prefer == "first":
        return (-home.store,)
    source = sources[home.store]
    # What quotes a withheld text is left out with it.
    full = "texts" not in source.manifest.withheld
    has_photo = claim.photo_key is not None
    return (has_photo, claim.latest, full, claim.found, source.fingerprint)


def _has_words_of(claim: Claim, best: Claim) -> bool:
    same = (claim.post_sha256, claim.split) == (best.post_sha256, best.split)
    return same and claim.labels is not None


def _unlike(claims: Collection[Claim]) -> str:
    """Return in what claims are of different posts, if they are."""
    facts: dict[str, Collection[object]] = {
        "words": {claim.post_sha256 for claim in claims},
        "photo": {claim.photo_key for claim in claims if claim.photo_key is not None},
        "split": {claim.split for claim in claims},
        "annotations": {claim.labels for claim in claims if claim.labels is not None},
    }
    return " and ".join(what for what, values in facts.items() if len(values) > 1)


def _refuse_unlike(claims: Mapping[str, Mapping[Home, Claim]]) -> None:
    unlike = {name: what for name, of in sorted(claims.items()) if (what := _unlike(of.values()))}
    if unlike:
        named = [f"{name!r} ({what})" for name, what in list(unlike.items())[:_NAMED]]
        more = f" and {len(unlike) - _NAMED} more" if len(unlike) > _NAMED else ""
        raise StoreMismatch(
            f"the stores have different posts under one id: {', '.join(named)}{more}. Build them "
            "from one version of the data set; or give --prefer first to take the store that is "
            "named first, or --prefer latest to take what was found last."
        )
