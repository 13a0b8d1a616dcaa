"""A recipe at a size at which the whole way takes minutes: made-up posts in its raw format.

The posts are those of the sample world and the weights the repository's own; all else, readers,
protocols, feature sets, systems, is what the recipe says. It shows that the way is clear before
days are spent on it, and no figure of it means anything.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from cache.errors import InputError
from pipelines.config import Recipe, load_recipe
from pipelines.sample.world import WorldSize, generate_world
from retrieval.kb.format import MANIFEST as KB_MANIFEST
from retrieval.kb.knowledge_base import build_kb

SIZE: Final = WorldSize(train=32, dev=12, test=16, noise=4)
_SEED: Final = 7
_SPLITS: Final = ("train", "dev", "test")
_NO_RELATION: Final = "None"


def tiny_recipe(recipe: Recipe, folder: Path, size: WorldSize = SIZE) -> Recipe:
    """Return ``recipe`` over made-up posts under ``folder``, with tiny weights and one epoch.

    Raises:
        InputError: the recipe's evidence is no knowledge base, or its reader has no raw format.
    """
    writers = {"twitter": _write_twitter, "mnre": _write_mnre}
    if recipe.ask.providers != ("kb",) or recipe.dataset.reader not in writers:
        raise InputError(
            f"recipe {recipe.name!r} is not made small: its evidence was recorded by others, or "
            "its posts are made up already. Take twitter2015, twitter2017 or mnre."
        )
    sample = load_recipe("sample")
    seen = recipe.observe.model_copy(
        update={
            name: getattr(sample.observe, name)
            for name in ("detector_weights", "encoder", "encoder_weights", "batch_size")
        }
    )
    world, raw, knowledge = folder / "world", folder / "raw", folder / "kb"
    if not (knowledge / KB_MANIFEST).exists():
        generate_world(_SEED, world, size)
        shutil.rmtree(raw, ignore_errors=True)
        writers[recipe.dataset.reader](world, raw)
        build_kb(world / "kb", knowledge, seen, progress=True)
    sizes = {
        "text_encoder": sample.model.text_encoder,
        "max_pieces": 64,
        "max_evidence_pieces": 40,
    }
    small: dict[str, Any] = {
        "dataset": recipe.dataset.model_copy(
            update={"root": raw, "photos": raw / "images" if _has_images(raw) else None}
        ),
        "observe": seen,
        "ask": recipe.ask.model_copy(update={"kb": knowledge}),
        "curate": recipe.curate.model_copy(update={"min_relevance": -1.0, "reference_posts": 16}),
        "model": recipe.model.model_copy(update=sizes),
        "train": recipe.train.model_copy(update={"epochs": 1, "batch_size": 8}),
        "shard_size": 16,
    }
    return recipe.model_copy(update=small)


def _has_images(raw: Path) -> bool:
    return (raw / "images").is_dir()


def _write_twitter(world: Path, raw: Path) -> None:
    """Write the posts as CoNLL with ``IMGID:`` lines, and their photos into ``images``."""
    raw.mkdir(parents=True)
    shutil.copytree(world / "posts" / "photos", raw / "images")
    for split in _SPLITS:
        blocks = [_conll(post) for post in _posts(world / "posts" / f"{split}.jsonl")]
        name = "valid" if split == "dev" else split
        (raw / f"{name}.txt").write_text("\n".join(blocks), encoding="utf-8")


def _conll(post: Mapping[str, Any]) -> str:
    labels = ["O"] * len(post["tokens"])
    for entity in post["entities"]:
        start, end, kind = entity["start"], entity["end"], entity["type"]
        labels[start:end] = [f"B-{kind}", *[f"I-{kind}"] * (end - start - 1)]
    # A post whose photo is not at hand names one all the same, as in the published files.
    photo = Path(post.get("photo", f"{post['id']}.jpg")).stem
    words = zip(post["tokens"], labels, strict=True)
    return "".join([f"IMGID:{photo}\n", *(f"{word}\t{label}\n" for word, label in words)])


def _write_mnre(world: Path, raw: Path) -> None:
    """Write the posts as Python literals, one per line, and their photos into ``img_org``."""
    (raw / "mnre_txt").mkdir(parents=True)
    relations: set[str] = set()
    for split in _SPLITS:
        lines = [_mnre(post) for post in _posts(world / "relations" / f"{split}.jsonl")]
        relations |= {line["relation"] for line in lines}
        # The published file really has a space before its dot.
        name = "mnre_val .txt" if split == "dev" else f"mnre_{split}.txt"
        text = "".join(f"{line!r}\n" for line in lines)
        (raw / "mnre_txt" / name).write_text(text, encoding="utf-8")
    shutil.copytree(world / "relations" / "photos", raw / "img_org")
    names = [_NO_RELATION, *sorted(relations - {_NO_RELATION})]
    ids = json.dumps({name: number for number, name in enumerate(names)})
    (raw / "mnre_txt" / "ours_rel2id.json").write_text(ids, encoding="utf-8")


def _mnre(post: Mapping[str, Any]) -> dict[str, Any]:
    relation = post["relations"][0]
    mentions = {
        short: {
            "name": " ".join(post["tokens"][relation[role]["start"] : relation[role]["end"]]),
            "pos": [relation[role]["start"], relation[role]["end"]],
        }
        for short, role in (("h", "head"), ("t", "tail"))
    }
    return {
        "token": post["tokens"],
        **mentions,
        "img_id": post.get("photo", f"{post['id']}.jpg"),
        "relation": relation["type"],
    }


def _posts(path: Path) -> Iterator[Mapping[str, Any]]:
    lines: Iterable[str] = path.read_text(encoding="utf-8").splitlines()
    yield from (json.loads(line) for line in lines)
