"""How much a build will ask, and for how long, before it begins."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import JsonValue

from cache.records import MODALITIES, Level, Observation, Post, Query
from retrieval.asking.queries import make_queries
from retrieval.providers.base import Provider, is_live, query_key

# Stands for the key of a photo that nobody looked at: what is asked about a photo depends on its
# bytes, whether something is asked does not.
_SOME_KEY: Final = "0" * 64
# The same of its vector: which one it is decides no more than the key does.
_SOME_VECTOR: Final = np.zeros(1, np.float32)


@dataclass(frozen=True, slots=True)
class Questions:
    """What a build asks one provider.

    Attributes:
        provider: its name.
        live: whether it is asked politely.
        distinct: questions; of photos that nobody looked at yet, as many as there may be.
        exact: whether there are no such photos.
        recorded: of ``distinct``, those that a recording answers.
        requests: that ask the rest; one may be for the texts and the images of one thing.
        seconds: that these requests take at the pace of the settings; 0 for files at hand.
            Canaries, waits for a slow server, and the pages and images that are fetched come on
            top.
    """

    provider: str
    live: bool
    distinct: int
    exact: bool
    recorded: int
    requests: int
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
            if self.requests != self.missing:
                told += f" by {self.requests} requests"
            told += "; fetching comes on top"
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
            "requests": self.requests,
            "seconds": self.seconds,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Seeing:
    """What is known of posts before any model looks at one.

    Attributes:
        observations: of posts that an earlier build saw, by example id.
        photos: path by example id, of posts that have one.
        max_regions: that a photo can have.
        with_vectors: whether photos and regions will have a vector, which some providers need.
    """

    observations: Mapping[str, Observation]
    photos: Mapping[str, Path]
    max_regions: int
    with_vectors: bool = False


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
        seconds_between: two requests to one live provider.
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
            {query_key(provider, one, k): one for one in known if provider.accepts(one)},
            _of_photos(provider, len(unseen), seeing),
            recorded,
            seconds_between,
        )
        for provider in providers
    )


def _of_provider(
    provider: Provider,
    queries: Mapping[str, Query],
    possible: Sequence[Query],
    recorded: Container[str],
    seconds_between: float,
) -> Questions:
    missing = [query for key, query in queries.items() if key not in recorded]
    requests = num_requests(provider, [*missing, *possible])
    live = is_live(provider)
    return Questions(
        provider.name,
        live,
        len(queries) + len(possible),
        not possible,
        len(queries) - len(missing),
        requests,
        requests * seconds_between if live else 0.0,
    )


def num_requests(provider: Provider, queries: Sequence[Query]) -> int:
    """Return how many requests ask the distinct ``queries``; one may ask for texts and images."""
    if not (is_live(provider) and provider.answers_both):
        return len(queries)
    return len({(one.level, one.text, one.image_key, one.image_name) for one in queries})


def _of_photos(provider: Provider, num_photos: int, seeing: Seeing) -> list[Query]:
    """Return the questions that photos nobody looked at can lead to, with made-up keys."""
    things: list[tuple[Level, str]] = [("image", _SOME_KEY)]
    things += [("object", f"{_SOME_KEY}#{index}") for index in range(seeing.max_regions)]
    vector = _SOME_VECTOR if seeing.with_vectors else None
    asked = [
        Query(level, modality, image_key=key, image_name="photo", embedding=vector)
        for level, key in things
        for modality in MODALITIES
    ]
    accepted = [query for query in asked if provider.accepts(query)]
    return [
        replace(query, image_name=f"photo {number}")
        for number in range(num_photos)
        for query in accepted
    ]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
