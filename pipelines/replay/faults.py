"""The ways in which a search API lets its callers down, by a seeded rule."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

GARBAGE: Final[Mapping[str, bytes]] = {
    "html": b"<!doctype html><html><body><h1>One moment, please</h1></body></html>",
    "truncated": b'{"batchcomplete": true, "query": {"pages": [{"title": "Par',
    "wrong types": b'{"query": {"pages": "none"}, "results": 7, "responses": {"a": 1}}',
    "other json": b'{"hello": "world"}',
    "deep": b"[" * 100_000,
    "not utf-8": b'{"batchcomplete": true, "results": [], "responses": [{}], "x": "\xff\xfe"}',
    "empty": b"",
}
"""Bodies that are no answer of any of the APIs, by what is wrong with them."""

Kind = Literal["none", "blocked", "garbage", "slow", "redirected", "huge"]


@dataclass(frozen=True, slots=True)
class Faults:
    """Which share of the requests goes wrong, and how; see `draw`.

    Attributes:
        seed: of the rule.
        blocked: share answered with one of ``statuses``.
        garbage: share answered with status 200 and one of ``garbage_kinds``.
        slow: share answered after ``slow_s``.
        redirected: share sent to ``redirect_to``.
        huge: share answered with ``huge_bytes`` of white space before the answer.
        statuses: of blocks.
        retry_after: values of that header, of which each block has one; empty leaves it out.
        only: questions without this text are answered as they should be.
        garbage_kinds: keys of `GARBAGE`.
        slow_s: how long a slow answer takes to begin.
        redirect_to: an address.
        huge_bytes: size of a huge answer.
    """

    seed: int = 0
    blocked: float = 0.0
    garbage: float = 0.0
    slow: float = 0.0
    redirected: float = 0.0
    huge: float = 0.0
    statuses: tuple[int, ...] = (202, 403, 429, 500, 503)
    retry_after: tuple[str, ...] = ("",)
    only: str = ""
    garbage_kinds: tuple[str, ...] = tuple(GARBAGE)
    slow_s: float = 1.0
    redirect_to: str = ""
    huge_bytes: int = 64 * 2**20

    def draw(self, question: str, nth: int) -> tuple[Kind, int]:
        """Return what becomes of the ``nth`` request (from 0) of a question, and a number.

        Question and place decide alone, so that the order of questions does not matter, and a
        question that was blocked is answered when it is asked again often enough. The number
        chooses among statuses or kinds of garbage.
        """
        digest = hashlib.sha256(
            f"{self.seed}|{nth}|{question}".encode("utf-8", "replace")
        ).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        shares: tuple[tuple[Kind, float], ...] = (
            ("blocked", self.blocked),
            ("garbage", self.garbage),
            ("slow", self.slow),
            ("redirected", self.redirected),
            ("huge", self.huge),
        )
        choice = int.from_bytes(digest[8:12], "big")
        for kind, share in shares if self.only in question else ():
            if place < share:
                return kind, choice
            place -= share
        return "none", choice
