"""Generate the sample world: posts, photos, a knowledge base, and the truth kept apart.

``OUT/posts`` and ``OUT/relations`` are data sets in this project's jsonl format, ``OUT/kb`` is a
folder for ``ramie kb build``, and ``OUT/truth`` says what every page and post really is. Nothing
that is built from the first three can tell a page that helps from planted noise but by reading.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

from tqdm import tqdm

from cache.errors import InputError
from pipelines.sample import noise, wording
from pipelines.sample.cast import TYPES, BadgeMint, Entity, cast_entities
from pipelines.sample.names import Namer
from pipelines.sample.pages import Page, entity_pages, pair_pages
from pipelines.sample.photos import encode_jpeg
from pipelines.sample.posts import Draft, draw_post, entity_posts, relation_posts

_T = TypeVar("_T")
_MARKER: Final = "truth/world.json"
_POSTS_PER_NAME: Final = 5
_CONTRADICTED: Final = 0.06


@dataclass(frozen=True, slots=True)
class WorldSize:
    """How many posts each split of each of the two data sets has.

    Attributes:
        train: posts to train on.
        dev: posts to select on.
        test: posts to report on.
        noise: pages of each kind of noise; more of near-duplicates, fewer of quotations.
        noise_share: share of all kinds of noise together in the whole knowledge base, in [0, 1),
            equally many pages of each; None leaves it at ``noise``.
    """

    train: int = 800
    dev: int = 100
    test: int = 300
    noise: int = 30
    noise_share: float | None = None

    def splits(self) -> dict[str, int]:
        """Return the number of posts by split."""
        return {"train": self.train, "dev": self.dev, "test": self.test}


@dataclass(slots=True)
class _World:
    """What is collected while the splits are made; a post's key is ``FOLDER/POST_ID``."""

    entities: list[Entity] = field(default_factory=list)
    posts: list[tuple[str, Draft, bytes | None]] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)


def generate_world(
    seed: int, out: Path, size: WorldSize | None = None, progress: bool = True
) -> None:
    """Write the world of ``seed`` to ``out``; the same seed and size give the same bytes.

    An earlier world at ``out`` is replaced; ``out`` appears only when all of it is written.

    Raises:
        InputError: ``out`` holds something that is no sample world.
    """
    size = size or WorldSize()
    if out.exists() and any(out.iterdir()) and not (out / _MARKER).is_file():
        raise InputError(f"{out} holds something else than a sample world; name another folder.")
    unfinished = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    world = _people_and_post(seed, size, unfinished, progress)
    _add_noise(world, seed, size)
    _write_kb(world.pages, unfinished, seed, progress)
    _write_truth(world, unfinished, seed, size)
    shutil.rmtree(out, ignore_errors=True)
    unfinished.rename(out)


