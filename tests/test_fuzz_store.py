"""Stores changed at random, with hashes that fit: each is refused by name, or read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cache import MANIFEST_NAME, RamieError, read_manifest, verify_store
from cache.card import data_card
from pipelines.soak.fuzz import attempt, steps_of, write
from pipelines.soak.mutants import Files, files_of, mutant, signed, small_store, with_file

FUZZ = settings(
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**31, 2**53, 2**64, -1, 10**400])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["\ud800", "../x", "/etc/passwd", "C:\\x", "\0", "train", "f" * 64])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


class Sound(dict[str, bytes]):
    """Files of a store; a failing test prints its arguments."""

    def __repr__(self) -> str:
        return "the sound store"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("sound")
    small_store(folder)
    assert verify_store(folder).problems == ()
    return Sound(files_of(folder))


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value of a JSON document."""
    found = [path] if path else []
    if not isinstance(node, dict | list):
        return found
    for key, inner in node.items() if isinstance(node, dict) else enumerate(node):
        found += places(inner, (*path, key))
    return found


@settings(FUZZ, max_examples=200)
@given(data=st.data(), value=JSON, how=st.sampled_from(["replace", "remove", "add"]))
def test_no_manifest_does_more_than_be_refused(
    tmp_path: Path, sound: Files, data: st.DataObject, value: Any, how: str
) -> None:
    content = json.loads(sound[MANIFEST_NAME])
    *above, last = data.draw(st.sampled_from(places(content)))
    parent = content
    for key in above:
        parent = parent[key]
    if how == "remove":
        del parent[last]
    elif how == "add" and isinstance(parent, dict):
        parent[data.draw(st.text(max_size=8))] = value
    else:
        parent[last] = value
    (tmp_path / MANIFEST_NAME).write_bytes(signed(content))
    said = str(tmp_path / MANIFEST_NAME)
    try:
        data_card(read_manifest(tmp_path))
    except RamieError as error:
        said = str(error)
    assert str(tmp_path / MANIFEST_NAME) in said


@settings(FUZZ, max_examples=60)
@given(
    data=st.data(),
    where=st.floats(0, 1),
    piece=st.binary(max_size=40),
    cut=st.integers(0, 60),
)
def test_no_bytes_of_a_shard_do_more_than_be_refused(
    tmp_path: Path, sound: Files, data: st.DataObject, where: float, piece: bytes, cut: int
) -> None:
    name = data.draw(st.sampled_from(sorted(set(sound) - {MANIFEST_NAME})))
    old = sound[name]
    # From the end, where the footer is.
    at = len(old) - int(where**2 * len(old))
    files = with_file(sound, name, old[:at] + piece + old[at + cut :])
    write(tmp_path / "store", files)
    assert attempt(tmp_path / "store")


def test_changed_stores_are_the_same_in_each_run(sound: Files) -> None:
    one, other = ([mutant(sound, steps_of(3, number)) for number in range(20)] for _ in range(2))
    assert one == other
    assert sum(files != sound for files in one) > 15


def test_a_short_soak_finds_no_store_that_does_harm(tmp_path: Path) -> None:
    # In a process of its own: it forks, and threads of other tests would not survive that.
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pipelines.soak", "fuzz", "--minutes", "0.05", "--seed", "11"]
    done = subprocess.run(
        [*command, "--out", str(out), "--json"], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["stores"] > 0
    assert not out.exists()


# Soaks below a folder, with stores that kill who reads them; says what was found.
KILLED = """
import json, os, signal, sys
from pathlib import Path
from cache import MANIFEST_NAME
from pipelines.soak import fuzz

folder = Path(sys.argv[1])
steps = fuzz.steps_of(0, next(n for n in range(100) if len(fuzz.steps_of(0, n)) == 3))
sane = fuzz.attempt

def dies(store):
    if store.name == "store" and (store / MANIFEST_NAME).exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return sane(store)

fuzz._BATCH, fuzz.steps_of, fuzz.attempt = 1, lambda seed, number: steps, dies
print(json.dumps(fuzz.soak(folder / "work", 0.0, 0, folder / "out", lambda said: None).problems))
"""


def test_what_does_harm_is_seen_and_kept_with_fewest_changes(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    # In a process of its own, as above: its children may have less memory than torch alone takes.
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (problem,) = json.loads(done.stdout)
    assert "ended with -9" in problem
    (kept,) = (tmp_path / "out").iterdir()
    assert (kept / MANIFEST_NAME).exists()
    # One change is enough, and all but one were left out.
    assert problem.count("0.") == 1
