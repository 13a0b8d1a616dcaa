"""Every way in which a small store can be damaged: one catalogue for all that must notice."""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from cache_helpers import IDENTITY, files_of, image, shard, write
from feature_helpers import add_features

from cache import FeatureSet, Recording, Recordings, StoreWriter, content_key, fingerprint
from cache.manifest import shard_path
from cache.schema import TABLES

SEED: Final = 20261122
NUM_FLIPS: Final = 500
FEATURES: Final[tuple[FeatureSet, ...]] = ("grid", "parse")
Harm = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Damage:
    """One way to damage a store.

    Attributes:
        name: what is done to which file.
        harm: does it to the store in a folder.
        named: what `verify_store` must name.
        forged: somebody computed hashes anew, so that a reader cannot know.
    """

    name: str
    harm: Harm
    named: tuple[str, ...]
    forged: bool = False


def complete_store(path: Path) -> None:
    """Write two shards in all tables, recordings of answers and images, card and manifest."""
    with StoreWriter(path, identity=IDENTITY, num_shards=2) as writer:
        for index in range(2):
            write(writer, index, shard(index, 4))
        writer.close({"posts": 8}, rights={"licence": "CC0-1.0"})
    # All hits of these stores are said to be of one answer.
    answer = Recording(content_key(b"query"), "kb", "{}", "2026-11-01T00:00:00Z", b"answer")
    with Recordings(path / "recordings") as recordings:
        recordings.put_segment([answer], [image(i) for i in range(4)])


def store_with_features(path: Path) -> None:
    """Write what `complete_store` writes, with feature sets of photos and of sentences."""
    complete_store(path)
    add_features(path, FEATURES)


def restore(store: Path, sound: dict[str, bytes]) -> None:
    """Undo a damage; derived files stay as they are."""
    for path in sorted(store.rglob("*"), reverse=True):
        name = str(path.relative_to(store))
        if name.startswith(("local/features", "local/images")):
            continue
        regular = stat.S_ISREG(path.lstat().st_mode)
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif not regular or sound.get(name) != path.read_bytes():
            path.unlink()
    for name, data in sound.items():
        if not (store / name).exists():
            (store / name).parent.mkdir(exist_ok=True)
            (store / name).write_bytes(data)


def catalogue(store: Path) -> Iterator[Damage]:
    """Yield every damage of the sound store in a folder; the same ones each time."""
    sound = files_of(store)
    for name, data in sound.items():
        yield from _of_file(name, len(data))
    yield from _flips(sound)
    yield from _swaps(store)
    yield from _extras()
    yield from _edits(json.loads(sound["manifest.json"]))


def _of_file(name: str, size: int) -> Iterator[Damage]:
    aside = f"{name}.old"
    for length in (0, 1, 8, size // 2, size - 8, size - 1):
        yield Damage(f"cut to {length}: {name}", partial(_cut, name, length), (name,))
    yield Damage(f"grown: {name}", partial(_grow, name), (name,))
    named: tuple[str, ...] = (_part(name),)
    yield Damage(f"deleted: {name}", lambda store: (store / name).unlink(), named)
    # Without a manifest nobody can say what does not belong.
    named += () if name == "manifest.json" else (aside,)
    yield Damage(f"renamed: {name}", lambda store: _rename(store / name, store / aside), named)
    for kind, make in _KINDS.items():
        yield Damage(f"a {kind} instead: {name}", partial(_replace, name, make), (name,))


def together(damages: Iterable[Damage]) -> Iterator[Damage]:
    """Yield ``damages``, but flipped bits of many files at once: each file must be named."""
    waiting: list[Damage] = []
    for damage in damages:
        if not damage.name.startswith("bit") or damage.named == ("manifest.json",):
            yield damage
            continue
        if any(damage.named == other.named for other in waiting):
            yield _all_of(waiting)
            waiting = []
        waiting.append(damage)
    yield _all_of(waiting)


def _all_of(damages: Sequence[Damage]) -> Damage:
    def harm(store: Path) -> None:
        for damage in damages:
            damage.harm(store)

    name = ", ".join(damage.name for damage in damages)
    return Damage(name, harm, tuple(name for damage in damages for name in damage.named))


def _part(name: str) -> str:
    # No manifest names recordings, so nobody can say which file has gone.
    return "recordings" if name.startswith("recordings/") else name


def _cut(name: str, length: int, store: Path) -> None:
    os.truncate(store / name, length)


def _grow(name: str, store: Path) -> None:
    with (store / name).open("ab") as file:
        file.write(b"\n")


def _rename(path: Path, to: Path) -> None:
    path.rename(to)


def _link(path: Path) -> None:
    path.symlink_to(path.with_name(path.name + ".target"))


def _device(path: Path) -> None:
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))


