"""The data card: true, the same for equal builds, and harmless whatever the manifest says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from cache_helpers import IDENTITY, build, files_of
from hypothesis import given
from hypothesis import strategies as st

from cache import Manifest, StoreWriter, read_manifest
from cache.card import card_fits, data_card
from cache.card_markup import MAX_CHARS, MAX_ROWS, code, flattened, plain
from cache.operations.withhold import withhold_store

ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![](https://example.org/track.png)",
    "https://example.org and www.example.org and me@example.org and @user #1",
    "`` ` ``` <b>",
    "a|b|c",
    "\\|`\\",
    "line\n\n# heading\n---\nlicense: mit\n---\n",
    "\r\n| a | b |\r\n|---|---|",
    "\x00\x1b[31m\u202egnp.exe\u200b\ufeff",
    "\ud800",
    "$`x^2`$ and *so* _on_ ~~and~~ ==on==",
    "&lt;b&gt; &#60;",
    "x" * 10_000_000,
    "",
    "   ",
)


def manifest(text: str = "plain", number: int = 7, **other: Any) -> Manifest:
    """Return the manifest of no shards that says ``text`` wherever it can."""
    values: dict[str, Any] = {
        "schema_version": 3,
        "identity": {
            "code_version": text,
            "settings": {"observe": {"encoder": text}, f"key {text}": [text, {text: text}]},
            "providers": {f"provider {text}": text},
        },
        "shards": (),
        "counters": {f"counter {text}": text},
        "rights": {"licence": text, "posts": text, f"more {text}": text},
        "summary": {
            "posts": {f"split {text}": number},
            "photos": {"missing": number, f"status {text}": text},
            "reasons": {f"step {text}": number},
            "providers": {f"provider {text}": {"kept": number, "first": text, "last": text}},
            "streams": {f"stream {text}": number},
            "texts": text,
            "images": {"count": number, "bytes": text},
        },
        "withheld": (),
        "original": "",
    }
    return Manifest.model_construct(**{**values, **other})


def skeleton(card: str) -> str:
    """Return a card without what stands in code spans, and without its hashes."""
    return re.sub(r"`[^`\n]*`|(?<= )[0-9a-f]{64}", "`...`", card)


@pytest.mark.parametrize("attack", ATTACKS)
def test_whatever_a_manifest_says_stays_inside_of_code_spans(attack: str) -> None:
    card, harmless = data_card(manifest(attack)), data_card(manifest())
    if not attack.strip():
        # Nothing is stated then, and the card says so.
        assert "Nobody stated a licence" in card
        return
    # How many rows there are does not depend on what stands in them.
    assert len(card.splitlines()) == len(harmless.splitlines())
    assert skeleton(card) == skeleton(harmless)
    assert max(map(len, card.splitlines())) < 5 * MAX_CHARS
    card.encode()


@given(st.text())
def test_no_text_leaves_its_code_span(text: str) -> None:
    span = code(text)
    assert re.fullmatch(r"`[^`|\n\r]+`", span)
    assert span.isprintable()
    assert len(span) <= MAX_CHARS + 2


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(-9, 9) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    )
)
def test_a_card_is_made_of_any_json(value: Any) -> None:
    mapping = value if isinstance(value, dict) else {"value": value}
    groups = ("posts", "photos", "providers", "streams", "reasons", "images", "texts")
    odd = manifest(
        identity={**mapping, "settings": value, "providers": value},
        summary=dict.fromkeys(groups, value),
        rights={},
    )
    assert data_card(odd).endswith("\n")


def test_deep_and_long_settings_are_cut() -> None:
    deep: Any = "end"
    for _ in range(90):
        deep = {"a": [deep]}
    many = {f"setting {number:04d}": number for number in range(500)}
    card = data_card(manifest(identity={"deep": deep, "many": many}))
    assert f"and {501 - MAX_ROWS} more" in card
    assert len(flattened(deep)) == 1
    assert len(plain(deep)) <= MAX_CHARS


def test_equal_builds_have_equal_cards_and_no_path_or_time_is_in_them(tmp_path: Path) -> None:
    build(tmp_path / "a")
    build(tmp_path / "b")
    card = files_of(tmp_path / "a")["README.md"]
    assert card == files_of(tmp_path / "b")["README.md"]
    assert card.decode() == data_card(read_manifest(tmp_path / "a"))
    assert str(tmp_path) not in card.decode()


def test_a_card_names_counts_settings_providers_and_their_dates(tmp_path: Path) -> None:
    made = build(tmp_path)
    card = data_card(made)
    assert made.fingerprint in card
    for row in (
        "| posts | 15 |",
        "| posts in `train` | 4 |",
        "| photos that are `ok` | 10 |",
        "| hits dropped by `dedup` | 9 |",
        "| hits kept for `object/image` | 4 |",
        "| `recipe.keep` | `5` |",
        "| `kb` | 20 | 18 | `2026-11-01` | `2026-11-01` | `-` |",
    ):
        assert row in card
    assert "What is left out" not in card


def test_unstated_rights_are_a_visible_sentence_and_stated_ones_are_quoted(tmp_path: Path) -> None:
    made = build(tmp_path)
    assert data_card(made).count("**Nobody stated") == 3
    rights = {"licence": "CC-BY-4.0", "posts": "of their authors", "weights": "MIT"}
    card = data_card(made.model_copy(update={"rights": rights}))
    assert card.count("**Nobody stated") == 1
    assert "Nobody stated whose the evidence is" in card
    assert "| `posts` | `of their authors` |" in card
    assert "| `weights` | `MIT` |" in card
    long = "a word " * 100
    assert long.strip() in data_card(made.model_copy(update={"rights": {"posts": long}}))


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("Apache-2.0", "apache-2.0"),
        ("my own: see\nlicense: mit", "other"),
        ("---\n", "other"),
        ("", None),
    ],
)
def test_the_front_matter_is_yaml_that_names_tables_and_licence(
    tmp_path: Path, licence: str, said: str | None
) -> None:
    yaml = pytest.importorskip("yaml")
    made = build(tmp_path).model_copy(update={"rights": {"licence": licence}})
    _, front, _ = data_card(made).split("---\n", 2)
    content = yaml.safe_load(front)
    assert content.get("license") == said
    tables = {one["config_name"]: one["data_files"][0]["path"] for one in content["configs"]}
    assert tables.keys() == {"examples", "evidence", "dropped", "texts", "media"}
    for pattern in tables.values():
        assert len(list(tmp_path.glob(pattern))) == 3


def test_a_store_without_shards_has_a_card(tmp_path: Path) -> None:
    with StoreWriter(tmp_path, identity={}, num_shards=0) as writer:
        card = data_card(writer.close({}))
    assert card.startswith("# A RAMIE store")
    assert "| posts | 0 |" in card
    assert "The manifest does not say." in card


def test_a_card_says_what_is_left_out_of_which_store_and_how_it_comes_back(tmp_path: Path) -> None:
    whole = build(tmp_path / "whole")
    card = data_card(withhold_store(tmp_path / "whole", tmp_path / "copy"))
    assert "- images: " in card
    assert "- posts: " in card
    assert "- texts: " not in card
    assert f"The whole store has the fingerprint `{whole.fingerprint}`" in card
    assert "ramie pull URL STORE --dataset ROOT" in card


def test_known_gaps_are_named() -> None:
    observe = {"detector": "none", "encoder": "none"}
    identity = {**IDENTITY, "settings": {"observe": observe}, "providers": {"kb": "", "web": ""}}
    summary = {"photos": {"missing": 2, "unreadable": 0}, "providers": {"kb": {"kept": 1}}}
    card = data_card(manifest(identity=identity, summary=summary))
    gaps = card.partition("## Known gaps")[2]
    assert "- 2 posts go without their photo, which was missing" in gaps
    assert "unreadable" not in gaps
    assert "- no detector: no regions" in gaps
    assert "- no encoder: no embeddings" in gaps
    assert "- `web` was to be asked, and no hit of it is here" in gaps
    assert "`kb`" not in gaps


@pytest.mark.parametrize("origin", ["joined", "merged", "migrated_from"])
def test_where_a_store_comes_from_is_a_known_gap(origin: str) -> None:
    assert "None that the manifest knows of" in data_card(manifest(identity={}, summary={}))
    gaps = data_card(manifest(identity={origin: {"a": 1}}, summary={})).partition("Known gaps")[2]
    assert gaps.startswith("\n\n- it ")


def test_a_card_fits_its_own_manifest_whatever_version_worded_it_and_no_edit_of_it_does() -> None:
    hostile = manifest("<!-- data card of manifest " + "0" * 64)
    card = data_card(hostile).encode()
    assert card_fits(card, hostile)
    assert not card_fits(card, manifest())
    assert not card_fits(card.replace(b"store", b"stare", 1), hostile)
    assert not card_fits(card + b"more", hostile)
    assert not card_fits(b"more" + card, hostile)
    assert not card_fits(b"", hostile)
