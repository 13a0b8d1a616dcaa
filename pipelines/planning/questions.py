"""How many questions a build asks each provider, from a sample that was looked at."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path

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
) -> Questions:
    """Return what a build of ``dataset`` is expected to ask ``provider``.

    Questions of sentences are counted, each distinct one once. Questions about photos are as many
    a photo as the sample's photos have on average: nobody looked at the others yet.

    Args:
        dataset: the posts.
        sample: some of them, observed.
        provider: who is asked.
        recorded: has a key ``in`` it if a recording answers that question.
        k: hits per question.
        seconds_between: two requests to a live provider.
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
    missing = [query for key, query in known.items() if key not in recorded]
    asked, requests = _about_photos(dataset, sample, provider, k, len(photos))
    requests += num_requests(provider, missing)
    live = is_live(provider)
    return Questions(
        provider.name,
        live,
        len(known) + asked,
        not asked,
        len(known) - len(missing),
        requests,
        requests * seconds_between if live else 0.0,
    )


def _about_photos(
    dataset: Dataset, sample: Sequence[Observation], provider: Provider, k: int, photos: int
) -> tuple[int, int]:
    """Return the questions about so many photos, and the requests that ask them."""
    paths = {dataset.photos.get(one.post.example_id) for one in sample if one.photo_key}
    if not paths:
        return 0, 0
    queries = {
        query_key(provider, query, k): query
        for one in sample
        if one.photo_key
        for query in make_queries(one)
        if query.level != "sentence" and provider.accepts(query)
    }
    # A photo that is there twice under two names is asked about once: so in the sample as in all.
    share = photos / len(paths)
    requests = num_requests(provider, list(queries.values()))
    return round(len(queries) * share), round(requests * share)