_KINDS: Final[dict[str, Harm]] = {
    "folder": Path.mkdir,
    "link": _link,
    "pipe": os.mkfifo,
    # Of zeros without end; only the superuser may make one.
    **({"device": _device} if os.geteuid() == 0 else {}),
}


def _replace(name: str, make: Harm, store: Path) -> None:
    # The content is still there, behind a link and elsewhere.
    outside = store.parent / f"{store.name}-outside"
    outside.mkdir(exist_ok=True)
    shutil.move(store / name, outside / "file")
    make(store / name)
    if (store / name).is_symlink():
        (store / name).unlink()
        (store / name).symlink_to(outside / "file")


def _flips(sound: dict[str, bytes]) -> Iterator[Damage]:
    rng, names = random.Random(SEED), sorted(sound)
    for number in range(NUM_FLIPS):
        name = names[number % len(names)]
        bit = rng.randrange(8 * len(sound[name]))
        yield Damage(f"bit {bit} flipped: {name}", partial(_flip, name, bit), (name,))


def _flip(name: str, bit: int, store: Path) -> None:
    data = bytearray((store / name).read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    (store / name).write_bytes(data)


def _swaps(store: Path) -> Iterator[Damage]:
    content = json.loads((store / "manifest.json").read_text())
    files = [entry["files"] for entry in content["shards"]]
    for table in TABLES:
        pair = (files[0][table]["path"], files[1][table]["path"])
        yield Damage(f"content swapped: {table}", partial(_swap, *pair), pair)
        yield Damage(
            f"swapped, manifest edited to fit: {table}",
            partial(_swap_entries, (table,), False),
            ("manifest.json",),
        )
        yield Damage(
            f"swapped, manifest forged to fit: {table}",
            partial(_swap_entries, (table,), True),
            # Posts that are elsewhere are noticed at the hits that are of them.
            ("evidence/part-0" if table == "examples" else f"{table}/part-0",),
            forged=True,
        )
    yield Damage(
        "whole shards swapped, manifest forged to fit",
        partial(_swap_entries, TABLES, True),
        ("README.md", "manifest.json"),
        forged=True,
    )
    for name, entry in content.get("feature_sets", {}).items():
        pair = (entry["files"][0]["path"], entry["files"][1]["path"])
        yield Damage(f"content swapped: {name}", partial(_swap, *pair), pair)
        yield Damage(
            f"swapped, manifest forged to fit: {name}",
            partial(_swap_features, name),
            (f"{name}/part-0",),
            forged=True,
        )
    across = (files[0]["evidence"]["path"], files[0]["dropped"]["path"])
    yield Damage("content swapped: two tables", partial(_swap, *across), across)


def _swap(one: str, other: str, store: Path) -> None:
    _rename(store / one, store / "aside")
    _rename(store / other, store / one)
    _rename(store / "aside", store / other)


def _swap_entries(tables: tuple[Any, ...], hashed: bool, store: Path) -> None:
    content = json.loads((store / "manifest.json").read_text())
    for table in tables:
        entries = [content["shards"][index]["files"][table] for index in range(2)]
        for index, entry in enumerate(reversed(entries)):
            path = shard_path(table, index, entry["sha256"])
            _rename(store / entry["path"], store / path)
            content["shards"][index]["files"][table] = {**entry, "path": path}
    save(store, content, hashed)


def _swap_features(name: str, store: Path) -> None:
    content = json.loads((store / "manifest.json").read_text())
    files = content["feature_sets"][name]["files"]
    for index, entry in enumerate(reversed(list(files))):
        path = shard_path(name, index, entry["sha256"])  # type: ignore[arg-type]
        _rename(store / entry["path"], store / path)
        files[index] = {**entry, "path": path}
    save(store, content, True)


def save(store: Path, content: dict[str, Any], hashed: bool) -> None:
    """Write a manifest, with the hash that fits it or with the one that it had."""
    if hashed:
        content = {key: value for key, value in content.items() if key != "sha256"}
        content["sha256"] = fingerprint(content)
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1)
    (store / "manifest.json").write_text(text + "\n")


