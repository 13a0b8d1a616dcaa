"""Hits of live providers name images and pages by URL; here they get what is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from cache.records import Dropped, Hit
from retrieval.fetching.fetch import Fetcher
from retrieval.fetching.fetch_url import FETCH, Target
from retrieval.fetching.pages import passage
from retrieval.providers.base import Provider, is_live


class LiveHits:
    """Resolves the hits of live providers; those of others are left as they are."""

    def __init__(self, providers: Sequence[Provider], fetcher: Fetcher) -> None:
        """Take images of all live ``providers``, and pages of those who want pages."""
        live = [provider for provider in providers if is_live(provider)]
        self._live = {provider.name for provider in live}
        self._with_pages = {provider.name for provider in live if provider.wants_pages}
        self._fetcher = fetcher

    def fetch(self, hits: Iterable[Hit]) -> None:
        """Fetch what ``hits`` name and what is not recorded yet."""
        self._fetcher.fetch(target for hit in hits if (target := self._target(hit)) is not None)

    def resolve(self, hit: Hit) -> Hit | Dropped:
        """Return ``hit`` with its image or the passage of its page, from recordings alone.

        Where the page is not to be had the snippet stays. A hit that is left with nothing is
        dropped, with the reason.

        Raises:
            ProviderUnavailable: it could not be fetched.
        """
        target = self._target(hit)
        if target is None:
            return hit
        found = self._fetcher.get(target)
        if target.kind == "image":
            if found.problem:
                return Dropped(hit, FETCH, found.problem)
            # Where it really came from: a redirect must not hide a host that is denied.
            place = found.final_url or hit.image_url
            return replace(
                hit, media_key=found.media_key, image_sha256=found.sha256, image_url=place
            )
        text = passage(found.text, hit.text, self._fetcher.settings.max_page_chars)
        if text:
            place = found.final_url or hit.url
            return replace(hit, text=text, title=found.title or hit.title, url=place)
        if not hit.text.strip():
            return Dropped(hit, FETCH, found.problem or "no text on the page")
        return hit

    def _target(self, hit: Hit) -> Target | None:
        if hit.provider not in self._live:
            return None
        if hit.modality == "image":
            wanted = hit.image_url and not hit.media_key
            return Target(hit.image_url, "image") if wanted else None
        pages = self._fetcher.settings.pages and hit.provider in self._with_pages
        return Target(hit.url, "page") if pages and hit.url else None
