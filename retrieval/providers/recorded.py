"""Provider ``recorded``: evidence that others published with a data set, joined by what it is of.

Captions are joined by the photo's file name, contexts by the sentence. Never by line number or
split, which say nothing about a post, and never by label, which no query knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from cache.errors import InputError, ProviderUnavailable
from cache.keys import canonical_json, content_key, fingerprint
from cache.records import Hit, Media, Query
from retrieval.datasets.lines import shown
from retrieval.datasets.recorded import read_captions, read_contexts


class _Passage(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    text: str


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    passages: list[_Passage]


class RecordedProvider:
    """Answers image-level text queries from captions, sentence-level ones from contexts.

    Attributes:
        counts: what was read and what was odd about it, for the report.
    """

    def __init__(self, captions: Path | None = None, context: Path | None = None) -> None:
        """Read the files.

        Args:
            captions: as `read_captions` takes it.
            context: as `read_contexts` takes it.

        Raises:
            InputError: neither is given, one is missing, or a line is malformed.
        """
        if captions is None and context is None:
            raise InputError(
                "provider 'recorded' has nothing to read. Set ask.captions, ask.context or both."
            )
        self.counts: Counter[str] = Counter()
        self._captions = read_captions(captions, self.counts) if captions is not None else {}
        self._contexts = read_contexts(context, self.counts) if context is not None else {}
        self._has_captions, self._has_contexts = captions is not None, context is not None
        self.counts["photos with captions"] = sum(map(bool, self._captions.values()))
        self.counts["sentences with context"] = len(self._contexts)
        self._fingerprint = fingerprint({"captions": self._captions, "contexts": self._contexts})

    @property
    def name(self) -> str:
        """Recorded with every hit."""
        return "recorded"

    @property
    def fingerprint(self) -> str:
        """Digest of the passages and what they are of; the files' labels and paths are not in."""
        return self._fingerprint

    def accepts(self, query: Query) -> bool:
        """Return whether ``query`` looks for the text that a photo, or a sentence, is known by."""
        if query.modality != "text":
            return False
        if query.level == "image":
            return self._has_captions and bool(query.image_name)
        return query.level == "sentence" and self._has_contexts and bool(query.text)

    def ask(self, queries: Sequence[Query], k: int) -> list[bytes | ProviderUnavailable]:
        """Return the first ``k`` passages of each query; a post not in the files found none."""
        return [self._answer(query, k) for query in queries]

    def _answer(self, query: Query, k: int) -> bytes:
        if not self.accepts(query):
            raise InputError(
                f"provider 'recorded' cannot answer a query of level {query.level!r} for "
                f"{query.modality!r}. Ask `accepts` first."
            )
        if query.level == "image":
            prefix, texts = f"photo:{query.image_name}", self._captions.get(query.image_name, [])
        else:
            digest = content_key(query.text.encode("utf-8", "replace"))[:16]
            prefix, texts = f"sentence:{digest}", self._contexts.get(query.text, [])
        passages = [
            {"id": f"{prefix}:{index}", "text": text} for index, text in enumerate(texts[:k])
        ]
        return canonical_json({"passages": passages}).encode()

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
