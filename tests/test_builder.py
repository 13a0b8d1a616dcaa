"""Promises of the builder about a store that is built, built again and curated anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builder_helpers import (
    SETTINGS,
    STRICTER,
    CountingObserver,
    CountingProvider,
    build,
    files_of,
    make_dataset,
    relabelled,
)

from cache.checking.verify import verify_store
from cache.errors import ProviderUnavailable, RamieError, StoreMismatch
from cache.reading.parquet_reader import ParquetReader
from cache.records import STREAMS
from retrieval.asking.answers import MemoryBook
from retrieval.building.builder import build_store
from retrieval.building.cases import Seen
from retrieval.building.gather import Gatherer
from retrieval.building.hit_vectors import EncoderMismatch
from retrieval.datasets import Dataset
from retrieval.settings import ObserveSettings
from retrieval.sight.observe import Observer
from retrieval.sight.photos import load_photo


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return the data set of all these tests; nobody changes its files."""
    return make_dataset(tmp_path_factory.mktemp("data"))


def never(what: str) -> None:
    """Fail the test: nobody was to be asked."""
    raise AssertionError(f"nobody was to {what}")


def idle() -> tuple[CountingObserver, CountingProvider]:
    """Return an observer and a provider that must not be used."""
    provider = CountingProvider()
    provider.ask = lambda queries, k: never("ask")  # type: ignore[assignment, method-assign, return-value]
    return CountingObserver(before=never), provider


def test_a_built_store_is_sound_and_holds_every_post_with_its_evidence(
    tmp_path: Path, dataset: Dataset
) -> None:
    report = build(tmp_path / "store", dataset)
    assert (report.action, report.num_written, report.num_observed) == ("built", 3, 5)
    assert report.unfinished == ()
    assert verify_store(tmp_path / "store").problems == ()
    with ParquetReader(tmp_path / "store") as store:
        assert store.example_ids() == ("e0", "e1", "e2", "e3", "e4")
        assert {name: store.read(name).example for name in store.example_ids()} == {
            one.post.example_id: one for one in dataset.examples
        }
        statuses = [store.read(f"e{place}").observation.photo_status for place in range(5)]
        assert statuses == ["ok", "none", "unreadable", "ok", "missing"]
        evidence = store.read("e0").evidence
        assert {(one.hit.level, one.hit.modality) for one in evidence} == set(STREAMS)
        for one in evidence:
            assert one.hit.relevance is not None
            assert one.hit.query_key
            if one.hit.modality == "image":
                assert store.media(one.hit.media_key or "").key == one.hit.media_key
        assert store.media(store.read("e0").observation.photo_key or "").format == "PNG"
        kept = sum(len(store.read(name).evidence) for name in store.example_ids())
        gone = sum(len(store.dropped(name)) for name in store.example_ids())
    assert report.counters["evidence"] == kept
    assert report.counters["dropped"] == gone
    assert report.counters["posts"] == 5
    assert report.counters["photos unreadable"] == 1
    assert report.photo_problems == {"missing": 1, "not an image": 1}
    # Of 6 + 2 + 2 + 6 + 2 questions, those about the photo and the sentence of e3 are e0's.
    assert (report.asked, report.answered_from_recordings) == (6 + 2 + 2 + 2, 0)
    assert set(report.seconds) == {"decode", "embed", "ask", "curate", "write", "waiting"}


def test_each_distinct_question_is_asked_once(tmp_path: Path) -> None:
    provider = CountingProvider()
    report = build(tmp_path / "store", make_dataset(tmp_path / "data"), provider=provider)
    # e0 and e3 have the same photo and sentence.
    assert set(provider.asked.values()) == {1}
    assert len(provider.asked) == report.asked == 6 + 2 + 2 + 2
    assert report.answered_from_recordings == 0


