"""The tiny weights that ship with the sample recipes: small, loadable, and good at their world."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.config import load_recipe
from pipelines.recipe_files import RECIPES
from pipelines.sample.cast import BadgeMint, cast_entities
from pipelines.sample.names import Namer
from pipelines.sample.pages import looks
from pipelines.sample.photos import draw_scene, random_thing
from pipelines.sample.posts import entity_posts
from pipelines.sample.train_weights import SEED, WEIGHTS
from pipelines.verbs import sample as sample_verb
from retrieval.sight.detect import load_detector
from retrieval.sight.observe import Observer

RECIPE_NAMES = ("sample", "sample-relations")


def test_the_weights_are_under_fifteen_megabytes_and_none_is_private() -> None:
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert files
    assert sum(path.stat().st_size for path in files) < 15_000_000
    assert {path.suffix for path in files} <= {".pt", ".safetensors", ".json"}
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in files)


@pytest.mark.parametrize("name", RECIPE_NAMES)
def test_the_recipes_name_weights_that_are_there(name: str) -> None:
    assert (RECIPES / f"{name}.toml").is_file()
    recipe = load_recipe(name)
    assert recipe.name == name
    assert Path(recipe.observe.detector_weights).is_file()
    assert Path(recipe.observe.encoder.removeprefix("local-dir:")).is_dir()
    assert Path(recipe.model.text_encoder).is_dir()


def test_both_recipes_observe_alike_so_that_they_share_a_knowledge_base() -> None:
    one, other = (load_recipe(name) for name in RECIPE_NAMES)
    assert one.observe == other.observe
    assert one.ask == other.ask


def test_the_weights_come_from_a_world_that_nobody_generates_by_default() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    sample_verb.add_arguments(parser)
    assert parser.parse_args(["anywhere"]).seed != SEED


def test_the_detector_finds_four_of_five_drawn_objects() -> None:
    detector = load_detector(load_recipe("sample").observe.model_copy(update={"max_regions": 10}))
    rng = random.Random("detect")
    mint = BadgeMint(rng)
    scenes = [
        draw_scene([mint.badge(unlike=[])], [random_thing(rng) for _ in range(3)], rng)
        for _ in range(24)
    ]
    found = detector.detect([scene.picture for scene in scenes])
    hits = 0
    for scene, regions in zip(scenes, found, strict=True):
        for kind, *box in scene.boxes:
            hits += any(r.label == kind and _overlap(r.box, box) > 0.5 for r in regions)
    assert hits > 0.8 * sum(len(scene.boxes) for scene in scenes)


def test_the_encoder_finds_an_entity_by_another_photo_and_by_its_description() -> None:
    rng = random.Random("encode")
    entities = cast_entities("x", 24, Namer(rng), BadgeMint(rng), rng)

    def photos() -> list[Image.Image]:
        return [
            draw_scene([e.badge], [e.companion, random_thing(rng)], rng).picture for e in entities
        ]

    observer = Observer(load_recipe("sample").observe)
    one, other = observer.embed_images(photos()), observer.embed_images(photos())
    texts = observer.embed_texts([looks(entity, rng) for entity in entities])
    assert one is not None
    assert other is not None
    assert texts is not None
    assert _recall_at_one(one @ other.T) > 0.7
    assert _recall_at_one(one @ texts.T) > 0.5


def test_the_encoder_matches_posts_with_pages_by_names_it_never_saw() -> None:
    rng = random.Random("names")
    namer = Namer(rng)
    entities = cast_entities("x", 24, namer, BadgeMint(rng), rng)
    drafts = {
        mention.entity.name: " ".join(draft.tokens)
        for draft in entity_posts("x", 80, entities, namer, rng)
        for mention in draft.mentions
        if mention.entity
    }
    observer = Observer(load_recipe("sample").observe)
    posts = observer.embed_texts(list(drafts.values()))
    pages = observer.embed_texts([f"{name} . {name} turns thirty." for name in drafts])
    assert posts is not None
    assert pages is not None
    assert _recall_at_one(posts @ pages.T) > 0.5


def test_the_text_encoder_loads_and_knows_every_piece() -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = load_recipe("sample").model.text_encoder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder)
    encoded = tokenizer("@user7 Zhaeplun Vromik is a drummer , Qwxyz 90210", return_tensors="pt")
    assert tokenizer.unk_token_id not in encoded["input_ids"]
    assert model(**encoded).last_hidden_state.shape[-1] == model.config.hidden_size


def _recall_at_one(scores: np.ndarray) -> float:
    return float((scores.argmax(axis=1) == np.arange(len(scores))).mean())


def _overlap(one: tuple[float, ...], other: list[float]) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)
