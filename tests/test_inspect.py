from __future__ import annotations

import io
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from cache import (
    STREAMS,
    Dropped,
    Evidence,
    Example,
    Hit,
    InputError,
    Level,
    Media,
    Modality,
    Observation,
    Post,
    Region,
    Span,
    StoredExample,
    StoreReader,
    StoreWriter,
    content_key,
    open_store,
)
from cache.operations.withhold import withhold_store
from pipelines.page.markup import element, is_web_url, quoted
from pipelines.page.page import POLICY, flatten, render_page, write_page
from pipelines.page.sentence import Hues, sentence

SCRIPT = "<script>document.title='pwned'</script>"
HANDLER = '"><img src=x onerror="document.title=\'pwned\'">'
CLOSING = "</style></title></svg><script>document.title='pwned'</script>"
LINK = "javascript:document.title='pwned'"


def picture(red: int) -> Media:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (red, 90, 200)).save(buffer, "PNG")
    data = buffer.getvalue()
    return Media(content_key(data), data, "PNG", 64, 48)


def hit(name: str, stream: tuple[Level, Modality], media_key: str | None, hostile: str) -> Hit:
    level, modality = stream
    return Hit(
        level=level,
        modality=modality,
        region_index=0 if level == "object" else -1,
        provider=f"kb {hostile}",
        document_id=f"document {name} {hostile}",
        rank=3,
        provider_score=1.5,
        text=f"passage {name} {hostile} " + "and so on " * 60,
        media_key=media_key,
        title=f"title {name} {hostile}",
        url=LINK if hostile else f"https://example.org/{name}?a=1&b=2",
        retrieved_at="2026-11-01T00:00:00Z",
        query_key=f"key {hostile}",
        relevance=0.25,
        consistency=None,
    )


def make_post(
    index: int, hostile: str, photo: Media, image: Media
) -> tuple[StoredExample, list[Dropped]]:
    """Return a post with one kept and one dropped hit in every stream."""
    name = f"post-{index}{hostile}"
    post = Post(name, ("Ann", f"met{hostile}", "Bob", "."), f"{name}.jpg", Span(0, 1), Span(2, 3))
    entities = (Span(0, 2, f"PER{hostile}"), Span(2, 3, "LOC"))
    labelled = Example(post, "test", entities, f"/per/per/peer{hostile}")
    regions = (Region((4.0, 5.0, 30.0, 40.0), f"dog{hostile}", 0.9),)
    seen = Observation(post, photo.key, "ok", regions=regions)
    kept, dropped = [], []
    for level, modality in STREAMS:
        key = image.key if modality == "image" else None
        stream = (level, modality)
        tag = f"{index}-{level}-{modality}"
        kept.append(Evidence(hit(f"K{tag}", stream, key, hostile), 0, 1 / 60))
        dropped.append(
            Dropped(hit(f"D{tag}", stream, key, hostile), f"cut{hostile}", f"no{hostile}")
        )
    return StoredExample(labelled, seen, tuple(kept)), dropped


def make_store(path: Path, hostile: str = "", num_posts: int = 2) -> StoreReader:
    photo, image = picture(10), picture(250)
    posts = [make_post(index, hostile, photo, image) for index in range(num_posts)]
    identity = {"name": f"tiny{hostile}", "settings": {f"key{hostile}": f"value{hostile}"}}
    with StoreWriter(path, identity=identity, num_shards=1) as writer:
        dropped = {stored.example.post.example_id: drops for stored, drops in posts}
        rows = [stored for stored, _ in posts]
        writer.write_shard(0, rows, dropped, [photo, image], [f"post-99{hostile}"])
        writer.close({f"counter{hostile}": 7})
    return open_store(path, reader="parquet")


