"""How much a build will ask, and for how long, before it begins."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from cache.records import MODALITIES, Level, Observation, Post, Query
from retrieval.asking.queries import make_queries
from retrieval.providers.base import Provider, is_live, query_key

# Stands for the key of a photo that nobody looked at: what is asked about a photo depends on its
# bytes, whether something is asked does not.
_SOME_KEY: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Questions:
    """What a build asks one provider.

    Attributes:
        provider: its name.
        live: whether it is asked politely.
        distinct: questions; of photos that nobody looked at yet, as many as there may be.
        exact: whether there are no such photos.
        recorded: of ``distinct``, those that a recording answers.
        seconds: that asking the rest takes at least, at the pace of the settings; 0 where there
            is none.
    """

    provider: str
    live: bool
    distinct: int
    exact: bool
    recorded: int
    seconds: float

    @property
    def missing(self) -> int:
        """Questions that no recording answers."""
        return self.distinct - self.recorded

    def __str__(self) -> str:
        """Return it as a sentence for the person who waits."""
        about = "" if self.exact else "at most "
        told = f"{self.provider}: {about}{self.distinct} questions, {self.recorded} recorded"
        if self.live and self.missing:
            told += f", {_duration(self.seconds)} for {about}{self.missing} to ask"
        return told

    def as_json(self) -> dict[str, JsonValue]:
        """Return it as JSON."""
        return {
            "provider": self.provider,
            "live": self.live,
            "distinct": self.distinct,
            "exact": self.exact,
            "recorded": self.recorded,
            "missing": self.missing,
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Seeing:
    """What is known of posts before any model looks at one.

    Attributes:
        observations: of posts that an earlier build saw, by example id.
        photos: path by example id, of posts that have one.
        max_regions: that a photo can have.
    """

    observations: Mapping[str, Observation]
    photos: Mapping[str, Path]
    max_regions: int


def estimate(
    posts: Iterable[Post],
    seeing: Seeing,
    providers: Sequence[Provider],
    recorded: Container[str],
    k: int,
    seconds_between: float,
) -> tuple[Questions, ...]:
    """Return what a build of ``posts`` asks each of ``providers``; no model is needed.

    Args:
        posts: that are to be built.
        seeing: what is known of them.
        providers: who is asked.
        recorded: has a key ``in`` it if a recording answers that question.
        k: hits per question.
        seconds_between: two questions to one live provider.
    """
    known: list[Query] = []
    unseen: set[Path] = set()
    for post in posts:
        observation = seeing.observations.get(post.example_id)
        photo = seeing.photos.get(post.example_id)
        queries = make_queries(observation or Observation(post))
        if observation is None and photo is not None:
            unseen.add(photo)
            queries = [query for query in queries if query.level == "sentence"]
        known += queries
    return tuple(
        _of_provider(
            provider,
            {query_key(provider, query, k) for query in known if provider.accepts(query)},
            len(unseen) * _questions_per_photo(provider, seeing.max_regions),
            recorded,
            seconds_between,
        )
        for provider in providers
    )


def _of_provider(
    provider: Provider,
    keys: set[str],
    possible: int,
    recorded: Container[str],
    seconds_between: float,
) -> Questions:
    distinct, num_recorded = len(keys) + possible, sum(key in recorded for key in keys)
    live = is_live(provider)
    seconds = (distinct - num_recorded) * seconds_between if live else 0.0
    return Questions(provider.name, live, distinct, possible == 0, num_recorded, seconds)


def _questions_per_photo(provider: Provider, max_regions: int) -> int:
    """Return how many questions a photo can lead to, itself and its regions."""
    levels: tuple[tuple[Level, int], ...] = (("image", 1), ("object", max_regions))
    return sum(
        times
        for level, times in levels
        for modality in MODALITIES
        if provider.accepts(Query(level, modality, image_key=_SOME_KEY, image_name="photo"))
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
