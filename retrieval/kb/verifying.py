"""Reading all of a knowledge base, to see whether it is what was built."""

from __future__ import annotations

from collections.abc import Iterator

from cache.errors import ProviderUnavailable, StoreDamaged
from retrieval.kb.knowledge_base import KnowledgeBase


def damages_of(knowledge: KnowledgeBase) -> Iterator[str]:
    """Yield what is damaged: files by their digests, images by their names.

    A base of more than a hundred megabytes is not read whole when it is opened; then only what is
    handed out is compared with its check.
    """
    try:
        knowledge.check_digests()
    except StoreDamaged as damage:
        # The rest cannot be read by what may be damaged itself.
        yield str(damage)
        return
    for key in knowledge.image_keys():
        try:
            knowledge.image(key)
        except ProviderUnavailable as damage:
            yield str(damage)
