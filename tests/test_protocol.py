"""Versions of a data set are told apart, stated by the store, and never mixed silently."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from comparing_helpers import tiny_recipe, write_posts

from cache import open_store
from cache.errors import InputError
from cache.manifest import read_manifest
from cache.records import Example, Post, Span
from pipelines.audit.store import audit_store
from pipelines.building import build_recipe
from pipelines.config import Recipe
from retrieval.datasets import read_dataset
from retrieval.datasets.legacy_objects import read_legacy_objects
from retrieval.datasets.protocol import Protocol, is_contaminated, protocol_of
from retrieval.settings import DatasetSettings


def silent(said: str) -> None:
    """Say nothing."""


def posts(count: int, entities: int, split: str = "test") -> list[Example]:
    """Return posts with so many entities in total, one to a post as far as they go."""
    every = [1] * min(count, entities) + [0] * max(0, count - entities)
    every[0] += max(0, entities - count)
    return [
        Example(
            Post(f"{split}-{number}", ("a",) * max(1, has)),
            split,
            entities=tuple(Span(at, at + 1, "PER") for at in range(has)),
        )
        for number, has in enumerate(every)
    ]


@pytest.mark.parametrize(
    ("reader", "stated", "count", "entities", "name"),
    [
        ("twitter", None, 3257, 5207, "Twitter-2015, original labels"),
        ("twitter", "original", 3257, 5207, "Twitter-2015, original labels"),
        ("twitter", "refined", 3257, 5234, "Twitter-2015, refined labels"),
        ("twitter", None, 3257, 5208, "Twitter-2015, unpublished labels"),
        ("twitter", None, 723, 1351, "Twitter-2017"),
        ("twitter", None, 7, 9, ""),
        ("twitter", "refined", 7, 9, "7 test posts, refined labels as the recipe states"),
        ("mnre", None, 1614, 0, "MNRE version 2, clean"),
        ("mnre", "clean", 1282, 0, "MNRE version 1, clean"),
        ("mnre", "legacy-objects", 1614, 0, "MNRE version 2, legacy-objects"),
        ("mnre", None, 5, 0, "MNRE, 5 test posts, clean"),
        ("jsonl", None, 5, 5, ""),
    ],
)
def test_the_posts_tell_which_version_they_are(
    reader: str, stated: Protocol | None, count: int, entities: int, name: str
) -> None:
    told = protocol_of(reader, stated, [*posts(3, 3, "train"), *posts(count, entities)])

    assert told == name
    assert is_contaminated(told) == (stated == "legacy-objects")


@pytest.mark.parametrize(
    ("reader", "stated", "count", "entities", "named"),
    [
        ("twitter", "original", 3257, 5234, "test.txt has 5234 entities"),
        ("twitter", "refined", 3257, 5207, r"5207 \(original\) and 5234 \(refined\)"),
        ("twitter", "refined", 723, 1351, "Twitter-2017"),
        ("twitter", "clean", 5, 5, "known are original, refined"),
        ("mnre", "original", 5, 5, "known are clean, legacy-objects"),
        ("jsonl", "clean", 5, 5, "leave it out"),
    ],
)
def test_a_recipe_that_states_another_version_is_refused(
    reader: str, stated: Protocol, count: int, entities: int, named: str
) -> None:
    with pytest.raises(InputError, match=named):
        protocol_of(reader, stated, posts(count, entities))


@pytest.mark.real
def test_the_published_files_are_what_is_written_about_them(real_data: Path) -> None:
    for reader, task, name, told in (
        ("twitter", "mner", "twitter2015", "Twitter-2015, original labels"),
        ("twitter", "mner", "twitter2017", "Twitter-2017"),
        ("mnre", "mre", "mnre", "MNRE version 2, clean"),
    ):
        settings = {"reader": reader, "task": task, "root": real_data / "data" / name}
        assert read_dataset(DatasetSettings.model_validate(settings)).protocol == told


def test_a_store_states_its_protocol(tmp_path: Path) -> None:
    recipe = tiny_recipe(write_posts(tmp_path / "data"))
    stated = recipe.model_copy(
        update={"dataset": recipe.dataset.model_copy(update={"protocol": "original"})}
    )
    build_recipe(recipe, tmp_path / "plain", say=silent)
    build_recipe(stated, tmp_path / "stated", say=silent)

    plain, told = (read_manifest(tmp_path / name).identity for name in ("plain", "stated"))

    assert "protocol" not in json.dumps(plain)
    assert "6 test posts, original labels as the recipe states" in json.dumps(told)


def mnre(folder: Path, counts: Sequence[int]) -> Recipe:
    """Return a recipe over as many posts of each split, with published objects; no evidence."""
    texts = folder / "mnre_txt"
    texts.mkdir(parents=True)
    relation = {2: "None", 3: "/per/per/peer", 4: "/per/org/member_of"}
    for name in ("train", "val", "test"):
        lines = [
            {
                "token": [f"a{number}", "and", "b", f"w{number}"],
                "h": {"name": f"a{number}", "pos": [0, 1]},
                "t": {"name": "b", "pos": [2, 3]},
                "img_id": "m.jpg",
                "relation": relation[count],
            }
            for number, count in enumerate(counts)
        ]
        (texts / f"mnre_{name}.txt").write_text("".join(f"{line!r}\n" for line in lines))
    objects = folder / "objects.json"
    objects.write_text(json.dumps({split: list(counts) for split in ("train", "dev", "test")}))
    return Recipe.model_validate(
        {
            "name": "legacy",
            "dataset": {
                "reader": "mnre",
                "task": "mre",
                "root": folder,
                "protocol": "legacy-objects",
                "legacy_objects": objects,
            },
            "observe": {"detector": "none", "encoder": "none"},
            "ask": {"providers": []},
            "curate": {"reference_posts": 2},
        }
    )


def test_the_published_objects_fail_the_audit_and_our_own_do_not(tmp_path: Path) -> None:
    """By design: their number says whether there is a relation."""
    legacy = mnre(tmp_path / "data", [2, 2, 3, 2, 4, 2] * 12)
    clean = legacy.model_copy(
        update={"dataset": legacy.dataset.model_copy(update={"protocol": "clean"})}
    )
    said: list[str] = []
    build_recipe(legacy, tmp_path / "legacy", say=said.append)
    build_recipe(clean, tmp_path / "clean", say=silent)

    assert any("CONTAMINATED" in line for line in said)
    with open_store(tmp_path / "legacy") as reader:
        assert "MNRE, 72 test posts, legacy-objects" in json.dumps(reader.manifest.identity)
        assert len(reader.read("train-00002").observation.regions) == 3
    assert [one.field for one in audit_store(tmp_path / "legacy").leaks][:1] == ["region count"]
    assert not audit_store(tmp_path / "clean").leaks


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"train": [2], "dev": [2], "test": [2]}', "has 1 lines for the 2 posts of train"),
        ('{"train": [2, 2, 2], "dev": [2, 2], "test": [2, 2]}', "has 3 lines for the 2 posts"),
        ('{"train": [2, -1], "dev": [2, 2], "test": [2, 2]}', "number of objects from 0"),
        ('{"train": [2, true], "dev": [2, 2], "test": [2, 2]}', "number of objects from 0"),
        ("[]", "does not list objects by split"),
        ("\x80\x05pickle", "cannot be read as JSON"),
    ],
)
def test_object_lists_that_are_none_are_refused(content: str, named: str, tmp_path: Path) -> None:
    recipe = mnre(tmp_path / "data", [2, 3])
    dataset = read_dataset(recipe.dataset)
    path = tmp_path / "objects.json"
    path.write_text(content)

    with pytest.raises(InputError, match=named):
        read_legacy_objects(path, dataset.examples, None)
    with pytest.raises(InputError, match=r"needs dataset\.legacy_objects"):
        read_legacy_objects(None, dataset.examples, None)


def test_lists_of_crops_count_as_their_number(tmp_path: Path) -> None:
    recipe = mnre(tmp_path / "data", [2, 3])
    dataset = read_dataset(recipe.dataset)
    path = tmp_path / "objects.json"
    path.write_text('{"train": [["a", "b"], ["c"]], "val": [[], 1], "test": [4, 4]}')

    found = read_legacy_objects(path, dataset.examples, None)

    assert [found.counts[f"{split}-0000{n}"] for split in ("train", "dev") for n in (0, 1)] == [
        *(2, 1),
        *(0, 1),
    ]
    path.write_text('{"train": [["a", "b"], ["c"]], "val": [[], 2], "test": [4, 4]}')
    assert read_legacy_objects(path, dataset.examples, None).fingerprint != found.fingerprint
