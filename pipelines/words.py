"""From typed text to tokens, for posts that come from a person and not from a data set."""

from __future__ import annotations

import re

# A link stays whole; handles and hashtags lose their sigil to a token of its own, as in
# Twitter-2017; a word may hold inner apostrophes and hyphens; anything else stands alone.
_TOKEN = re.compile(r"https?://\S+|\w+(?:['\u2019\-]\w+)*|[^\w\s]")


def split_words(text: str) -> tuple[str, ...]:
    """Return the tokens of ``text`` in order: words, links, and single marks."""
    return tuple(_TOKEN.findall(text))