def test_a_second_build_loads_nothing_asks_nothing_and_writes_nothing(
    tmp_path: Path, dataset: Dataset
) -> None:
    first = build(tmp_path / "store", dataset)

    def state() -> dict[str, int]:
        return {str(p): p.stat().st_mtime_ns for p in sorted((tmp_path / "store").rglob("*"))}

    before = state()
    report = build(tmp_path / "store", dataset, *idle())
    assert state() == before
    assert (report.action, report.num_written, report.asked) == ("nothing to do", 0, 0)
    assert report.counters == first.counters


def test_building_twice_gives_the_same_bytes_in_any_order_of_the_posts(tmp_path: Path) -> None:
    build(tmp_path / "one", make_dataset(tmp_path / "data"))
    build(tmp_path / "two", make_dataset(tmp_path / "data", shuffle=True))
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert files_of(tmp_path / "one", "recordings") == files_of(tmp_path / "two", "recordings")


def test_other_thresholds_curate_anew_without_asking_or_observing(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path / "fresh", dataset, curate=STRICTER)
    build(tmp_path / "store", dataset)
    recordings = files_of(tmp_path / "store", "recordings")
    report = build(tmp_path / "store", dataset, *idle(), curate=STRICTER)
    assert (report.action, report.asked, report.num_observed) == ("recurated", 0, 0)
    assert files_of(tmp_path / "store") == files_of(tmp_path / "fresh")
    assert files_of(tmp_path / "store", "recordings") == recordings
    assert build(tmp_path / "store", dataset, *idle(), curate=STRICTER).action == "nothing to do"
    # And back again.
    build(tmp_path / "store", dataset, *idle())
    assert verify_store(tmp_path / "store").problems == ()


def test_embeddings_that_providers_lack_are_computed_once_ever(
    tmp_path: Path, dataset: Dataset
) -> None:
    observer = CountingObserver()
    build(tmp_path / "store", dataset, observer, CountingProvider(vectors=False))
    texts = {text: times for text, times in observer.embedded.items() if text != "image"}
    assert set(texts.values()) == {1}
    with ParquetReader(tmp_path / "store") as store:
        evidence = store.read("e0").evidence
        assert all(one.hit.embedding is not None for one in evidence)
        assert all(one.hit.relevance is not None for one in evidence)
    observer, provider = idle()
    provider.vectors = False
    build(tmp_path / "store", dataset, observer, provider, curate=STRICTER)
    build(tmp_path / "fresh", dataset, provider=CountingProvider(vectors=False), curate=STRICTER)
    assert files_of(tmp_path / "store") == files_of(tmp_path / "fresh")


def test_relabelling_changes_no_query_key_or_shard_but_the_labels(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path / "one", dataset)
    build(tmp_path / "two", relabelled(dataset, "ORG"))
    for folder in ("evidence", "dropped", "media", "recordings"):
        assert files_of(tmp_path / "one", folder) == files_of(tmp_path / "two", folder)
        assert files_of(tmp_path / "one", folder)
    assert files_of(tmp_path / "one", "examples") != files_of(tmp_path / "two", "examples")
    with ParquetReader(tmp_path / "one") as one, ParquetReader(tmp_path / "two") as two:
        assert one.read("e0").example != two.read("e0").example
        assert one.read("e0").example.post == two.read("e0").example.post
        prints = [store.manifest.identity["fingerprints"] for store in (one, two)]
    assert isinstance(prints[0], dict)
    assert isinstance(prints[1], dict)
    assert {key for key in prints[0] if prints[0][key] != prints[1][key]} == {"dataset"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hits_per_query": 7}, r"ask\.hits_per_query: 4 -> 7"),
        ({"shard_size": 3}, r"shard_size .*: 2 -> 3"),
        ({"observer": "other"}, r"observe \(weights or libraries\): observer -> other"),
        ({"provider": "more"}, r"ask \(what the providers know, or how their answers are read\)"),
    ],
)
def test_a_store_of_another_recipe_is_refused_and_the_difference_named(
    tmp_path: Path, change: dict[str, object], named: str, dataset: Dataset
) -> None:
    build(tmp_path / "store", dataset)
    before = files_of(tmp_path / "store")
    ask = SETTINGS.ask.model_copy(
        update={key: value for key, value in change.items() if key == "hits_per_query"}
    )
    size = change.get("shard_size", SETTINGS.shard_size)
    with pytest.raises(StoreMismatch, match=named) as caught:
        build_store(
            SETTINGS.model_copy(update={"ask": ask, "shard_size": size}),
            tmp_path / "store",
            dataset=dataset,
            observer=CountingObserver(fingerprint=str(change.get("observer", "observer"))),
            providers=[CountingProvider(fingerprint=str(change.get("provider", "knowledge")))],
        )
    assert "Choose another folder" in str(caught.value)
    assert files_of(tmp_path / "store") == before


