"""What would give the answer away: copies of the data set's posts, and annotations of them.

A page that quotes a post is found by the post's word trigrams, a page that shows annotations by
the forms in which they circulate, and a page of a host that mirrors data sets by its address.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cache.records import Dropped, Hit, Post
from retrieval.asking.queries import clean_sentence
from retrieval.curation.dedup_text import words
from retrieval.curation.denied_hosts import denied_host
from retrieval.curation.leak_patterns import announced_answer, shown_annotation
from retrieval.settings import LeakSettings

POST_QUOTE: Final = "post_quote"
ANNOTATION: Final = "annotation"
DENIED_HOST: Final = "denied_host"

# A post of fewer words ("good morning", a bare name) stands in many a page that never saw it, so
# it is recognised only where it is the whole text.
FEWEST_WORDS: Final = 5
# Beside words that announce an answer ("gold labels :") so much of a post is enough to know whose
# answer it is; alone it would be a common phrase.
_ENOUGH_BESIDE_AN_ANSWER: Final = 0.5
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


class Quote(NamedTuple):
    """A post that a text repeats.

    Attributes:
        example_ids: of the post, and of those with the same words; sorted.
        share: of the post's word trigrams that are in the text, in (0, 1].
    """

    example_ids: tuple[str, ...]
    share: float


class LeakGuard:
    """Knows every post of the data set by its words; no annotation gets here.

    An inverted index of word trigrams in a few arrays: 20,000 posts take some 20 MB, and a copy
    for another process is a plain copy of them.
    """

    def __init__(self, posts: Iterable[Post]) -> None:
        """Index ``posts`` as they are written and as the cleaned sentence, in any order."""
        ids: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        for post in posts:
            for form in post_forms(post.tokens):
                ids[form].add(post.example_id)
        self._short = {
            form: tuple(sorted(ids[form])) for form in ids if 0 < len(form) < FEWEST_WORDS
        }
        forms = sorted(form for form in ids if len(form) >= FEWEST_WORDS)
        self._ids = [tuple(sorted(ids[form])) for form in forms]
        self._index(forms)

    def _index(self, forms: Sequence[tuple[str, ...]]) -> None:
        """Note which forms have which trigram; a trigram is one number, made of its words'."""
        known = dict.fromkeys(word for form in forms for word in form)
        self._numbers = {word: number for number, word in enumerate(known, start=1)}
        codes = [np.unique(self._codes(form)) for form in forms]
        self._sizes = np.array([len(one) for one in codes], dtype=np.int32)
        every = np.concatenate([*codes, np.empty(0, np.uint64)])
        owners = np.repeat(np.arange(len(forms), dtype=np.int32), self._sizes)
        order = np.argsort(every, kind="stable")
        self._trigrams, starts = np.unique(every[order], return_index=True)
        self._starts = np.append(starts, len(every))
        self._owners = owners[order]
        # Most trigrams of most texts are in no post; a sparse table of bits says so at once.
        self._shift = np.uint64(64 - max(10, (16 * len(self._trigrams)).bit_length()))
        self._maybe = np.zeros(1 << (64 - int(self._shift)), dtype=np.bool_)
        self._maybe[self._slots(self._trigrams)] = True

    def _codes(self, found: Sequence[str]) -> NDArray[np.uint64]:
        """Return the trigrams as numbers; a word of no post is digit 0, which no post has."""
        numbers = map(self._numbers.get, found, repeat(0))
        digits = np.fromiter(numbers, dtype=np.uint64, count=len(found))
        base = np.uint64(len(self._numbers) + 1)
        return (digits[:-2] * base + digits[1:-1]) * base + digits[2:]

    def _slots(self, codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the place of each trigram in the table of bits (Fibonacci hashing)."""
        return (codes * _GOLDEN) >> self._shift

    def quotes(self, found: Sequence[str], threshold: float) -> list[Quote]:
        """Return the posts whose trigrams stand in a text; see `all_quotes`."""
        return self.all_quotes([found], threshold)[0]

    def all_quotes(self, texts: Sequence[Sequence[str]], threshold: float) -> list[list[Quote]]:
        """Return for each text the posts whose trigrams stand in it, the most complete first.

        To ask for many texts at once costs little more than to ask for one.

        Args:
            texts: the `words` of each.
            threshold: share of a post's trigrams, in (0, 1], from which it counts as quoted.
                Posts of fewer than `FEWEST_WORDS` words are left to `equal_posts`.
        """
        quotes: list[list[Quote]] = [[] for _ in texts]
        pairs, counts = self._count_owners(texts)
        places, owners = np.divmod(pairs, max(1, len(self._ids)))
        enough = counts >= threshold * self._sizes[owners]
        for place, owner, count in zip(
            places[enough].tolist(), owners[enough].tolist(), counts[enough].tolist(), strict=True
        ):
            quotes[place].append(Quote(self._ids[owner], count / int(self._sizes[owner])))
        return [sorted(found, key=lambda one: (-one.share, one.example_ids)) for found in quotes]

    def _count_owners(
        self, texts: Sequence[Sequence[str]]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return how many trigrams texts and forms have in common.

        Returns:
            Each text and form that have any, as ``text * forms + form``, and the number of each.
        """
        # A word of no post ends each text, so that no trigram of a post lies across an end.
        joined: list[str] = []
        for found in texts:
            joined += found
            joined.append("")
        codes = self._codes([*joined, ""])
        ends = np.cumsum([len(found) + 1 for found in texts])
        at = np.flatnonzero(self._maybe[self._slots(codes)])
        rows = np.searchsorted(self._trigrams[:-1], codes[at])
        known = self._trigrams[rows] == codes[at]
        places = np.searchsorted(ends, at[known], side="right")
        # A trigram counts once for a text, however often it stands there.
        places, rows = np.divmod(
            np.unique(places * len(self._trigrams) + rows[known]), len(self._trigrams)
        )
        first, sizes = self._starts[rows], self._starts[rows + 1] - self._starts[rows]
        steps = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        owners = self._owners[np.repeat(first, sizes) + steps]
        pairs, counts = np.unique(
            np.repeat(places, sizes) * len(self._ids) + owners, return_counts=True
        )
        return pairs, counts

    def equal_posts(self, found: tuple[str, ...]) -> tuple[str, ...]:
        """Return the ids of the short posts that consist of exactly these words."""
        return self._short.get(found, ())


def post_forms(tokens: Sequence[str]) -> set[tuple[str, ...]]:
    """Return the words of a post as written and of its cleaned sentence; none for an empty one."""
    return {words(" ".join(tokens)), words(clean_sentence(tokens))} - {()}


def drop_leaks(
    hits: Sequence[Hit], post: Post, guard: LeakGuard | None, settings: LeakSettings
) -> tuple[list[Hit], list[Dropped]]:
    """Drop hits that quote a post of the data set, show annotations, or are from a denied host.

    Args:
        hits: of one post. The text of an image counts, too: it is the caption or page beside it.
        post: that post.
        guard: every post of the data set; None knows ``post`` only.
        settings: what counts as a copy, and which hosts are denied.
    """
    guard = guard or LeakGuard([post])
    shown = [_texts(hit) for hit in hits]
    enough = min(settings.post_containment, _ENOUGH_BESIDE_AN_ANSWER)
    distinct = list(dict.fromkeys(chain.from_iterable(shown)))
    found = guard.all_quotes([words(text) for text in distinct], enough)
    quotes = {text: quoted for text, quoted in zip(distinct, found, strict=True) if quoted}
    kept: list[Hit] = []
    dropped: list[Dropped] = []
    for hit, texts in zip(hits, shown, strict=True):
        leak = (
            _denied(hit, settings)
            or _annotated(texts, settings)
            or _quoting(texts, quotes, post, settings)
            or _short_quote(hit, post, guard)
        )
        if leak is None:
            kept.append(hit)
        else:
            dropped.append(Dropped(hit, *leak))
    return kept, dropped


def _texts(hit: Hit) -> list[str]:
    """Return text and title of a hit, without the empty; a title is not said twice."""
    title = hit.title if not hit.text.startswith(hit.title) else ""
    return [text for text in (hit.text, title) if text]


# The step and the reason that a hit falls to.
_Leak = tuple[str, str]


def _denied(hit: Hit, settings: LeakSettings) -> _Leak | None:
    if not settings.denied_hosts:
        return None
    host = denied_host((hit.url, hit.image_url), settings.denied_hosts)
    return (DENIED_HOST, f"from the denied host {host}") if host else None


def _annotated(texts: Sequence[str], settings: LeakSettings) -> _Leak | None:
    shown = next(filter(None, map(shown_annotation, texts)), "") if settings.annotations else ""
    return (ANNOTATION, shown) if shown else None


def _quoting(
    texts: Sequence[str], quotes: Mapping[str, Sequence[Quote]], post: Post, settings: LeakSettings
) -> _Leak | None:
    """Find a post quoted, or enough of one beside words that announce an answer."""
    for text in texts:
        quoted = quotes.get(text)
        if not quoted:
            continue
        if quoted[0].share >= settings.post_containment:
            return POST_QUOTE, _quote_reason(quoted[0], post)
        if settings.annotations and (answer := announced_answer(text)):
            return ANNOTATION, f"{answer!r} beside words of {_quoted(quoted[0], post)}"
    return None


def _short_quote(hit: Hit, post: Post, guard: LeakGuard) -> _Leak | None:
    """Find a text that is a short post and nothing else, but for the title in front of it.

    A title alone may well be the same name as a short post.
    """
    if hit.modality != "text":
        return None
    text, title = words(hit.text), words(hit.title)
    body = text[len(title) :] if text[: len(title)] == title else text
    for found in (text, body):
        if ids := guard.equal_posts(found):
            return POST_QUOTE, _quote_reason(Quote(ids, 1.0), post)
    return None


def _quote_reason(quote: Quote, post: Post) -> str:
    return f"quotes {_quoted(quote, post)}"


def _quoted(quote: Quote, post: Post) -> str:
    own = post.example_id in quote.example_ids
    whose = "the post itself" if own else f"the post {quote.example_ids[0]}"
    return f"{whose}: {quote.share:.3f} of its trigrams"
