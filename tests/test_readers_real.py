"""Counts on the real data, where they are at hand; the figures are those of the literature."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from recorded_imports import captions, contexts, mnre_lists

from cache.records import Observation
from retrieval.asking.queries import make_queries
from retrieval.datasets import Dataset, read_dataset
from retrieval.providers.recorded import RecordedProvider
from retrieval.settings import DatasetSettings
from retrieval.sight.photos import load_photo

pytestmark = pytest.mark.real


def read_twitter(real_data: Path, name: str) -> Dataset:
    root = real_data / "data" / name
    return read_dataset(DatasetSettings(reader="twitter", task="mner", root=root))


def posts_by_split(dataset: Dataset) -> Counter[str]:
    return Counter(example.split for example in dataset.examples)


def entities_by_split(dataset: Dataset) -> Counter[tuple[str, str]]:
    return Counter(
        (example.split, entity.label)
        for example in dataset.examples
        for entity in example.entities or ()
    )


def test_twitter_2017_has_the_published_counts(real_data: Path) -> None:
    dataset = read_twitter(real_data, "twitter2017")

    assert posts_by_split(dataset) == {"train": 3373, "dev": 723, "test": 723}
    wanted = {
        "train": {"PER": 2943, "ORG": 1674, "LOC": 731, "MISC": 701},
        "dev": {"PER": 626, "ORG": 375, "LOC": 173, "MISC": 150},
        "test": {"PER": 621, "ORG": 395, "LOC": 178, "MISC": 157},
    }
    assert entities_by_split(dataset) == {
        (split, label): count for split, row in wanted.items() for label, count in row.items()
    }
    assert [kind for kind in dataset.problem_counts if kind.startswith("I-")] == []


def test_twitter_2015_has_the_counts_of_lenient_seqeval(real_data: Path) -> None:
    dataset = read_twitter(real_data, "twitter2015")
    entities = entities_by_split(dataset)

    assert posts_by_split(dataset) == {"train": 4000, "dev": 1000, "test": 3257}
    totals = {
        split: sum(n for (s, _), n in entities.items() if s == split)
        for split in ("train", "dev", "test")
    }
    assert totals == {"train": 6352, "dev": 1594, "test": 5207}
    assert {label: entities["test", label] for label in dataset.labels} == {
        "PER": 1873,
        "LOC": 1720,
        "ORG": 860,
        "MISC": 754,
    }
    assert dataset.problem_counts["I- after O (opens an entity)"] == 175 + 52 + 129
    assert dataset.problem_counts["blank word"] == 1
    assert sum(not e.entities for e in dataset.examples) == 104 + 31 + 89


def test_mnre_has_the_published_counts(real_data: Path) -> None:
    root = real_data / "data" / "mnre"
    dataset = read_dataset(DatasetSettings(reader="mnre", task="mre", root=root))

    assert posts_by_split(dataset) == {"train": 12247, "dev": 1624, "test": 1614}
    images = {
        split: len({e.post.photo_name for e in dataset.examples if e.split == split})
        for split in ("train", "dev", "test")
    }
    assert images == {"train": 7356, "dev": 931, "test": 914}
    none = Counter(e.split for e in dataset.examples if e.relation == dataset.none_label)
    assert none == {"train": 7744, "dev": 1000, "test": 974}
    assert len(dataset.labels) == 23
    assert dataset.problem_counts == {"photo missing": 15485}


def test_the_photos_at_hand_are_found_and_decode(real_data: Path) -> None:
    root = real_data / "data" / "mnre_photos"
    dataset = read_dataset(DatasetSettings(reader="mnre", task="mre", root=root))

    assert posts_by_split(dataset) == {"train": 37, "dev": 1, "test": 42}
    assert set(dataset.photos) == {example.post.example_id for example in dataset.examples}
    photos = {path: load_photo(path) for path in set(dataset.photos.values())}
    assert len(photos) == 30
    assert all(photo.pixels.mode == "RGB" for photo in photos.values())


# Measured: Twitter-2015's files lack the knowledge of the last sentence of each split, and two of
# its captions are empty. Equal sentences share their passages.
@pytest.mark.parametrize(
    ("name", "without_caption", "without_knowledge"),
    [
        ("twitter2017", set(), set()),
        (
            "twitter2015",
            {"train-01774-770560", "dev-00289-71406"},
            {"train-03999-33008", "dev-00999-370925", "test-03256-1418707"},
        ),
    ],
)
def test_every_post_joins_its_recorded_evidence(
    real_data: Path, name: str, without_caption: set[str], without_knowledge: set[str]
) -> None:
    folder = real_data / "data" / name / "recorded_evidence"
    provider = RecordedProvider(
        [captions(folder / "image_captions.txt"), contexts(folder / "sentence_knowledge.zip")]
    )
    empty: dict[str, set[str]] = {"image": set(), "sentence": set()}
    asked: Counter[str] = Counter()
    for example in read_twitter(real_data, name).examples:
        for query in filter(provider.accepts, make_queries(Observation(example.post))):
            (body,) = provider.ask([query], 20)
            assert isinstance(body, bytes)
            asked[query.level] += 1
            if not provider.parse(query, body, ""):
                empty[query.level].add(example.post.example_id)

    assert empty == {"image": without_caption, "sentence": without_knowledge}
    num_posts = {"twitter2017": 4819, "twitter2015": 8257}[name]
    assert asked == {"image": num_posts, "sentence": num_posts}


def test_author_released_mnre_lines_join_by_photo(real_data: Path) -> None:
    root = real_data / "data" / "mnre_recorded_evidence"
    dataset = read_dataset(DatasetSettings(reader="mnre", task="mre", root=root))
    lists = [mnre_lists(root, "caption"), mnre_lists(root, "entity")]
    provider = RecordedProvider(lists)

    for example in dataset.examples:
        query = next(iter(make_queries(Observation(example.post))))
        (body,) = provider.ask([query], 20)
        assert isinstance(body, bytes)
        assert provider.parse(query, body, "")
