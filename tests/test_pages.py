from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hostile_server import gzip_bomb

from pipelines.page.markup import element, link, quoted
from retrieval.fetching.pages import MAX_TEXT_CHARS, Page, PageProblem, passage, read_page

SENTENCES = [f"On day {index} the council of town {index} met and spoke." for index in range(400)]
ARTICLE = "".join(f"<p>{sentence}</p>" for sentence in SENTENCES)


def html(body: str, title: str = "A title") -> bytes:
    return f"<html><head><title>{title}</title></head><body>{body}</body></html>".encode()


def test_of_a_page_its_title_and_running_text_are_kept() -> None:
    menu = "<nav><a href='/'>Home</a><a href='/a'>About us</a></nav>"
    script = "<script>var evil = 'code';</script><style>p {color: red}</style>"

    page = read_page(
        html(f"{menu}{script}<article>{ARTICLE}</article>", "The <b>town</b>\n  council"),
        "text/html; charset=utf-8",
    )

    assert page.title == "The <b>town</b> council"
    assert SENTENCES[0] in page.text
    assert SENTENCES[-1] in page.text
    assert "evil" not in page.text
    assert "color" not in page.text
    assert "About us" not in page.text


def test_markup_in_titles_and_texts_is_text_and_is_shown_as_such() -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    escaped = attack.replace("<", "&lt;").replace(">", "&gt;")

    page = read_page(html(f"<article>{ARTICLE}<p>{escaped}</p></article>", attack), "text/html")

    assert page.title == attack
    assert attack in page.text
    for shown in [quoted(page.title), element("p", page.text), element("a", title=page.title)]:
        assert "<script" not in shown
        assert "<img" not in shown
    assert "href" not in link("javascript:alert(1)")


def test_what_cannot_be_shown_is_gone() -> None:
    page = read_page(b"a\x00b\x1b[31mc\x9bd \xc2\x9be", "text/plain; charset=utf-8")
    assert page == Page("", "a b [31mc\ufffdd  e")
    spelt = read_page(html("<article><p>One &#1; two &#x9b; three.</p></article>"), "text/html")
    assert not any(char < " " for char in spelt.text)


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("Zürich".encode("latin-1"), "text/plain; charset=ISO-8859-1", "Zürich"),
        ("Zürich".encode("cp1252"), 'text/plain; charset="windows-1252"', "Zürich"),
        ("東京".encode("shift_jis"), "text/plain;charset=Shift_JIS", "東京"),
        ("Zürich".encode(), "text/plain", "Zürich"),
        ("Zürich".encode(), "text/plain; charset=utf-99", "Zürich"),
        ('<meta charset="windows-1251">Пять'.encode("cp1251"), "text/plain", None),
        (b"x" * 9, "text/plain; charset=zlib", "x" * 9),
        (b"x" * 9, "text/plain; charset=punycode", "x" * 9),
        (b"x" * 9, "text/plain; charset=rot13", "x" * 9),
    ],
    ids=range(9),
)
def test_the_charset_of_the_response_is_believed_where_it_is_one(
    body: bytes, kind: str, text: str | None
) -> None:
    found = read_page(body, kind).text
    assert found == text or (text is None and found.endswith("Пять"))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"\x00" * 1000, b"\xff\xfe" * 500, b"%PDF-1.7" + bytes(range(256)) * 40,
        b"PAR1" + bytes(1000), b"<" * 100_000, b"<html><body>" + b"<div>" * 200_000,
        b"<html><body><p>" + b"&amp;" * 100_000,
        b"<!DOCTYPE x [<!ENTITY a '" + b"b" * 99 + b"'>]>",
        b"<html><body><article>" + b"<p>a <ul><li>" * 50_000,
        b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;">'
        b'<!ENTITY file SYSTEM "file:///etc/passwd">]><html><p>&c;&file;</p></html>',
    ],
    ids=[
        "empty", "zeros", "bom", "pdf", "parquet", "brackets", "nested", "entities", "doctype",
        "lists", "external entity",
    ],
)  # fmt: skip
def test_a_page_of_rubbish_has_little_to_say_and_says_it_soon(body: bytes) -> None:
    start = time.thread_time()
    try:
        page = read_page(body, "text/html")
    except PageProblem:
        page = Page("", "")
    assert "root:" not in page.text
    assert len(page.text) <= MAX_TEXT_CHARS
    assert time.thread_time() - start < 4.0


def test_a_tag_with_attributes_without_end_is_refused_at_once() -> None:
    for value in ["", "='<'", "='>'"]:
        tag = "<p " + " ".join(f"a{index}{value}" for index in range(200_000)) + ">"
        start = time.thread_time()
        with pytest.raises(PageProblem, match="attributes"):
            read_page(html(f"<article>{tag}{ARTICLE}</article>"), "text/html")
        assert time.thread_time() - start < 3.0


def test_a_packed_page_is_not_unpacked() -> None:
    bomb = gzip_bomb(300)
    tracemalloc.start()
    try:
        for body in [bomb, gzip.compress(html(ARTICLE)), zlib.compress(html(ARTICLE))]:
            with suppress(PageProblem):
                assert SENTENCES[0] not in read_page(body, "text/html").text
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30 * len(bomb)


def test_the_passage_is_where_the_words_of_the_snippet_are() -> None:
    text = "\n".join(SENTENCES)
    snippet = "... council of town 237 met ... day 237 ..."

    found = passage(text, snippet, 200)

    assert SENTENCES[237] in found
    assert len(found) <= 200
    assert found in text
    assert found[0] == "O"
    assert found[-1] == "."


def test_the_passage_holds_the_most_words_of_all_stretches() -> None:
    text = "aa bb. cc dd. bb cc. ee. aa cc dd. ff."
    assert passage(text, "aa bb cc dd", 20) == "aa bb. cc dd. bb cc."
    assert passage(text, "ee ff", 19) == "ee. aa cc dd. ff."
    assert passage(text, "dd", 6) == "cc dd."
    # Words that were left behind count no more.
    assert passage("aa bb. xx. cc.", "aa bb cc", 7) == "aa bb."


def test_a_short_page_is_its_own_passage_and_a_page_on_something_else_is_none() -> None:
    assert passage("One line. Another one.", "line", 1000) == "One line. Another one."
    assert passage("One line. Another one.", "", 12) == "Another one."
    assert passage("Accept all cookies.", "the cup final in Oslo", 1000) == ""
    assert passage("", "words", 1000) == ""
    assert passage("x" * 5000, "", 1000) == "x" * 1000


def test_one_long_line_is_cut_to_length() -> None:
    text = "word " * 10_000 + "needle " + "word " * 10_000
    found = passage(text, "needle", 500)
    assert "needle" in found
    assert len(found) <= 500