class Seen(HTMLParser):
    """What a page contains: elements, attributes and visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.styles = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "style":
            self.styles += data
        else:
            self.text += data


def page_of(tmp_path: Path, hostile: str = "") -> str:
    out = tmp_path / "page.html"
    with make_store(tmp_path / "store", hostile) as store:
        write_page(store, out)
    return out.read_text(encoding="utf-8")


def test_every_kept_and_dropped_hit_is_on_the_page_once(tmp_path: Path) -> None:
    seen = Seen(page_of(tmp_path))
    for index in range(2):
        for level, modality in STREAMS:
            for fate in "KD":
                tag = f"{fate}{index}-{level}-{modality}"
                assert seen.text.count(f"title {tag} ") == 1
                assert seen.text.count(f"passage {tag} ") == 1
                assert seen.text.count(f"document {tag} ") == 1
    assert seen.text.count("https://example.org/K0-image-text?a=1&b=2") == 1
    assert ("a", "href", "https://example.org/K0-image-text?a=1&b=2") in seen.attributes


def test_scores_annotations_counts_and_the_manifest_are_on_the_page(tmp_path: Path) -> None:
    text = Seen(page_of(tmp_path)).text
    for fact in ["relevance 0.250", "consistency \N{EN DASH}", "fused 0.0167", "/per/per/peer"]:
        assert fact in text
    for fact in [
        "2 of 2 posts",
        "settings.key",
        "counter",
        "Posts that could not be finished: 1post-99",
    ]:
        assert fact in text
    assert "kept22222212cut dropped22222212" in text  # two in each of six streams, twelve in all


def test_nothing_is_loaded_from_outside_and_nothing_can_run(tmp_path: Path) -> None:
    page = page_of(tmp_path, f"{SCRIPT}{HANDLER}{CLOSING}")
    seen = Seen(page)
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(seen.tags)
    for tag, name, value in seen.attributes:
        assert not name.startswith("on")
        if name in {"src", "srcset", "xlink:href", "data", "poster", "background"}:
            assert (tag, name) == ("img", "src")
            assert value.startswith("data:image/jpeg;base64,")
        if name == "href":
            assert tag == "a"
            assert value.startswith(("#post-", "https://"))
    assert seen.styles.count("url(") == seen.styles.count('url("data:image/jpeg;base64,') > 0
    assert "@import" not in seen.styles
    assert ("meta", "content", POLICY) in seen.attributes
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in POLICY


@pytest.mark.parametrize("hostile", [SCRIPT, HANDLER, CLOSING, "\u202e<b>&lt;</p>"])
def test_hostile_text_adds_no_element_and_is_shown_as_it_is(tmp_path: Path, hostile: str) -> None:
    plain, attacked = Seen(page_of(tmp_path / "a")), Seen(page_of(tmp_path / "b", hostile))
    # Addresses that are not of the web are no links, so <a> alone may differ.
    assert [tag for tag in attacked.tags if tag != "a"] == [
        tag for tag in plain.tags if tag != "a"
    ]
    for said in [f"title K0-image-text {hostile}", f"cut{hostile}", f"met{hostile}", LINK]:
        assert said in attacked.text


@given(st.text(st.characters(codec=None), max_size=30))
@example("\x00\ud800<&\"'>")
def test_any_text_comes_back_as_text(text: str) -> None:
    page = element("p", quoted(text), title=text)
    assert page.encode("utf-8")  # lone surrogates would fail here
    seen = Seen(page)
    assert seen.tags == ["p", "bdi"]
    assert len(seen.attributes) == 2
    if text.isprintable():
        assert seen.text == text


@pytest.mark.parametrize(
    ("url", "web"),
    [
        ("https://example.org/a?b=c", True),
        ("HTTP://EXAMPLE.ORG", True),
        ("javascript:alert(1)", False),
        (" javascript:alert(1)", False),
        ("java\nscript:alert(1)", False),
        ("https:\\\\example.org", False),
        ("data:text/html,hi", False),
        ("file:///etc/passwd", False),
        ("//example.org", False),
        ("https://", False),
        ("https://[", False),
        ("", False),
        ("https://example.org/" + "a" * 3000, False),
    ],
)
def test_only_web_addresses_become_links(url: str, web: bool) -> None:
    assert is_web_url(url) is web


def test_overlapping_and_touching_spans_mark_every_word_once() -> None:
    post = Post("a", ("A", "B", "C", "D"), head=Span(0, 3), tail=Span(2, 4))
    shown = sentence(Example(post, "test", (Span(0, 1, "X"), Span(1, 2, "Y"))), Hues())
    assert Seen(shown).text.split() == ["AX", "BY", "Chead", "Dtail"]


def test_images_that_cannot_be_shown_say_why(tmp_path: Path) -> None:
    broken = Media(content_key(b"no image"), b"no image", "PNG", 1, 1)
    stored, dropped = make_post(0, "", broken, broken)
    with StoreWriter(tmp_path / "store", identity={}, num_shards=1) as writer:
        writer.write_shard(0, [stored], {stored.example.post.example_id: dropped}, [broken], [])
        writer.close({})
    with open_store(tmp_path / "store", reader="parquet") as store:
        write_page(store, tmp_path / "page.html")
    seen = Seen((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "photo cannot be shown: not an image" in seen.text
    assert seen.text.count("no picture") == 6
    assert "img" not in seen.tags


def test_images_that_the_store_does_not_hold_are_named_without_its_path(tmp_path: Path) -> None:
    stored, dropped = make_post(0, "", picture(1), picture(2))
    with make_store(tmp_path / "store") as store:
        page = render_page([(stored, dropped)], store.manifest, store.media)
    assert "photo cannot be shown: not kept in the store" in Seen(page).text
    assert ("span", "title", "not kept in the store") in Seen(page).attributes
    assert str(tmp_path) not in page


def test_images_that_their_owner_left_out_are_said_to_be(tmp_path: Path) -> None:
    make_store(tmp_path / "store").close()
    withhold_store(tmp_path / "store", tmp_path / "copy", kinds=["images"])
    with open_store(tmp_path / "copy", reader="parquet") as store:
        write_page(store, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    seen = Seen(page)
    assert seen.text.count("photo cannot be shown: left out by the store's owner") == 2
    assert seen.attributes.count(("span", "title", "left out by the store's owner")) == 12
    assert str(tmp_path) not in page


def test_a_thumbnail_used_twice_is_stored_once(tmp_path: Path) -> None:
    seen = Seen(page_of(tmp_path))
    assert seen.styles.count("data:image/jpeg") == 1
    assert [value for _, _, value in seen.attributes].count("thumb m0") == 12


def test_posts_are_drawn_by_seed_or_shown_as_named(tmp_path: Path) -> None:
    with make_store(tmp_path / "store", num_posts=9) as store:
        draws = [write_page(store, tmp_path / "a.html", limit=3, seed=seed) for seed in (1, 1, 2)]
        assert draws[0] == draws[1] != draws[2]
        assert len(draws[0]) == 3
        named = write_page(store, tmp_path / "b.html", example_ids=["post-7", "post-2"])
        assert named == ("post-7", "post-2")
        text = Seen((tmp_path / "b.html").read_text(encoding="utf-8")).text
        assert text.index("title K7-image-text") < text.index("title K2-image-text")
        assert len(write_page(store, tmp_path / "c.html", limit=50)) == 9
        with pytest.raises(InputError, match="post-77"):
            write_page(store, tmp_path / "d.html", example_ids=["post-77"])
        with pytest.raises(InputError, match="0 posts"):
            write_page(store, tmp_path / "d.html", limit=0)
    assert not (tmp_path / "d.html").exists()


def test_the_same_store_gives_the_same_page(tmp_path: Path) -> None:
    assert page_of(tmp_path / "a") == page_of(tmp_path / "b")


def test_flattening_keeps_every_leaf() -> None:
    facts = dict(flatten({"a": {"b": 1, "c": {}}, "d": [1, "x"], "e": None, "f": []}))
    assert facts == {"a.b": "1", "a.c": "{}", "d": "1, x", "e": "None", "f": "(none)"}


@pytest.fixture(scope="module")
def chromium() -> str:
    """Return the path of a Chromium, or skip."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium on this machine (install the package chromium to run this test)")


