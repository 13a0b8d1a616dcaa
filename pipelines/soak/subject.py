"""What is soaked: ``ramie build`` of a small recipe, with a knowledge base and a search API."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq
from PIL import Image

from cache.recording.recordings import Recordings
from cache.recording.segments import segments
from pipelines.cli import main
from pipelines.soak.children import answer, serving
from retrieval.building.builder import RECORDINGS

_PLACES: Final = ("Oslo", "Paris", "Lagos", "Quito")
_SPLITS: Final = ("train", "dev", "test")
_SIDE: Final = (24, 18)
_SHARD_SIZE: Final = 3
_RECIPE: Final = """
shard_size = {shard_size}
[dataset]
reader = "jsonl"
task = "mner"
root = {posts}
[observe]
detector = "none"
encoder = "none"
[ask]
providers = ["kb", "searxng"]
kb = {kb}
hits_per_query = 3
[ask.searxng]
address = "{address}"
[ask.fetch]
seconds_between = 0
robots = false
allowed_hosts = ["{host}"]
[ask.polite]
seconds_between = 0
first_pause_s = 0.01
[curate]
keep_per_stream = {keep}
"""


@dataclass(frozen=True)
class Order:
    """One way to call ``ramie build``.

    Attributes:
        recipe: its file.
        options: further ones.
        date: seconds of the Unix epoch, at which all answers come, so that stores are comparable.
    """

    recipe: Path
    options: tuple[str, ...] = ()
    date: int = 1_700_000_000

    def build(self, store: Path) -> int:
        """Run it in this process; return its exit code."""
        os.environ["SOURCE_DATE_EPOCH"] = str(self.date)
        return main(["build", str(self.recipe), "--store", str(store), *self.options])


@dataclass(frozen=True, slots=True)
class Subject:
    """A store that can be built in several ways.

    Attributes:
        fresh: builds it.
        anew: curates it anew once it is there, by stricter settings.
        refresh: asks the search API again, a month later.
    """

    fresh: Order
    anew: Order
    refresh: Order


@contextmanager
def subject(folder: Path, num_posts: int = 12) -> Iterator[Subject]:
    """Make what it takes below ``folder``; yield the ways to build while the API answers."""
    posts, knowledge = folder / "posts", folder / "documents"
    _write_posts(posts, num_posts)
    _write_documents(knowledge)
    answer(lambda: _build_kb(knowledge, folder / "kb"), folder / "kb.log")
    with serving() as address:
        recipes = []
        for name, keep in (("soak", 3), ("stricter", 1)):
            path = folder / f"{name}.toml"
            path.write_text(
                _RECIPE.format(
                    shard_size=_SHARD_SIZE,
                    posts=json.dumps(str(posts)),
                    kb=json.dumps(str(folder / "kb")),
                    address=address,
                    host=address.rpartition("//")[2],
                    keep=keep,
                )
            )
            recipes.append(path)
        later = Order(recipes[0], ("--refresh", "1"), Order.date + 30 * 86400)
        yield Subject(Order(recipes[0]), Order(recipes[1]), later)


def digests(store: Path) -> dict[str, str]:
    """Return the SHA-256 of every file but recordings and derived files, by relative path."""
    left_out = (RECORDINGS, "local")
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.relative_to(store).parts[0] not in left_out
    }


def recorded(store: Path) -> dict[str, str]:
    """Return the digest of every recorded answer and image of a store, by key."""
    found: dict[str, str] = {}
    with Recordings(store / RECORDINGS) as book:
        for key in [one.key for one in book.asked()]:
            answer = book.get(key)
            assert answer is not None
            parts = (answer.provider, answer.query_json, answer.asked_at, repr(answer.body))
            found[key] = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    for path, table in segments(store / RECORDINGS):
        if table == "media":
            keys = pq.read_table(path, columns=["key"]).column("key").to_pylist()
            found |= {f"image {key}": key for key in keys}
    return found


def differing(ours: dict[str, str], theirs: dict[str, str]) -> list[str]:
    """Return the names that do not stand for the same in both."""
    return sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))


def _write_posts(folder: Path, number: int) -> None:
    photos = folder / "photos"
    photos.mkdir(parents=True)
    lines: dict[str, list[str]] = {split: [] for split in _SPLITS}
    for place in range(number):
        # Every second post has the photo of the one before, and every fifth has none.
        photo = f"{place // 2}.png" if place % 5 else None
        (photos / f"{place // 2}.png").write_bytes(_png(place // 2))
        tokens = ["The", _PLACES[place % 4], "Times", ",", f"no{place // 2 * 2}", "edition"]
        line: dict[str, object] = {"id": f"post-{place:03d}", "tokens": tokens, "entities": []}
        if photo:
            line["photo"] = photo
        lines[_SPLITS[place % 3]].append(json.dumps(line))
    for split, rows in lines.items():
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n")


def _write_documents(folder: Path) -> None:
    folder.mkdir()
    lines: list[str] = []
    for number in range(24):
        place = _PLACES[number % 4]
        text = f"The {place} Times told the story no{number} of {place} in its first edition."
        (folder / f"{number}.png").write_bytes(_png(100 + number))
        document = {"id": f"d{number}", "title": place, "text": text, "image": f"{number}.png"}
        lines.append(json.dumps(document))
    (folder / "documents.jsonl").write_text("\n".join(lines) + "\n")


def _build_kb(documents: Path, out: Path) -> int:
    from retrieval.kb.knowledge_base import build_kb
    from retrieval.settings import ObserveSettings

    observe = ObserveSettings(encoder="none", detector="none")
    return build_kb([documents], out, observe).documents


def _png(number: int) -> bytes:
    pixels = hashlib.shake_256(str(number).encode()).digest(3 * _SIDE[0] * _SIDE[1])
    buffer = BytesIO()
    Image.frombytes("RGB", _SIDE, pixels).save(buffer, "PNG")
    return buffer.getvalue()
