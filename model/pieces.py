"""Words to word pieces, once per text and never again.

Words are split into windows on word boundaries, so that a long sentence loses no word and no gold.
Special tokens that occur as text in a post (``[SEP]``, ``[E1]``) are encoded as plain text.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cache.errors import InputError

HEAD_MARKERS = ("[E1]", "[/E1]")
TAIL_MARKERS = ("[E2]", "[/E2]")
MARKERS = (*HEAD_MARKERS, *TAIL_MARKERS)
# A unit is represented by its first piece; more pieces of one endless "word" only cost time.
MAX_PIECES_PER_WORD = 12

_WORD = re.compile(r"\w+(?:['.&-]\w+)*|[^\w\s]")
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Window:
    """A run of words that the encoder sees at once, without the special tokens around it.

    Attributes:
        pieces: piece ids.
        starts: for each unit (word or marker) the index of its first piece.
        keys: for each unit its `match_key`; an opening marker has that of its mention.
    """

    pieces: tuple[int, ...]
    starts: tuple[int, ...]
    keys: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """An evidence text: piece ids, and for each piece the `match_key` of its word."""

    pieces: tuple[int, ...]
    keys: tuple[int, ...]


def match_key(word: str) -> int:
    """Return a number that equal names share whatever their case and punctuation; 0 for none."""
    bare = _NOT_ALPHANUMERIC.sub("", word).casefold()
    return zlib.crc32(bare.encode("utf-8", "replace")) or 1 if len(bare) > 1 else 0


class Pieces:
    """Splits words and passages into the pieces of one tokenizer."""

    def __init__(self, tokenizer: Any, max_pieces: int, max_evidence_pieces: int) -> None:
        self.tokenizer = tokenizer
        self.max_pieces = max_pieces
        self.max_evidence_pieces = max_evidence_pieces
        self.cls: int = _special(tokenizer, "cls_token_id")
        self.sep: int = _special(tokenizer, "sep_token_id")
        self.pad: int = _special(tokenizer, "pad_token_id")
        self.unknown: int = _special(tokenizer, "unk_token_id")
        self.markers = {m: int(tokenizer.convert_tokens_to_ids(m)) for m in MARKERS}
        backend = tokenizer.backend_tokenizer
        backend.encode_special_tokens = True
        # Some tokenizers come with limits of their own (MiniLM: 128), and cut without a word.
        backend.no_truncation()
        backend.no_padding()

    def of_words(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the piece ids of each word; a word that yields none becomes the unknown piece."""
        return [pieces or (self.unknown,) for pieces in self._split(words)]

    def alone(self, window: Window) -> list[int]:
        """Return a window as the encoder reads it without any evidence."""
        return [self.cls, *window.pieces, self.sep]

    def _split(self, words: Sequence[str]) -> list[tuple[int, ...]]:
        # Half of a surrogate pair is not text that a tokenizer takes.
        clean = [word.encode("utf-8", "replace").decode() for word in words]
        coded = self.tokenizer.backend_tokenizer.encode(
            clean, is_pretokenized=True, add_special_tokens=False
        )
        found: list[list[int]] = [[] for _ in words]
        for piece, word_index in zip(coded.ids, coded.word_ids, strict=True):
            if word_index is not None and len(found[word_index]) < MAX_PIECES_PER_WORD:
                found[word_index].append(piece)
        return [tuple(pieces) for pieces in found]

    def passage(self, text: str) -> Passage:
        """Return the first ``max_evidence_pieces`` pieces of an evidence text."""
        return self._passage(text, self.max_evidence_pieces)

    def passages(self, text: str, most: int) -> list[Passage]:
        """Return the first ``most`` pieces of a text, ``max_evidence_pieces`` to a passage."""
        whole, size = self._passage(text, most), self.max_evidence_pieces
        return [
            Passage(whole.pieces[at : at + size], whole.keys[at : at + size])
            for at in range(0, len(whole.pieces), size)
        ]

    def _passage(self, text: str, most: int) -> Passage:
        # A piece has at least one character; the factor leaves room for long words and blanks.
        words = _WORD.findall(text[: most * 24])[:most]
        pieces: list[int] = []
        keys: list[int] = []
        for word, of_word in zip(words, self._split(words), strict=True):
            pieces.extend(of_word)
            keys.extend([match_key(word)] * len(of_word))
        return Passage(tuple(pieces[:most]), tuple(keys[:most]))

    def windows(
        self, units: Sequence[str | int], marker_keys: Mapping[int, int] | None = None
    ) -> tuple[Window, ...]:
        """Return the units in windows of at most ``max_pieces`` pieces, special tokens included.

        Args:
            units: words, and ids of markers between them.
            marker_keys: the `match_key` by which a marker is to find its mention in passages.
        """
        key_of = marker_keys or {}
        words = [unit for unit in units if isinstance(unit, str)]
        of_words = iter(self.of_words(words))
        capacity = self.max_pieces - 2
        windows: list[Window] = []
        pieces: list[int] = []
        starts: list[int] = []
        keys: list[int] = []
        for unit in units:
            of_unit = (next(of_words) if isinstance(unit, str) else (unit,))[:capacity]
            if pieces and len(pieces) + len(of_unit) > capacity:
                windows.append(Window(tuple(pieces), tuple(starts), tuple(keys)))
                pieces, starts, keys = [], [], []
            starts.append(len(pieces))
            keys.append(match_key(unit) if isinstance(unit, str) else key_of.get(unit, 0))
            pieces.extend(of_unit)
        windows.append(Window(tuple(pieces), tuple(starts), tuple(keys)))
        return tuple(windows)


def _special(tokenizer: Any, name: str) -> int:
    found = getattr(tokenizer, name, None)
    if found is None and name == "pad_token_id":
        return 0
    if found is None:
        raise InputError(
            f"the text encoder's tokenizer has no {name}; use an encoder of the BERT family, "
            "such as bert-base-uncased or xlm-roberta-base."
        )
    return int(found)
