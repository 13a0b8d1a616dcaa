"""What would give the answer away: copies of the data set's posts, and annotations of them.

A page that quotes a post is found by the post's word trigrams, a page that shows annotations by
the forms in which they circulate, and a page of a host that mirrors data sets by its address.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
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
        get = self._numbers.get
        digits = np.array([get(word, 0) for word in found], dtype=np.uint64)
        base = np.uint64(len(self._numbers) + 1)
        return (digits[:-2] * base + digits[1:-1]) * base + digits[2:]

    def _slots(self, codes: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the place of each trigram in the table of bits (Fibonacci hashing)."""
        return (codes * _GOLDEN) >> self._shift

    def quotes(self, found: Sequence[str], threshold: float) -> list[Quote]:
        """Return the posts whose trigrams stand in a text, the most complete first.

        Args:
            found: the `words` of the text.
            threshold: share of a post's trigrams, in (0, 1], from which it counts as quoted.
                Posts of fewer than `FEWEST_WORDS` words are left to `equal_posts`.
        """
        if len(found) < 3:
            return []
        codes = self._codes(found)
        codes = codes[self._maybe[self._slots(codes)]]
        if not len(codes):
            return []
        shares = [
            Quote(self._ids[owner], count / int(self._sizes[owner]))
            for owner, count in self._count_owners(codes).items()
            if count >= threshold * int(self._sizes[owner])
        ]
        return sorted(shares, key=lambda quote: (-quote.share, quote.example_ids))

    def _count_owners(self, codes: NDArray[np.uint64]) -> Counter[int]:
        """Return how many of the trigrams each form has."""
        common: Counter[int] = Counter()
        places = np.searchsorted(self._trigrams[:-1], codes)
        for place in set(places[self._trigrams[places] == codes].tolist()):
            common.update(self._owners[self._starts[place] : self._starts[place + 1]].tolist())
        return common

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
    kept: list[Hit] = []
    dropped: list[Dropped] = []
    for hit in hits:
        found = _leak(hit, post, guard, settings)
        if found is None:
            kept.append(hit)
        else:
            dropped.append(Dropped(hit, *found))
    return kept, dropped


def _leak(
    hit: Hit, post: Post, guard: LeakGuard, settings: LeakSettings
) -> tuple[str, str] | None:
    """Return the step and the reason that a hit falls to, or None."""
    if settings.denied_hosts:
        host = denied_host((hit.url, hit.image_url), settings.denied_hosts)
        if host:
            return DENIED_HOST, f"from the denied host {host}"
    title = hit.title if not hit.text.startswith(hit.title) else ""
    texts = [text for text in (hit.text, title) if text]
    if settings.annotations:
        for text in texts:
            if shown := shown_annotation(text):
                return ANNOTATION, shown
    for text in texts:
        quoted = guard.quotes(
            words(text), min(settings.post_containment, _ENOUGH_BESIDE_AN_ANSWER)
        )
        if quoted and quoted[0].share >= settings.post_containment:
            return POST_QUOTE, _quote_reason(quoted[0], post)
        if quoted and settings.annotations and (answer := announced_answer(text)):
            return ANNOTATION, f"{answer!r} beside words of {_quoted(quoted[0], post)}"
    return _short_quote(hit, post, guard)


def _short_quote(hit: Hit, post: Post, guard: LeakGuard) -> tuple[str, str] | None:
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
