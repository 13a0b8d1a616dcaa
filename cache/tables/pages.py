"""What a row group takes when it is decoded, by what its pages say of themselves.

The footer of a Parquet file is a claim, and the library believes each page instead: a file of 9 KB
whose dictionary holds one long value, named by every row, takes 10 GB. Headers of pages are small
and can be read without decoding anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

# Returns so many bytes of a file from a place on; fewer at its end.
ReadAt = Callable[[int, int], bytes]

_HEADER_BYTES: Final = 128
_LONGEST_HEADER: Final = 1 << 16
# Levels, an offset and a number: what each value takes at most besides its own bytes.
_VALUE_BYTES: Final = 16
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3
# Field of the header that describes a page of each kind, and those of its encoding there.
_DESCRIBED: Final = {_DATA: (5, 2), _DICTIONARY: (7, 2), _DATA_2: (8, 4)}
# By number in the format: of these a value takes its own bytes ...
_EXACT: Final = frozenset({0, 3, 4, 5, 6, 9})
# ... of these as many as the dictionary has, and of this one as many as the page.
_BY_DICTIONARY: Final = frozenset({2, 8})
_BY_PREFIX: Final = 7
_STRUCT: Final = 12
_INT32, _INT64 = 5, 6
# The header of almost every page, matched at once for speed: kind, both sizes, a checksum, number
# of values and encoding; and of data, the encodings of its levels and no statistics. One of any
# other form is read field by field, to the same end.
_SAID: Final = rb"([\x80-\xff]{0,4}[\x00-\x7f])"
_ANY: Final = rb"[\x80-\xff]{0,4}[\x00-\x7f]"
_USUAL: Final = re.compile(
    rb"\x15(?:\x00|(\x04))\x15%b\x15%b\x15%b(?(1)\x3c|\x1c)\x15%b\x15%b"
    rb"(?(1)[\x11\x12]|\x15%b\x15%b\x1c\x00)\x00\x00"
    % (_SAID, _SAID, _ANY, _SAID, _SAID, _ANY, _ANY)
)


def decoded_bytes(read: ReadAt, column: Any) -> int:
    """Return what the pages of a column in a row group may take in memory, at most.

    Args:
        read: of the file.
        column: its metadata, as pyarrow gives it.

    Raises:
        ValueError: a page does not have the form of one, or is not inside of its column.
    """
    at = column.data_page_offset
    if column.has_dictionary_page and column.dictionary_page_offset:
        at = min(at, column.dictionary_page_offset)
    # Of more bytes than any file has, the sum with a place is a number that no file can be asked.
    if at < 0 or not 0 <= column.total_compressed_size < 1 << 62:
        raise ValueError("a column lies nowhere")
    end = at + column.total_compressed_size
    texts = column.physical_type == "BYTE_ARRAY"
    total = dictionary = 0
    while at < end:
        kind, size, stored, number, encoding, length = _page(read, at)
        # Arrow takes what is larger modulo 2^32.
        fits = all(0 <= one < 1 << 31 for one in (number, size, stored))
        if not fits or stored > end - at - length:
            raise ValueError(f"page at {at} claims an impossible size")
        at += length + stored
        total += size + number * _VALUE_BYTES
        if kind == _DICTIONARY:
            dictionary = max(dictionary, size)
        elif encoding in _BY_DICTIONARY or encoding == _BY_PREFIX:
            total += number * texts * (size if encoding == _BY_PREFIX else dictionary)
        elif encoding not in _EXACT:
            raise ValueError(f"a page has the unknown encoding {encoding}")
    return total


def _page(read: ReadAt, at: int) -> tuple[int, int, int, int, int, int]:
    """Return what the header of the page at a place in the file says, and how long it is.

    That is: kind, size unpacked and packed, number of values, and their encoding.
    """
    for size in (_HEADER_BYTES, _LONGEST_HEADER):
        data = read(at, size)
        if usual := _USUAL.match(data):
            kind = _DICTIONARY if usual[1] else _DATA
            unpacked, _ = _integer(data, usual.start(2))
            stored, _ = _integer(data, usual.start(3))
            number, _ = _integer(data, usual.start(4))
            encoding, _ = _integer(data, usual.start(5))
            return kind, unpacked, stored, number, encoding, usual.end()
        try:
            header, length = _struct(data, 0, 0)
        except IndexError:
            continue
        kind, unpacked, stored = (_number(header, field) for field in (1, 2, 3))
        field, encoded = _DESCRIBED.get(kind, (0, 0))
        described = header.get(field)
        if not isinstance(described, dict):
            raise ValueError(f"page at {at} is of an unknown kind")
        number, encoding = _number(described, 1), _number(described, encoded)
        return kind, unpacked, stored, number, encoding, length
    raise ValueError(f"page at {at} has no proper header")


def _number(fields: dict[int, Any], field: int) -> int:
    value = fields.get(field)
    if not isinstance(value, int):
        raise ValueError(f"a page has a header without field {field}")
    return value


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Read a struct of Thrift's compact protocol; its 32-bit integers and structs are kept."""
    if depth > 4:
        raise ValueError("a page has a header inside of headers")
    fields: dict[int, Any] = {}
    field = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            field += head >> 4
        else:
            field, at = _integer(data, at)
        kind = head & 15
        # Arrow would take the later one, and a number modulo 65,536.
        if field in fields or not 0 < field < 1 << 15:
            raise ValueError("a page has a header with a field twice, or one that cannot be")
        if kind == _INT32:
            fields[field], at = _integer(data, at)
        elif kind == _INT64:
            # Only statistics have them; where a field is to be shorter, Arrow passes over it, too.
            _, at = _varint(data, at)
        elif kind == _STRUCT:
            fields[field], at = _struct(data, at, depth + 1)
        else:
            at = _skip(data, at, kind)
    return fields, at + 1


def _skip(data: bytes, at: int, kind: int) -> int:
    """Return where a value ends that is of no use here."""
    if kind in (1, 2):
        return at
    if kind == 3:
        return at + 1
    if kind == 7:
        return at + 8
    if kind == 8:
        size, at = _varint(data, at)
        return at + size
    # Headers of pages have no lists; another reader would see another page here.
    raise ValueError("a page has a header of an unknown form")


def _integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while byte >= 0x80:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 70:
            raise ValueError("a page has a number that is too long")
    return value, at + 1
