"""Evidence is compared with what was found for other posts, the same ones in every run."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from builder_helpers import CountingObserver, CountingProvider, build, files_of

from cache.keys import content_key
from cache.reading.parquet_reader import ParquetReader
from cache.records import Example, Post
from retrieval.datasets import Dataset

WORDS = "river tower cup final band harbour rain storm market bridge castle garden".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Return posts enough to compare with, each about other things."""
    examples = []
    for number in range(14):
        digest = hashlib.sha256(str(number).encode()).digest()
        tokens = tuple(WORDS[byte % len(WORDS)] for byte in digest[:5])
        examples.append(Example(Post(f"e{number:02}", tokens), "train", entities=()))
    return Dataset(tuple(examples), {}, (), None, (), content_key(b"many"))


def text_of(dataset: Dataset, number: int) -> str:
    return " ".join(dataset.examples[number].post.tokens)


def test_every_hit_is_scored_against_other_posts(tmp_path: Path, dataset: Dataset) -> None:
    build(tmp_path / "store", dataset)

    with ParquetReader(tmp_path / "store") as store:
        scores = [
            one.hit.consistency
            for name in store.example_ids()
            for one in store.read(name).evidence
            if one.hit.modality == "text"
        ]
        compared = {shard.compared_with for shard in store.manifest.shards}
    assert all(score is not None and 0 < score < 1 for score in scores)
    assert len(set(scores)) > len(scores) / 2
    assert len(compared) == 1
    assert compared != {""}


def test_a_post_that_was_not_answered_at_first_changes_nothing_in_the_end(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path / "undisturbed", dataset)

    first = build(
        tmp_path / "store", dataset, provider=CountingProvider(down={text_of(dataset, 9)})
    )
    provider = CountingProvider()
    second = build(tmp_path / "store", dataset, CountingObserver(), provider)

    assert [one.example_id for one in first.unfinished] == ["e09"]
    assert len(provider.asked) == 2
    assert second.unfinished == ()
    assert files_of(tmp_path / "store") == files_of(tmp_path / "undisturbed")


def test_the_posts_that_others_are_compared_with_are_seen_and_asked_about_once(
    tmp_path: Path, dataset: Dataset
) -> None:
    observer, provider = CountingObserver(), CountingProvider()
    report = build(tmp_path / "store", dataset, observer, provider)

    assert set(observer.observed.values()) == {1}
    assert set(provider.asked.values()) == {1}
    assert report.asked == 2 * len(dataset.examples)
    assert report.answered_from_recordings == 0


def test_the_order_of_the_posts_changes_nothing(tmp_path: Path, dataset: Dataset) -> None:
    backwards = Dataset(dataset.examples[::-1], {}, (), None, (), dataset.digest)
    build(tmp_path / "one", dataset)
    build(tmp_path / "other", backwards)

    assert files_of(tmp_path / "one") == files_of(tmp_path / "other")
