from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.providers.web_text import clean_text, cut_at_word, web_url


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("<b>Paris</b> is a&nbsp;city", "Paris is a city"),
        ("one<br>two<p>three", "one two three"),
        ("<script>alert('x')</script>title", "title"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;title", "title"),
        ("<img src=x onerror=alert(1)>caption", "caption"),
        ("<style>p {}</style>text", "text"),
        ("3 < 5 and 7 > 2", "3 < 5 and 7 > 2"),
        ("x <y and <b>bold</b>", "x <y and bold"),
        ("AT&T", "AT&T"),
        ("a\x00b\x1b[31mc\u2028d", "a b [31mc d"),
        ("Cafe\u0301 東京 🗼 👨\u200d👩\u200d👧", "Café 東京 🗼 👨\u200d👩\u200d👧"),
        ("abc\u202edcba\u202c", "abc dcba"),
        ("half \ud83d surrogate", "half surrogate"),
        ("", ""),
    ],
)
def test_only_what_is_said_remains(text: str, cleaned: str) -> None:
    assert clean_text(text, 200) == cleaned


@given(st.text(), st.integers(1, 50))
def test_cleaned_text_is_bounded_composed_and_has_no_control_characters(
    text: str, max_chars: int
) -> None:
    cleaned = clean_text(text, max_chars)
    assert len(cleaned) <= max_chars
    assert not any(unicodedata.category(char) in {"Cc", "Cs"} for char in cleaned)
    assert cleaned == cleaned.strip()
    cleaned.encode("utf-8")


def test_text_is_cut_after_a_word_where_there_is_one() -> None:
    assert cut_at_word("one two three", 8) == "one two"
    assert cut_at_word("one two three", 7) == "one two"
    assert cut_at_word("one two three", 6) == "one"
    assert cut_at_word("onetwothree", 6) == "onetwo"
    assert cut_at_word("one two", 7) == "one two"


@pytest.mark.parametrize("text", ["<" * 10**6, "<a " * 10**6, "&lt;" * 10**6, "<![" * 10**6])
def test_hostile_markup_takes_no_time(text: str) -> None:
    started = time.thread_time()
    clean_text(text, 2000)
    assert time.thread_time() - started < 1


@pytest.mark.parametrize(
    "url",
    [
        "http://x.test",
        "https://x.test:8443/a?b=c#d",
        "https://例え.test/ü",
        "http://[2001:db8::1]/",
    ],
)
def test_addresses_of_the_web_are_kept(url: str) -> None:
    assert web_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x.test",
        "//x.test/a.png",
        "ftp://x.test/",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "javascript:alert(1)",
        "http://",
        "http://user:word@x.test/",
        "http://x.test:99999/",
        "http://[::1/",
        "http://x.test/a b",
        "http://x.test/a\nb",
        "http://x.test/\ud800",
        "http://x.test/" + "a" * 3000,
    ],
)
def test_what_is_no_address_of_the_web_is_not(url: str) -> None:
    assert web_url(url) == ""
