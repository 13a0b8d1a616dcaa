"""One explained post: photo, annotated and predicted marks, evidence by what it did."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from cache import STREAMS, Evidence, Example, Span, StoredExample
from model.scoring.attribution import Attribution, ItemEffect
from pipelines.explaining.errors import pair_up
from pipelines.page.evidence import evidence_card, score, score_text
from pipelines.page.markup import Markup, element, quoted
from pipelines.page.photos import Pictures
from pipelines.page.post import figure
from pipelines.page.sentence import Hues, annotation_list, sentence


class Explained(NamedTuple):
    """A post with what its evidence did."""

    stored: StoredExample
    attribution: Attribution

    @property
    def right(self) -> bool:
        """Whether everything that was predicted is annotated, and the other way round."""
        example, answer = self.stored.example, self.attribution.answer
        if isinstance(answer, list):
            return answer[0][0] == example.relation
        return set(_spans(answer)) == set(example.entities or ())


def explained_article(post: Explained, pictures: Pictures, hues: Hues, anchor: str) -> Markup:
    """Return everything that is known of why the post was answered as it was."""
    example = post.stored.example
    verdict = "right" if post.right else "wrong"
    heading = element(
        "h2",
        element("a", quoted(example.post.example_id), href=f"#{anchor}"),
        " ",
        element("span", verdict, class_=f"verdict {verdict}"),
    )
    top = element(
        "div",
        figure(post.stored.observation, pictures),
        element("div", _said(post, hues)),
        class_="top",
    )
    return element("article", heading, top, _evidence(post, pictures), id=anchor)


def _said(post: Explained, hues: Hues) -> list[Markup]:
    """Return what was annotated and what was predicted, with its log-probability."""
    example, found = post.stored.example, post.attribution
    shown = [
        element("p", "annotated", _log(found.gold_log_probability), class_="side"),
        sentence(example, hues),
        annotation_list(example, hues),
        element("p", "predicted", _log(found.log_probability), class_="side"),
    ]
    if isinstance(found.answer, list):
        best = (
            element("li", element("b", quoted(label), class_="relation"), f" {100 * p:.1f} %")
            for label, p in found.answer[:3]
        )
        return [*shown, element("ul", best, class_="annotations")]
    predicted = dataclasses.replace(example, entities=_spans(found.answer))
    return [*shown, sentence(predicted, hues), _differences(example, predicted)]


def _differences(gold: Example, predicted: Example) -> Markup:
    """Return what is wrong, a line each."""
    pairs = pair_up(gold.entities or (), predicted.entities or ())
    lines = (
        element("li", _named(gold, wanted), " was taken for ", _named(gold, found))
        for wanted, found in pairs
        if wanted != found
    )
    return element("ul", lines, class_="annotations")


def _named(example: Example, span: Span | None) -> Markup:
    if span is None:
        return element("i", "nothing")
    words = " ".join(example.post.tokens[span.start : span.end])
    return quoted(f"{words} ({span.label})")


def _log(nats: float | None) -> str:
    return "" if nats is None else f" · log-probability {nats:.3f}"


def _evidence(post: Explained, pictures: Pictures) -> Markup:
    items = sorted(post.attribution.items, key=lambda item: -abs(item.effect))
    kept = post.stored.evidence
    unread = len(kept) - len(items)
    note = f"; {unread} more are kept and not read by this model" if unread else ""
    if not items:
        return element("p", f"no evidence was read{note}", class_="side")
    most = max(abs(effect) for item in items for effect in (item.effect, item.gold_effect or 0))
    heaviest = max((item.weight or 0.0 for item in items), default=0.0)
    rows = (_item(item, kept[item.index], heaviest, most, pictures) for item in items)
    title = f"{len(items)} pieces of evidence, those that changed the answer most first{note}"
    return element("section", element("h3", title), element("ol", rows, class_="weighed"))


def _item(
    item: ItemEffect, evidence: Evidence, heaviest: float, most: float, pictures: Pictures
) -> Markup:
    level, modality = STREAMS[item.stream]
    hit = evidence.hit
    scores = [
        score("relevance", score_text(hit.relevance)),
        score("consistency", score_text(hit.consistency)),
        score("rank", str(evidence.rank + 1)),
    ]
    bars = element(
        "div",
        element("h3", element("b", level), f" → {modality}"),
        _weight_bar(item.weight, heaviest),
        _effect_bar("answer", item.effect, most),
        _effect_bar("annotated", item.gold_effect, most),
        class_="bars",
    )
    return element("li", bars, evidence_card(hit, scores, pictures))


def _weight_bar(weight: float | None, heaviest: float) -> list[Markup]:
    if weight is None:
        return []
    share = 100 * weight / heaviest if heaviest else 0.0
    fill = element("i", style=f"left:0;width:{share:.1f}%")
    title = "attention times gate, against the heaviest of this post"
    return [
        element("span", "weight"),
        element("span", fill, class_="bar", title=title),
        element("b", f"{weight:.3f}"),
    ]


def _effect_bar(name: str, effect: float | None, most: float) -> list[Markup]:
    """Return a bar from the middle: to the right where the evidence speaks for it."""
    if effect is None:
        return []
    half = 50 * abs(effect) / most if most else 0.0
    left = 50.0 if effect >= 0 else 50 - half
    side = "for" if effect >= 0 else "against"
    fill = element("i", style=f"left:{left:.1f}%;width:{half:.1f}%", class_=side)
    title = "fall of the log-probability without it, against the largest of this post"
    return [
        element("span", name),
        element("span", fill, class_="bar signed", title=title),
        element("b", f"{effect:+.3f}"),
    ]


def _spans(answer: object) -> tuple[Span, ...]:
    assert isinstance(answer, tuple)
    return tuple(Span(*guess[:3]) for guess in answer)
