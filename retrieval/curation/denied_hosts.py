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
    """Return the hosts that an address names, its own first, then those inside it."""
    text = _plain(url)
    found = dict.fromkeys(_canonical(match) for match in _AUTHORITY.findall(text))
    return tuple(host for host in found if host)


@lru_cache(maxsize=16)
def _canonical_hosts(denied: tuple[str, ...]) -> frozenset[str]:
    return frozenset(filter(None, (_canonical(_plain(host)) for host in denied)))


def _plain(url: str) -> str:
    """Return an address in lower case and compatibility form, without escapes or blanks."""
    # Twice, for an address inside an address is escaped once more.
    text = unicodedata.normalize("NFKC", unquote(unquote(url[:_LONGEST])))
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
