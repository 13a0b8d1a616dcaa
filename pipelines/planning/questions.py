"""How many questions a build asks each provider, from a sample that was looked at."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cache.records import Observation, Query
from retrieval.asking.estimate import Questions, num_requests
from retrieval.asking.queries import make_queries
from retrieval.datasets import Dataset
from retrieval.providers.base import Provider, is_live, query_key


def expected_questions(
    dataset: Dataset,
    sample: Sequence[Observation],
    provider: Provider,
    recorded: Container[str],
    k: int,
    seconds_between: float,
    times: float = 1,
) -> Questions:
    """Return what a build of ``dataset``, or of more like it, is expected to ask ``provider``.

    Questions of sentences are counted, each distinct one once. Questions about photos are as many
    a photo as the sample's photos have on average: nobody looked at the others yet.

    Args:
        dataset: the posts.
        sample: some of them, observed.
        provider: who is asked.
        recorded: has a key ``in`` it if a recording answers that question.
        k: hits per question.
        seconds_between: two requests to a live provider.
        times: so many times the posts of ``dataset`` are built, if they are more than it has; no
            recording answers what is asked of those.
    """
    known: dict[str, Query] = {}
    photos: set[Path] = set()
    for example in dataset.examples:
        photo = dataset.photos.get(example.post.example_id)
        queries = make_queries(Observation(example.post))
        if photo is not None:
            photos.add(photo)
            queries = [query for query in queries if query.level == "sentence"]
        known |= {query_key(provider, one, k): one for one in queries if provider.accepts(one)}
    asked, about = _counted(provider, known, recorded), _Counted()
    looked_at = {dataset.photos.get(one.post.example_id) for one in sample if one.photo_key}
    if looked_at:
        # A photo that has two names is asked about once: so in the sample as in all.
        seen = _counted(provider, _about_photos(sample, provider, k), recorded)
        about = seen.times(len(photos) / len(looked_at))
    requests = asked.missing_requests + about.missing_requests
    requests += round((times - 1) * (asked.requests + about.requests))
    live = is_live(provider)
    return Questions(
        provider.name,
        live,
        round(times * (asked.distinct + about.distinct)),
        not about.distinct and times == 1,
        asked.recorded + about.recorded,
        requests,
        requests * seconds_between if live else 0.0,
    )


class _Counted(NamedTuple):
    """Distinct questions, those that are recorded, and the requests for all and for the rest."""

    distinct: int = 0
    recorded: int = 0
    requests: int = 0
    missing_requests: int = 0

    def times(self, share: float) -> _Counted:
        return _Counted(*(round(one * share) for one in self))


def _counted(
    provider: Provider, queries: Mapping[str, Query], recorded: Container[str]
) -> _Counted:
    missing = [query for key, query in queries.items() if key not in recorded]
    return _Counted(
        len(queries),
        len(queries) - len(missing),
        num_requests(provider, list(queries.values())),
        num_requests(provider, missing),
    )


def _about_photos(sample: Sequence[Observation], provider: Provider, k: int) -> dict[str, Query]:
    """Return by key what is asked about the photos of ``sample``."""
    return {
        query_key(provider, query, k): query
        for one in sample
        if one.photo_key
        for query in make_queries(one)
        if query.level != "sentence" and provider.accepts(query)
    }