def _extras() -> Iterator[Damage]:
    files = (
        "data.parquet",
        ".hidden",
        ".tmp-1-manifest.json",
        "examples.parquet",
        "MANIFEST.JSON",
        "examples/part-00007-0123456789ab.parquet",
        "evidence/notes.txt",
        "dropped/.hidden",
        "grid/part-00007-0123456789ab.parquet",
        "pyramid/notes.txt",
        "texts/README.md",
        "media/.tmp-7-part-00000-0123456789ab.parquet",
        "recordings/answers.parquet",
        f"recordings/answers-{'0' * 32}.parquet",
        "recordings/.tmp-9-answers-0.parquet",
        "local/program.so",
        "extra/file",
        "examples/more/part-00000-0123456789ab.parquet",
    )
    for name in files:
        top = "/".join(name.split("/")[: 1 if name == "extra/file" else 2])
        yield Damage(f"extra: {name}", partial(_add, name), (top,))
    for kind, make in _KINDS.items():
        for name in ("extra", "notes.md", "media/extra", "recordings/extra", "local/extra"):
            yield Damage(f"extra {kind}: {name}", partial(_make, make, name), (name,))


def _add(name: str, store: Path) -> None:
    (store / name).parent.mkdir(exist_ok=True)
    (store / name).write_bytes(b"x")


def _make(make: Harm, name: str, store: Path) -> None:
    (store / name).parent.mkdir(exist_ok=True)
    make(store / name)


def _edits(content: dict[str, Any]) -> Iterator[Damage]:
    first = content["shards"][0]["files"]["media"]
    edits: dict[str, Callable[[dict[str, Any]], Any]] = {
        "version": lambda m: m.update(schema_version=4),
        "identity": lambda m: m["identity"].update(more=1),
        "counters": lambda m: m["counters"].update(posts=9),
        "rights": lambda m: m["rights"].update(licence="MIT"),
        "summary": lambda m: m["summary"].update(texts=1),
        "withheld": lambda m: m.update(withheld=["images"]),
        "original": lambda m: m.update(original="0" * 64, withheld=["images"]),
        "last shard": lambda m: m["shards"].pop(),
        "order of shards": lambda m: m["shards"].reverse(),
        "dim": lambda m: m["shards"][0].update(embedding_dim=9),
        "unfinished": lambda m: m["shards"][0].update(unfinished=["post-00-00"]),
        "compared": lambda m: m["shards"][0].update(compared_with="0" * 64),
        "rows": lambda m: media(m).update(rows=first["rows"] + 1),
        "size": lambda m: media(m).update(size_bytes=first["size_bytes"] + 1),
        "hash": lambda m: media(m).update(
            sha256=first["sha256"][:12] + "0" * 52, path=first["path"]
        ),
        "path": lambda m: media(m).update(path="../media.parquet"),
        "key": lambda m: m.update(more=[]),
    }

    if "feature_sets" in content:
        edits |= {
            "no feature sets": lambda m: m.pop("feature_sets"),
            "a feature set less": lambda m: m["feature_sets"].pop("parse"),
            "sizes of arrays": lambda m: m["feature_sets"]["grid"].update(dims=[7]),
            "who made arrays": lambda m: m["feature_sets"]["grid"].update(source="another"),
            "rows of arrays": lambda m: m["feature_sets"]["grid"]["files"][0].update(rows=99),
        }

    def media(manifest: dict[str, Any]) -> dict[str, Any]:
        entry: dict[str, Any] = manifest["shards"][0]["files"]["media"]
        return entry

    for what, edit in edits.items():
        yield Damage(f"edited: {what}", partial(_edit, edit, False), ("manifest.json",))
        yield Damage(
            f"edited, hash forged: {what}", partial(_edit, edit, True), ("manifest.json",), True
        )


def _edit(edit: Callable[[dict[str, Any]], Any], hashed: bool, store: Path) -> None:
    content = json.loads((store / "manifest.json").read_text())
    edit(content)
    save(store, content, hashed)
