"""Fingerprints of settings and keys of bytes: how the same thing gets the same name everywhere."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Final

from cache.errors import InputError
from cache.records import Post, Span

# Made once: a post's fingerprint takes no longer than making this.
_encoder: Final = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")
)
_KEY: Final = re.compile(r"[0-9a-f]{64}")


def canonical_json(value: object) -> str:
    """Return ``value`` as JSON with sorted keys, no spaces and no escapes but the required ones.

    Raises:
        InputError: ``value`` holds NaN, an infinity, a key that is not text, or is not JSON.
    """
    _check_keys(value)
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot fingerprint this value: {error}. "
            "Use only text, finite numbers, booleans, None, lists and dictionaries."
        ) from error


def _check_keys(value: object) -> None:
    """Refuse dictionary keys that JSON would turn into text (1 and "1" would collide)."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise InputError(
                    f"cannot fingerprint a dictionary with the key {key!r}. Use text keys only."
                )
            _check_keys(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_keys(inner)


def fingerprint(value: object) -> str:
    """Return the SHA-256 (64 lower-case hex digits) of the canonical JSON of ``value``.

    Raises:
        InputError: ``value`` is not JSON, see `canonical_json`.
    """
    return _sha256_of(canonical_json(value))


def _sha256_of(text: str) -> str:
    # A lone surrogate cannot be encoded; it is kept apart instead of failing deep in a build.
    return content_key(text.encode("utf-8", errors="surrogatepass"))


def content_key(data: bytes) -> str:
    """Return the SHA-256 (64 lower-case hex digits) of ``data``."""
    return hashlib.sha256(data).hexdigest()


def text_key(text: str) -> str:
    """Return the `content_key` of ``text`` in UTF-8."""
    return content_key(text.encode())


def post_sha256(post: Post) -> str:
    """Return the SHA-256 of what a post says: its tokens and given mentions.

    Neither labels nor the photo are part of it (the photo has a key of its own), nor is the id.
    """
    said = {"tokens": post.tokens, "head": _bounds(post.head), "tail": _bounds(post.tail)}
    # As `fingerprint` does, which would look at every token for keys that are not text.
    return _sha256_of(_encoder.encode(said))


def _bounds(span: Span | None) -> list[int] | None:
    return None if span is None else [span.start, span.end]


def is_content_key(text: str) -> bool:
    """Return True if ``text`` has the form of a `content_key`."""
    return _KEY.fullmatch(text) is not None


def check_text(text: str, what: str) -> str:
    """Return ``text`` if a file can hold it.

    Raises:
        InputError: it holds half of a surrogate pair, which UTF-8 cannot express.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{what} cannot be stored: {error}. Read the source as UTF-8, with errors replaced."
        ) from error
    return text