def dump_dom(chromium: str, page: str, folder: Path) -> str:
    """Return the page as HTML after Chromium loaded it and ran what it would run."""
    file = folder / "opened.html"
    file.write_text(page, encoding="utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
        "--disable-background-networking --disable-component-update --disable-sync "
        "--virtual-time-budget=2000 --dump-dom"
    )
    done = subprocess.run(
        [chromium, *flags.split(), f"--user-data-dir={folder / 'profile'}", file.as_uri()],
        capture_output=True,
        check=True,
        timeout=60,
    )
    return done.stdout.decode("utf-8")


@pytest.mark.browser
def test_no_hostile_text_runs_in_a_browser(tmp_path: Path, chromium: str) -> None:
    page = page_of(tmp_path, f"{SCRIPT}{HANDLER}{CLOSING}")
    assert "<title>pwned" not in dump_dom(chromium, page, tmp_path)
    # The escapes must do it alone, too.
    unguarded = page.replace("Content-Security-Policy", "x-nothing")
    opened = dump_dom(chromium, unguarded, tmp_path)
    assert "<title>pwned" not in opened
    assert "<title>RAMIE" in opened
    assert opened.count("<article") == 2


@pytest.mark.browser
def test_the_policy_stops_a_script_that_slipped_in(tmp_path: Path, chromium: str) -> None:
    page = page_of(tmp_path).replace("<main>", f"<main>{SCRIPT}<img src=x onerror=1>")
    assert "<title>RAMIE" in dump_dom(chromium, page, tmp_path)
    # Without the policy the same script runs: this test can see what it looks for.
    unguarded = page.replace("Content-Security-Policy", "x-nothing")
    assert "<title>pwned" in dump_dom(chromium, unguarded, tmp_path)


@pytest.mark.browser
def test_pictures_and_boxes_are_laid_out_in_a_browser(tmp_path: Path, chromium: str) -> None:
    opened = Seen(dump_dom(chromium, page_of(tmp_path), tmp_path))
    assert opened.tags.count("img") == opened.tags.count("svg") == 2
    assert ("svg", "viewbox", "0 0 64 48") in opened.attributes
    assert ("rect", "x", "4.0") in opened.attributes
