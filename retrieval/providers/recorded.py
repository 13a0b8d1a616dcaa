"""Provider ``recorded``: evidence that others published with a data set, joined by what it is of.

At level ``image`` it is joined by the photo's file name, at level ``sentence`` by the sentence.
Never by line number or split, which say nothing about a post, and never by label, which no query
knows.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from cache.errors import InputError, ProviderUnavailable
from cache.keys import canonical_json, content_key, fingerprint
from cache.records import Hit, Level, Media, Query
from retrieval.datasets.lines import shown
from retrieval.datasets.recorded import Passages, read_import
from retrieval.settings import ImportSettings

_log = logging.getLogger(__name__)


class _Passage(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    text: str


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    passages: list[_Passage]


@dataclass(frozen=True, slots=True)
class _Import:
    """The passages of one import; ``name`` tells it from others in the same recipe."""

    name: str
    level: Level
    passages: Passages


class RecordedProvider:
    """Answers queries for text of the levels that its imports are of.

    Attributes:
        counts: what was read and what was odd about it; logged when it was read.
    """

    def __init__(self, imports: Sequence[ImportSettings]) -> None:
        """Read the files.

        Args:
            imports: in the order in which their passages come in an answer.

        Raises:
            InputError: there is none, one cannot be read, or holds nothing that can be joined.
        """
        if not imports:
            raise InputError(
                "provider 'recorded' has nothing to read. Add [[ask.imports]] with path, format, "
                "level and modality to the recipe."
            )
        self.counts: Counter[str] = Counter()
        self._imports = [
            _Import(_name(number, wanted), wanted.level, read_import(wanted, self.counts))
            for number, wanted in enumerate(imports, start=1)
        ]
        told = ", ".join(f"{what} {count}" for what, count in self.counts.items())
        _log.info("provider recorded: %s", told)
        # The modality is always text, but is said, so that images will be another fingerprint.
        self._fingerprint = fingerprint(
            [[one.name, one.level, "text", one.passages] for one in self._imports]
        )

    @property
    def name(self) -> str:
        """Recorded with every hit."""
        return "recorded"

    @property
    def fingerprint(self) -> str:
        """Digest of the passages and what they are of; the files' labels and paths are not in."""
        return self._fingerprint

    def accepts(self, query: Query) -> bool:
        """Return whether ``query`` looks for text, at a level and by a name that imports know."""
        levels = {one.level for one in self._imports}
        return query.modality == "text" and query.level in levels and bool(_key(query))

    def ask(self, queries: Sequence[Query], k: int) -> list[bytes | ProviderUnavailable]:
        """Return the first ``k`` passages of each query; a post not in the files found none."""
        return [self._answer(query, k) for query in queries]

    def _answer(self, query: Query, k: int) -> bytes:
        if not self.accepts(query):
            raise InputError(
                f"provider 'recorded' cannot answer a query of level {query.level!r} for "
                f"{query.modality!r}. Ask `accepts` first."
            )
        key = _key(query)
        place = f"photo:{key}" if query.level == "image" else f"sentence:{_digest(key)}"
        passages = [
            {"id": f"{one.name}:{place}:{index}", "text": text}
            for one in self._imports
            if one.level == query.level
            for index, text in enumerate(one.passages.get(key, []))
        ]
        return canonical_json({"passages": passages[:k]}).encode()

    def parse(self, query: Query, body: bytes, asked_at: str) -> list[Hit]:
        """Return the hits of a recorded answer, best first.

        The files hold no scores, so ``provider_score`` is 0.0 throughout and the order counts.

        Raises:
            InputError: ``body`` is not an answer of this provider.
        """
        try:
            answer = _Answer.model_validate_json(body)
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]["msg"]
            raise InputError(
                f"{shown(body)} is no answer of provider 'recorded' ({problem}). "
                "Remove this recording, and build again."
            ) from error
        return [
            Hit(
                level=query.level,
                modality=query.modality,
                region_index=query.region_index,
                provider=self.name,
                document_id=passage.id,
                rank=rank,
                provider_score=0.0,
                text=passage.text,
                retrieved_at=asked_at,
            )
            for rank, passage in enumerate(answer.passages)
        ]

    def media(self, key: str) -> Media:
        """Refuse: these recordings hold text only.

        Raises:
            ProviderUnavailable: always.
        """
        raise ProviderUnavailable(
            f"provider 'recorded' holds text only, and no image {shown(key)}. "
            "Ask the provider that named it."
        )


def _name(number: int, wanted: ImportSettings) -> str:
    return "-".join(filter(None, [str(number), wanted.format, wanted.field]))


def _key(query: Query) -> str:
    """Return what joins ``query`` to passages: all that it tells of its post."""
    return query.image_name if query.level == "image" else query.text


def _digest(text: str) -> str:
    return content_key(text.encode("utf-8", "replace"))[:16]
