"""The data card of a store: its ``README.md``, from nothing but its manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from cache.card_markup import code, flattened, listed, plain, table
from cache.keys import content_key
from cache.manifest import Manifest
from cache.schema import CONTENT_COLUMN, SCHEMAS, TABLES

# How the Hub of Hugging Face calls licences; anything else is "other" there.
_HUB_LICENCES: Final = (
    *("apache-2.0", "mit", "bsd-3-clause", "odbl", "pddl", "cc0-1.0"),
    *("cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
)
_STATEMENT_CHARS: Final = 1000
_SUBJECTS: Final = {
    "licence": "Nobody stated a licence of this store.",
    "posts": "Nobody stated whose the posts and photos are, and on what terms they may be used.",
    "evidence": "Nobody stated whose the evidence is, and on what terms it may be used.",
}
_LEFT_OUT: Final = {
    "posts": "the words, given mentions, annotations and photo names of the posts",
    "texts": "texts and titles of some evidence",
    "images": "the bytes of images; their keys, formats and sizes are here",
}
_ORIGINS: Final = {
    "joined": "it is not the store that its settings describe: it was joined with a data set that "
    "has other posts, annotations or photos, see `joined.posts_left_out`",
    "merged": "it was merged from stores of different settings, see `merged.stores`: what one "
    "found, another may never have looked for",
    "migrated_from": "it was written by an older schema: what that did not know is empty",
}
_TO_JOIN: Final = (
    "With the data set at hand, `ramie pull URL STORE --dataset ROOT` puts posts and photos back "
    "in, compares each with its SHA-256, and lists what differs or is missing. Images and texts "
    "that providers found come back from a copy that has them, or by asking the providers again."
)
_MARK: Final = "<!-- data card "
_LAST: Final = """\
## Check it

```sh
ramie verify THIS_FOLDER
```

It reads every byte, compares it with the SHA-256 in `manifest.json`, decodes every row, and names
what is wrong. The fingerprint above stands for all of it but the recordings. The format is
described in `docs/store-format.md` of RAMIE."""


def data_card(manifest: Manifest) -> str:
    """Return the data card, as Markdown.

    Equal manifests have equal cards. Whatever a manifest says ends up in code spans, on one line
    and cut: a store may come from anybody, and its card is the first thing that is looked at.
    """
    text = "\n\n".join(
        "\n".join(lines)
        for lines in (
            _front_matter(manifest),
            _what(manifest),
            _opening(manifest),
            _holding(manifest),
            _features(manifest),
            _building(manifest),
            _rights(manifest),
            _withheld(manifest),
            _gaps(manifest),
            [_LAST, ""],
        )
        if lines
    )
    return text + _seal_of(text.encode(), manifest)


def card_fits(card: bytes, manifest: Manifest) -> bool:
    """Return whether ``card`` is as some version of this project wrote it for ``manifest``.

    The wording of cards may change: a card says which manifest it is of, and carries the hash of
    its own text. That tells accidents and edits; it proves nothing about who wrote it.
    """
    text, mark, _ = card.rpartition(_MARK.encode())
    return bool(mark) and card == text + _seal_of(text, manifest).encode()


def _seal_of(text: bytes, manifest: Manifest) -> str:
    return f"{_MARK}of manifest {manifest.fingerprint}, text {content_key(text)} -->\n"


def _front_matter(manifest: Manifest) -> list[str]:
    """Return what the Hub of Hugging Face reads: licence, each table's place, and images."""
    stated = plain(manifest.rights.get("licence", "")).lower()
    lines = []
    if stated:
        lines.append(f"license: {stated if stated in _HUB_LICENCES else 'other'}")
    if manifest.shards:
        lines.append("configs:")
        for name in (*TABLES, *sorted(manifest.feature_sets)):
            # Named, or the Hub would call rows of dev and test "train".
            lines += [f"- config_name: {name}", "  data_files:"]
            lines += ["  - split: full", f"    path: {name}/part-*.parquet"]
        # Bytes are shown as images only where this says so.
        lines += ["dataset_info:", "- config_name: media", "  features:"]
        for field in SCHEMAS["media"]:
            kind = "image" if field.name == CONTENT_COLUMN["media"] else str(field.type)
            lines += [f"  - name: {field.name}", f"    dtype: {kind}"]
    return ["---", *lines, "---"] if lines else []


def _what(manifest: Manifest) -> list[str]:
    sizes = [file.size_bytes for file in manifest.files]
    return [
        "# A RAMIE store",
        "",
        "Posts, what was seen in them, and the texts and images that were retrieved for them, as",
        "Parquet files. This page was made from `manifest.json` by rule; nobody vouches for what",
        "the manifest says about origin and rights.",
        "",
        *table(
            ("what", "value"),
            [
                ("fingerprint", code(manifest.fingerprint)),
                ("schema", f"{manifest.schema_version}"),
                ("posts", f"{manifest.num_examples:,}"),
                ("shards", f"{len(manifest.shards):,}"),
                ("bytes", f"{sum(sizes):,}"),
                ("numbers in an embedding", f"{manifest.embedding_dim or 'no embeddings'}"),
            ],
        ),
    ]


