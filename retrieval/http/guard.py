"""Who may be talked to: no address that only means something from inside this network.

A page or an image URL comes from the web. Were it fetched as it is, whoever wrote it could have
this machine ask its own services, its neighbours, or the cloud's metadata service, and read the
answer in a store (server-side request forgery, CWE-918). The name in a URL says nothing: it may
resolve to anything, and to something else the next time. So addresses are judged, before a
connection is made and again once the peer is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from retrieval.http.base import Refused

MAX_URL_CHARS: Final = 2000

# RFC 4291: all that is assigned for use between networks; mapped and translated addresses, which
# lie elsewhere, are unwrapped first.
_GLOBAL_IPV6: Final = IPv6Network("2000::/3")
# Where an IPv6 address ends in an IPv4 address: compatible and mapped (RFC 4291), translated
# (RFC 2765), NAT64 (RFC 6052).
_EMBEDDING: Final = tuple(
    map(IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96"))
)
_SIX_TO_FOUR: Final = IPv6Network("2002::/16")
# `is_global` of Python 3.11 lets these pass: Azure's metadata service, the block of protocol
# assignments (Oracle's metadata service), and the anycast relay of 6to4.
_NOT_FOR_US: Final = tuple(
    map(IPv4Network, ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24"))
)


def is_public(address: str) -> bool:
    """Return whether ``address`` is one of the open internet: not private, not this machine.

    Args:
        address: IPv4 or IPv6, in digits; anything else is not public.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        embedded = _embedded(ip)
        if embedded is None:
            return ip in _GLOBAL_IPV6 and ip.is_global
        ip = embedded
    return ip.is_global and not ip.is_multicast and not any(ip in net for net in _NOT_FOR_US)


def _embedded(ip: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that packets to ``ip`` may end up at."""
    if ip in _SIX_TO_FOUR:
        return ip.sixtofour
    if any(ip in net for net in _EMBEDDING):
        return IPv4Address(int(ip) & 0xFFFF_FFFF)
    return None


class Gate:
    """Lets connections pass to public addresses, and to a few hosts wherever they are."""

    def __init__(self, allowed_hosts: Iterable[str] = ()) -> None:
        """Let ``allowed_hosts`` pass: each ``host`` (any port) or ``host:port``."""
        self._allowed = frozenset(_comparable(host) for host in allowed_hosts)

    def allows(self, host: str, port: int) -> bool:
        """Return whether ``host`` may be talked to wherever it is."""
        name = _comparable(host)
        return name in self._allowed or f"{name}:{port}" in self._allowed

    def check(self, host: str, port: int, address: str) -> None:
        """Refuse ``address`` unless it is public, or ``host`` is allowed.

        Raises:
            Refused: the message names both.
        """
        if self.allows(host, port) or is_public(address):
            return
        raise Refused(
            f"{shown(host)} is at {address}, which is no public address. If that is meant, "
            f"add {f'{_comparable(host)}:{port}'!r} to ask.fetch.allowed_hosts."
        )


def check_url(url: str) -> SplitResult:
    """Return the parts of a web address that may be asked.

    Raises:
        Refused: it is no ``http`` or ``https`` address, holds a user name, or cannot be read.
    """
    if len(url) > MAX_URL_CHARS:
        raise Refused(f"{shown(url)} is longer than {MAX_URL_CHARS} characters. Shorten it.")
    # `urlsplit` drops some of them without a word, so that it reads another address than others.
    if not url.isprintable() or "\\" in url:
        raise Refused(f"{shown(url)} holds a control character or backslash. Quote it.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Refused(f"{shown(url)} is no web address ({error}). Correct it.") from error
    if parts.scheme not in {"http", "https"}:
        raise Refused(f"{shown(url)} has the scheme {parts.scheme!r}. Only http(s) is fetched.")
    if not host or port == 0:
        raise Refused(f"{shown(url)} names no host. Correct it.")
    if "@" in parts.netloc:
        raise Refused(f"the address of {shown(host)} holds a user name. Remove it.")
    return parts


def host_and_port(url: str) -> str:
    """Return ``host:port`` of a web address.

    Raises:
        Refused: it is no web address.
    """
    parts = check_url(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.hostname}:{port}"


def shown(text: str, most: int = 200) -> str:
    """Return text from outside for a message: quoted, escaped, cut."""
    return ascii(text if len(text) <= most else text[:most] + "...")


def _comparable(host: str) -> str:
    """Return a host, with or without port, as it is compared: ``[::1]`` for ``::1``."""
    host = host.lower().rstrip(".")
    return f"[{host}]" if host.count(":") > 1 and "]" not in host else host
