"""What a row group takes when it is decoded, by what its pages say of themselves.

The footer of a Parquet file is a claim, and the library believes each page instead: a file of 9 KB
whose dictionary holds one long value, named by every row, takes 10 GB. Headers of pages are small
and can be read without decoding anything.
"""

from __future__ import annotations

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
_INTEGERS: Final = frozenset({4, 5, 6})


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
    if at < 0 or column.total_compressed_size < 0:
        raise ValueError("a column lies nowhere")
    end = at + column.total_compressed_size
    texts = column.physical_type == "BYTE_ARRAY"
    total = dictionary = 0
    while at < end:
        header, length = _header(read, at)
        kind, size, stored = (_number(header, field) for field in (1, 2, 3))
        field, encoded = _DESCRIBED.get(kind, (0, 0))
        described = header.get(field)
        if not isinstance(described, dict):
            raise ValueError(f"page at {at} is of an unknown kind")
        number, encoding = _number(described, 1), _number(described, encoded)
        if min(number, size, stored) < 0 or stored > end - at - length:
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


def _number(fields: dict[int, Any], field: int) -> int:
    value = fields.get(field)
    if not isinstance(value, int):
        raise ValueError(f"a page has a header without field {field}")
    return value


def _header(read: ReadAt, at: int) -> tuple[dict[int, Any], int]:
    """Return the header of the page at a place in the file, and how long it is."""
    for size in (_HEADER_BYTES, _LONGEST_HEADER):
        data = read(at, size)
        try:
            return _struct(data, 0, 0)
        except IndexError:
            continue
    raise ValueError(f"page at {at} has no proper header")


def _struct(data: bytes, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Read a struct of Thrift's compact protocol; integers and structs in it are kept."""
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
        if kind in _INTEGERS:
            fields[field], at = _integer(data, at)
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
