"""Planted leaks that are caught, real texts that are not taken for one, and the published leak.

Copies and quotations are those of the sample world, and planted ones in the forms in which data
sets circulate; the real texts are headlines and recorded passages.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from cache import Example, Hit, Observation, Post, Region, StoredExample, StoreWriter
from pipelines.audit.store import audit_store
from pipelines.bench.figures import Figure
from pipelines.bench.real_data import real_data
from pipelines.sample.world import WorldSize, generate_world
from retrieval.asking.queries import make_queries
from retrieval.curation.dedup_text import words
from retrieval.curation.filters import drop_post_texts
from retrieval.curation.leaks import FEWEST_WORDS, LeakGuard, drop_leaks
from retrieval.datasets import read_dataset
from retrieval.kb.json_lines import read_documents
from retrieval.kb.problems import ProblemLog
from retrieval.providers.recorded import RecordedProvider
from retrieval.settings import DatasetSettings, ImportSettings, LeakSettings

_SIZE: Final = WorldSize(train=120, dev=20, test=40, noise=60)
_LEAKING: Final = ("post_copy", "annotation_quote")
_HELPFUL: Final = ("biography", "news", "pair")
_PLANTED_POSTS: Final = 100
_FALSE_DROPS: Final = 0.001
_SHARD: Final = 512
# All of these are the same three hosts to whoever follows them.
DENIED_URLS: Final = (
    "https://raw.githubusercontent.com/someone/data/main/train.txt",
    "HTTPS://Raw.GitHubUserContent.COM./someone/data/train.txt",
    "https://huggingface.co:443/datasets/someone/posts/viewer",
    "https://user:secret@huggingface.co/datasets",
    "https://news.example@huggingface.co/datasets",
    "https://datasets-server.huggingface.co/rows?dataset=posts",
    "https:\\\\huggingface.co\\datasets",
    "//huggingface.co/datasets/someone",
    "huggingface.co/datasets/someone",
    "https://\uff48\uff55\uff47\uff47\uff49\uff4e\uff47\uff46\uff41\uff43\uff45.co/datasets",
    "https://huggingface\u3002co/datasets",
    "https://hugging\u00adface.co/datasets",
    "https://%68uggingface.co/datasets",
    "https://archive.example/web/2021/https://github.com/someone/data",
    "https://proxy.example/show?u=https%3A%2F%2Fgithub.com%2Fsomeone%2Fdata&w=300",
)


def bench_leaks(seeds: Sequence[int] = (11, 12, 13)) -> list[Figure]:
    """Return which leaks are caught and what else falls.

    Real data is looked for as the other benchmarks do; what needs it is left out without it.
    """
    figures = _sample_worlds(seeds)
    real = real_data() / "data"
    if not real.is_dir():
        return figures
    return [*figures, *_real_texts(real), _published_leak(real)]


def _sample_worlds(seeds: Sequence[int]) -> list[Figure]:
    caught: Counter[str] = Counter()
    planted: Counter[str] = Counter()
    for seed in seeds:
        with tempfile.TemporaryDirectory() as made:
            world = Path(made) / "world"
            generate_world(seed, world, _SIZE, progress=False)
            posts = [*_posts("jsonl", "mner", world / "posts")]
            posts += _posts("jsonl", "mre", world / "relations")
            guard = LeakGuard(posts)
            for kind, hit in [*_documents(world), *_denied(), *_variants(posts)]:
                planted[kind] += 1
                caught[kind] += not _kept(hit, posts[0], guard)
    figures = [
        Figure(f"leaks: {kind.replace('_', ' ')} caught", caught[kind] / planted[kind], 1.0)
        for kind in sorted(planted)
        if kind not in _HELPFUL
    ]
    share = sum(caught[kind] for kind in _HELPFUL) / sum(planted[kind] for kind in _HELPFUL)
    return [*figures, Figure("leaks: helpful pages dropped", share, _FALSE_DROPS, "below")]


def _documents(world: Path) -> Iterator[tuple[str, Hit]]:
    """Yield the pages of the knowledge base that leak or help, with their true kind."""
    truth = (world / "truth" / "documents.jsonl").read_text(encoding="utf-8").splitlines()
    kinds = {line["id"]: line["kind"] for line in map(json.loads, truth)}
    for document in read_documents(world / "kb", ProblemLog()):
        kind = kinds[document.document_id]
        if kind in (*_LEAKING, *_HELPFUL):
            yield kind, make_hit(document.passage, document.url, document.title)


def _denied() -> Iterator[tuple[str, Hit]]:
    for url in DENIED_URLS:
        yield "denied host", make_hit("a harmless text about the sea", url)
        yield "denied host", replace(make_hit("a harmless text about the sea"), image_url=url)


def _variants(posts: Sequence[Post]) -> Iterator[tuple[str, Hit]]:
    """Yield posts in the forms in which data sets and their mirrors show them."""
    # Shorter ones are recognised only where they are the whole text: the copies of the world.
    long = [post for post in posts if len(words(" ".join(post.tokens))) >= FEWEST_WORDS]
    for post in long[:_PLANTED_POSTS]:
        for kind, text in leaking_texts(post.tokens).items():
            yield kind, make_hit(text, "https://mirror.example/page")


def leaking_texts(tokens: Sequence[str]) -> dict[str, str]:
    """Return texts that give a post away, by kind; which labels they name is made up."""
    sentence = " ".join(tokens)
    head, tail = {"name": tokens[0], "pos": [0, 1]}, {"name": tokens[2], "pos": [2, 3]}
    line = {"token": [*tokens], "h": head, "t": tail, "relation": "/per/org/member_of"}
    half = " ".join(tokens[: 1 + 2 * len(tokens) // 3])
    return {
        "IMGID block": "IMGID:1015799\n" + "\n".join(f"{token}\tO" for token in tokens),
        "columns with tags": f"{tokens[0]}\tB-PER\n"
        + "\n".join(f"{token}\tO" for token in tokens[1:]),
        "columns without entity": "\n".join(f"{token} O" for token in tokens),
        "flattened columns": " ".join(f"{token} O" for token in tokens),
        "MNRE literal": str(line),
        "JSON line": json.dumps({**line, "relation": "member"}),
        "relation label": f"they are /per/org/member_of, {tokens[0]} says",
        "quote in other case": f'"{sentence.upper()}!!" -- says he',
        "quote with other punctuation": "; ".join(" ".join(tokens).split(" . ")) + " ...",
        "quote with a prefix": f"Seen on my timeline, and I had to laugh : {sentence}",
        "quote inside a page": f"Much has been said of it. {sentence} Nobody knows more. " * 3,
        "answer beside half a quote": f"{half} | gold labels : somebody = person",
    }


def _real_texts(real: Path) -> list[Figure]:
    """Return how many real texts fall to the guard of a data set that they do not belong to."""
    mnre = LeakGuard(_posts("mnre", "mre", real / "mnre"))
    examples = _examples("twitter", "mner", real / "twitter2017")
    tweets = LeakGuard(example.post for example in examples)
    lines = (real / "news_kb" / "documents.jsonl").read_text(encoding="utf-8").splitlines()
    news = [make_hit(one["title"], one["url"]) for one in map(json.loads, lines)]
    pairs = list(_recorded(real / "twitter2017", examples))
    stranger = Post("stranger", ("stranger",))
    headlines = sum(not _kept(hit, stranger, guard) for hit in news for guard in (mnre, tweets))
    passages = sum(not _kept(hit, stranger, mnre) for _, hit in pairs)
    own = sum(not _kept(hit, post, tweets) for post, hit in pairs)
    return [
        Figure(
            "leaks: real headlines dropped", headlines / (2 * len(news)), _FALSE_DROPS, "below"
        ),
        Figure(
            "leaks: recorded passages dropped for another data set's posts",
            passages / len(pairs), _FALSE_DROPS, "below",
        ),
        Figure("leaks: recorded passages dropped for quoting a post", own / len(pairs)),
    ]  # fmt: skip


def _recorded(folder: Path, examples: Sequence[Example]) -> Iterator[tuple[Post, Hit]]:
    recorded = folder / "recorded_evidence"
    captions = ImportSettings(
        path=recorded / "image_captions.txt", format="captions", level="image", modality="text"
    )
    knowledge = ImportSettings(
        path=recorded / "sentence_knowledge.zip",
        format="conll-context",
        level="sentence",
        modality="text",
    )
    provider = RecordedProvider([captions, knowledge])
    for example in examples:
        queries = [q for q in make_queries(Observation(example.post)) if provider.accepts(q)]
        for query, body in zip(queries, provider.ask(queries, 5), strict=True):
            if isinstance(body, bytes):
                yield from ((example.post, hit) for hit in provider.parse(query, body, ""))


def _published_leak(real: Path) -> Figure:
    with tempfile.TemporaryDirectory() as made:
        store = Path(made) / "legacy"
        write_legacy_store(real / "mnre", store)
        leaks = audit_store(store).leaks
    named = bool(leaks) and leaks[0].field == "region count"
    return Figure("leaks: the published MNRE leak is caught, the region count named", named, 1.0)


def write_legacy_store(mnre: Path, store: Path, split: str | None = None) -> None:
    """Write MNRE's posts with as many regions as the published object files list crops.

    Args:
        mnre: folder with ``mnre_txt`` and ``legacy_object_counts.json``.
        store: folder of the store.
        split: only the posts of this split; None writes all.
    """
    counts = json.loads((mnre / "legacy_object_counts.json").read_text(encoding="utf-8"))
    left = {name: iter(numbers) for name, numbers in counts.items()}
    rows = []
    for example in _examples("mnre", "mre", mnre):
        # Lines of text and counts are in one order, so every line takes its count.
        number = next(left["val" if example.split == "dev" else example.split])
        crop = Region((0.0, 0.0, 1.0, 1.0), "crop", 1.0)
        seen = Observation(example.post, photo_status="missing", regions=(crop,) * number)
        if split in (None, example.split):
            rows.append(StoredExample(example, seen, ()))
    shards = [rows[start : start + _SHARD] for start in range(0, len(rows), _SHARD)]
    identity = {"recipe": "published object counts"}
    with StoreWriter(store, identity=identity, num_shards=len(shards)) as writer:
        for index, shard in enumerate(shards):
            writer.write_shard(index, shard, {}, ())
        writer.close({"posts": len(rows)})


def make_hit(text: str, url: str = "", title: str = "") -> Hit:
    """Return a passage as a search for the sentence finds it."""
    return Hit(
        level="sentence",
        modality="text",
        region_index=-1,
        provider="kb",
        document_id="d",
        rank=0,
        provider_score=1.0,
        text=text,
        title=title,
        url=url,
    )


def _kept(hit: Hit, post: Post, guard: LeakGuard) -> bool:
    """Return whether a hit passes all that is meant to stop a leak."""
    settings = LeakSettings()
    left, _ = drop_post_texts([hit], post.tokens, settings.post_overlap)
    left, _ = drop_leaks(left, post, guard, settings)
    return bool(left)


def _examples(reader: str, task: str, root: Path) -> tuple[Example, ...]:
    settings = DatasetSettings.model_validate({"reader": reader, "task": task, "root": root})
    return read_dataset(settings).examples


def _posts(reader: str, task: str, root: Path) -> list[Post]:
    return [example.post for example in _examples(reader, task, root)]
