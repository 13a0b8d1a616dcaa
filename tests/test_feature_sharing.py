"""Feature sets travel with their store: pushed, pulled, joined, and built again where lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builder_helpers import SETTINGS, CountingObserver
from cache_helpers import files_of
from feature_helpers import add_features, array_of
from sharing_helpers import make_store
from test_join import Lines, TextProvider, dataset_in
from test_join import build as build_posts

from cache import FEATURE_SETS, open_store, read_manifest, verify_store
from cache.feature_keys import feature_key
from cache.operations.withhold import withhold_store
from pipelines.repairing import repair_by_building
from pipelines.sharing.join import join_dataset
from pipelines.sharing.pull import PullOptions, pull
from pipelines.sharing.push import PushOptions, push
from retrieval.building.builder import build_store
from retrieval.building.report import BuildReport
from retrieval.datasets import Dataset
from retrieval.features.maker import FeatureMaker
from retrieval.settings import ObserveSettings
from retrieval.sight.observe import Observer

# What no encoder is needed for, and what every builder of the tests can therefore make.
RULES = ("parse", "region_graph")


def check_arrays(store: Path) -> None:
    """Compare every array of a store with what made it."""
    with open_store(store) as reader:
        for example_id in reader.example_ids():
            post = reader.read(example_id)
            for name in reader.manifest.feature_sets:
                array, key = reader.array(name, example_id), feature_key(name, post)
                assert (array is None) == (key is None)
                if array is not None and key is not None:
                    assert np.array_equal(array, array_of(name, key, post))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    make_store(tmp_path / "store")
    add_features(tmp_path / "store")
    return tmp_path / "store"


def test_arrays_are_pushed_and_pulled_once(store: Path, tmp_path: Path) -> None:
    place, back = tmp_path / "place", tmp_path / "back"
    push(store, str(place), PushOptions())
    pull(str(place), back, PullOptions())
    assert files_of(back) == files_of(store)
    check_arrays(back)
    assert push(store, str(place), PushOptions()).sent == 0
    assert pull(str(place), back, PullOptions()).sent == 0


def test_sets_that_are_added_later_are_all_that_travels(store: Path, tmp_path: Path) -> None:
    place, back = tmp_path / "place", tmp_path / "back"
    make_store(tmp_path / "plain")
    add_features(tmp_path / "plain", ["parse"])
    push(tmp_path / "plain", str(place), PushOptions(recordings=False))
    pull(str(place), back, PullOptions())
    num_files = len(read_manifest(store).shards)
    pushed = push(store, str(place), PushOptions(recordings=False, prune=True, replace=True))
    assert pushed.sent == 3 * num_files
    pulled = pull(str(place), back, PullOptions(replace=True))
    assert pulled.sent == 3 * num_files
    assert verify_store(back).ok
    # Back to the plain store: what no manifest names goes.
    push(tmp_path / "plain", str(place), PushOptions(recordings=False, prune=True, replace=True))
    pull(str(place), back, PullOptions(replace=True))
    for folder in (place, back):
        assert not [*(folder / "grid").glob("*.parquet")]
    assert verify_store(back).ok


def test_a_join_gives_the_whole_store_with_its_arrays_byte_for_byte(tmp_path: Path) -> None:
    build_posts(tmp_path / "whole", dataset_in(tmp_path / "data"))
    add_features(tmp_path / "whole")
    without = withhold_store(tmp_path / "whole", tmp_path / "without")
    report = join_dataset(
        tmp_path / "without", tmp_path / "joined", dataset_in(tmp_path / "theirs")
    )
    assert report.restored
    assert report.manifest.fingerprint == without.original
    whole = {n: d for n, d in files_of(tmp_path / "whole").items() if n[:10] != "recordings"}
    assert files_of(tmp_path / "joined") == whole


def test_a_join_without_some_posts_keeps_the_arrays_of_the_others(tmp_path: Path) -> None:
    def fewer(lines: Lines) -> None:
        # The photo of the first post is the last one's, too, and moves to its shard.
        lines[0]["tokens"] = ["other", "words", "here"]

    build_posts(tmp_path / "whole", dataset_in(tmp_path / "data"))
    whole = add_features(tmp_path / "whole")
    withhold_store(tmp_path / "whole", tmp_path / "without")
    report = join_dataset(
        tmp_path / "without", tmp_path / "joined", dataset_in(tmp_path / "theirs", fewer)
    )
    assert report.differing == ("p0",)
    assert verify_store(tmp_path / "joined").problems == ()
    check_arrays(tmp_path / "joined")
    rows = {
        name: [
            [file.rows for file in manifest.feature_sets[name].files]
            for manifest in (whole, report.manifest)
        ]
        for name in ("grid", "parse")
    }
    assert rows == {"grid": [[1, 2, 0], [0, 2, 1]], "parse": [[2, 2, 1], [1, 2, 1]]}


def with_rules(store: Path, dataset: Dataset) -> BuildReport:
    observe = ObserveSettings(features=RULES, detector="none", encoder="none")
    return build_store(
        SETTINGS,
        store,
        dataset=dataset,
        observer=CountingObserver(),
        providers=[TextProvider()],
        features=FeatureMaker(observe, Observer(observe)),
    )


def test_lost_arrays_are_made_again_byte_for_byte(tmp_path: Path) -> None:
    store, dataset = tmp_path / "store", dataset_in(tmp_path / "data")
    with_rules(store, dataset)
    sound = files_of(store)
    for name in RULES:
        for file in (store / name).iterdir():
            file.write_bytes(b"PAR1")
    report = repair_by_building(store, lambda path: with_rules(path, dataset))
    assert report.lost == []
    assert files_of(store) == sound
    assert set(read_manifest(store).feature_sets) == {*RULES} < {*FEATURE_SETS}
