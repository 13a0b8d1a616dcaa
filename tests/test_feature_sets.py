"""Feature sets beside the shards of a store: written once, read by everybody, carried along."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cache_helpers import build, files_of, image, stored
from feature_helpers import CHANNELS, STAGES, add_features, array_of, forge, honest_table
from merge_helpers import NAMES, build_part

from cache import (
    FEATURE_SETS,
    FeatureSet,
    InputError,
    Manifest,
    Region,
    StoreDamaged,
    StoredExample,
    StoreReader,
    open_store,
    read_manifest,
    verify_store,
)
from cache.checking.copies import FolderCopy
from cache.checking.repair import repair_store
from cache.checking.verify_bytes import verify_bytes
from cache.feature_keys import feature_key, size_of
from cache.manifest import manifest_bytes
from cache.operations.diff import diff_stores
from cache.operations.merge import merge_stores
from cache.operations.withhold import withhold_store
from cache.store import ReaderName
from cache.writing.feature_files import FeatureSetWriter

Change = Callable[[list[Any]], object]
READERS: tuple[ReaderName, ...] = ("lmdb", "packed", "parquet")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pristine") / "store"
    build(path)
    add_features(path)
    return path


@pytest.fixture
def store(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "store"))


def check_arrays(reader: StoreReader) -> int:
    """Compare every array of every post with what made it; return how many there are."""
    number = 0
    for example_id in reader.example_ids():
        post = reader.read(example_id)
        for name in reader.manifest.feature_sets:
            array, key = reader.array(name, example_id), feature_key(name, post)
            assert (array is None) == (key is None)
            if array is not None and key is not None:
                wanted = array_of(name, key, post)
                assert (array.dtype, array.shape) == (wanted.dtype, wanted.shape)
                assert np.array_equal(array, wanted)
                number += 1
    return number


def test_a_store_without_feature_sets_does_not_speak_of_them(tmp_path: Path) -> None:
    manifest = build(tmp_path / "store")
    assert manifest.feature_sets == {}
    assert b"feature" not in manifest_bytes(manifest)
    assert b"Feature set" not in (tmp_path / "store" / "README.md").read_bytes()
    assert not any((tmp_path / "store" / name).exists() for name in FEATURE_SETS)


def test_adding_feature_sets_writes_no_shard_again(tmp_path: Path) -> None:
    build(tmp_path / "store")
    before = files_of(tmp_path / "store")
    manifest = add_features(tmp_path / "store")
    after = files_of(tmp_path / "store")
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"manifest.json", "README.md"}
    assert {name.partition("/")[0] for name in after.keys() - before.keys()} == {*FEATURE_SETS}
    assert manifest == read_manifest(tmp_path / "store")
    assert verify_store(tmp_path / "store").problems == ()


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_gives_every_array(store: Path, reader: ReaderName) -> None:
    with open_store(store, reader=reader) as opened:
        assert check_arrays(opened) > 30
        again = pickle.loads(pickle.dumps(opened))  # noqa: S301
    with again:
        assert check_arrays(again) > 30


def test_an_array_that_was_read_is_the_callers_own(store: Path) -> None:
    with open_store(store) as reader:
        array = reader.array("grid", "post-00-01")
        assert array is not None
        array[:] = 0
        check_arrays(reader)


def test_a_post_without_a_photo_has_a_parse_and_nothing_else(store: Path) -> None:
    with open_store(store) as reader:
        found = {name: reader.array(name, "post-00-00") for name in FEATURE_SETS}
    assert reader.read("post-00-00").observation.photo_key is None
    assert {name for name, array in found.items() if array is not None} == {"parse"}


def test_an_array_that_posts_share_is_stored_once(store: Path) -> None:
    manifest = read_manifest(store)
    with open_store(store) as reader:
        posts = [reader.read(name) for name in reader.example_ids()]
    for name, entry in manifest.feature_sets.items():
        keys = [feature_key(name, post) for post in posts]
        assert sum(file.rows for file in entry.files) == len({*keys} - {None})
    # Each shard shares a photo with the next one.
    photos = {post.observation.photo_key for post in posts} - {None}
    assert len(photos) == len(manifest.shards) + 1


def test_the_manifest_says_what_the_arrays_are_like(store: Path) -> None:
    sets = read_manifest(store).feature_sets
    assert {name: (one.dtype, one.dims, one.stages) for name, one in sets.items()} == {
        "grid": ("float16", (CHANNELS,), ()),
        "pyramid": ("float16", (4, sum(STAGES)), STAGES),
        "parse": ("int16", (), ()),
        "region_graph": ("uint8", (), ()),
    }


def test_the_same_arrays_give_the_same_bytes(store: Path, tmp_path: Path) -> None:
    build(tmp_path / "other")
    add_features(tmp_path / "other", reversed(FEATURE_SETS))
    assert files_of(tmp_path / "other") == files_of(store)


def test_files_that_are_there_are_not_made_again(store: Path) -> None:
    manifest = read_manifest(store)
    writer = FeatureSetWriter(store, "grid", manifest.feature_sets["grid"].source)
    other = FeatureSetWriter(store, "grid", "another encoder")
    with open_store(store, reader="parquet") as reader:
        for index in range(len(manifest.shards)):
            names = (name for name in reader.example_ids() if name.startswith(f"post-0{index}"))
            lacking = writer.lacking(map(reader.read, names))
            assert not other.find(lacking)
            assert not writer.find([*lacking, "f" * 64])
            assert writer.find(lacking)
    assert writer.entry() == manifest.feature_sets["grid"]


def test_a_damaged_file_is_made_again(store: Path) -> None:
    manifest = read_manifest(store)
    path = store / manifest.feature_sets["pyramid"].files[1].path
    path.write_bytes(path.read_bytes()[:-9] + b"123456789")
    assert add_features(store) == manifest
    assert verify_store(store).ok


def test_a_set_that_is_not_there_names_the_command_that_adds_it(tmp_path: Path) -> None:
    build(tmp_path / "store")
    add_features(tmp_path / "store", ["parse"])
    with open_store(tmp_path / "store") as reader:
        with pytest.raises(InputError, match=r"observe\.features=\[\"grid\", \"parse\"\]"):
            reader.array("grid", "post-00-01")
        with pytest.raises(InputError, match="there is no feature set 'heads'; they are grid"):
            reader.array("heads", "post-00-01")  # type: ignore[arg-type]
        with pytest.raises(InputError, match="holds no post 'nobody'"):
            reader.array("parse", "nobody")


@pytest.mark.parametrize("name", FEATURE_SETS)
def test_damage_is_found_told_and_repaired_from_a_copy(
    pristine: Path, store: Path, name: FeatureSet
) -> None:
    sound = files_of(store)
    file = read_manifest(store).feature_sets[name].files[0]
    data = bytearray((store / file.path).read_bytes())
    data[len(data) // 3] ^= 1
    (store / file.path).write_bytes(data)
    with open_store(store) as reader, pytest.raises(StoreDamaged, match=file.path):
        check_arrays(reader)
    for report in (verify_store(store), verify_bytes(store)):
        assert len(report.problems) == 1
        assert file.path in report.problems[0]
    assert not repair_store(store, [FolderCopy(pristine)]).lost
    assert files_of(store) == sound


def test_a_missing_file_keeps_the_store_from_being_opened(store: Path) -> None:
    path = store / read_manifest(store).feature_sets["grid"].files[2].path
    path.unlink()
    with pytest.raises(StoreDamaged, match=str(path)):
        open_store(store)


def test_a_file_that_the_manifest_does_not_name_is_a_stranger(store: Path) -> None:
    (store / "grid" / "part-00009-0123456789ab.parquet").write_bytes(b"x")
    (problem,) = verify_store(store).problems
    assert "part-00009-0123456789ab.parquet is not in the manifest" in problem


def with_column(table: pa.Table, name: str, change: Change) -> pa.Table:
    field, values = table.schema.field(name), table.column(name).to_pylist()
    change(values)
    place = table.schema.get_field_index(name)
    return table.set_column(place, field, pa.array(values, field.type))


def first(value: object) -> Change:
    return lambda values: values.__setitem__(0, value)


def other_half(value: float) -> Change:
    half = np.array([value], "<f2").tobytes()
    return lambda values: values.__setitem__(0, half + bytes(values[0])[2:])


HOSTILE: dict[str, tuple[FeatureSet, Callable[[pa.Table], pa.Table], str]] = {
    "a number that is not finite": (
        "grid", lambda t: with_column(t, "data", other_half(np.nan)), "is not finite"),
    "an infinite number": (
        "pyramid", lambda t: with_column(t, "data", other_half(np.inf)), "is not finite"),
    "a head beyond the sentence": (
        "parse", lambda t: with_column(t, "data", lambda v: [v.__setitem__(i, np.full(
            len(d) // 2, len(d) // 2, "<i2").tobytes()) for i, d in enumerate(v)]),
        "a head outside of -1 to"),
    "a relation that is none": (
        "region_graph", lambda t: with_column(t, "data", first(b"\0\x80\0\0")),
        "a mask outside of 0 to 127"),
    "other channels": (
        "grid", lambda t: with_column(t, "shape", first([6, 9])), r"all end in \[6\]"),
    "another number of axes": (
        "grid", lambda t: with_column(t, "shape", first([54])), "float16 of 1 axes"),
    "a negative size": (
        "grid", lambda t: with_column(t, "shape", first([-9, 6])), "it has the sizes"),
    "more numbers than there are bytes": (
        "grid", lambda t: with_column(t, "shape", first([2**30, 6])), "bytes are not"),
    "another type": (
        "grid", lambda t: with_column(t, "dtype", first("int64")), "int64 of 2 axes"),
    "a view too many": (
        "pyramid", lambda t: with_column(with_column(
            t, "shape", first([4, 4, 6])), "data", first(bytes(4 * 4 * 6 * 2))),
        "its post asks for"),
    "a token too many": (
        "parse", lambda t: with_column(with_column(t, "shape", lambda v: [v.__setitem__(
            i, [n + 1]) for i, (n,) in enumerate(v)]), "data", lambda v: [
            v.__setitem__(i, bytes(len(d) + 2)) for i, d in enumerate(v)]),
        "its post asks for"),
    "a row that is missing": ("grid", lambda t: t.slice(1), "is missing"),
    "a row of nobody": (
        "grid", lambda t: with_column(t, "key", lambda v: v.__setitem__(-1, "f" * 64)),
        "belongs into an earlier file, or to no post"),
    "a key that is none": (
        "parse", lambda t: with_column(t, "key", first("../key")), "not sorted by unique key"),
    "rows in another order": (
        "grid", lambda t: t.take(list(range(t.num_rows))[::-1]), "not sorted by unique key"),
    "another encoder": (
        "grid", lambda t: t.replace_schema_metadata(
            {**t.schema.metadata, b"ramie.source": b"another"}), "and the manifest that"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_arrays_that_somebody_wrote_wrong_are_found_though_their_hashes_fit(
    store: Path, what: str
) -> None:
    name, change, said = HOSTILE[what]
    forge(store, name, honest_table(store, name))
    assert verify_store(store).problems == ()
    forge(store, name, change(honest_table(store, name)))
    problems = verify_store(store).problems
    assert problems
    assert all(f"{name}/part-00000-" in problem for problem in problems)
    assert any(re.search(said, problem) for problem in problems)


@pytest.mark.parametrize(
    "what",
    [
        "a number that is not finite",
        "a head beyond the sentence",
        "a relation that is none",
        "more numbers than there are bytes",
        "a view too many",
        "a token too many",
        "a key that is none",
    ],
)
def test_a_reader_gives_no_array_that_cannot_be(store: Path, what: str) -> None:
    name, change, _ = HOSTILE[what]
    forge(store, name, change(honest_table(store, name)))
    with open_store(store) as reader, pytest.raises(StoreDamaged):
        check_arrays(reader)


def changed(manifest: Manifest, name: str, **values: object) -> str:
    content = json.loads(manifest.model_dump_json())
    content["feature_sets"][name].update(values)
    return json.dumps(content)


def test_a_manifest_takes_no_set_that_is_not_of_its_form(store: Path) -> None:
    manifest = read_manifest(store)
    files = [file.model_dump() for file in manifest.feature_sets["grid"].files]
    refused: list[dict[str, object]] = [
        {"dims": []},
        {"dims": [4, 6]},
        {"dims": [0]},
        {"stages": [6]},
        {"dtype": "float32"},
        {"dtype": "int16"},
        {"source": ""},
        {"files": files[:-1]},
        {"files": files[::-1]},
        {"files": [*files[:-1], {**files[-1], "path": "../" + files[-1]["path"]}]},
        {"pickle": "yes"},
    ]
    for values in refused:
        with pytest.raises(ValueError, match="feature"):
            Manifest.model_validate_json(changed(manifest, "grid", **values))
    with pytest.raises(ValueError, match="stages"):
        Manifest.model_validate_json(changed(manifest, "pyramid", stages=[2, 5]))
    assert Manifest.model_validate_json(manifest.model_dump_json()) == manifest


def test_parts_of_a_build_become_one_store_with_the_arrays_of_all(tmp_path: Path) -> None:
    build_part(tmp_path / "whole")
    whole = add_features(tmp_path / "whole")
    for place, names in enumerate((NAMES[::2], NAMES[1::2])):
        build_part(tmp_path / str(place), names)
        add_features(tmp_path / str(place))
    report = merge_stores(tmp_path / "out", [tmp_path / "0", tmp_path / "1"])
    assert report.left_out == {}
    assert report.manifest.feature_sets == whole.feature_sets
    with open_store(tmp_path / "out") as reader:
        assert check_arrays(reader) > 20
    assert verify_store(tmp_path / "out").problems == ()


def test_a_store_without_posts_says_nothing_against_a_set(tmp_path: Path) -> None:
    build_part(tmp_path / "0")
    add_features(tmp_path / "0")
    build_part(tmp_path / "1", ())
    report = merge_stores(tmp_path / "out", [tmp_path / "0", tmp_path / "1"])
    assert set(report.manifest.feature_sets) == {*FEATURE_SETS}


def test_arrays_that_cannot_stand_beside_each_other_are_left_out_with_the_reason(
    tmp_path: Path,
) -> None:
    for place, names in enumerate((NAMES[::2], NAMES[1::2])):
        build_part(tmp_path / str(place), names)
    add_features(tmp_path / "0")
    add_features(tmp_path / "1", ["grid", "pyramid", "parse"], {"grid": "another encoder"})
    report = merge_stores(tmp_path / "out", [tmp_path / "0", tmp_path / "1"])
    assert set(report.manifest.feature_sets) == {"pyramid", "parse"}
    assert report.left_out == {
        "grid": "it was made by another encoder and by made-up grid",
        "region_graph": f"{tmp_path / '1'} does not have it",
    }
    assert verify_store(tmp_path / "out").ok


def test_arrays_go_along_where_posts_and_images_are_left_out(store: Path, tmp_path: Path) -> None:
    manifest = withhold_store(store, tmp_path / "out")
    assert manifest.feature_sets == read_manifest(store).feature_sets
    assert verify_store(tmp_path / "out").problems == ()
    with (
        open_store(store) as whole,
        open_store(tmp_path / "out", withheld_ok=True) as reader,
    ):
        for example_id in reader.example_ids():
            for name in FEATURE_SETS:
                array, wanted = reader.array(name, example_id), whole.array(name, example_id)
                assert (array is None) == (wanted is None)
                assert array is None or wanted is None or np.array_equal(array, wanted)


def test_a_diff_says_what_made_the_arrays_that_differ(store: Path, tmp_path: Path) -> None:
    build(tmp_path / "other")
    add_features(tmp_path / "other", ["grid"], {"grid": "another encoder"})
    stated = diff_stores(store, tmp_path / "other").stated
    assert stated["feature_sets.grid"] == ("made-up grid", "another encoder")
    assert stated["feature_sets.parse"] == ("made-up parse", None)


def test_the_card_names_the_sets_and_what_made_them(store: Path) -> None:
    card = (store / "README.md").read_text()
    assert "- config_name: region_graph" in card
    for name in FEATURE_SETS:
        assert f"`made-up {name}`" in card


def test_a_key_is_of_what_an_array_was_computed_of_and_of_no_label() -> None:
    post = stored("a", 1, image(1))
    relabelled = replace(post, example=replace(post.example, entities=(), relation="other"))
    moved = replace(
        post,
        observation=replace(post.observation, regions=(Region((0, 0, 1, 1), "dog", 0.5),)),
    )
    other = stored("b", 2, image(1))

    def differing(one: StoredExample) -> list[FeatureSet]:
        return [name for name in FEATURE_SETS if feature_key(name, one) != feature_key(name, post)]

    assert differing(relabelled) == []
    assert differing(moved) == ["pyramid", "region_graph"]
    # The same photo, boxes and words, under another id.
    assert differing(other) == []
    assert differing(stored("c", 1, image(2))) == ["grid", "pyramid"]
    assert size_of(post) == (4, 2)
