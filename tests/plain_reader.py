"""A reader of stores as somebody else would write it: from ``docs/store-format.md`` alone.

Nothing of RAMIE is imported here, so that the page has to say enough.
"""

# Types would need an import more.
# mypy: ignore-errors

import hashlib
import json
from pathlib import Path

import pyarrow.parquet

TABLES = ("examples", "evidence", "dropped", "texts", "media")


def canonical_json(value):
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def post_sha256(row):
    def span(value):
        return value and [value["start"], value["end"]]

    said = {"tokens": row["tokens"], "head": span(row["head"]), "tail": span(row["tail"])}
    return sha256(canonical_json(said))


class PlainStore:
    """All of a store in memory: posts with their hits by id, images by key."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = self._read_manifest()
        shards = [
            {table: self._read(shard, table) for table in TABLES}
            for shard in self.manifest["shards"]
        ]
        self.posts = {}
        self.images = {}
        for index, tables in enumerate(shards):
            contents = self._texts(shards, index)
            for row in tables["examples"]:
                self._check_post(row, self.manifest["shards"][index]["embedding_dim"])
                self.posts[row["example_id"]] = {**row, "evidence": [], "dropped": []}
            for table in ("evidence", "dropped"):
                for hit in tables[table]:
                    hit["text"] = contents[hit["text_key"]] if hit["text_key"] else ""
                    self.posts[hit["example_id"]][table].append(hit)
            for image in tables["media"]:
                if image["stored_in"] == index:
                    self._check_content(image["key"], image["data"], "images")
                    self.images[image["key"]] = image

    def _read_manifest(self):
        content = json.loads((self.root / "manifest.json").read_bytes())
        if content["schema_version"] != 3:
            raise ValueError("another format")
        claimed = content.pop("sha256")
        if sha256(canonical_json(content)) != claimed:
            raise ValueError("the manifest was edited")
        return content

    def _read(self, shard, table):
        file = shard["files"][table]
        if file["path"] != f"{table}/part-{shard['index']:05d}-{file['sha256'][:12]}.parquet":
            raise ValueError(f"no path of a store: {file['path']}")
        path = self.root / file["path"]
        if path.is_symlink() or path.parent.is_symlink():
            raise ValueError(f"{path} is a link")
        if (
            path.stat().st_size != file["size_bytes"]
            or sha256(path.read_bytes()) != file["sha256"]
        ):
            raise ValueError(f"{path} is damaged")
        opened = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True)
        rows = opened.read().to_pylist()
        if len(rows) != file["rows"]:
            raise ValueError(f"{path} has other rows")
        return rows

    def _texts(self, shards, index):
        texts = {}
        for row in shards[index]["texts"]:
            key, text = row["key"], row["text"]
            if row["stored_in"] != index:
                there = shards[row["stored_in"]]["texts"]
                text = next(other["text"] for other in there if other["key"] == key)
            self._check_content(key, text and text.encode(), "texts")
            texts[key] = text or ""
        return texts

    def _check_content(self, key, data, part):
        withheld = data is None and part in self.manifest["withheld"]
        if not withheld and sha256(data) != key:
            raise ValueError(f"the content {key} is another")

    def _check_post(self, row, dim):
        withheld = "posts" in self.manifest["withheld"] and not row["tokens"]
        if not withheld and post_sha256(row) != row["post_sha256"]:
            raise ValueError(f"the post {row['example_id']} is another")
        vectors = [row["photo_embedding"], row["sentence_embedding"], *row["region_embeddings"]]
        if {len(vector) for vector in vectors if vector is not None} - {dim}:
            raise ValueError(f"the post {row['example_id']} has embeddings of another length")
