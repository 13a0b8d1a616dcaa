"""The same thing gets the same name, whoever asks, and different things never share one."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cache
from cache import InputError, canonical_json, content_key, differing_keys, fingerprint

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates are no text that a file could hold, but they must not crash a build.
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(value=JSON)
def test_a_fingerprint_survives_writing_and_reading_the_value_as_json(value: object) -> None:
    assert fingerprint(json.loads(json.dumps(value))) == fingerprint(value)


def test_the_order_of_keys_does_not_matter_and_the_order_of_items_does() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint([1, 2]) != fingerprint([2, 1])


def test_worked_example() -> None:
    text = '{"k":"é","n":[1,2.5,null,true]}'
    assert canonical_json({"n": [1, 2.5, None, True], "k": "é"}) == text
    assert fingerprint({"k": "é", "n": (1, 2.5, None, True)}) == (
        hashlib.sha256(text.encode()).hexdigest()
    )
    assert content_key(b"abc") == hashlib.sha256(b"abc").hexdigest()


@pytest.mark.parametrize(
    "value", [math.nan, [math.inf], {"a": -math.inf}, {1: 2}, {"a": {None: 1}}, b"bytes", {1, 2}]
)
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="cannot fingerprint"):
        fingerprint(value)


def test_differing_keys_are_named_with_their_path() -> None:
    ours = {"a": {"x": 1, "y": 2}, "b": 1, "c": None}
    theirs = {"a": {"x": 1, "y": 3}, "b": 1.0, "d": None}
    assert differing_keys(ours, theirs) == ["a.y", "b", "c", "d"]
    assert differing_keys(ours, ours) == []


def test_all_names_everything_that_the_package_offers() -> None:
    offered = {
        name
        for name, value in vars(cache).items()
        if str(getattr(value, "__module__", "")).startswith("cache.")
    }
    assert offered <= set(cache.__all__)
    assert all(hasattr(cache, name) for name in cache.__all__)


def test_the_contract_loads_neither_torch_nor_pickle_nor_a_network_library() -> None:
    code = (
        "import sys; import cache; from pathlib import Path\n"
        "bad = {'torch', 'transformers', 'requests', 'urllib3', 'PIL'} & set(sys.modules)\n"
        "assert not bad, bad\n"
        "for file in Path(cache.__file__).parent.glob('*.py'):\n"
        "    assert 'import pickle' not in file.read_text(), file\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
