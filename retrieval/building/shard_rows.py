"""The rows of a shard, collected batch after batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cache.records import Dropped, Example, Media, StoredExample
from cache.writing.writer import StoreWriter
from retrieval.building.cases import Case, Gathered, Unfinished


@dataclass(slots=True)
class ShardRows:
    """What a shard will hold of its posts that are finished.

    Attributes:
        rows: the posts, with what was seen in them and their evidence.
        dropped: what was not kept, by post.
        media: photos and images of the evidence, by key.
        unfinished: posts that could not be finished.
    """

    rows: list[StoredExample] = field(default_factory=list)
    dropped: dict[str, tuple[Dropped, ...]] = field(default_factory=dict)
    media: dict[str, Media] = field(default_factory=dict)
    unfinished: list[Unfinished] = field(default_factory=list)

    @property
    def num_posts(self) -> int:
        """Posts that were added, finished or not."""
        return len(self.rows) + len(self.unfinished)

    def add(
        self,
        cases: Sequence[Case],
        found: Iterable[Gathered | Unfinished],
        examples: Mapping[str, Example],
    ) -> None:
        """Take what was found in each of ``cases``; ``examples`` has their posts by id."""
        for case, one in zip(cases, found, strict=True):
            if isinstance(one, Unfinished):
                self.unfinished.append(one)
                continue
            name = case.seen.example_id
            self.rows.append(StoredExample(examples[name], case.seen.observation, one.evidence))
            self.dropped[name] = one.dropped
            self.media |= {image.key: image for image in one.media}

    def write(
        self, writer: StoreWriter, index: int, missing: Sequence[str], compared_with: str
    ) -> None:
        """Write the shard of that index; ``missing`` are its posts without a row."""
        media = self.media.values()
        writer.write_shard(index, self.rows, self.dropped, media, missing, compared_with)
