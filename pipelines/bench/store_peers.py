"""The same posts in other layouts: a packed file, Arrow, Hugging Face datasets, WebDataset.

Each peer is used as its own documentation shows, and where there is a choice, in its fastest way:
vectors are bytes or fixed-size arrays, never lists of numbers.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Protocol

import pyarrow as pa

from cache.errors import InputError
from pipelines.bench.store_posts import DIM, IMAGES, VECTORS, PostMaker, WholePost
from pipelines.bench.store_raw import PlainValues, RawObjects, RawRecords, plain, vectors_of

_OPEN_TARS: Final = 100
_VECTOR_BYTES: Final = 2 * VECTORS * DIM
_STRINGS: Final = pa.list_(pa.string())
_INTEGERS: Final = pa.list_(pa.int32())
_NUMBERS: Final = pa.list_(pa.float64())
_SCHEMA: Final = pa.schema(
    {
        "split": pa.string(),
        "tokens": _STRINGS,
        "photo_key": pa.string(),
        "streams": _INTEGERS,
        "ranks": _INTEGERS,
        "region_indices": _INTEGERS,
        "media_keys": _STRINGS,
        "relevances": _NUMBERS,
        "consistencies": _NUMBERS,
        "fused_scores": _NUMBERS,
        "texts": _STRINGS,
        "vectors": pa.binary(_VECTOR_BYTES),
        "images": pa.list_(pa.binary()),
    }
)


class Peer(Protocol):
    """Posts in some layout, by number."""

    def whole(self, number: int) -> Any:
        """Return all of a post, decoded, in whatever form this layout has."""
        ...

    def light(self, number: int) -> Any:
        """Return a post without its images."""
        ...

    def values(self, post: Any) -> WholePost:
        """Return the values of what `whole` returned."""
        ...

    def close(self) -> None:
        """Let the files go."""
        ...


class Arrow(PlainValues):
    """An Arrow IPC file in a memory map."""

    def __init__(self, folder: Path) -> None:
        self._source = pa.memory_map(str(folder / "posts.arrow"))
        file = pa.ipc.open_file(self._source)
        batches = [file.get_batch(i) for i in range(file.num_record_batches)]
        self._columns = [batch.columns for batch in batches]
        self._size = batches[0].num_rows

    @classmethod
    def make(cls, maker: PostMaker, folder: Path) -> None:
        """Write the posts, as many in a batch as in a shard of the store."""
        path = str(folder / "posts.arrow")
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as writer:
            for batch in _batches(maker):
                writer.write_batch(batch)

    def whole(self, number: int) -> WholePost:
        """Return all of a post."""
        batch, row = divmod(number, self._size)
        *fields, texts, vectors, images = self._columns[batch]
        known = [column[row].as_py() for column in fields]
        matrix = vectors_of(vectors[row].as_buffer())
        return WholePost(known, texts[row].as_py(), matrix, images[row].as_py())

    def light(self, number: int) -> WholePost:
        """Return a post without its images."""
        batch, row = divmod(number, self._size)
        *fields, texts, vectors, _ = self._columns[batch]
        known = [column[row].as_py() for column in fields]
        return WholePost(known, texts[row].as_py(), vectors_of(vectors[row].as_buffer()), ())

    def close(self) -> None:
        """Let the file go."""
        self._columns = []
        self._source.close()


class HuggingFace(PlainValues):
    """Hugging Face datasets, `save_to_disk`."""

    def __init__(self, folder: Path) -> None:
        datasets = peer_module("datasets")
        self._all = datasets.load_from_disk(str(folder / "saved"))
        self._light = self._all.select_columns(_SCHEMA.names[:-1])

    @classmethod
    def make(cls, maker: PostMaker, folder: Path) -> None:
        """Write the posts."""
        datasets = peer_module("datasets")
        datasets.disable_progress_bars()
        place = _SCHEMA.get_field_index("vectors")
        schema = _SCHEMA.set(place, pa.field("vectors", pa.binary()))
        source = folder / "source.arrow"
        with pa.OSFile(str(source), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for batch in _batches(maker):
                writer.write_batch(batch.cast(schema))
        datasets.Dataset.from_file(str(source)).save_to_disk(str(folder / "saved"))
        source.unlink()

    def whole(self, number: int) -> WholePost:
        """Return all of a post."""
        *fields, texts, vectors, images = self._all[number].values()
        return WholePost(fields, texts, vectors_of(vectors), images)

    def light(self, number: int) -> WholePost:
        """Return a post without its images."""
        *fields, texts, vectors = self._light[number].values()
        return WholePost(fields, texts, vectors_of(vectors), ())

    def close(self) -> None:
        """Let the files go."""
        self._all = self._light = None


class WebDataset(PlainValues):
    """Tar files as WebDataset writes them, read at random through wids."""

    def __init__(self, folder: Path) -> None:
        wids = peer_module("wids")
        shards = json.loads((folder / "shards.json").read_bytes())
        with contextlib.redirect_stderr(io.StringIO()):
            # The name of a local file is its own, so that nothing is copied.
            self._posts = wids.ShardListDataset(
                shards, transformations=[], localname=str, keep=True, lru_size=_OPEN_TARS
            )

    @classmethod
    def make(cls, maker: PostMaker, folder: Path) -> None:
        """Write the posts, as many in a tar file as in a shard of the store."""
        webdataset = peer_module("webdataset")
        shards = []
        for index, numbers in enumerate(maker.shards()):
            path = folder / f"part-{index:05d}.tar"
            with webdataset.TarWriter(str(path), encoder=False) as sink:
                for number in numbers:
                    fields, texts, vectors, images = plain(maker.whole(number))
                    parts = {f"{place}.jpg": data for place, data in enumerate(images)}
                    parts |= {"json": json.dumps([fields, texts]).encode(), "vectors": vectors}
                    sink.write({"__key__": maker.name(number), **parts})
            shards.append({"url": str(path), "nsamples": len(numbers)})
        (folder / "shards.json").write_text(json.dumps(shards))

    def whole(self, number: int) -> WholePost:
        """Return all of a post."""
        sample = self._posts[number]
        images = [sample[f".{place}.jpg"].read() for place in range(IMAGES)]
        return self._post(sample, images)

    def light(self, number: int) -> WholePost:
        """Return a post without its images."""
        return self._post(self._posts[number], ())

    def _post(self, sample: Any, images: Sequence[bytes]) -> WholePost:
        fields, texts = json.loads(sample[".json"].read())
        return WholePost(fields, texts, vectors_of(sample[".vectors"].read()), images)

    def close(self) -> None:
        """Let the files go."""
        self._posts.close()


PEERS: Final[dict[str, Any]] = {
    "raw packed, our records": RawRecords,
    "raw packed, msgpack": RawObjects,
    "Arrow IPC": Arrow,
    "Hugging Face datasets": HuggingFace,
    "WebDataset, wids": WebDataset,
}


def peer_module(name: str) -> ModuleType:
    """Return a peer's package.

    Raises:
        InputError: it is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise InputError(
            f"{name} is not installed. Run `pip install '.[bench]'` in a checkout."
        ) from error


def opened_peer(name: str, maker: PostMaker, folder: Path) -> Peer:
    """Return a peer that holds the posts; they are written below ``folder`` if need be."""
    peer = PEERS[name]
    home = folder / peer.__name__
    if not home.exists():
        home.mkdir()
        peer.make(maker, home)
    opened: Peer = peer(home)
    return opened


def _batches(maker: PostMaker) -> Iterator[pa.RecordBatch]:
    for numbers in maker.shards():
        rows = []
        for number in numbers:
            fields, *rest = plain(maker.whole(number))
            rows.append((*fields, *rest))
        yield pa.record_batch(list(map(list, zip(*rows, strict=True))), schema=_SCHEMA)
