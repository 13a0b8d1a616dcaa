"""Headers of pages are read in one go where they are usual, and field by field to the same end."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cache.tables import pages

# As pyarrow writes them: a page of a dictionary, and one of data.
DICTIONARY = bytes.fromhex("1504153e155015fbc583bb0b3c15061500120000")
DATA = bytes.fromhex("1500158030156215fcea9fe4061c1580041500150615061c000000")
NEVER = re.compile(rb"(?!)")


def told(data: bytes, stored: int) -> int | str:
    """Return what is said of a column of one page, or why it is refused."""
    column = SimpleNamespace(
        data_page_offset=0,
        has_dictionary_page=False,
        dictionary_page_offset=None,
        total_compressed_size=stored,
        physical_type="BYTE_ARRAY",
    )
    try:
        return pages.decoded_bytes(lambda at, size: data[at : at + size], column)
    except ValueError as error:
        return str(error)


def test_usual_headers_are_read_as_they_are_meant() -> None:
    # 31 bytes of 3 values; then 3,072 bytes of 256 values.
    assert told(DICTIONARY, len(DICTIONARY) + 40) == 31 + 3 * 16
    assert told(DATA, len(DATA) + 49) == 3072 + 256 * 16
    assert "impossible size" in str(told(DATA, len(DATA) + 48))


@pytest.mark.parametrize(
    "more",
    [
        "050202",  # field 1 once more
        "060202",  # as a number of 64 bits
        "040202",  # as one of 16 bits, which no header has
        "0582800802",  # field 65,537, which is 1 modulo 65,536
        "05010e",  # field -1
    ],
)
def test_what_arrow_may_read_differently_is_refused(more: str) -> None:
    header = DATA[:-1] + bytes.fromhex(more) + DATA[-1:]
    assert "a page has a header" in str(told(header, len(header) + 49))


def test_a_size_beyond_32_bits_is_refused() -> None:
    # 2^32 + 49 bytes stored, which Arrow takes for 49.
    header = DATA.replace(bytes.fromhex("1562"), bytes.fromhex("15e280808020"))
    assert "impossible size" in str(told(header, 1 << 40))


def test_a_column_longer_than_any_file_is_refused_before_it_is_read() -> None:
    assert told(DATA, (1 << 63) - 1) == told(DATA, -1) == "a column lies nowhere"


@given(
    st.sampled_from((DICTIONARY, DATA)),
    st.lists(st.tuples(st.integers(0, 26), st.binary(max_size=3), st.integers(0, 2))),
    st.integers(0, 4000),
)
@example(DATA, [(3, b"\xff\xff", 0)], 100)
@example(DATA, [(1, b"\x04", 1)], 100)
@example(DATA, [(3, b"\x01", 2)], 100)
@example(DICTIONARY, [(18, b"\x15", 1)], 100)
def test_a_changed_header_is_read_or_refused_as_field_by_field(
    header: bytes, changes: list[tuple[int, bytes, int]], stored: int
) -> None:
    for at, put, cut in changes:
        header = header[:at] + put + header[at + cut :]
    fast = told(header + bytes(8), stored)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "_USUAL", NEVER)
        assert told(header + bytes(8), stored) == fast
