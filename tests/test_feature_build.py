"""Feature sets come to a store by a build: what is missing is made, and nobody is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from builder_helpers import (
    SETTINGS,
    STRICTER,
    CountingObserver,
    CountingProvider,
    make_dataset,
)
from cache_helpers import files_of
from PIL import Image
from tiny_vision import tiny_settings, write_clip

from cache import (
    FEATURE_SETS,
    FeatureSet,
    InputError,
    Manifest,
    StoreMismatch,
    open_store,
    read_manifest,
    verify_store,
)
from cache.feature_keys import Array
from cache.region_graph import region_graph
from retrieval.asking.manner import AskingOptions
from retrieval.building.builder import build_store
from retrieval.building.identity import store_identity
from retrieval.building.report import BuildReport
from retrieval.datasets import Dataset
from retrieval.features.maker import FeatureMaker
from retrieval.settings import CurateSettings, ObserveSettings
from retrieval.sight import lots
from retrieval.sight.embed import ClipEncoder
from retrieval.sight.photos import decode_image
from retrieval.sight.stages import Look


@dataclass
class LookingObserver(CountingObserver):
    """Looks with a real, tiny encoder, and counts at how much."""

    encoder: ClipEncoder | None = None
    looked: Counter[str] = field(default_factory=Counter)

    def look(self, images: Sequence[Image.Image]) -> list[Look]:
        """Return what the stages of the tower make of images."""
        self.before("look")
        self.looked["images"] += len(images)
        assert self.encoder is not None
        return self.encoder.look(images)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> ClipEncoder:
    return ClipEncoder(tiny_settings(write_clip(tmp_path_factory.mktemp("clip") / "tiny")), "cpu")


@dataclass
class Builder:
    """Builds one store again and again."""

    store: Path
    dataset: Dataset
    observer: LookingObserver
    provider: CountingProvider = field(default_factory=CountingProvider)
    said: list[str] = field(default_factory=list)

    def build(
        self,
        *features: FeatureSet,
        curate: CurateSettings = SETTINGS.curate,
        asking: AskingOptions | None = None,
        **observe: object,
    ) -> BuildReport:
        wanted = ObserveSettings.model_validate({"features": features, **observe})
        return build_store(
            SETTINGS.model_copy(update={"curate": curate, "observe": wanted}),
            self.store,
            dataset=self.dataset,
            observer=self.observer,
            providers=[self.provider],
            features=FeatureMaker(wanted, self.observer),
            asking=asking or AskingOptions(),
            say=self.said.append,
        )

    def files(self) -> dict[str, bytes]:
        """All but recordings, whose names no two builds share."""
        found = files_of(self.store)
        return {name: data for name, data in found.items() if not name.startswith("recordings")}

    def manifest(self) -> Manifest:
        return read_manifest(self.store)


@pytest.fixture
def builder(tmp_path: Path, encoder: ClipEncoder) -> Builder:
    observer = LookingObserver(encoder=encoder)
    return Builder(tmp_path / "store", make_dataset(tmp_path / "data"), observer)


def test_adding_sets_to_a_finished_store_asks_nobody_and_observes_nothing(
    builder: Builder,
) -> None:
    builder.build()
    before, asked = builder.files(), dict(builder.provider.asked)
    observed, embedded = dict(builder.observer.observed), dict(builder.observer.embedded)
    report = builder.build(*FEATURE_SETS)
    assert report.action == "features added"
    assert dict(report.num_arrays) == {"grid": 1, "pyramid": 1, "parse": 4, "region_graph": 1}
    assert (report.num_written, report.num_observed, report.asked) == (0, 0, 0)
    assert (dict(builder.provider.asked), dict(builder.observer.observed)) == (asked, observed)
    assert dict(builder.observer.embedded) == embedded
    # Two posts share the photo, which has one region: photo and crop are looked at once.
    assert builder.observer.looked == {"images": 2}
    after = builder.files()
    assert {name for name in before if before[name] != after[name]} == {
        "manifest.json",
        "README.md",
    }
    assert verify_store(builder.store).problems == ()
    assert builder.build(*FEATURE_SETS).action == "nothing to do"
    assert builder.files() == after


def test_sets_that_come_at_once_and_later_are_the_same_bytes(
    builder: Builder, tmp_path: Path, encoder: ClipEncoder
) -> None:
    builder.build()
    builder.build("parse")
    builder.build(*reversed(FEATURE_SETS))
    other = Builder(tmp_path / "other", builder.dataset, LookingObserver(encoder=encoder))
    report = other.build(*FEATURE_SETS)
    assert report.action == "built"
    assert report.as_json()["num_arrays"] == {
        name: report.num_arrays[name] for name in FEATURE_SETS
    }
    assert {n: d for n, d in other.files().items() if n.partition("/")[0] in FEATURE_SETS} == {
        n: d for n, d in builder.files().items() if n.partition("/")[0] in FEATURE_SETS
    }
    assert other.manifest().feature_sets == builder.manifest().feature_sets


def test_an_array_holds_what_the_tower_makes_of_the_photo_and_its_regions(
    builder: Builder, encoder: ClipEncoder
) -> None:
    builder.build(*FEATURE_SETS)
    with open_store(builder.store) as reader:
        post = reader.read("e0")
        assert post.observation.photo_key is not None
        photo = decode_image(reader.media(post.observation.photo_key).data).pixels
        arrays = {name: reader.array(name, "e0") for name in FEATURE_SETS}
        assert [reader.array(name, "e1") is None for name in FEATURE_SETS] == [
            True, True, False, True,
        ]  # fmt: skip
    boxes = [region.box for region in post.observation.regions]
    crops = [photo.crop((int(a), int(b), int(c), int(d))) for a, b, c, d in boxes]
    whole, *views = (encoder.look([image])[0] for image in (photo, *crops))
    wanted: dict[FeatureSet, Array] = {
        "grid": whole.last,
        "pyramid": np.stack([whole.pooled, *(view.pooled for view in views)]),
        "parse": np.arange(-1, len(post.example.post.tokens) - 1, dtype=np.int16),
        "region_graph": region_graph(boxes),
    }
    for name, array in arrays.items():
        assert array is not None
        assert np.array_equal(array, wanted[name])
    entry = builder.manifest().feature_sets["pyramid"]
    assert (entry.dims, entry.stages) == ((4, 64), (64,))


def test_views_that_are_large_are_looked_at_in_lots_and_the_arrays_are_the_same(
    builder: Builder, tmp_path: Path, encoder: ClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    builder.build(*FEATURE_SETS)
    together: list[int] = []

    class Counting(LookingObserver):
        def look(self, images: Sequence[Image.Image]) -> list[Look]:
            together.append(len(images))
            return super().look(images)

    monkeypatch.setattr(lots, "PIXELS_TOGETHER", 1)
    other = Builder(tmp_path / "other", builder.dataset, Counting(encoder=encoder))
    other.build(*FEATURE_SETS)
    # The photo and its region.
    assert together == [1, 1]
    assert other.files() == builder.files()


def test_one_new_post_gets_the_arrays_that_a_store_would_hold(builder: Builder) -> None:
    builder.build(*FEATURE_SETS)
    with open_store(builder.store) as reader:
        for example_id in ("e0", "e1"):
            post = reader.read(example_id)
            key = post.observation.photo_key
            photo = None if key is None else reader.media(key)
            maker = FeatureMaker(ObserveSettings(), builder.observer)
            made = maker.of_post(FEATURE_SETS, post, photo)
            held = {name: reader.array(name, example_id) for name in FEATURE_SETS}
            there = {name: array for name, array in held.items() if array is not None}
            assert there.keys() == made.keys()
            assert all(np.array_equal(array, there[name]) for name, array in made.items())


def test_a_build_that_is_killed_on_the_way_goes_on_and_ends_with_the_same_bytes(
    builder: Builder, tmp_path: Path, encoder: ClipEncoder
) -> None:
    whole = Builder(tmp_path / "whole", builder.dataset, LookingObserver(encoder=encoder))
    whole.build("grid", "parse")
    builder.build()
    calls: list[str] = []

    def killed(what: str) -> None:
        calls.append(what)
        raise KeyboardInterrupt

    # Shard 0 has e0 and its photo; e2 and e3, in shard 1, need no photo more.
    builder.build("parse")
    builder.observer.before = killed
    with pytest.raises(KeyboardInterrupt):
        builder.build("grid", "parse")
    assert calls == ["look"]
    # What was there is there, and can be read.
    assert set(builder.manifest().feature_sets) == {"parse"}
    builder.observer.before = lambda what: None
    report = builder.build("grid", "parse")
    assert dict(report.num_arrays) == {"grid": 1}
    assert builder.manifest().feature_sets == whole.manifest().feature_sets
    assert verify_store(builder.store).ok


def test_files_that_a_killed_build_has_finished_are_used(builder: Builder) -> None:
    builder.build("parse")
    finished = builder.manifest()
    builder.build()
    # As it is where a build was killed before its last step: files, and no word of them.
    (builder.store / "manifest.json").unlink()
    builder.build()
    assert builder.manifest().feature_sets == {}
    for file in finished.feature_sets["parse"].files:
        assert not (builder.store / file.path).exists()
    report = builder.build("parse")
    assert dict(report.num_arrays) == {"parse": 4}
    last = finished.feature_sets["parse"].files[-1]
    (builder.store / last.path).unlink()
    observed = dict(builder.observer.observed)
    assert dict(builder.build("parse").num_arrays) == {"parse": last.rows}
    assert builder.manifest() == finished
    assert dict(builder.observer.observed) == observed


def test_curating_anew_keeps_the_sets_and_makes_nothing(builder: Builder) -> None:
    builder.build(*FEATURE_SETS)
    sets, looked = builder.manifest().feature_sets, dict(builder.observer.looked)
    for options in (AskingOptions(), AskingOptions(recurate_only=True)):
        curate = STRICTER if options.recurate_only else SETTINGS.curate
        report = builder.build(*FEATURE_SETS, curate=curate, asking=options)
        assert dict(report.num_arrays) == {}
    assert report.action == "recurated"
    assert builder.manifest().feature_sets == sets
    assert dict(builder.observer.looked) == looked
    assert verify_store(builder.store).problems == ()
    assert "loses" not in "".join(builder.said)


def test_a_recipe_that_asks_for_none_takes_none_away(builder: Builder) -> None:
    builder.build(*FEATURE_SETS)
    sets = builder.manifest().feature_sets
    assert builder.build().action == "nothing to do"
    assert builder.build("parse").action == "nothing to do"
    assert builder.build(curate=STRICTER).action == "recurated"
    assert builder.manifest().feature_sets == sets


def test_a_set_that_does_not_fit_any_more_goes_with_a_word(builder: Builder) -> None:
    builder.provider.down = {"image"}
    builder.build("grid", "parse")
    assert builder.manifest().unfinished
    builder.provider.down = set()
    report = builder.build("parse")
    assert not report.unfinished
    assert set(builder.manifest().feature_sets) == {"parse"}
    (said,) = builder.said
    assert "loses its feature set grid" in said
    assert "observe.features" in said
    assert not (builder.store / "grid").exists()
    assert verify_store(builder.store).problems == ()


def test_posts_that_come_later_get_their_arrays(builder: Builder) -> None:
    builder.provider.down = {"image"}
    builder.build(*FEATURE_SETS)
    few = builder.manifest().feature_sets
    assert few["grid"].dims == ()
    builder.provider.down = set()
    builder.build(*FEATURE_SETS)
    assert sum(file.rows for file in builder.manifest().feature_sets["grid"].files) == 1
    assert verify_store(builder.store).problems == ()


def test_another_encoder_makes_visual_sets_anew_and_only_these(builder: Builder) -> None:
    builder.build(*FEATURE_SETS)
    before = builder.manifest().feature_sets
    report = builder.build(*FEATURE_SETS, batch_size=3)
    assert set(report.num_arrays) == {"grid", "pyramid"}
    after = builder.manifest().feature_sets
    assert after["grid"].source != before["grid"].source
    assert (after["parse"], after["region_graph"]) == (before["parse"], before["region_graph"])
    assert verify_store(builder.store).problems == ()


def test_a_recipe_has_one_identity_whichever_sets_it_asks_for(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path)
    plain = store_identity(SETTINGS, dataset, "observer", [CountingProvider()])
    observe = ObserveSettings(features=FEATURE_SETS, parser="spacy:en_core_web_sm")
    asking = SETTINGS.model_copy(update={"observe": observe})
    assert store_identity(asking, dataset, "observer", [CountingProvider()]) == plain
    assert "features" not in str(plain)


def test_what_cannot_be_made_is_said_before_anything_is_built(builder: Builder) -> None:
    builder.observer.encoder_fingerprint = ""
    with pytest.raises(InputError, match="grid is made by an encoder"):
        builder.build("parse", "grid")
    with pytest.raises(InputError, match=r"spacy:no_such_pipeline|no pipeline 'no_such_pipeline'"):
        builder.build("parse", parser="spacy:no_such_pipeline")
    assert not builder.store.exists()
    assert not builder.observer.observed
    with pytest.raises(ValueError, match="parser"):
        ObserveSettings(parser="spacy:/a/folder")


def test_nothing_is_made_where_nothing_may_be_looked_at(builder: Builder) -> None:
    with pytest.raises(StoreMismatch):
        builder.build("grid", asking=AskingOptions(recurate_only=True))
    builder.build()
    builder.build("grid", curate=STRICTER, asking=AskingOptions(recurate_only=True))
    assert builder.manifest().feature_sets == {}
    assert not builder.observer.looked
