"""HTML in which text cannot become markup: whatever is not built by `element` is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import Final, TypeAlias
from urllib.parse import urlsplit

_VOID: Final = frozenset({"br", "img", "meta"})
# Control characters and lone surrogates: not writable as UTF-8, or not allowed in HTML.
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_MAX_URL: Final = 2000


class Markup(str):
    """HTML that is safe as it is; made by `element` only."""

    __slots__ = ()


Child: TypeAlias = "str | int | Iterable[Child] | None"


def element(tag: str, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """Return an element; children and attribute values are escaped unless they are `Markup`.

    Args:
        tag: name of the element; never from data.
        children: text, markup, or any nesting of iterables of them; None is nothing.
        attributes: never named by data. A trailing ``_`` is dropped (``class_``), other ``_`` are
            dashes; True stands alone, None and False leave the attribute out.
    """
    opening = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _VOID:
        return Markup(f"<{tag}{opening}>")
    return Markup(f"<{tag}{opening}>{''.join(_render(children))}</{tag}>")


def clean(text: str) -> str:
    """Return the text with what cannot be shown replaced by U+FFFD."""
    return _UNPRINTABLE.sub("\ufffd", text)


def quoted(text: str, class_: str = "") -> Markup:
    """Return text from outside, kept apart so that its writing direction ends where it ends."""
    return element("bdi", text, class_=class_ or None, dir="auto")


def link(url: str) -> Markup:
    """Return a link to a web page; any other url (``javascript:``, ``file:`` ...) as text."""
    if not is_web_url(url):
        return quoted(url, "url")
    return element("a", quoted(url, "url"), href=url, rel="noopener noreferrer nofollow")


def is_web_url(url: str) -> bool:
    """Return whether a url is an ``http`` or ``https`` address without blanks or controls."""
    if len(url) > _MAX_URL or re.search(r"[\s\x00-\x1f\x7f-\x9f\\]", url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _attribute(name: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(clean(str(value)))}"'


def _render(children: Child) -> Iterable[str]:
    if isinstance(children, Markup):
        yield children
    elif isinstance(children, str | int):
        yield html.escape(clean(str(children)))
    elif children is not None:
        for child in children:
            yield from _render(child)
