"""Pages of the sample world that do not help: planted noise of named kinds."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, TypeVar

from PIL import Image

from pipelines.sample import noise_wording, noise_wording_held_out, wording
from pipelines.sample.cast import ROLES, TYPES, Entity
from pipelines.sample.names import Namer
from pipelines.sample.pages import Page, Photo, entities_photo, fill, pair_page, sentence_case
from pipelines.sample.photos import HEIGHT, WIDTH, encode_jpeg
from pipelines.sample.posts import Draft

_T = TypeVar("_T")

# Kinds that a filter of texts can know by the text alone; their wording is in halves.
WORDED_KINDS: Final[tuple[str, ...]] = tuple(noise_wording.WORDING)
NOISE_KINDS: Final[tuple[str, ...]] = (
    "off_topic",
    "contradicting",
    "near_duplicate",
    "post_copy",
    "annotation_quote",
    *WORDED_KINDS,
)
_WITH_PHOTO: Final = 0.5
_CHOICE: Final = re.compile(r"\[([^\[\]]*/[^\[\]]*)\]")


def off_topic(count: int, rng: random.Random) -> Iterator[Page]:
    """Yield pages about nothing that anybody posts about."""
    for _ in range(count):
        text = " ".join(rng.sample(wording.OFF_TOPIC, rng.randint(1, 2)))
        yield Page("Tips for today", text, "off_topic", photo=entities_photo((), rng))


def contradicting(
    entities: Sequence[Entity], count: int, namer: Namer, rng: random.Random
) -> Iterator[Page]:
    """Yield pages that give an entity a type it does not have; half of them show its badge."""
    for entity in _in_turn(entities, count, rng):
        kind = rng.choice([kind for kind in TYPES if kind != entity.kind])
        liar = Entity(
            entity.entity_id, entity.name, kind, rng.choice(ROLES[kind]), entity.badge,
            entity.companion,
        )  # fmt: skip
        text = fill(rng.choice(wording.BIOGRAPHY[kind]), liar, namer, rng)
        photo = entities_photo((entity,), rng) if rng.random() < _WITH_PHOTO else None
        detail = {"says": kind}
        yield Page(entity.name, text, "contradicting", (entity.entity_id,), photo, detail=detail)


def contradicting_pairs(drafts: Sequence[Draft], count: int, rng: random.Random) -> Iterator[Page]:
    """Yield pages that state another relation between a pair than the one that holds."""
    pairs = [draft.pair for draft in drafts if draft.pair is not None]
    for head, tail, label in _in_turn(pairs, count, rng):
        kinds = head.kind, tail.kind
        others = [
            name
            for name, (head_kind, tail_kind, _, _) in wording.RELATIONS.items()
            if (head_kind, tail_kind) == kinds and name != label
        ]
        page = pair_page(head, tail, rng.choice(others), rng)
        yield Page(
            page.title, page.text, "contradicting", page.about, page.photo,
            detail={"says": page.relation},
        )  # fmt: skip


def worded(
    kind: str, count: int, seed: int, entities: Sequence[Entity], namer: Namer, rng: random.Random
) -> Iterator[Page]:
    """Yield pages of one of `WORDED_KINDS` with a name in them; half of them show its badge.

    Args:
        kind: of noise.
        count: of pages.
        seed: of the world; decides which half of the wording is used.
        entities: whose names and badges are used.
        namer: invents words.
        rng: chooses.
    """
    setting = seed == noise_wording.SETTING_SEED
    patterns = (noise_wording if setting else noise_wording_held_out).WORDING[kind]
    for _ in range(count):
        entity = rng.choice(entities)
        text = _say(rng.choice(patterns), entity, namer, rng)
        photo = entities_photo((entity,), rng) if rng.random() < _WITH_PHOTO else None
        yield Page(entity.name, text, kind, (entity.entity_id,), photo)


def _say(pattern: str, entity: Entity, namer: Namer, rng: random.Random) -> str:
    """Return ``pattern`` with its choices made and its slots filled, every ``{w}`` anew."""
    chosen = _CHOICE.sub(lambda found: rng.choice(found[1].split("/")), pattern)
    worded = re.sub(r"\{w\}", lambda _: namer.word().lower(), chosen)
    return worded.format(x=entity.name, year=rng.randint(1990, 2024))


def near_duplicates(pages: Sequence[Page], count: int, rng: random.Random) -> Iterator[Page]:
    """Yield copies of ``pages`` in all strengths in turn, with a copy of their photo."""
    strengths = tuple(_STRENGTHS)
    for number in range(count):
        page = rng.choice(pages)
        strength = strengths[number % len(strengths)]
        title, text = _STRENGTHS[strength](page, rng)
        photo = partial(_copy_photo, page.photo, strength) if page.photo else None
        detail = {"strength": strength, "copy_of": page.detail.get("key", "")}
        yield Page(title, text, "near_duplicate", page.about, photo, page.relation, detail)


def post_copies(
    posts: Sequence[tuple[str, Draft, bytes | None]], count: int, rng: random.Random
) -> Iterator[Page]:
    """Yield pages that repeat a post word for word, with its photo (saved again)."""
    for key, draft, photo in _in_turn(posts, count, rng):
        picture = partial(_decode, photo) if photo else None
        title = rng.choice(("Post", "Trending", "Seen today"))
        text = " ".join(draft.tokens)
        yield Page(title, text, "post_copy", _ids(draft), picture, detail={"post": key})


def annotation_quotes(
    posts: Sequence[tuple[str, Draft, bytes | None]], count: int, rng: random.Random
) -> Iterator[Page]:
    """Yield pages that quote a post together with its annotation, as data set mirrors do."""
    for key, draft, _ in _in_turn(posts, count, rng):
        if draft.pair:
            head, tail, label = draft.pair
            labels = f"head = {head.name} ; tail = {tail.name} ; relation = {label}"
        else:
            labels = " ; ".join(
                f"{' '.join(draft.tokens[m.start : m.end])} = {m.kind}" for m in draft.mentions
            )
        text = f"{' '.join(draft.tokens)} | gold labels : {labels}"
        yield Page("Data viewer", text, "annotation_quote", _ids(draft), detail={"post": key})


def _in_turn(values: Sequence[_T], count: int, rng: random.Random) -> Iterator[_T]:
    """Yield ``count`` of ``values`` in random order, none again before all have been."""
    left: list[_T] = []
    for _ in range(count):
        if not left:
            left = rng.sample(values, len(values))
        yield left.pop()


def _ids(draft: Draft) -> tuple[str, ...]:
    return tuple(mention.entity.entity_id for mention in draft.mentions if mention.entity)


def _same(page: Page, rng: random.Random) -> tuple[str, str]:
    return page.title, page.text


def _punctuation(page: Page, rng: random.Random) -> tuple[str, str]:
    text = page.text.replace(" ,", ",").replace(".", " !" if rng.random() < 0.5 else " .")
    return page.title.upper(), text


def _one_word(page: Page, rng: random.Random) -> tuple[str, str]:
    words = page.text.split()
    known = [index for index, word in enumerate(words) if word in wording.SWAPS]
    if known:
        index = rng.choice(known)
        words[index] = wording.SWAPS[words[index]]
    else:
        words.insert(len(words) // 2, "indeed")
    return page.title, " ".join(words)


def _one_more_sentence(page: Page, rng: random.Random) -> tuple[str, str]:
    more = rng.choice(("Read more below.", "More to follow.", "Photo by our own staff."))
    return page.title, f"{page.text} {more}"


def _half(page: Page, rng: random.Random) -> tuple[str, str]:
    words = page.text.split()
    kept = " ".join(words[: max(4, len(words) // 2)])
    return page.title, sentence_case(f"as others wrote : {kept} , and so on")


_STRENGTHS: Final[dict[str, Callable[[Page, random.Random], tuple[str, str]]]] = {
    "same": _same,
    "punctuation": _punctuation,
    "one_word": _one_word,
    "one_more_sentence": _one_more_sentence,
    "half": _half,
}


def _copy_photo(photo: Photo, strength: str) -> Image.Image:
    """Return the photo as copies of a page show it: the same, saved again, smaller or cropped."""
    picture = photo()
    if strength == "same":
        return picture
    if strength == "punctuation":
        return _decode(encode_jpeg(picture))
    if strength == "one_word":
        return picture.resize((WIDTH * 3 // 4, HEIGHT * 3 // 4), Image.Resampling.BICUBIC)
    cut = 4 if strength == "one_more_sentence" else 10
    return picture.crop((cut, cut, WIDTH - cut, HEIGHT - cut))


def _decode(photo: bytes) -> Image.Image:
    return Image.open(io.BytesIO(photo))
