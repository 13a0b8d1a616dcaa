"""What a store of the sample world holds of what the truth says is there.

python -m pipelines.sample.measure data/stores/sample data/sample
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cache import STREAMS, StoreReader, open_store


@dataclass(slots=True)
class Measured:
    """Counts over the posts of one split.

    Attributes:
        posts: with a photo that shows what the post is about, and something to find.
        found: by stream, posts of which at least one helpful page was kept.
        any_stream: posts of which some stream kept a helpful page.
        kept: kept hits by kind of page.
        dropped: dropped hits by kind of page.
    """

    posts: int = 0
    any_stream: int = 0
    found: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


def measure(reader: StoreReader, world: Path, split: str = "test") -> Measured:
    """Compare the kept evidence of ``split`` with ``WORLD/truth``.

    Helpful are, for a post about a pair, the pages that state its relation; else the biography
    and news of the entities it is about (not of their namesakes).
    """
    truth = world / "truth"
    kinds = {line["id"]: line["kind"] for line in _lines(truth / "documents.jsonl")}
    posts = {line["post"]: line for line in _lines(truth / "posts.jsonl")}
    measured = Measured()
    for example_id in reader.example_ids(split):
        # Of posts about a pair, readers number the pairs: "test-0001#0".
        folder, post_id = ("relations" if "#" in example_id else "posts"), example_id.split("#")[0]
        helpful = helpful_documents(posts[f"{folder}/{post_id}"])
        stored = reader.read(example_id)
        streams = set()
        for evidence in stored.evidence:
            measured.kept[kinds[evidence.hit.document_id]] += 1
            if evidence.hit.document_id in helpful:
                streams.add(f"{evidence.hit.level} {evidence.hit.modality}")
        for drop in reader.dropped(example_id):
            measured.dropped[kinds[drop.hit.document_id]] += 1
        if helpful:
            measured.posts += 1
            measured.any_stream += bool(streams)
            measured.found.update(streams)
    return measured


def helpful_documents(post: Mapping[str, object]) -> set[str]:
    """Return the pages that answer a post, given its line of ``truth/posts.jsonl``."""
    pair = post.get("pair_documents")
    if isinstance(pair, list):
        return set(pair)
    documents = post["documents"]
    assert isinstance(documents, dict)
    return {document_id for ids in documents.values() for document_id in ids}


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def main() -> None:
    """Print the share of posts answered by stream, and what became of each kind of page."""
    parser = argparse.ArgumentParser(description="Compare a store with the sample world's truth.")
    parser.add_argument("store", type=Path)
    parser.add_argument("world", type=Path)
    parser.add_argument("--split", default="test")
    options = parser.parse_args()
    with open_store(options.store) as reader:
        measured = measure(reader, options.world, options.split)
    print(f"posts of {options.split} that have a helpful page: {measured.posts}")
    for level, modality in STREAMS:
        share = measured.found[f"{level} {modality}"] / max(measured.posts, 1)
        print(f"  found by {level:9}{modality:6} {share:6.1%}")
    print(f"  found by any stream    {measured.any_stream / max(measured.posts, 1):6.1%}")
    print(f"{'kind of page':20}{'kept':>8}{'dropped':>9}")
    for kind in sorted({*measured.kept, *measured.dropped}):
        print(f"{kind:20}{measured.kept[kind]:8}{measured.dropped[kind]:9}")


if __name__ == "__main__":
    main()
