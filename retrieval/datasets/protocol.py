"""Which version of a data set this is: figures of two versions must not stand in one table.

Two versions of the labels of Twitter-2015 are about, under the same file names: as published with
UMT, and "refined" as shipped with HVPNeT, in which 239 test sentences were relabelled. The posts
tell which one it is. The published object files of MNRE list more crops for posts that have a
relation, so that a figure obtained with them stands for nothing but that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from cache.errors import InputError
from cache.records import Example

Protocol = Literal["original", "refined", "clean", "legacy-objects"]
LEGACY: Final[Protocol] = "legacy-objects"
CONTAMINATED: Final = (
    "the published object files of MNRE list more objects for posts with a relation, so that "
    "counting them tells relation from none in 99 of 100 posts"
)
# Posts and annotated entities of the test split: of the original and of the refined labels of
# Twitter-2015, and of Twitter-2017, orphan I- counted as entities (as seqeval does).
_TWITTER_2015_POSTS: Final = 3257
_TWITTER_2015: Final[dict[int, Protocol]] = {5207: "original", 5234: "refined"}
_TWITTER_2017: Final = (723, 1351)
_MNRE_POSTS: Final = {1614: "MNRE version 2", 1282: "MNRE version 1"}


def protocol_of(reader: str, stated: Protocol | None, examples: Iterable[Example]) -> str:
    """Return the name of the protocol; empty for a data set of one's own.

    Args:
        reader: of the raw format.
        stated: by the recipe; None leaves it to the data.
        examples: of all splits.

    Raises:
        InputError: the data are of another version than the recipe states, or the reader has no
            such version.
    """
    test = [example for example in examples if example.split == "test"]
    match reader:
        case "twitter":
            return _of_twitter(stated, test)
        case "mnre":
            return _of_mnre(stated, test)
    _refuse_unless(stated, (None,), reader)
    return ""


def is_contaminated(name: str) -> bool:
    """Return whether figures under the protocol of that name are not to be believed."""
    return name.endswith(LEGACY)


def _of_twitter(stated: Protocol | None, test: list[Example]) -> str:
    _refuse_unless(stated, (None, "original", "refined"), "twitter")
    entities = sum(len(example.entities or ()) for example in test)
    if (len(test), entities) == _TWITTER_2017:
        _refuse_unless(stated, (None,), "twitter (the posts are those of Twitter-2017)")
        return "Twitter-2017"
    if len(test) != _TWITTER_2015_POSTS:
        return f"{len(test)} test posts, {stated} labels as the recipe states" if stated else ""
    found = _TWITTER_2015.get(entities)
    if stated is not None and found != stated:
        known = " and ".join(f"{number} ({name})" for number, name in _TWITTER_2015.items())
        raise InputError(
            f"the recipe states the {stated} labels of Twitter-2015, but test.txt has {entities} "
            f"entities; published are {known}. Set dataset.protocol to what the file is, or leave "
            "it out for a version of your own."
        )
    return f"Twitter-2015, {found or 'unpublished'} labels"


def _of_mnre(stated: Protocol | None, test: list[Example]) -> str:
    _refuse_unless(stated, (None, "clean", LEGACY), "mnre")
    version = _MNRE_POSTS.get(len(test), f"MNRE, {len(test)} test posts")
    return f"{version}, {stated or 'clean'}"


def _refuse_unless(
    stated: Protocol | None, possible: tuple[Protocol | None, ...], where: str
) -> None:
    if stated not in possible:
        known = [name for name in possible if name]
        raise InputError(
            f"dataset.protocol = {stated!r} is none of reader {where}; "
            + (f"known are {', '.join(known)}." if known else "leave it out.")
        )
