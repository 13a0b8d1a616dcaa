"""The builder with a real encoder and real providers, all tiny."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builder_helpers import SENTENCES, SETTINGS, files_of, make_dataset
from curation_helpers import encode, picture
from recorded_imports import captions
from tiny_vision import write_clip

from cache.checking.verify import verify_store
from cache.reading.parquet_reader import ParquetReader
from retrieval.building.builder import build_store
from retrieval.building.report import BuildReport
from retrieval.datasets import Dataset
from retrieval.kb.knowledge_base import build_kb, open_kb
from retrieval.providers.base import Provider
from retrieval.providers.kb import KbProvider
from retrieval.providers.recorded import RecordedProvider
from retrieval.settings import CurateSettings, ObserveSettings
from retrieval.sight.observe import Observer


class World:
    """A data set, a knowledge base, captions and an encoder in one folder."""

    def __init__(self, folder: Path) -> None:
        clip = write_clip(folder / "clip")
        self.observe = ObserveSettings(
            detector="none", encoder=f"local-dir:{clip}", encoder_weights="", batch_size=2
        )
        self.dataset: Dataset = make_dataset(folder / "data")
        self.captions = folder / "captions.txt"
        self.captions.write_text("p0.png :a ball on a field\n")
        source = folder / "documents"
        (source / "images").mkdir(parents=True)
        lines = []
        for place, sentence in enumerate(SENTENCES):
            (source / "images" / f"{place}.png").write_bytes(encode(picture(place)).data)
            document = {"id": f"d{place}", "title": f"Page {place}", "text": f"{sentence} again"}
            lines.append(json.dumps({**document, "image": f"images/{place}.png"}))
        (source / "documents.jsonl").write_text("\n".join(lines) + "\n")
        build_kb(source, folder / "kb", self.observe)
        self.kb = folder / "kb"

    def build(self, store: Path, observer: Observer, **curate: int) -> BuildReport:
        """Build with both providers."""
        settings = SETTINGS.model_copy(
            update={
                "observe": self.observe,
                "curate": CurateSettings(min_relevance=-1.0, **curate),
            }
        )
        providers: list[Provider] = [
            KbProvider(open_kb(self.kb), observer.encoder_fingerprint),
            RecordedProvider([captions(self.captions)]),
        ]
        return build_store(
            settings, store, dataset=self.dataset, observer=observer, providers=providers
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return the world of these tests."""
    return World(tmp_path_factory.mktemp("world"))


def test_curating_anew_loads_no_model_and_gives_what_a_fresh_build_gives(
    tmp_path: Path, world: World
) -> None:
    first = world.build(tmp_path / "store", Observer(world.observe))
    assert first.forward_seconds > 0
    assert first.unfinished == ()
    with ParquetReader(tmp_path / "store") as store:
        evidence = store.read("e0").evidence
        caption = next(one for one in evidence if one.hit.provider == "recorded")
        # Recorded captions come without a vector and get one.
        assert caption.hit.embedding is not None
        assert caption.hit.relevance is not None
        # The knowledge base holds the post's own photo.
        steps = {one.step for one in store.dropped("e0")}
    assert "post_photo" in steps

    world.build(tmp_path / "fresh", Observer(world.observe), keep_per_stream=1)
    observer = Observer(world.observe)
    report = world.build(tmp_path / "store", observer, keep_per_stream=1)
    assert (report.action, report.asked, report.num_observed) == ("recurated", 0, 0)
    assert "_loaded_encoder" not in vars(observer)
    assert "_loaded_detector" not in vars(observer)
    assert files_of(tmp_path / "store") == files_of(tmp_path / "fresh")
    assert verify_store(tmp_path / "store").problems == ()
