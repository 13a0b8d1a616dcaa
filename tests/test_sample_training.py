"""The script that remakes the tiny weights writes what the builder and the trainer load."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pipelines.sample.train_detector import train_detector
from pipelines.sample.train_encoder import train_encoder
from pipelines.sample.train_text import (
    Library,
    train_text_encoder,
    train_tokenizer,
    write_library,
)
from retrieval.settings import ObserveSettings
from retrieval.sight.observe import Observer


@pytest.fixture(scope="module")
def library() -> Library:
    return write_library(5, num_names=40, num_posts=40)


def test_a_library_knows_who_is_named_where_and_draws_nothing(library: Library) -> None:
    for entity in library.entities:
        assert all(entity.name in text for text in library.pages[entity.entity_id])
    names = {entity.entity_id: entity.name.lower() for entity in library.entities}
    for entity_id, posts in library.posts.items():
        assert all(names[entity_id] in post.lower() for post in posts)


def test_names_fall_into_syllables_and_known_words_do_not(
    library: Library, tmp_path: Path
) -> None:
    tokenizer = train_tokenizer(library, tmp_path, seed=1)
    assert tokenizer.tokenize("singer") == ["singer"]
    pieces = [len(tokenizer.tokenize(entity.name)) for entity in library.entities]
    assert sum(pieces) > 2 * len(pieces)


@pytest.mark.slow
def test_what_the_script_trains_is_loaded_by_builder_and_trainer(
    library: Library, tmp_path: Path
) -> None:
    from transformers import AutoModel, AutoTokenizer

    tokenizer = train_tokenizer(library, tmp_path / "text_encoder", seed=1)
    train_text_encoder(library, tokenizer, tmp_path / "text_encoder", seed=1, steps=3, batch=8)
    train_encoder(
        library, tmp_path / "text_encoder", tmp_path / "encoder", seed=1, steps=3, batch=8
    )
    train_detector(tmp_path / "detector.pt", seed=1, num_photos=8, epochs=1, batch_size=4)

    model = AutoModel.from_pretrained(tmp_path / "text_encoder")
    assert model.config.vocab_size == len(AutoTokenizer.from_pretrained(tmp_path / "text_encoder"))
    settings = ObserveSettings(
        detector_weights=str(tmp_path / "detector.pt"),
        encoder=f"local-dir:{tmp_path / 'encoder'}",
        encoder_weights="",
    )
    observer = Observer(settings)
    texts = observer.embed_texts(["so glad we finally saw Zhaeplun"])
    images = observer.embed_images([Image.new("RGB", (256, 192), "teal")])
    assert texts is not None
    assert images is not None
    assert texts.shape == images.shape
