"""Promises of the estimate: what a build will ask is known before a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from builder_helpers import SETTINGS, CountingObserver, CountingProvider, build, make_dataset
from live_helpers import LivePlayer, question
from tiny_kb import write_folder
from tiny_vision import tiny_settings

from cache.reading.parquet_reader import ParquetReader
from cache.records import Observation, Post, Query
from retrieval.asking.estimate import Questions, Seeing, estimate
from retrieval.asking.manner import AskingOptions
from retrieval.building.builder import build_store
from retrieval.datasets import Dataset
from retrieval.kb.knowledge_base import build_kb, open_kb
from retrieval.providers.base import Provider, query_key
from retrieval.providers.kb import KbProvider
from retrieval.settings import ObserveSettings

NOTHING_SEEN = Seeing({}, {}, 3)


def posts_of(dataset: Dataset) -> list[Post]:
    """Return the posts of a data set."""
    return [one.post for one in dataset.examples]


def one(
    posts: list[Post],
    provider: Provider,
    seeing: Seeing = NOTHING_SEEN,
    recorded: tuple[str, ...] = (),
) -> Questions:
    """Return the estimate for one provider at two seconds per question."""
    return estimate(posts, seeing, [provider], recorded, 4, 2.0)[0]


def test_questions_of_the_sentence_are_counted_exactly_and_each_once() -> None:
    posts = [Post(str(n), ("same", "words") if n % 2 else (f"word{n}",)) for n in range(10)]
    recorded = (query_key(LivePlayer(), question("word4"), 4), "of somebody else")
    found = one(posts, LivePlayer(), recorded=recorded)
    assert found == Questions("web", True, 6, True, 1, 5, 10.0)
    assert found.missing == 5
    assert str(found) == "web: 6 questions, 1 recorded, 10 s for 5 to ask; fetching comes on top"


def test_photos_nobody_looked_at_count_with_every_region_they_may_have(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    found = one(posts_of(dataset), CountingProvider(), Seeing({}, dataset.photos, 3))
    # Two photo files, each itself and three regions; four sentences; for texts and for images.
    assert (found.distinct, found.exact) == (2 * (2 * 4 + 4), False)
    assert found.seconds == 0.0
    assert str(found) == "kb: at most 24 questions, 0 recorded"


@dataclass
class Both(LivePlayer):
    """Answers texts and images of one thing by one request."""

    answers_both: bool = True

    def accepts(self, query: Query) -> bool:
        """Take every question by text or image."""
        return bool(query.text or query.image_key)


def test_one_request_for_two_questions_is_counted_and_timed_once(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    seeing = Seeing({}, dataset.photos, 3)
    apart, shared = (
        one(posts_of(dataset), Both(answers_both=both), seeing) for both in (False, True)
    )
    assert (apart.distinct, apart.requests, apart.seconds) == (24, 24, 48.0)
    assert (shared.distinct, shared.requests, shared.seconds) == (24, 12, 24.0)
    assert str(shared).endswith("24 s for at most 24 to ask by 12 requests; fetching comes on top")
    assert shared.as_json()["requests"] == 12
    # Of two questions one is recorded: the other still needs the request.
    post = Post("1", ("a", "word"))
    recorded = (query_key(Both(), question("a word"), 4),)
    assert one([post], Both(), recorded=recorded).requests == 1


def test_a_provider_that_knows_no_photos_is_exact_all_the_same(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    found = one(posts_of(dataset), LivePlayer(), Seeing({}, dataset.photos, 3))
    assert (found.distinct, found.exact) == (4, True)


def test_what_an_earlier_store_saw_makes_it_exact_and_it_is_what_is_asked(
    tmp_path: Path,
) -> None:
    dataset = make_dataset(tmp_path / "data")
    provider = CountingProvider()
    build(tmp_path / "store", dataset, provider=provider)
    with ParquetReader(tmp_path / "store") as store:
        seen = {name: store.read(name).observation for name in store.example_ids()}
    found = one(posts_of(dataset), CountingProvider(), Seeing(seen, dataset.photos, 3))
    assert (found.distinct, found.exact) == (len(provider.asked), True)
    without = one(posts_of(dataset), CountingProvider(), Seeing({}, dataset.photos, 3))
    assert without.distinct >= found.distinct


def test_a_build_asks_as_much_as_was_estimated_and_no_more_after_an_interruption(
    tmp_path: Path,
) -> None:
    dataset = make_dataset(tmp_path / "data")

    def run(player: LivePlayer, offline: bool = False) -> tuple[Questions, int]:
        report = build_store(
            SETTINGS,
            tmp_path / "store",
            dataset=dataset,
            observer=CountingObserver(),
            providers=[player],
            asking=AskingOptions(offline=offline),
        )
        return report.estimate[0], report.asked

    first, asked = run(LivePlayer(), offline=True)
    assert (first.distinct, first.missing, asked) == (4, 4, 0)
    second, asked = run(LivePlayer())
    assert (second.missing, asked) == (4, 4)
    assert second.seconds == 4 * SETTINGS.ask.polite.seconds_between


@pytest.mark.parametrize("encoder", ["encoder", ""])
def test_a_knowledge_base_is_asked_by_photos_as_far_as_they_have_vectors(
    tmp_path: Path, encoder: str
) -> None:
    dataset = make_dataset(tmp_path / "data")
    observer = CountingObserver(encoder_fingerprint=encoder)
    folder = write_folder(tmp_path / "raw")
    embedder = observer if encoder else None
    path = build_kb(folder, tmp_path / "kb", tiny_settings(None), embedder=embedder).path
    settings = SETTINGS.model_copy(update={"observe": ObserveSettings(max_regions=3)})
    report = build_store(
        settings,
        tmp_path / "store",
        dataset=dataset,
        observer=observer,
        # Before a build with files at hand alone, nothing is told.
        providers=[KbProvider(open_kb(path), encoder), LivePlayer()],
    )
    found = report.estimate[0]
    # As many as of `CountingProvider` above; of sentences alone, where nothing has a vector.
    assert (found.distinct, found.exact) == ((2 * (2 * 4 + 4), False) if encoder else (8, True))
    asked_of_kb = report.asked - 4
    assert asked_of_kb == (12 if encoder else 8)


def test_nothing_depends_on_the_order_of_the_posts(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    seeing = Seeing({"e0": Observation(dataset.examples[0].post)}, dataset.photos, 2)
    posts = posts_of(dataset)
    assert one(posts, CountingProvider(), seeing) == one(posts[::-1], CountingProvider(), seeing)


def test_long_times_are_told_in_hours() -> None:
    posts = [Post(str(n), (f"word{n}",)) for n in range(20_000)]
    assert "11.1 h for 20000 to ask" in str(one(posts, LivePlayer()))
    assert "67 min for 2000 to ask" in str(one(posts[:2000], LivePlayer()))
