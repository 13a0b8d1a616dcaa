"""Shards of a merged store: rows of several shards in order, and what they share in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from cache.manifest import SEVERAL_REFERENCES, ShardEntry
from cache.operations.merge_conflicts import Home
from cache.operations.merge_plan import PlannedShard
from cache.operations.post_rows import INPUTS, LABELS, Rows, joined, unified
from cache.operations.rewrite import replaced, write_table
from cache.operations.source import Source
from cache.records import Media
from cache.schema import CONTENT_COLUMN, TABLES, SharedTable, Table
from cache.tables.columns import table_of
from cache.tables.contents import media_table
from cache.tables.withheld import Part, left_out
from cache.writing.ledger import Ledger


class MergedShards:
    """Writes the shards of a merged store, in order of their index.

    Attributes:
        sources: what is taken from.
        withheld: what the shards written so far lack, because no store has it.
    """

    def __init__(self, out: Path, sources: Sequence[Source]) -> None:
        """Take from ``sources``, write into the folder ``out``."""
        self.withheld: set[Part] = set()
        self._out = out
        self.sources = sources
        self._ledgers: dict[SharedTable, Ledger] = {
            table: Ledger(out, table) for table in CONTENT_COLUMN
        }

    def write(self, index: int, planned: PlannedShard) -> ShardEntry:
        """Write one shard; return the manifest's entry."""
        parts: list[Rows] = []
        texts: dict[str, Home] = {}
        images: dict[str, Home] = {}
        for home, names in sorted(planned.taken.items()):
            source = self.sources[home.store]
            rows = source.rows(home.shard)
            taken, left = rows.only(names), rows.only(names, not_those=True)
            unneeded = left.image_keys() - taken.image_keys()
            texts = dict.fromkeys(taken.text_keys(), home) | texts
            images = dict.fromkeys(set(source.image_keys(home.shard)) - unneeded, home) | images
            parts.append(taken)
        rows = self._with_inputs(joined(parts), planned.inputs)
        tables: dict[Table, pa.Table] = {
            "examples": rows.examples,
            "evidence": rows.evidence,
            "dropped": rows.dropped,
            "texts": self._texts(index, texts),
            "media": self._images(index, images),
        }
        self.withheld |= {
            what for name in TABLES if (what := left_out(name, tables[name], index)) is not None
        }
        return ShardEntry(
            index=index,
            embedding_dim=_dim(rows),
            unfinished=tuple(sorted(planned.unfinished)),
            compared_with=self._compared_with(planned),
            files={name: write_table(self._out, index, name, tables[name]) for name in TABLES},
        )

    def _with_inputs(self, rows: Rows, inputs: Mapping[Home, Sequence[str]]) -> Rows:
        """Return rows with the words of posts that were left out where their evidence is from."""
        if not inputs:
            return rows
        found = (
            self.sources[home.store].rows(home.shard).only(names).examples
            for home, names in sorted(inputs.items())
        )
        known = unified("examples", found)
        both = pa.concat_tables([rows.examples, known]).combine_chunks()
        place = {name: row for row, name in enumerate(rows.names())}
        place |= {
            name: len(rows.names()) + row
            for row, name in enumerate(known["example_id"].to_pylist())
        }
        words = both.select([*INPUTS, *LABELS]).take([place[name] for name in rows.names()])
        return rows._replace(
            examples=replaced(rows.examples, {name: words[name] for name in words.column_names})
        )

    def _texts(self, index: int, homes: Mapping[str, Home]) -> pa.Table:
        places = self._ledgers["texts"].place(index, homes)
        here: dict[Home, list[str]] = {}
        for key, home in homes.items():
            if places[key] == index:
                here.setdefault(home, []).append(key)
        texts: dict[str, str] = {}
        for home, keys in here.items():
            texts |= self.sources[home.store].texts(home.shard, keys)
        for key in sorted(key for key, text in texts.items() if not text):
            # The empty text has no row, so this one was left out.
            texts[key] = next(filter(None, (one.any_text(key) for one in self.sources)), "")
        ordered = sorted(homes)
        columns = {
            "key": ordered,
            "stored_in": [places[key] for key in ordered],
            "text": [texts.get(key) or None for key in ordered],
        }
        return table_of("texts", columns)

    def _images(self, index: int, homes: Mapping[str, Home]) -> pa.Table:
        places = self._ledgers["media"].place(index, homes)
        images = [
            self._image(key, home) if places[key] == index else self._listed(key, home)
            for key, home in sorted(homes.items())
        ]
        return media_table(images, places, index)

    def _listed(self, key: str, home: Home) -> Media:
        return self.sources[home.store].listed_image(home.shard, key)

    def _image(self, key: str, home: Home) -> Media:
        item = self.sources[home.store].image(home.shard, key)
        if item.data:
            return item
        return next(filter(None, (one.any_image(key) for one in self.sources)), item)

    def _compared_with(self, planned: PlannedShard) -> str:
        """Return what all evidence of a shard was compared with."""
        homes = planned.taken or planned.homes
        known = {
            self.sources[home.store].manifest.shards[home.shard].compared_with for home in homes
        }
        return known.pop() if len(known) == 1 else SEVERAL_REFERENCES


def _dim(rows: Rows) -> int | None:
    """Return how many numbers the embeddings of rows have; None where there is none."""
    columns = [rows.examples[name] for name in ("photo_embedding", "sentence_embedding")]
    columns += [rows.evidence["embedding"]]
    columns += [pa.chunked_array([rows.examples["region_embeddings"].combine_chunks().flatten()])]
    for column in columns:
        if len(known := column.drop_null()):
            return len(known[0])
    return None
