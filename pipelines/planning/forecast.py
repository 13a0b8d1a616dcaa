"""What a build will cost: hours, questions, bytes, money; and what was assumed for it."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from pipelines.config import Recipe
from pipelines.planning.durations import FETCH_S, IN_TURN, LATENCY_S, Work, parts_of
from pipelines.planning.questions import expected_questions
from pipelines.planning.rates import Measured, Rates
from pipelines.planning.sample_build import part_of
from retrieval.asking.estimate import Questions
from retrieval.building.builder import RECORDINGS
from retrieval.providers.base import is_live
from retrieval.settings import AskSettings

# Of a page's text, or a picture as it is kept (768 pixels at most).
_PAGE_BYTES: Final = 2_000
_IMAGE_BYTES: Final = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a build of so many posts is expected to cost.

    Attributes:
        recipe: its name.
        posts: that are built.
        workers: machines that look at posts.
        seconds: of the whole build.
        parts: of these seconds, those before and after the stages that overlap, and of the
            overlapping stages each by itself.
        questions: by provider.
        hits: that answers will name, of files at hand.
        kept: of them that become evidence.
        size_bytes: by folder of the store.
        fetches: pages and images that may be fetched, at most.
        money: by provider with a price.
        currency: of ``money``.
        assumptions: what was not measured, and is taken for given.
    """

    recipe: str
    posts: int
    workers: int
    seconds: float
    parts: Mapping[str, float]
    questions: Sequence[Questions]
    hits: int
    kept: int
    size_bytes: Mapping[str, int]
    fetches: int
    money: Mapping[str, float]
    currency: str
    assumptions: Sequence[str] = field(default_factory=tuple)

    def as_json(self) -> dict[str, JsonValue]:
        """Return it as JSON."""
        return {
            "recipe": self.recipe,
            "posts": self.posts,
            "workers": self.workers,
            "seconds": round(self.seconds, 1),
            "hours": round(self.seconds / 3600, 3),
            "parts": {name: round(value, 2) for name, value in self.parts.items()},
            "questions": [one.as_json() for one in self.questions],
            "hits": self.hits,
            "kept": self.kept,
            "size_bytes": dict(self.size_bytes),
            "fetches": self.fetches,
            "money": {name: round(value, 2) for name, value in self.money.items()},
            "currency": self.currency,
            "assumptions": list(self.assumptions),
        }


def forecast(
    recipe: Recipe,
    measured: Measured,
    posts: int,
    workers: int,
    recorded: Container[str] = frozenset(),
) -> Forecast:
    """Return what building ``posts`` posts with ``workers`` machines that look will cost.

    Args:
        recipe: what is built.
        measured: of the recipe, on this machine.
        posts: how many; more than the data set has are taken to be like those that it has.
        workers: as ``ramie build --engine ray`` has them; 1 is a build without it.
        recorded: keys of questions that recordings answer.
    """
    rates, ask = measured.rates, recipe.ask
    known = min(posts, len(measured.dataset.examples))
    share = posts / known
    dataset = part_of(measured.dataset, known)
    questions = [
        expected_questions(
            dataset,
            measured.sample,
            provider,
            recorded,
            ask.hits_per_query,
            ask.polite.seconds_between,
            times=share,
        )
        for provider in measured.providers
    ]
    pages = {one.name for one in measured.providers if is_live(one) and one.wants_pages}
    fetches = _fetches(ask, questions, pages)
    compared = min(recipe.curate.reference_posts, posts)
    work = Work(posts=posts, workers=workers, compared=compared, fetches=fetches)
    parts = parts_of(rates, ask, questions, work)
    return Forecast(
        recipe=recipe.name,
        posts=posts,
        workers=workers,
        seconds=sum(parts[name] for name in IN_TURN),
        parts=parts,
        questions=questions,
        hits=round(rates.hits * posts),
        kept=round(rates.kept * posts),
        size_bytes=expected_bytes(
            rates, posts, sum(one.distinct for one in questions if not one.live), fetches
        ),
        fetches=fetches,
        money=_money(ask, questions),
        currency=ask.prices.currency,
        assumptions=_assumptions(recipe, rates, questions, fetches, (workers, share)),
    )


def expected_bytes(
    rates: Rates, posts: int, questions: int = 0, fetches: int = 0
) -> dict[str, int]:
    """Return the bytes of a store by folder: they grow by the power that two samples tell.

    What posts share is kept once, so most folders grow more slowly than the posts do; none is
    taken to grow faster. Recordings grow with the ``questions`` that files at hand answer.
    """
    few, many = rates.posts
    sizes: dict[str, int] = {}
    for name, (small, large) in rates.size_bytes.items():
        power = 1.0
        if 0 < small < large and few < many:
            power = min(1.0, math.log(large / small) / math.log(many / few))
        elif large <= small:
            power = 0.0
        sizes[name] = round(large * (posts / many) ** power)
    if rates.asked and questions:
        sizes[RECORDINGS] = round(rates.size_bytes[RECORDINGS][1] * questions / rates.asked)
    if fetches:
        each = (_PAGE_BYTES + _IMAGE_BYTES) // 2
        sizes[RECORDINGS] = sizes.get(RECORDINGS, 0) + fetches * each
    return sizes


def _fetches(ask: AskSettings, questions: Sequence[Questions], pages: set[str]) -> int:
    """Return the pages and images that live answers may name, at most."""
    wanted = 0
    for one in questions:
        if one.live:
            halves = 2 if one.provider in pages and ask.fetch.pages else 1
            wanted += one.missing * ask.hits_per_query * halves // 2
    return wanted


def _money(ask: AskSettings, questions: Sequence[Questions]) -> dict[str, float]:
    prices: dict[str, float | None] = ask.prices.model_dump(exclude={"currency"})
    return {
        one.provider: one.requests * price / 1000
        for one in questions
        if (price := prices.get(one.provider)) is not None
    }


def _assumptions(
    recipe: Recipe,
    rates: Rates,
    questions: Sequence[Questions],
    fetches: int,
    beyond: tuple[int, float],
) -> tuple[str, ...]:
    """Return what was not measured; ``beyond`` says how many workers, and times the data set."""
    ask, (workers, share) = recipe.ask, beyond
    live = [one.provider for one in questions if one.live]
    told = [
        f"rates were measured on {rates.posts[1]} posts of the data set, on this machine with "
        f"{rates.cores} cores, one stage after the other; how stages overlap is simulated",
    ]
    if workers > 1:
        told.append(
            "workers are machines like this one and only look; what travels to them is not counted"
        )
    if share > 1:
        told.append(f"the data set has fewer posts: all is multiplied by {share:.3g}")
    if any(not one.exact for one in questions):
        told.append("photos are asked about as often as those of the sample")
    if recipe.curate.reference_posts > rates.posts[1]:
        told.append(
            f"curation was compared with {rates.posts[1]} posts, not "
            f"{recipe.curate.reference_posts}: a larger --sample makes its rate true"
        )
    if live:
        told.append(
            f"{', '.join(live)}: nobody was asked; {ask.polite.seconds_between:g} s between two "
            f"requests to a host, {LATENCY_S:g} s an answer, none fails"
        )
        told.append("what live providers find is not counted in hits, store and curation")
    if fetches:
        told.append(
            f"at most {fetches} pages and images are fetched, {ask.fetch.together} at a time, "
            f"{FETCH_S:g} s each; a host is asked every {ask.fetch.seconds_between:g} s"
        )
    return tuple(told)
