"""Which language a text is in, told only where there is no doubt."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Final

from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

from cache.errors import InputError

# Log-likelihood, in nats, by which another language must fit better than all wanted ones. Of 2,000
# English headlines none gets there; sentences of other languages go far beyond it.
_BEYOND_DOUBT: Final = 20.0
# Fewer characters than this are never beyond doubt.
_FEWEST: Final = 12


@lru_cache(maxsize=65536)
def foreign_language(text: str, languages: tuple[str, ...]) -> str:
    """Return the ISO 639-1 code of ``text`` if it is surely in none of ``languages``, else "".

    Raises:
        InputError: one of ``languages`` is unknown.
    """
    # Names are of no language, and invented ones of any; other words seldom begin large, or leave
    # enough small ones beside them (as in German).
    common = " ".join(word for word in text.split() if not word[0].isupper())
    if len(common) < _FEWEST:
        return ""
    identifier = _identifier()
    # The cheaper question, and for most texts the last.
    if identifier.classify(common)[0] in languages:
        return ""
    ranked = identifier.rank(common)
    fits = dict(ranked)
    unknown = sorted(set(languages) - fits.keys())
    if unknown:
        raise InputError(
            f"curate.noise.languages names {unknown[0]!r}, which cannot be told from others; "
            f"known are {', '.join(sorted(fits))}."
        )
    best, fit = ranked[0]
    wanted = max(fits[language] for language in languages)
    return str(best) if fit - wanted > _BEYOND_DOUBT else ""


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=False)
