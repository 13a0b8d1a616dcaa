"""The sample world: deterministic, fair between types, and with the truth kept apart."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cache.errors import InputError
from pipelines.sample import noise_wording, noise_wording_held_out, wording
from pipelines.sample.cast import TYPES, BadgeMint, cast_entities
from pipelines.sample.icons import draw_badge, draw_object
from pipelines.sample.names import Namer
from pipelines.sample.noise import NOISE_KINDS, worded
from pipelines.sample.palette import COLOURS, OBJECTS
from pipelines.sample.photos import HEIGHT, WIDTH, draw_scene, encode_jpeg, random_thing
from pipelines.sample.posts import entity_posts, relation_posts
from pipelines.sample.world import WorldSize, generate_world

SMALL = WorldSize(train=16, dev=8, test=8, noise=5)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample") / "world"
    generate_world(3, out, SMALL, progress=False)
    return out


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def every_file(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_and_replaces_an_earlier_world(
    world: Path, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    generate_world(4, out, WorldSize(1, 1, 1, 1), progress=False)
    generate_world(3, out, SMALL, progress=False)
    assert every_file(out) == every_file(world)
    assert [path.name for path in tmp_path.iterdir()] == ["again"]


def test_another_seed_gives_other_names(world: Path, tmp_path: Path) -> None:
    generate_world(5, tmp_path / "other", WorldSize(1, 1, 1, 1), progress=False)
    names = {line["name"] for line in lines(world / "truth" / "entities.jsonl")}
    others = {line["name"] for line in lines(tmp_path / "other" / "truth" / "entities.jsonl")}
    assert not names & others


def test_a_folder_that_is_no_sample_world_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="another folder"):
        generate_world(1, tmp_path, SMALL, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("folder", ["posts", "relations"])
def test_words_of_test_names_do_not_occur_in_training_posts(world: Path, folder: str) -> None:
    def mentioned(split: str) -> set[str]:
        return {
            token.lstrip("#").lower()
            for line in lines(world / folder / f"{split}.jsonl")
            for entity in line["entities"]
            for token in line["tokens"][entity["start"] : entity["end"]]
        }

    fillers = {
        word.lower()
        for patterns in wording.FILLER_NAMES.values()
        for pattern in patterns
        for word in pattern.split()
    }
    shared = mentioned("test") & (mentioned("train") | mentioned("dev"))
    assert shared <= fillers


def test_every_ambiguous_name_has_namesakes_of_other_types(world: Path) -> None:
    kinds: dict[str, list[str]] = {}
    for line in lines(world / "truth" / "entities.jsonl"):
        kinds.setdefault(line["name"], []).append(line["kind"])
    assert all(len(set(found)) == len(found) >= 2 for found in kinds.values())


def test_posts_about_one_entity_say_nothing_about_its_type() -> None:
    rng = random.Random(0)
    entities = cast_entities("x", 40, Namer(rng), BadgeMint(rng), rng)
    drafts = list(entity_posts("x", 400, entities, Namer(random.Random(1)), rng))
    first = Counter(
        next(mention.kind for mention in draft.mentions if mention.entity) for draft in drafts
    )
    assert set(first) == set(TYPES)
    assert max(first.values()) - min(first.values()) <= 100 * 0.3
    roles = {role for line in wording.ONE + wording.TWO for role in line.lower().split()}
    assert not roles & {kind.lower() for kind in TYPES}


def test_relations_are_equally_frequent_below_none_and_no_pair_comes_twice() -> None:
    rng = random.Random(0)
    entities = cast_entities("x", 60, Namer(rng), BadgeMint(rng), rng)
    drafts = list(relation_posts("x", 420, entities, rng))
    labels = Counter(draft.pair[2] for draft in drafts if draft.pair)
    assert set(labels) == {*wording.RELATIONS, wording.NO_RELATION}
    most_likely = labels.pop(wording.NO_RELATION)
    assert max(labels.values()) < 2 * min(labels.values())
    assert most_likely > max(labels.values())
    pairs = {frozenset(e.name for e in draft.pair[:2]) for draft in drafts if draft.pair}
    assert len(pairs) == len(drafts)


def test_mentions_are_where_the_annotation_says(world: Path) -> None:
    names = {
        line["entity_id"]: line["name"].lower()
        for line in lines(world / "truth" / "entities.jsonl")
    }
    truth = {line["post"]: line for line in lines(world / "truth" / "posts.jsonl")}
    for folder in ("posts", "relations"):
        for line in lines(world / folder / "train.jsonl"):
            surfaces = [
                " ".join(line["tokens"][e["start"] : e["end"]]).lower().lstrip("#")
                for e in line["entities"]
            ]
            meant = [names[entity] for entity in truth[f"{folder}/{line['id']}"]["entities"]]
            assert set(meant) <= set(surfaces)


def test_the_truth_is_kept_apart_from_what_a_builder_reads(world: Path) -> None:
    assert sorted(path.name for path in world.iterdir()) == ["kb", "posts", "relations", "truth"]
    documents = lines(world / "kb" / "documents.jsonl")
    assert {key for line in documents for key in line} == {"id", "title", "text", "url", "image"}
    visible = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("kb", "posts", "relations")
        for path in (world / folder).glob("*.json*")
    )
    # "Adult" and "spam" are words that pages of those kinds may say themselves.
    told = "".join(f"{line['id']} {line.get('url')} {line.get('image')}" for line in documents)
    assert not any(kind in told for kind in NOISE_KINDS)
    assert not any(kind in visible for kind in NOISE_KINDS if "_" in kind)
    entities = lines(world / "truth" / "entities.jsonl")
    assert not any(entity["entity_id"] in visible for entity in entities)


def test_every_page_has_its_truth_and_every_kind_of_noise_is_planted(world: Path) -> None:
    documents = [line["id"] for line in lines(world / "kb" / "documents.jsonl")]
    truth = lines(world / "truth" / "documents.jsonl")
    assert [line["id"] for line in truth] == documents == sorted(set(documents))
    kinds = {line["kind"] for line in truth}
    assert kinds == {"biography", "news", "pair", *NOISE_KINDS}
    strengths = {line["strength"] for line in truth if line["kind"] == "near_duplicate"}
    assert strengths == {"same", "punctuation", "one_word", "one_more_sentence", "half"}


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_noise_is_as_large_a_share_of_all_pages_as_asked_and_equally_of_every_kind(
    tmp_path: Path, share: float
) -> None:
    size = WorldSize(train=8, dev=4, test=4, noise_share=share)
    generate_world(2, tmp_path / "world", size, progress=False)
    counts = Counter(line["kind"] for line in lines(tmp_path / "world/truth/documents.jsonl"))
    planted = {kind: counts[kind] for kind in NOISE_KINDS}
    assert sum(planted.values()) / sum(counts.values()) == pytest.approx(share, abs=0.01)
    assert max(planted.values()) - min(planted.values()) <= 1


def test_wording_that_filters_were_set_on_is_in_no_other_world_than_seed_7() -> None:
    assert noise_wording.WORDING.keys() == noise_wording_held_out.WORDING.keys()
    for kind, patterns in noise_wording.WORDING.items():
        assert not set(patterns) & set(noise_wording_held_out.WORDING[kind])
    entities = cast_entities(
        "x", 9, Namer(random.Random(0)), BadgeMint(random.Random(0)), random.Random(0)
    )

    def spam(seed: int) -> str:
        pages = worded("spam", 40, seed, entities, Namer(random.Random(1)), random.Random(seed))
        return " ".join(page.text for page in pages)

    assert "free spins and a welcome bonus" in spam(noise_wording.SETTING_SEED)
    assert "free spins and a welcome bonus" not in spam(8)


def test_a_related_pair_has_a_page_that_states_its_relation(world: Path) -> None:
    relations = {line["id"]: line["relation"] for line in lines(world / "truth/documents.jsonl")}
    pairs = [line for line in lines(world / "truth/posts.jsonl") if "relation" in line]
    for line in pairs:
        stated = {relations[document] for document in line["pair_documents"]}
        wanted = set() if line["relation"] == "None" else {line["relation"]}
        assert stated == wanted


def test_photos_named_exist_and_are_photos(world: Path) -> None:
    for folder, name in (("posts", "train.jsonl"), ("relations", "test.jsonl")):
        for line in lines(world / folder / name):
            if "photo" in line:
                with Image.open(world / folder / "photos" / line["photo"]) as photo:
                    assert photo.size == (WIDTH, HEIGHT)
    images = {line["image"] for line in lines(world / "kb/documents.jsonl") if "image" in line}
    assert images == {f"images/{path.name}" for path in (world / "kb" / "images").iterdir()}


@pytest.mark.parametrize("kind", OBJECTS[:-1])
def test_an_icon_fills_its_box_and_varies(kind: str) -> None:
    rng = random.Random(1)
    icons = [draw_object(kind, "red", 80, rng) for _ in range(2)]
    assert icons[0].getbbox() == (0, 0, *icons[0].size)
    assert icons[0].tobytes() != icons[1].tobytes()


def test_boxes_of_a_scene_lie_inside_the_photo_and_show_their_badge() -> None:
    rng = random.Random(2)
    for _ in range(20):
        badge = BadgeMint(rng).badge(unlike=[])
        scene = draw_scene([badge], [random_thing(rng) for _ in range(rng.randint(0, 5))], rng)
        assert encode_jpeg(scene.picture).startswith(b"\xff\xd8")
        for _, left, top, right, bottom in scene.boxes:
            assert 0 <= left < right <= WIDTH
            assert 0 <= top < bottom <= HEIGHT
        box = scene.boxes[0]
        middle = scene.picture.crop((int(box.left), int(box.top), int(box.right), int(box.bottom)))
        wanted = np.array(COLOURS[badge.field])
        pixels = np.asarray(middle.resize((20, 20)), dtype=int).reshape(-1, 3)
        near = (abs(pixels - wanted).sum(axis=1) < 140).sum()
        assert near > 60


def test_namesakes_have_badges_of_other_shape_and_colour() -> None:
    rng = random.Random(3)
    mint = BadgeMint(rng)
    first = mint.badge(unlike=[])
    for _ in range(30):
        other = mint.badge(unlike=[first])
        assert other.shape != first.shape
        assert other.field != first.field
    assert draw_badge(first, 60, random.Random(1)).size != (0, 0)
