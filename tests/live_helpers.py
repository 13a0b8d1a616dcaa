"""A live provider that does as a script says, and notes every question."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from cache.errors import InputError, ProviderUnavailable
from cache.records import Hit, Media, Query

CANARY = "a word that everybody knows"
EMPTY = b"[]"
GARBAGE = b"<html>Are you a robot?"
BLOCK = ProviderUnavailable("status 429")
Answer = bytes | ProviderUnavailable


@dataclass
class LivePlayer:
    """Answers with one hit, unless ``script`` has other answers to a text, one after the other.

    The last answer of a script stays; ``before`` hears each text before it is answered.
    """

    name: str = "web"
    fingerprint: str = "engine"
    script: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    before: Callable[[str], object] = lambda text: None
    live: Literal[True] = True
    reading: int = 1
    answers_both: bool = False
    wants_pages: bool = False

    @property
    def times(self) -> Counter[str]:
        """Return how often each text was asked."""
        return Counter(self.asked)

    def accepts(self, query: Query) -> bool:
        """Take queries by text that look for text."""
        return bool(query.text) and query.modality == "text"

    def canary(self, query: Query) -> Query:
        """Return the same query for a word that everybody knows."""
        return replace(query, text=CANARY)

    def ask(self, queries: Sequence[Query], k: int) -> list[bytes | ProviderUnavailable]:
        """Return what the script says."""
        return [self._answer(query.text) for query in queries]

    def _answer(self, text: str) -> Answer:
        self.before(text)
        self.asked.append(text)
        answers = self.script.get(text)
        if not answers:
            return json.dumps([f"what {self.name} says about {text}"]).encode()
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def parse(self, query: Query, body: bytes, asked_at: str) -> list[Hit]:
        """Return one hit per text in the answer."""
        try:
            texts = json.loads(body)
        except ValueError as error:
            raise InputError("no JSON") from error
        return [
            Hit(
                query.level,
                "text",
                -1,
                self.name,
                f"{text}",
                rank,
                0.0,
                text=text,
                retrieved_at=asked_at,
            )
            for rank, text in enumerate(texts)
        ]

    def media(self, key: str) -> Media:
        """Know no image."""
        raise ProviderUnavailable("no images here")


def question(text: str) -> Query:
    """Return the sentence level's question for texts."""
    return Query("sentence", "text", text=text)