def _people_and_post(seed: int, size: WorldSize, out: Path, progress: bool) -> _World:
    """Return entities, posts and helpful pages of all splits; the posts are written."""
    world = _World()
    namer = Namer(random.Random(f"{seed}/names"))
    mint = BadgeMint(random.Random(f"{seed}/badges"))
    for split, count in size.splits().items():
        rng = random.Random(f"{seed}/{split}")
        # Fewer names may leave a relation without a pair that has not been used.
        entities = cast_entities(split, 8 + count // _POSTS_PER_NAME, namer, mint, rng)
        about_one = list(entity_posts(split, count, entities, namer, rng))
        about_pairs = list(relation_posts(split, count, entities, rng))
        world.entities += entities
        world.posts += _write_posts(out / "posts", split, about_one, seed, progress)
        world.posts += _write_posts(out / "relations", split, about_pairs, seed, progress)
        pages = [*entity_pages(entities, namer, rng), *pair_pages(about_pairs, entities, rng)]
        world.pages += [
            replace(page, detail={"key": f"{split}/{index}"}) for index, page in enumerate(pages)
        ]
    _write_labels(out)
    return world


def _write_posts(
    folder: Path, split: str, drafts: Sequence[Draft], seed: int, progress: bool
) -> list[tuple[str, Draft, bytes | None]]:
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    posts = []
    lines = []
    for draft in _bar(drafts, f"draw {folder.name} {split}", progress):
        key = f"{folder.name}/{draft.post_id}"
        scene = draw_post(draft, random.Random(f"{seed}/photo/{key}"))
        photo = encode_jpeg(scene.picture) if scene else None
        name = f"{draft.post_id}.jpg" if photo else None
        if photo and name:
            (folder / "photos" / name).write_bytes(photo)
        lines.append(_post_line(draft, name))
        posts.append((key, draft, photo))
    _write_lines(folder / f"{split}.jsonl", lines)
    return posts


def _post_line(draft: Draft, photo: str | None) -> dict[str, object]:
    line: dict[str, object] = {"id": draft.post_id, "tokens": list(draft.tokens)}
    if photo:
        line["photo"] = photo
    line["entities"] = [
        {"start": mention.start, "end": mention.end, "type": mention.kind}
        for mention in draft.mentions
    ]
    if draft.pair:
        head, tail, label = draft.pair
        ends = {
            role: {"start": mention.start, "end": mention.end}
            for role, mention in (
                ("head", draft.mention_of(head)),
                ("tail", draft.mention_of(tail)),
            )
        }
        line["relations"] = [{**ends, "type": label}]
    return line


def _write_labels(out: Path) -> None:
    relations = [wording.NO_RELATION, *wording.RELATIONS]
    for folder in ("posts", "relations"):
        labels = {"entities": list(TYPES), "relations": relations}
        (out / folder / "labels.json").write_text(json.dumps(labels) + "\n", encoding="utf-8")


def _add_noise(world: _World, seed: int, size: WorldSize) -> None:
    rng = random.Random(f"{seed}/noise")
    namer = Namer(random.Random(f"{seed}/noise/names"))
    drafts = [draft for _, draft, _ in world.posts]
    helpful = list(world.pages)
    counts = _noise_counts(len(helpful), len(world.entities), len(drafts), size)
    world.pages += noise.off_topic(counts["off_topic"], rng)
    lies = counts["contradicting"]
    world.pages += noise.contradicting(world.entities, lies - lies // 2, namer, rng)
    world.pages += noise.contradicting_pairs(drafts, lies // 2, rng)
    world.pages += noise.near_duplicates(helpful, counts["near_duplicate"], rng)
    world.pages += noise.post_copies(world.posts, counts["post_copy"], rng)
    world.pages += noise.annotation_quotes(world.posts, counts["annotation_quote"], rng)
    for kind in noise.WORDED_KINDS:
        world.pages += noise.worded(kind, counts[kind], seed, world.entities, namer, rng)


def _noise_counts(helpful: int, entities: int, posts: int, size: WorldSize) -> dict[str, int]:
    """Return the number of pages of each kind of noise."""
    kinds = noise.NOISE_KINDS
    if size.noise_share is not None:
        total = round(helpful * size.noise_share / (1 - size.noise_share))
        return {kind: (total + place) // len(kinds) for place, kind in enumerate(kinds)}
    return {
        **dict.fromkeys(kinds, size.noise),
        "contradicting": round(_CONTRADICTED * (entities + posts / 2)),
        "near_duplicate": 2 * size.noise,
        "annotation_quote": size.noise // 2,
    }


def _write_kb(pages: list[Page], out: Path, seed: int, progress: bool) -> None:
    """Write pages in random order under ids that say nothing; the order is kept in ``pages``."""
    random.Random(f"{seed}/order").shuffle(pages)
    (out / "kb" / "images").mkdir(parents=True)
    lines = []
    for index, page in enumerate(_bar(pages, "write the knowledge base", progress)):
        document_id = _document_id(index)
        line = {
            "id": document_id,
            "title": page.title,
            "text": page.text,
            "url": f"https://pages.example/{document_id}",
        }
        if page.photo is not None:
            line["image"] = f"images/{document_id}.jpg"
            (out / "kb" / line["image"]).write_bytes(encode_jpeg(page.photo()))
        lines.append(line)
    _write_lines(out / "kb" / "documents.jsonl", lines)


def _write_truth(world: _World, out: Path, seed: int, size: WorldSize) -> None:
    truth = out / "truth"
    truth.mkdir()
    pages = []
    helpful: dict[tuple[str, ...], list[str]] = {}
    for index, page in enumerate(world.pages):
        document_id = _document_id(index)
        pages.append(
            {
                "id": document_id,
                "kind": page.kind,
                "about": list(page.about),
                "relation": page.relation,
                **page.detail,
            }
        )
        if page.kind in {"biography", "news", "pair"}:
            helpful.setdefault(page.about, []).append(document_id)
    posts = [_post_truth(key, draft, helpful) for key, draft, _ in world.posts]
    _write_lines(truth / "documents.jsonl", pages)
    _write_lines(truth / "posts.jsonl", posts)
    _write_lines(truth / "entities.jsonl", [asdict(entity) for entity in world.entities])
    marker = {"seed": seed, "size": asdict(size)}
    (out / _MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")


def _post_truth(
    key: str, draft: Draft, helpful: dict[tuple[str, ...], list[str]]
) -> dict[str, object]:
    """Return what a post is about, and which documents answer it, entity by entity."""
    ids = [mention.entity.entity_id for mention in draft.mentions if mention.entity]
    line: dict[str, object] = {
        "post": key,
        "entities": ids,
        "documents": {entity_id: helpful.get((entity_id,), []) for entity_id in ids},
        "shown": None if draft.shown is None else [entity.entity_id for entity in draft.shown],
    }
    if draft.pair:
        head, tail, label = draft.pair
        line["relation"] = label
        line["stated"] = draft.stated
        line["pair_documents"] = helpful.get((head.entity_id, tail.entity_id), [])
    return line


def _document_id(index: int) -> str:
    return f"d{index:05d}"


def _write_lines(path: Path, lines: Iterable[object]) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")


def _bar(values: Sequence[_T], what: str, progress: bool) -> Iterable[_T]:
    bar: Iterable[_T] = tqdm(values, desc=what, disable=None if progress else True)
    return bar
