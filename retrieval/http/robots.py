"""What a host lets programs fetch, and how often: robots.txt (RFC 9309)."""

from __future__ import annotations

from typing import Final

from protego import Protego

from retrieval.http.base import Client, NoAnswer, Refused, Request
from retrieval.http.guard import check_url, shown

# The name that rules are looked up by; first word of the User-Agent.
ROBOT_NAME: Final = "ramie"
# RFC 9309, section 2.5: at least so much has to be read.
_MAX_BYTES: Final = 512 * 2**10


class Robots:
    """The rules of hosts, each asked for once. One thread at a time per host."""

    def __init__(self, client: Client) -> None:
        """Ask with ``client``."""
        self._client = client
        self._rules: dict[str, Protego] = {}

    def check(self, url: str) -> float:
        """Return after how many seconds the host of ``url`` may be asked again.

        Raises:
            Refused: its rules forbid ``url``, or cannot be had for good.
            NoAnswer: its rules cannot be had now, so nothing may be fetched now.
        """
        parts = check_url(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self._rules:
            self._rules[origin] = self._ask(f"{origin}/robots.txt")
        rules = self._rules[origin]
        if not rules.can_fetch(url, ROBOT_NAME):
            raise Refused(f"robots.txt forbids {shown(url)}. Leave it out.")
        return rules.crawl_delay(ROBOT_NAME) or 0.0

    def _ask(self, url: str) -> Protego:
        response = self._client.send(Request(url, max_bytes=_MAX_BYTES))
        if response.status == 429 or response.status >= 500:
            problem = (
                f"{shown(url)} has status {response.status}, so nothing is fetched there now."
            )
            raise NoAnswer(f"{problem} Try again later.", reached=True)
        # RFC 9309, section 2.3.1.3: without rules nothing is forbidden.
        text = response.body.decode("utf-8", "replace") if 200 <= response.status < 300 else ""
        return Protego.parse(text)
