"""One post of a store: photo with regions, sentence with annotations, evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cache import Dropped, Observation, Region, StoredExample
from pipelines.page.evidence import streams
from pipelines.page.markup import Markup, element, quoted
from pipelines.page.photos import Pictures
from pipelines.page.sentence import Hues, annotation_list, region_hue, sentence


def post_article(
    stored: StoredExample,
    dropped: Sequence[Dropped],
    pictures: Pictures,
    hues: Hues,
    anchor: str,
) -> Markup:
    """Return everything that the store knows of a post."""
    example, seen = stored.example, stored.observation
    heading = element(
        "h2",
        element("a", quoted(example.post.example_id), href=f"#{anchor}"),
        " ",
        element("small", quoted(example.split)),
    )
    top = element(
        "div",
        figure(seen, pictures),
        element("div", sentence(example, hues), annotation_list(example, hues)),
        class_="top",
    )
    return element("article", heading, top, streams(stored, dropped, pictures), id=anchor)


def figure(seen: Observation, pictures: Pictures) -> Markup:
    """Return the photo with its regions, or why there is none."""
    found = pictures.photo(seen.photo_key) if seen.photo_key is not None else ""
    caption = element("figcaption", _photo_facts(seen), _legend(seen.regions))
    if isinstance(found, str):
        if seen.photo_status == "none":
            text = "this post has no photo"
        else:
            text = f"photo {seen.photo_status}" if not found else f"photo cannot be shown: {found}"
        return element("figure", element("p", text, class_="no-photo"), caption)
    image, (width, height) = found
    boxes = [_box(region, index, width) for index, region in enumerate(seen.regions)]
    overlay = element("svg", boxes, viewBox=f"0 0 {width} {height}", aria_hidden="true")
    return element("figure", element("div", image, overlay, class_="photo"), caption)


def _photo_facts(seen: Observation) -> Markup:
    name = seen.post.photo_name
    facts = [quoted(name) if name else "no file name", f" · {seen.photo_status}"]
    title = f"SHA-256 {seen.photo_key}" if seen.photo_key else None
    return element("p", facts, class_="dim", title=title)


def _box(region: Region, index: int, photo_width: int) -> Markup | None:
    """Return a numbered box in pixels of the photo."""
    if not all(map(math.isfinite, region.box)):
        return None
    left, top, right, bottom = region.box
    size = photo_width / 22  # of the number, so that it looks alike on photos of any size
    rect = element(
        "rect",
        x=f"{left:.1f}",
        y=f"{top:.1f}",
        width=f"{max(right - left, 0):.1f}",
        height=f"{max(bottom - top, 0):.1f}",
    )
    plate = element(
        "rect",
        class_="plate",
        x=f"{left:.1f}",
        y=f"{top:.1f}",
        width=f"{1.15 * size:.1f}",
        height=f"{1.15 * size:.1f}",
    )
    number = element(
        "text",
        index + 1,
        x=f"{left + 0.57 * size:.1f}",
        y=f"{top + 0.88 * size:.1f}",
        font_size=f"{0.85 * size:.1f}",
    )
    return element("g", rect, plate, number, class_=region_hue(index))


def _legend(regions: Sequence[Region]) -> Markup | None:
    items = (
        element(
            "li",
            element("b", index + 1, class_=f"tag {region_hue(index)}"),
            " ",
            quoted(region.label),
            element("small", f" {region.confidence:.2f}", class_="dim"),
        )
        for index, region in enumerate(regions)
    )
    return element("ol", items, class_="legend") if regions else None
