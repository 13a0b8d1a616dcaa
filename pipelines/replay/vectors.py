"""What a Qdrant would say about the small made-up web: its documents as points of a collection.

Each document has a made-up vector of texts and one of images; points are ranked by real cosines,
and filters and thresholds hold, as far as the client uses them.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.replay.corpus import DOCUMENTS, Document

ENCODER: Final = "e" * 64
"""Whose vectors the points say that they have."""
DIMENSION: Final = 256
_SIDES: Final = ("text", "image")


@lru_cache(maxsize=256)
def vector_of(number: int, side: str) -> NDArray[np.float32]:
    """Return the unit vector of one side of a document, in float16 precision."""
    rng = np.random.default_rng([number, _SIDES.index(side)])
    vector = rng.normal(size=DIMENSION)
    halved: NDArray[np.float32] = (
        (vector / np.linalg.norm(vector)).astype(np.float16).astype(np.float32)
    )
    return halved


def qdrant(body: bytes, address: str) -> tuple[int, bytes]:
    """Return status and body of the answer to ``POST /collections/documents/points/query``."""
    try:
        asked = json.loads(body)
        query = np.array(asked["query"], np.float32)
        using, limit = asked["using"], int(asked["limit"])
        if query.shape != (DIMENSION,) or using not in _SIDES:
            raise ValueError(f"Wrong input: {query.shape}, {using!r}")
        points = _points(query, using, asked, address)
    except (ValueError, KeyError, TypeError) as error:
        return 400, _json({"status": {"error": f"Format error: {error}"}, "time": 0.0})
    return 200, _json({"result": {"points": points[:limit]}, "status": "ok", "time": 0.001})


def _points(
    query: NDArray[np.float32], using: str, asked: dict[str, Any], address: str
) -> list[dict[str, object]]:
    threshold = asked.get("score_threshold", -2.0)
    found = []
    for document in DOCUMENTS:
        payload = _payload(document, address)
        vector = vector_of(document.number, using)
        score = float(query @ vector / max(float(np.linalg.norm(query)), 1e-9))
        if score >= threshold and _passes(payload, asked.get("filter", {})):
            shown = {name: payload[name] for name in asked["with_payload"] if name in payload}
            found.append({"id": document.number, "version": 1, "score": score, "payload": shown})
    return sorted(found, key=lambda one: -float(str(one["score"])))


def _payload(document: Document, address: str) -> dict[str, object]:
    return {
        "id": f"document-{document.number}",
        "title": document.title,
        "text": document.text,
        "url": f"{address}{document.page}",
        "image_url": f"{address}{document.image}",
        "encoder": ENCODER,
    }


def _passes(payload: dict[str, object], conditions: dict[str, Any]) -> bool:
    has = all(
        payload.get(one["key"]) == one["match"]["value"] for one in conditions.get("must", [])
    )
    lacks = any(not payload.get(one["is_empty"]["key"]) for one in conditions.get("must_not", []))
    return has and not lacks


def _json(value: dict[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
