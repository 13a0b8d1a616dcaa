"""What is asked of a knowledge base, and what it finds, wherever it is kept."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cache.records import Modality
from retrieval.kb.format import KbDocument

By = Literal["text", "image"]
Having = Literal["any", "both", "alone"]

# Which vectors a search compares with: those of passages or of images, of all documents, of those
# that have both, or of those that have nothing else. By text, images are found by the words beside
# them: measured on portraits, a name finds its bearer, where the encoder knows nobody's face.
COMPARED: Final[dict[tuple[By, Modality], tuple[tuple[Modality, Having], ...]]] = {
    ("text", "text"): (("text", "any"),),
    ("text", "image"): (("text", "both"), ("image", "alone")),
    ("image", "text"): (("image", "both"),),
    ("image", "image"): (("image", "any"),),
}


class Search(NamedTuple):
    """One search: by ``text``, or, where that is empty, by the image that ``vector`` stands for.

    ``vector`` is the embedding of text or image; it is needed if the knowledge base has any.
    """

    modality: Modality
    text: str
    vector: NDArray[np.float32] | None

    @property
    def by(self) -> By:
        """What is searched with."""
        return "text" if self.text else "image"


class Found(NamedTuple):
    """A document that a search found, and the vector of what was asked for (text or image)."""

    document: KbDocument
    score: float
    vector: NDArray[np.float16] | None
