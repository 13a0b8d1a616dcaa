"""What the page on other tools shows is run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import store_fixtures

PAGE = Path(__file__).parent.parent / "docs" / "opening-shards.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
STORE = "data/stores/sample"
# By what they import first: what must hold after the snippet.
CHECKS = {
    "datasets": [
        """
assert sorted(posts["example_id"]) == IDS
pixels = {row["key"]: row["data"].getpixel((0, 0)) for row in images if row["data"]}
assert pixels == PIXELS, pixels
""",
        """
assert type(images.features["data"]).__name__ == "Image"
assert {row["key"]: row["data"].getpixel((0, 0)) for row in images if row["data"]} == PIXELS
""",
    ],
    "duckdb": ["assert [row[-1] or '' for row in kept.fetchall()] == TEXTS"],
    "polars": ["assert dict(reasons.select('step', 'len').rows()) == {'dedup': 1, 'rank': 1}"],
    "pandas": [
        """
assert list(photos["example_id"]) == ["a-entities"]
assert Image.open(io.BytesIO(first["data"])).getpixel((0, 0)) == (255, 0, 0)
"""
    ],
}
HITS = sorted(
    (row.example.post.example_id, kept.hit.level, kept.hit.modality, kept.rank, kept.hit.text)
    for rows in store_fixtures.POSTS
    for row in rows
    for kept in row.evidence
)
FACTS = {
    "IDS": [row.example.post.example_id for rows in store_fixtures.POSTS for row in rows],
    "PIXELS": {store_fixtures.PHOTO.key: (255, 0, 0), store_fixtures.FOUND.key: (0, 255, 0)},
    "TEXTS": [hit[-1] for hit in HITS],
}


def cases() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    seen: dict[str, int] = {}
    for snippet in SNIPPETS:
        tool = next(name for name in CHECKS if re.search(rf"(import|from) {name}\b", snippet))
        place = seen.setdefault(tool, 0)
        seen[tool] += 1
        found.append((tool, snippet + CHECKS[tool][place]))
    return found


def test_the_page_shows_every_tool() -> None:
    assert sorted(tool for tool, _ in cases()) == sorted([*CHECKS, "datasets"])


@pytest.mark.parametrize(("tool", "code"), cases())
def test_a_snippet_of_the_page_does_what_it_says(tool: str, code: str, tmp_path: Path) -> None:
    pytest.importorskip(tool)
    store_fixtures.build(tmp_path / STORE)
    facts = "".join(f"{name} = {value!r}\n" for name, value in FACTS.items())
    # Elsewhere, so that nothing is taken from or left in the user's own cache; and off the net.
    env = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", facts + code],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
