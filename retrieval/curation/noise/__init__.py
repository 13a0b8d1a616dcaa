"""Texts that help nobody, each kind with its own reason and switch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Final

from cache.records import Dropped, Hit
from retrieval.curation.dedup_text import words
from retrieval.curation.noise.adult import ADULT as ADULT_SAID
from retrieval.curation.noise.boilerplate import BOILERPLATE as BOILERPLATE_SAID
from retrieval.curation.noise.language import foreign_language
from retrieval.curation.noise.shape import damage, keyword_list, menu, names_nothing
from retrieval.curation.noise.signs import in_bits, selling, tells_something
from retrieval.curation.noise.spam import SPAM as SPAM_SAID
from retrieval.curation.noise.unrendered import UNRENDERED as UNRENDERED_SAID
from retrieval.settings import NoiseSettings

TOO_SHORT: Final = "too_short"
UNRENDERED: Final = "unrendered"
BOILERPLATE: Final = "boilerplate"
ADULT: Final = "adult"
SPAM: Final = "spam"
KEYWORD_LIST: Final = "keyword_list"
WRONG_LANGUAGE: Final = "wrong_language"
# In the order in which they are looked for; a hit falls to the first. Those of the second group
# say what the page is about, so they hold for its image as well.
TEXT_KINDS: Final = (UNRENDERED, BOILERPLATE, KEYWORD_LIST)
PAGE_KINDS: Final = (ADULT, SPAM)


def drop_noise(hits: Sequence[Hit], settings: NoiseSettings) -> tuple[list[Hit], list[Dropped]]:
    """Drop hits whose text is noise; the step is the kind of noise.

    Images go only where the words of their page are adult or spam: a photo is no worse for the
    cookie banner beside it.

    Args:
        hits: of one post.
        settings: which kinds are looked for.

    Raises:
        InputError: ``settings.languages`` names an unknown language.
    """
    kept: list[Hit] = []
    dropped: list[Dropped] = []
    for hit in hits:
        step, reason = _noise(hit, settings)
        if step:
            dropped.append(Dropped(hit, step, reason))
        else:
            kept.append(hit)
    return kept, dropped


def _noise(hit: Hit, settings: NoiseSettings) -> tuple[str, str]:
    """Return kind and reason of the noise that ``hit`` is; two empty strings for none."""
    if not hit.text.strip():
        return "", ""
    body = _body(hit)
    reasons = text_noise(_page_text(hit), body)
    if hit.modality == "text":
        found = words(body)
        if len(found) < settings.too_short:
            return TOO_SHORT, f"{len(found)} words"
        title = words(hit.title)
        if len(found) == settings.too_short and names_nothing(found, title):
            return TOO_SHORT, f"{len(found)} words that name nothing"
        for kind in TEXT_KINDS:
            if getattr(settings, kind) and kind in reasons:
                return kind, reasons[kind]
    for kind in PAGE_KINDS:
        if getattr(settings, kind) and kind in reasons:
            return kind, reasons[kind]
    if hit.modality == "text" and settings.languages:
        language = foreign_language(hit.text, settings.languages)
        if language:
            return WRONG_LANGUAGE, f"language {language}"
    return "", ""


@lru_cache(maxsize=65536)
def text_noise(text: str, body: str) -> dict[str, str]:
    """Return the reason of every kind of noise that a text is, length and language apart.

    Args:
        text: with its title, which may say what the page is.
        body: without, for a title is no sentence.
    """
    found = words(text)
    reasons = {
        UNRENDERED: damage(text, found) or UNRENDERED_SAID.verdict(found),
        BOILERPLATE: menu(text) or _furniture(text, found),
        ADULT: ADULT_SAID.verdict(found),
        SPAM: SPAM_SAID.verdict(found, partial(selling, text, found)),
        KEYWORD_LIST: keyword_list(body, words(body)),
    }
    return {kind: reason for kind, reason in reasons.items() if reason}


def _furniture(text: str, found: Sequence[str]) -> str:
    """Return what makes ``text`` furniture, none where it tells more than it has of that."""
    reason = BOILERPLATE_SAID.verdict(found, partial(in_bits, text))
    return "" if reason and tells_something(text, BOILERPLATE_SAID) else reason


def _page_text(hit: Hit) -> str:
    """Return title and text; the title is not said twice."""
    if not hit.title or hit.text.casefold().startswith(hit.title.casefold()):
        return hit.text
    return f"{hit.title}. {hit.text}"


def _body(hit: Hit) -> str:
    """Return the text after its title, all of it where nothing comes after."""
    if hit.title and hit.text.casefold().startswith(hit.title.casefold()):
        return hit.text[len(hit.title) :].lstrip(" .:!?-\u2013\u2014|") or hit.text
    return hit.text
