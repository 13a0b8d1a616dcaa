"""Joining a store with the data set that its posts were left out of."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from builder_helpers import SETTINGS, CountingObserver, CountingProvider
from cache_helpers import build as build_by_hand
from cache_helpers import files_of
from curation_helpers import encode, picture

from cache import (
    InputError,
    Manifest,
    Query,
    StoreMismatch,
    StoreWithheld,
    open_store,
    read_manifest,
    verify_store,
)
from cache.operations.withhold import withhold_store
from cache.schema import ROW_GROUP
from pipelines.sharing.join import JoinReport, dataset_settings, join_dataset
from pipelines.sharing.matches import PhotoBytes
from retrieval.building.builder import build_store
from retrieval.building.report import BuildReport
from retrieval.datasets import Dataset, read_dataset
from retrieval.settings import DatasetSettings

Lines = list[dict[str, Any]]
Change = Callable[[Lines], None]

SENTENCES = (
    "rain stops the cup final in Oslo",
    "a quiet day at the river",
    "the band plays in the old harbour tonight",
    "nobody knows where Jordan went",
    "Mery Perello opens a school in Manacor",
)


def posts() -> Lines:
    """Return five posts; p1 has no photo, p4 the one of p0."""
    return [
        {
            "id": f"p{place}",
            "tokens": sentence.split(),
            "photo": None if place == 1 else f"photo{place % 4}.png",
            "entities": [{"start": 0, "end": 1, "type": "PER"}] if place != 2 else [],
            "relations": [
                {"head": {"start": 0, "end": 2}, "tail": {"start": 2, "end": 3}, "type": "kin"}
            ],
        }
        for place, sentence in enumerate(SENTENCES)
    ]


def dataset_in(
    folder: Path, change: Change = lambda lines: None, task: Literal["mner", "mre"] = "mner"
) -> Dataset:
    """Write the posts, p3 and p4 as test, and read them."""
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    lines = posts()
    for place in (0, 2, 3):
        (folder / "photos" / f"photo{place}.png").write_bytes(encode(picture(place)).data)
    change(lines)
    for split, part in (("train", lines[:3]), ("test", lines[3:])):
        text = "".join(json.dumps(line) + "\n" for line in part)
        (folder / f"{split}.jsonl").write_text(text)
    return read_dataset(DatasetSettings(reader="jsonl", task=task, root=folder))


@dataclass
class TextProvider(CountingProvider):
    """Answers with texts only, so that every image of the store is a photo."""

    def accepts(self, query: Query) -> bool:
        """Take what looks for texts."""
        return query.modality == "text" and super().accepts(query)


def build(store: Path, dataset: Dataset, provider: CountingProvider | None = None) -> BuildReport:
    return build_store(
        SETTINGS,
        store,
        dataset=dataset,
        observer=CountingObserver(),
        providers=[provider or TextProvider()],
        rights={"posts": "their authors'"},
    )


def joined(tmp_path: Path, change: Change, provider: CountingProvider | None = None) -> JoinReport:
    """Build, leave posts and images out, and join with a data set that was changed."""
    build(tmp_path / "whole", dataset_in(tmp_path / "data"), provider)
    withhold_store(tmp_path / "whole", tmp_path / "without")
    (tmp_path / "theirs").mkdir()
    report = join_dataset(
        tmp_path / "without", tmp_path / "joined", dataset_in(tmp_path / "theirs", change)
    )
    assert verify_store(tmp_path / "joined").problems == ()
    assert report.manifest == read_manifest(tmp_path / "joined")
    return report


def files_but_recordings(store: Path) -> dict[str, bytes]:
    return {n: data for n, data in files_of(store).items() if not n.startswith("recordings")}


@pytest.mark.parametrize("task", ["mner", "mre"])
def test_a_join_with_the_same_data_set_gives_the_whole_store_byte_for_byte(
    tmp_path: Path, task: Literal["mner", "mre"]
) -> None:
    build(tmp_path / "whole", dataset_in(tmp_path / "data", task=task))
    without = withhold_store(tmp_path / "whole", tmp_path / "without")
    before = files_of(tmp_path / "without")
    # Elsewhere on disk, in another order.
    theirs = dataset_in(tmp_path / "theirs", task=task)
    theirs = replace(theirs, examples=theirs.examples[::-1])
    report = join_dataset(tmp_path / "without", tmp_path / "joined", theirs)
    assert files_of(tmp_path / "joined") == files_but_recordings(tmp_path / "whole")
    assert report.restored
    assert report.manifest.fingerprint == without.original
    assert len(report.filled) == 5
    assert (report.differing, report.missing, report.extra) == ((), (), ())
    assert (report.photos_differing, report.photos_missing, report.images_withheld) == ((), (), 0)
    assert files_of(tmp_path / "without") == before


def test_oddities_of_the_data_set_that_a_copy_may_not_quote_are_counted_again(
    tmp_path: Path,
) -> None:
    def odd(lines: Lines) -> None:
        lines[4]["entities"] = [{"start": 0, "end": 2, "type": "RARE"}]
        lines[0]["photo"] = "lost.png"

    build(tmp_path / "whole", dataset_in(tmp_path / "data", odd))
    copy = withhold_store(tmp_path / "whole", tmp_path / "without")
    assert "data set: photo missing" in copy.counters
    assert "RARE" not in json.dumps(copy.counters)
    for extra, name in ((False, "same"), (True, "more")):

        def change(lines: Lines, extra: bool = extra) -> None:
            odd(lines)
            if extra:
                lines.append({**lines[4], "id": "p5", "photo": "lost too.png"})

        theirs = dataset_in(tmp_path / f"data of {name}", change)
        report = join_dataset(tmp_path / "without", tmp_path / name, theirs)
        assert report.restored is not extra
        assert report.extra == (("p5",) if extra else ())
        assert verify_store(tmp_path / name).problems == ()


def test_posts_without_photos_of_others_are_joined_and_their_images_stay_withheld(
    tmp_path: Path,
) -> None:
    report = joined(tmp_path, lambda lines: None, CountingProvider())
    assert report.images_withheld > 0
    assert not report.restored
    assert (report.manifest.withheld, report.manifest.original) == (
        ("images",),
        read_manifest(tmp_path / "whole").fingerprint,
    )
    with (
        open_store(tmp_path / "whole", reader="parquet") as whole,
        open_store(tmp_path / "joined", reader="parquet") as store,
    ):
        assert whole.example_ids() == store.example_ids()
        for name in store.example_ids():
            before, after = whole.read(name), store.read(name)
            assert after.example == before.example
            key = after.observation.photo_key
            if key is not None:
                assert store.media(key) == whole.media(key)
        image = next(
            one.hit.media_key
            for name in store.example_ids()
            for one in store.read(name).evidence
            if one.hit.modality == "image"
        )
        with pytest.raises(StoreWithheld):
            store.media(image or "")


def test_a_post_with_other_words_is_listed_and_left_out_with_its_evidence(tmp_path: Path) -> None:
    def change(lines: Lines) -> None:
        lines[0]["tokens"][-1] = "Rome"

    report = joined(tmp_path, change)
    assert (report.differing, report.missing, report.filled) == (
        ("p0",),
        (),
        ("p1", "p2", "p3", "p4"),
    )
    whole = read_manifest(tmp_path / "whole")
    assert not report.restored
    assert report.manifest.withheld == ()
    assert report.manifest.identity["joined"] == {
        "original": whole.fingerprint,
        "posts_left_out": 1,
    }
    assert report.manifest.counters["posts"] == 4
    with open_store(tmp_path / "joined", reader="parquet") as store:
        assert store.example_ids() == ("p1", "p2", "p3", "p4")
    same_evidence(tmp_path, ["p1", "p2", "p3", "p4"])


def test_posts_in_another_split_differ_for_training_on_test_would_be_worse(tmp_path: Path) -> None:
    def change(lines: Lines) -> None:
        lines[2], lines[3] = lines[3], lines[2]

    assert joined(tmp_path, change).differing == ("p2", "p3")


def test_missing_and_extra_posts_are_listed_and_what_others_need_moves(tmp_path: Path) -> None:
    def change(lines: Lines) -> None:
        # p4 has the photo of p0, and is in another shard.
        lines[0] = {**lines[0], "id": "stranger"}

    report = joined(tmp_path, change)
    assert (report.missing, report.extra) == (("p0",), ("stranger",))
    assert report.photos_missing == ()
    with open_store(tmp_path / "joined", reader="parquet") as store:
        key = store.read("p4").observation.photo_key
        assert store.media(key or "").data == encode(picture(0)).data
    same_evidence(tmp_path, ["p1", "p2", "p3", "p4"])


def same_evidence(tmp_path: Path, names: list[str]) -> None:
    with (
        open_store(tmp_path / "whole", reader="parquet") as whole,
        open_store(tmp_path / "joined", reader="parquet") as store,
    ):
        for name in names:
            before, after = whole.read(name), store.read(name)
            assert after.example == before.example
            assert [one.hit.text for one in after.evidence] == [
                one.hit.text for one in before.evidence
            ]
            assert [one.hit.text for one in store.dropped(name)] == [
                one.hit.text for one in whole.dropped(name)
            ]


def test_a_data_set_of_other_posts_leaves_an_empty_sound_store(tmp_path: Path) -> None:
    def change(lines: Lines) -> None:
        for line in lines:
            line["id"] = "other " + line["id"]

    report = joined(tmp_path, change)
    assert report.filled == ()
    assert len(report.missing) == len(report.extra) == 5
    assert report.manifest.num_examples == 0


def test_photos_that_differ_or_are_missing_are_listed_and_stay_withheld(tmp_path: Path) -> None:
    def change(lines: Lines) -> None:
        photos = tmp_path / "theirs" / "photos"
        (photos / "photo2.png").write_bytes(encode(picture(77)).data)
        (photos / "photo3.png").unlink()

    report = joined(tmp_path, change)
    assert (report.photos_differing, report.photos_missing) == (("p2",), ("p3",))
    assert (report.images_withheld, report.manifest.withheld) == (2, ("images",))
    assert (report.differing, report.missing) == ((), ())
    with open_store(tmp_path / "joined", reader="parquet") as store:
        with pytest.raises(StoreWithheld):
            store.media(store.read("p2").observation.photo_key or "")
        assert store.media(store.read("p0").observation.photo_key or "").data


def test_a_photo_that_changes_after_it_was_looked_at_is_not_believed(tmp_path: Path) -> None:
    dataset = dataset_in(tmp_path)
    photos = PhotoBytes(dataset.photos)
    key = photos.key_of("p0")
    assert photos.find(key) == encode(picture(0)).data
    dataset.photos["p0"].write_bytes(encode(picture(1)).data)
    assert photos.find(key) is None
    dataset.photos["p0"].unlink()
    assert photos.find(key) is None


def test_what_is_still_withheld_can_be_joined_later_to_the_whole_store(tmp_path: Path) -> None:
    def change(lines: Lines) -> None:
        (tmp_path / "theirs" / "photos" / "photo3.png").unlink()

    joined(tmp_path, change)
    later = join_dataset(tmp_path / "joined", tmp_path / "later", dataset_in(tmp_path / "data"))
    assert later.restored
    assert files_of(tmp_path / "later") == files_but_recordings(tmp_path / "whole")


def test_other_annotations_are_taken_and_the_store_no_longer_passes_for_the_original(
    tmp_path: Path,
) -> None:
    def change(lines: Lines) -> None:
        lines[0]["entities"] = [{"start": 0, "end": 2, "type": "LOC"}]

    report = joined(tmp_path, change)
    assert len(report.filled) == 5
    assert (report.restored, report.same_dataset) == (False, False)
    assert report.manifest.identity["joined"] == {
        "original": read_manifest(tmp_path / "whole").fingerprint,
        "posts_left_out": 0,
    }


def test_other_annotations_are_not_forgotten_while_images_are_still_left_out(
    tmp_path: Path,
) -> None:
    def change(lines: Lines) -> None:
        lines[0]["entities"] = [{"start": 0, "end": 2, "type": "LOC"}]
        (tmp_path / "theirs" / "photos" / "photo3.png").unlink()

    report = joined(tmp_path, change)
    mark = {"original": read_manifest(tmp_path / "whole").fingerprint, "posts_left_out": 0}
    assert report.manifest.withheld == ("images",)
    assert report.manifest.identity["joined"] == mark
    # The right data set brings the photo, but its annotations come too late.
    later = join_dataset(tmp_path / "joined", tmp_path / "later", dataset_in(tmp_path / "data"))
    assert (later.restored, later.same_dataset, later.manifest.withheld) == (False, True, ())
    assert later.manifest.identity["joined"] == mark
    with open_store(tmp_path / "later", reader="parquet") as store:
        assert [one.label for one in store.read("p0").example.entities or ()] == ["LOC"]


def test_no_build_goes_on_with_a_store_that_lacks_posts(tmp_path: Path) -> None:
    dataset = dataset_in(tmp_path / "data")
    build(tmp_path / "whole", dataset)
    withhold_store(tmp_path / "whole", tmp_path / "without")
    with pytest.raises(StoreMismatch, match="images and posts were left out"):
        build(tmp_path / "without", dataset)
    # Nor with one that lacks some for good, though the very data set is there now.
    few = dataset_in(tmp_path / "few")
    few = replace(few, examples=few.examples[1:])
    join_dataset(tmp_path / "without", tmp_path / "joined", few)
    with pytest.raises(StoreMismatch, match="joined"):
        build(tmp_path / "joined", dataset)


def test_only_another_pyarrow_can_make_other_bytes_of_the_same_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = dataset_in(tmp_path / "data")
    whole = build_and_read(tmp_path / "whole", dataset)
    withhold_store(tmp_path / "whole", tmp_path / "without")
    monkeypatch.setitem(ROW_GROUP, "examples", 1)
    report = join_dataset(tmp_path / "without", tmp_path / "joined", dataset)
    assert (report.restored, report.same_dataset) == (False, True)
    assert report.manifest.identity == whole.identity
    assert build(tmp_path / "joined", dataset).action == "nothing to do"


def build_and_read(store: Path, dataset: Dataset) -> Manifest:
    build(store, dataset)
    return read_manifest(store)


def test_a_manifest_says_how_its_data_set_is_read_or_is_refused(tmp_path: Path) -> None:
    settings = DatasetSettings(reader="jsonl", task="mner", root=tmp_path, limit=3)
    said = settings.model_dump(mode="json", exclude={"root", "photos"})
    manifest = build_by_hand(tmp_path / "store")
    known = manifest.model_copy(update={"identity": {"settings": {"dataset": said}}})
    assert dataset_settings(known, tmp_path) == settings
    # Where files lie is said by who has them, never by a store.
    led = manifest.model_copy(
        update={"identity": {"settings": {"dataset": {**said, "root": "/etc"}}}}
    )
    assert dataset_settings(led, tmp_path) == settings
    for strange in ({}, {"settings": 3}, {"settings": {"dataset": {**said, "more": 1}}}):
        with pytest.raises(InputError, match="does not say how"):
            dataset_settings(manifest.model_copy(update={"identity": strange}), tmp_path)


def test_a_whole_store_needs_no_join(tmp_path: Path) -> None:
    build_by_hand(tmp_path / "whole")
    with pytest.raises(InputError, match="nothing was left out"):
        join_dataset(tmp_path / "whole", tmp_path / "joined", dataset_in(tmp_path / "data"))
    assert not (tmp_path / "joined").exists()


def test_other_rights_reach_a_finished_store_without_a_build(tmp_path: Path) -> None:
    dataset = dataset_in(tmp_path / "data")
    build(tmp_path / "store", dataset)
    before = files_of(tmp_path / "store")
    told: list[str] = []
    report = build_store(
        SETTINGS,
        tmp_path / "store",
        dataset=dataset,
        observer=CountingObserver(),
        providers=[TextProvider()],
        rights={"posts": "ours now"},
        say=told.append,
    )
    after = files_of(tmp_path / "store")
    assert report.action == "nothing to do"
    assert {name for name in after if after[name] != before[name]} == {
        "README.md",
        "manifest.json",
    }
    assert "ours now" in after["README.md"].decode()
    assert len(told) == 1
    assert verify_store(tmp_path / "store").problems == ()
    # One who says nothing about rights takes none away.
    build_store(
        SETTINGS,
        tmp_path / "store",
        dataset=dataset,
        observer=CountingObserver(),
        providers=[TextProvider()],
    )
    assert files_of(tmp_path / "store") == after