def test_other_labels_and_photos_that_arrive_later_are_noticed(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path / "store", dataset)
    with pytest.raises(StoreMismatch, match=r"dataset \(posts, annotations or photos\)"):
        build(tmp_path / "store", relabelled(dataset, "ORG"))
    photos = {**dataset.photos, "e4": dataset.photos["e0"]}
    with pytest.raises(StoreMismatch, match=r"dataset \(posts, annotations or photos\)"):
        build(tmp_path / "store", replace(dataset, photos=photos))


def test_one_post_alone_finds_what_the_builder_finds(tmp_path: Path, dataset: Dataset) -> None:
    build(tmp_path / "store", dataset)
    observer, post = CountingObserver(), dataset.examples[0].post
    photo = load_photo(dataset.photos["e0"])
    seen = Seen(observer.observe([post], [photo], ["ok"])[0], photo.media)
    curate = SETTINGS.curate
    found = Gatherer([CountingProvider()], MemoryBook(), observer, 4, curate).gather_one(seen)
    with ParquetReader(tmp_path / "store") as store:
        stored = store.read("e0").evidence
    assert len(stored) == len(found.evidence) > 0
    for one, other in zip(stored, found.evidence, strict=True):
        assert (one.rank, one.fused_score) == (other.rank, other.fused_score)
        assert replace(one.hit, embedding=None) is not None
        for name in ("text", "media_key", "relevance", "consistency", "query_key"):
            assert getattr(one.hit, name) == getattr(other.hit, name)
        assert np.array_equal(one.hit.embedding, other.hit.embedding)  # type: ignore[arg-type]
    down = CountingProvider(down={"image"})
    with pytest.raises(ProviderUnavailable, match="the line is down"):
        Gatherer([down], MemoryBook(), observer, 4, curate).gather_one(seen)


def test_a_store_without_providers_and_models_is_the_text_only_baseline(tmp_path: Path) -> None:
    report = build_store(
        SETTINGS,
        tmp_path / "store",
        dataset=make_dataset(tmp_path / "data"),
        observer=Observer(ObserveSettings(detector="none", encoder="none")),
        providers=[],
    )
    assert (report.asked, report.counters["posts"]) == (0, 5)
    assert "evidence" not in report.counters
    assert verify_store(tmp_path / "store").problems == ()


def test_an_empty_data_set_makes_an_empty_store(tmp_path: Path) -> None:
    dataset = replace(make_dataset(tmp_path / "data"), examples=(), photos={})
    assert build(tmp_path / "store", dataset).counters == {}
    assert build(tmp_path / "store", dataset, *idle()).action == "nothing to do"


def test_embeddings_of_another_encoder_stop_the_build(tmp_path: Path) -> None:
    observer = CountingObserver()
    look = observer._look
    longer = np.ones(5, dtype=np.float32)
    observer._look = lambda *a: replace(look(*a), sentence_embedding=longer)  # type: ignore[method-assign]
    with pytest.raises(EncoderMismatch, match="gives embeddings of 4 numbers"):
        build(tmp_path / "store", make_dataset(tmp_path / "data"), observer)
    assert issubclass(EncoderMismatch, RamieError)
