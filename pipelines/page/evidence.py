"""The six streams of a post: what was kept, from where, and what was dropped, and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cache import STREAMS, Dropped, Evidence, Hit, Level, Modality, StoredExample
from pipelines.page.markup import Markup, element, link, quoted
from pipelines.page.photos import Pictures
from pipelines.page.sentence import region_hue

_SHOWN_CHARACTERS: Final = 420


def streams(stored: StoredExample, dropped: Sequence[Dropped], pictures: Pictures) -> Markup:
    """Return the post's streams, side by side by modality."""
    cells = []
    for level, modality in STREAMS:
        kept_here = [
            item
            for item in stored.evidence
            if (item.hit.level, item.hit.modality) == (level, modality)
        ]
        dropped_here = [
            item for item in dropped if (item.hit.level, item.hit.modality) == (level, modality)
        ]
        cells.append(_stream((level, modality), kept_here, dropped_here, pictures))
    return element("div", cells, class_="streams")


def score_text(value: float | None) -> str:
    """Return a score with three decimals, or a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:.3f}"


def _stream(
    name: tuple[Level, Modality],
    kept: Sequence[Evidence],
    dropped: Sequence[Dropped],
    pictures: Pictures,
) -> Markup:
    level, modality = name
    heading = element(
        "h3",
        element("b", level),
        f" → {modality} ",
        element("small", f"{len(kept)} kept, {len(dropped)} dropped"),
    )
    if not kept and not dropped:
        return element("section", heading, class_="stream empty")
    ordered = sorted(kept, key=lambda item: item.rank)
    return element(
        "section",
        heading,
        element("ol", (_kept(item, pictures) for item in ordered), class_="kept"),
        _dropped_list(dropped, pictures),
        class_="stream",
    )


def _kept(item: Evidence, pictures: Pictures) -> Markup:
    hit = item.hit
    scores = [
        score("relevance", score_text(hit.relevance), meter(hit.relevance)),
        score("consistency", score_text(hit.consistency)),
        score("fused", f"{item.fused_score:.4f}"),
    ]
    return element(
        "li",
        element("span", item.rank + 1, class_="rank", title=f"rank {item.rank} (from 0)"),
        evidence_card(hit, scores, pictures),
    )


def _dropped_list(dropped: Sequence[Dropped], pictures: Pictures) -> Markup | None:
    if not dropped:
        return None
    steps = list(dict.fromkeys(item.step for item in dropped))
    groups = []
    for step in steps:
        members = [item for item in dropped if item.step == step]
        title = element("h4", quoted(step), " ", element("small", len(members)))
        rows = (_dropped(item, pictures) for item in members)
        groups.append([title, element("ul", rows, class_="dropped")])
    summary = element("summary", f"{len(dropped)} dropped: ", quoted(", ".join(steps)))
    return element("details", summary, groups)


def _dropped(item: Dropped, pictures: Pictures) -> Markup:
    scores = [
        score("relevance", score_text(item.hit.relevance)),
        score("consistency", score_text(item.hit.consistency)),
    ]
    reason = element("p", quoted(item.reason), class_="reason")
    return element("li", reason, evidence_card(item.hit, scores, pictures))


def evidence_card(hit: Hit, scores: Sequence[Markup], pictures: Pictures) -> Markup:
    """Return the picture, or none, beside title, passage, scores and source."""
    picture = None
    if hit.media_key is not None:
        picture = pictures.thumbnail(hit.media_key, hit.title or hit.text)
    elif hit.modality == "image":
        picture = element("span", "no picture", class_="thumb none")
    words: list[Markup] = []
    if hit.title:
        words.append(element("strong", quoted(hit.title)))
    if hit.text and hit.text != hit.title:
        words.append(_passage(hit.text))
    numbers = element("p", scores, class_="scores")
    return element("div", picture, element("div", words, numbers, _source(hit)), class_="card")


def _passage(text: str) -> Markup:
    if len(text) <= _SHOWN_CHARACTERS:
        return element("p", quoted(text), class_="passage")
    cut = text.rfind(" ", 0, _SHOWN_CHARACTERS)
    cut = cut if cut > 0 else _SHOWN_CHARACTERS
    rest = element("details", element("summary", "more"), quoted(text[cut:].lstrip()))
    return element("div", quoted(text[:cut] + " …"), rest, class_="passage")


def score(name: str, value: str, bar: Markup | None = None) -> Markup:
    """Return a named number, with a bar or without."""
    return element("span", f"{name} ", element("b", value), bar)


def meter(value: float | None) -> Markup | None:
    """Return a bar from 0 to 1; a cosine below 0 shows as empty."""
    if value is None:
        return None
    share = round(100 * min(max(value, 0.0), 1.0)) if value == value else 0
    return element("span", element("i", style=f"width:{share}%"), class_="meter")


def _source(hit: Hit) -> Markup:
    region = None
    if hit.region_index >= 0:
        region = element(
            "b", f"region {hit.region_index + 1}", class_=f"tag {region_hue(hit.region_index)}"
        )
    parts = [
        [element("b", quoted(hit.provider)), " ", quoted(hit.document_id)],
        f"its rank {hit.rank}, score {hit.provider_score:.4g}",
        quoted(hit.retrieved_at) if hit.retrieved_at else None,
    ]
    line = [[" · " if index else "", part] for index, part in enumerate(filter(None, parts))]
    title = f"answers query {hit.query_key}" if hit.query_key else None
    return element(
        "div",
        element("p", region, " " if region else None, line, title=title),
        element("p", link(hit.url), class_="url-line") if hit.url else None,
        class_="source",
    )