def _opening(manifest: Manifest) -> list[str]:
    lines = [
        "## Open it",
        "",
        "```python",
        "from cache import open_store  # RAMIE",
        "with open_store('THIS_FOLDER') as store: print(store.read(store.example_ids()[0]))",
        "```",
        "",
        "```python",
        "import polars  # or pandas, pyarrow, DuckDB, Hugging Face datasets ...",
        "print(polars.read_parquet('THIS_FOLDER/evidence/*.parquet'))",
        "```",
    ]
    if "posts" in manifest.withheld:
        lines += ["", "RAMIE opens it once it was joined with its data set, see below."]
    return lines


def _holding(manifest: Manifest) -> list[str]:
    summary = manifest.summary
    groups = {
        "posts": "posts in",
        "photos": "photos that are",
        "streams": "hits kept for",
        "reasons": "hits dropped by",
    }
    rows = [
        (f"{said} {code(name)}", _number(count))
        for group, said in groups.items()
        for name, count in sorted(_mapping(summary.get(group)).items())
    ]
    images = _mapping(summary.get("images"))
    rows += [
        ("texts", _number(summary.get("texts"))),
        ("images", _number(images.get("count"))),
        ("bytes of images", _number(images.get("bytes"))),
        ("posts that are unfinished", f"{len(manifest.unfinished):,}"),
    ]
    return ["## What it holds", "", *table(("what", "count"), rows)]


def _features(manifest: Manifest) -> list[str]:
    """Return what was computed of posts and photos beside the tables, if anything was."""
    rows = [
        (
            code(name),
            code(one.source, _STATEMENT_CHARS),
            code(f"{one.dtype} {list(one.dims)}"),
            f"{sum(file.rows for file in one.files):,}",
            f"{sum(file.size_bytes for file in one.files):,}",
        )
        for name, one in sorted(manifest.feature_sets.items())
    ]
    head = ("feature set", "made by", "numbers, last sizes", "arrays", "bytes")
    return ["## Feature sets", "", *table(head, rows)] if rows else []


def _building(manifest: Manifest) -> list[str]:
    """Return settings, models and providers; an identity may have any form."""
    identity = dict(manifest.identity)
    digests = _mapping(identity.pop("providers", None))
    asked = _mapping(manifest.summary.get("providers"))
    providers = [
        (
            code(name),
            *(_number(_mapping(asked.get(name)).get(what)) for what in ("kept", "dropped")),
            *(code(_mapping(asked.get(name)).get(what, "")) for what in ("first", "last")),
            code(digests.get(name, "")),
        )
        for name in sorted({*asked, *digests})
    ]
    lines = ["## How it was built", ""]
    if identity:
        rows = [(code(name), code(value)) for name, value in flattened(identity)]
        lines += [
            "`code_version` built it. A fingerprint of `observe` stands for the weights of all",
            "models that looked at posts, and for what decoded the photos.",
            "",
            *table(("what", "value"), rows),
        ]
    else:
        lines.append("The manifest does not say.")
    if providers:
        head = ("provider", "kept", "dropped", "first answer", "last answer", "fingerprint")
        lines += ["", "Who was asked for evidence, and the days of the answers:", ""]
        lines += table(head, providers)
    return lines


def _rights(manifest: Manifest) -> list[str]:
    stated = {name: text for name, text in manifest.rights.items() if text.strip()}
    rows = [(code(name), code(text, _STATEMENT_CHARS)) for name, text in sorted(stated.items())]
    missing = [f"**{why}**" for name, why in _SUBJECTS.items() if name not in stated]
    lines = ["## Licences and rights", ""]
    if rows:
        lines += [*table(("of", "as stated by who built it"), rows), ""]
    if missing:
        lines += [*missing, "Ask whoever gave it to you before you pass it on or publish from it."]
    else:
        lines.append("Nobody has checked these statements.")
    return lines


def _withheld(manifest: Manifest) -> list[str]:
    if not manifest.withheld:
        return []
    lines = ["## What is left out", ""]
    lines += [f"- {part}: {_LEFT_OUT.get(part, 'see the manifest')}" for part in manifest.withheld]
    if manifest.original:
        lines += ["", f"The whole store has the fingerprint {code(manifest.original)}."]
    return [*lines, "", _TO_JOIN]


def _gaps(manifest: Manifest) -> list[str]:
    photos = _mapping(manifest.summary.get("photos"))
    observe = _mapping(_mapping(manifest.identity.get("settings")).get("observe"))
    gaps = [
        f"- {_number(photos[status])} posts go without their photo, which was {status}"
        for status in ("missing", "unreadable")
        if photos.get(status)
    ]
    gaps += [
        f"- no {model}: {without}"
        for model, without in (("detector", "no regions"), ("encoder", "no embeddings"))
        if observe.get(model) == "none"
    ]
    gaps += [f"- {said}" for key, said in _ORIGINS.items() if key in manifest.identity]
    gaps += [
        f"- {code(name)} was to be asked, and no hit of it is here"
        for name in _silent(manifest.identity.get("providers"), manifest.summary)
    ]
    lines = ["## Known gaps", "", *(gaps or ["None that the manifest knows of."])]
    if manifest.unfinished:
        lines += ["", "Posts without a row, because a provider could not be asked:", ""]
        lines += listed(manifest.unfinished)
    return lines


def _silent(providers: object, summary: Mapping[str, object]) -> Iterable[str]:
    return sorted(set(_mapping(providers)) - set(_mapping(summary.get("providers"))))[:20]


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> str:
    return f"{value:,}" if type(value) is int else code("" if value is None else value)
