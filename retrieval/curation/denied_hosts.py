"""Hosts that nothing is taken from, however their name is written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

# Addresses may stand inside addresses: archives, translators and image proxies name what they
# show. A backslash is a slash to every browser.
_AUTHORITY: Final = re.compile(r"(?:^(?:[a-z][a-z0-9+.-]*:)?/{0,2}|https?:/{0,2})([^/?#&]+)")
# What may be a whole host without a scheme before it: "/fetch/example.org/a", "?u=example.org".
_PIECE_END: Final = re.compile(r"[/?#&=;]")
_DOTS: Final = re.compile("[.\u3002]")
# Proxies that show a page below a name of their own: "example-org.translate.goog".
_PROXIES: Final = (".translate.goog", ".cdn.ampproject.org")
# An address inside an address is escaped once more each time.
_MOST_ESCAPES: Final = 5
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zs"})
_LONGEST: Final = 2000


def denied_host(urls: Iterable[str], denied: tuple[str, ...]) -> str:
    """Return the denied host that one of ``urls`` belongs to, or an empty text.

    Args:
        urls: addresses as found; may be empty or malformed.
        denied: hosts; a host below one of them is denied, too.
    """
    known = _canonical_hosts(denied)
    for url in urls:
        for host in hosts_of(url):
            labels = host.split(".")
            for start in range(len(labels)):
                if ".".join(labels[start:]) in known:
                    return host
    return ""


@lru_cache(maxsize=65536)
def hosts_of(url: str) -> tuple[str, ...]:
    """Return the hosts that an address names, its own first, then those inside it.

    A whole path segment or query value counts as a host where it has a dot: a name that only
    occurs in one ("/about-example.org") does not, and "story.html" is a host that nobody denies.
    """
    text = _plain(url)
    named = _AUTHORITY.findall(text)
    named += [piece for piece in _PIECE_END.split(text) if _DOTS.search(piece)]
    found = dict.fromkeys(_canonical(name) for name in named)
    found |= dict.fromkeys(shown for host in found if (shown := _behind_proxy(host)))
    return tuple(host for host in found if host)


def _behind_proxy(host: str) -> str:
    """Return the host that a proxy's name stands for: dots as ``-``, and ``-`` as ``--``."""
    for proxy in _PROXIES:
        if host.endswith(proxy):
            parts = host.removesuffix(proxy).rpartition(".")[2].split("--")
            return "-".join(part.replace("-", ".") for part in parts)
    return ""


@lru_cache(maxsize=16)
def _canonical_hosts(denied: tuple[str, ...]) -> frozenset[str]:
    return frozenset(filter(None, (_canonical(_plain(host)) for host in denied)))


def _plain(url: str) -> str:
    """Return an address in lower case and compatibility form, without escapes or blanks."""
    text = url[:_LONGEST]
    for _ in range(_MOST_ESCAPES):
        if text == (text := unquote(text)):
            break
    text = unicodedata.normalize("NFKC", text)
    text = "".join(sign for sign in text if unicodedata.category(sign) not in _INVISIBLE)
    return text.replace("\\", "/").casefold()


def _canonical(authority: str) -> str:
    """Return the host in an authority: no user, port or last dot; international names encoded."""
    host = authority.rpartition("@")[2].partition(":")[0]
    # The ideographic full stop separates labels as the dot does.
    host = host.replace("\u3002", ".").strip(".")
    try:
        return host.encode("idna").decode("ascii") if not host.isascii() else host
    except UnicodeError:
        return host
