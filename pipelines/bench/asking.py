"""What becomes of a build whose provider blocks and babbles, and that is killed again and again.

The build is ``ramie build`` in a process of its own; the provider is the replay server, which
outlives it and logs what it was asked.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

from cache.errors import InputError
from cache.manifest import MANIFEST_NAME
from cache.recording.recordings import Recordings
from cache.schema import TABLES
from pipelines.bench.figures import Figure
from pipelines.replay.corpus import UNKNOWN_WORD
from pipelines.replay.faults import Faults
from pipelines.replay.script import Logged
from pipelines.replay.server import ReplayServer
from retrieval.building.builder import RECORDINGS

_BLOCKED, _GARBAGE = 0.2, 0.05
_MOST_RUNS: Final = 20
_LONGEST_RUN_S: Final = 600
_POLL_S: Final = 0.005
# After the request that a kill waits for: so long, at most, until the kill. A shard takes less to
# be asked, curated and written, so that kills hit every stage.
_LONGEST_DELAY_S: Final = 0.5
# Only what still holds a connection of a build that was killed takes so long to settle.
_LONGEST_SETTLING_S: Final = 60.0
_RECIPE: Final = """
shard_size = 50
[dataset]
reader = "jsonl"
task = "mner"
root = {root}
[observe]
detector = "none"
encoder = "none"
[ask]
providers = ["searxng"]
hits_per_query = 5
[ask.searxng]
address = "{address}"
[ask.fetch]
seconds_between = 0
allowed_hosts = ["{host}"]
[ask.polite]
seconds_between = 0
first_pause_s = 0.01
"""


@dataclass(slots=True, eq=False)
class _Story:
    """What happened to the disturbed build.

    Attributes:
        log: what the server was asked.
        under_way: questions whose answer was on its way when the build was killed.
        kills: that hit a running build.
        runs: of the build, killed or not.
        missing: questions that an offline run told to be without a recording.
        recorded: questions with a recording at that time.
    """

    log: Sequence[Logged] = ()
    under_way: list[str] = field(default_factory=list)
    kills: int = 0
    runs: int = 0
    missing: int = 0
    recorded: int = 0


def bench_asking(folder: Path, queries: int = 2000, kills: int = 5, seed: int = 0) -> list[Figure]:
    """Return how a build came through blocks, garbage and kills, compared with a quiet one.

    Args:
        folder: for data set and stores; what is in it is removed.
        queries: distinct questions; there are half as many posts, each asked about twice.
        kills: how often the build is killed (SIGKILL) at a random moment.
        seed: of the faults and the moments.

    Raises:
        InputError: the build fails, or does not come to its end.
    """
    shutil.rmtree(folder, ignore_errors=True)
    _write_posts(folder / "posts", queries // 2)
    faults = Faults(seed=seed, blocked=_BLOCKED, garbage=_GARBAGE, retry_after=("0", ""))
    with ReplayServer(faults) as server:
        recipe = _write_recipe(folder, server.address)
        story = _disturbed(server, recipe, folder / "disturbed", queries, kills, seed)
        port = int(server.address.rpartition(":")[2])
    # At the same address, for it is part of what a store is made of.
    with ReplayServer(port=port):
        started = time.perf_counter()
        _finish(_start(recipe, folder / "quiet"), folder / "quiet")
        seconds = time.perf_counter() - started
    recorded = _num_recorded(folder / "disturbed")
    ours, theirs = (_files(folder / name) for name in ("disturbed", "quiet"))
    differing = sum(ours.get(name) != theirs.get(name) for name in {*ours, *theirs})
    return [
        *_figures(story, queries, kills, recorded),
        Figure("asking: files that differ from the undisturbed store", differing, 0, "below"),
        Figure("asking: files of the store", len(theirs)),
        Figure("asking: seconds of the undisturbed build", seconds),
    ]


def _figures(story: _Story, queries: int, kills: int, recorded: int) -> list[Figure]:
    good = Counter(one.question for one in story.log if one.answered and _is_post(one))
    again = Counter({question: times - 1 for question, times in good.items()})
    again.subtract(story.under_way)
    again = +again
    # An answer without hits is no answer before a canary was answered: that may take a second go.
    silent_again = sum(times for one, times in again.items() if UNKNOWN_WORD in one)
    asked = [one for one in story.log if one.question]
    silent = queries - story.recorded - story.missing
    blocked = sum(one.status != 200 for one in asked) / len(asked)
    garbage = sum(one.status == 200 and not one.answered for one in asked) / len(asked)
    lost = sum(good.values()) - len(good)
    return [
        Figure("asking: kills that hit the running build", story.kills, kills),
        Figure("asking: questions without an answer at the end", queries - recorded, 0, "below"),
        Figure("asking: halfway, neither answered nor listed as missing", silent, 0, "below"),
        Figure("asking: halfway, listed as missing", story.missing),
        Figure("asking: asked again after an answer", again.total() - silent_again, 0, "below"),
        Figure("asking: silence asked again, for its canary was blocked", silent_again),
        Figure("asking: answers under way at a kill, and lost", lost, story.kills, "below"),
        Figure("asking: share of the requests that was blocked", blocked),
        Figure("asking: share of the requests answered with garbage", garbage),
        Figure("asking: runs to the end", story.runs),
    ]


def _disturbed(
    server: ReplayServer, recipe: Path, store: Path, queries: int, kills: int, seed: int
) -> _Story:
    story, rng = _Story(), random.Random(seed)
    for moment in sorted(rng.sample(range(1, queries), kills)):
        build = _start(recipe, store)
        story.runs += 1
        end = time.monotonic() + _LONGEST_RUN_S
        while build.poll() is None and _num_questions(server) < moment:
            if time.monotonic() > end:
                break
            time.sleep(_POLL_S)
        time.sleep(rng.uniform(0, _LONGEST_DELAY_S))
        story.kills += build.poll() is None
        build.kill()
        build.wait()
        _let_settle(server)
        answered = [one.question for one in server.log if one.answered and _is_post(one)]
        story.under_way += answered[-1:]
    offline = _finish(_start(recipe, store, "--offline"), store)
    story.missing, story.recorded = offline["missing"].get("searxng", 0), _num_recorded(store)
    for _ in range(_MOST_RUNS):
        story.runs += 1
        if not _finish(_start(recipe, store), store)["unfinished"]:
            story.log = server.log
            return story
    raise InputError(f"the build has unfinished posts after {_MOST_RUNS} runs. See {store}.")


def _let_settle(server: ReplayServer) -> None:
    """Wait until the server has logged whatever a build asked that was killed.

    Connections are taken in turn: once this one is answered, all of the build's were taken. They
    ended with the build, and so do they here when their requests are answered, or given up.
    """
    with closing(HTTPConnection(server.address.rpartition("/")[2])) as connection:
        connection.request("GET", "/")
        connection.getresponse().read()
    end = time.monotonic() + _LONGEST_SETTLING_S
    while server.num_connections and time.monotonic() < end:
        time.sleep(_POLL_S)


def _start(recipe: Path, store: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a build of ``store``; what it says goes to files, which never make it wait."""
    command = [sys.executable, "-m", "pipelines.cli", "build", str(recipe), "--json", *options]
    out, said = _outputs(store)
    with out.open("wb") as out_file, said.open("wb") as said_file:
        return subprocess.Popen(
            [*command, "--store", str(store)],
            stdout=out_file,
            stderr=said_file,
            env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        )


def _finish(build: subprocess.Popen[bytes], store: Path) -> dict[str, Any]:
    """Return the report of a build when it ends by itself.

    Raises:
        InputError: it has none.
    """
    out, said = _outputs(store)
    try:
        build.wait(timeout=_LONGEST_RUN_S)
        report: dict[str, Any] = json.loads(out.read_bytes())
    except (subprocess.TimeoutExpired, ValueError) as error:
        build.kill()
        build.wait()
        raise InputError(f"the build of the benchmark failed, see {said}.") from error
    return report


def _outputs(store: Path) -> tuple[Path, Path]:
    return store.with_suffix(".json"), store.with_suffix(".log")


def _is_post(request: Logged) -> bool:
    """Return whether a request asked about a post, not for a page, an image or a canary."""
    return request.question.endswith("edition")


def _num_questions(server: ReplayServer) -> int:
    return sum(bool(one.question) for one in server.log)


def _num_recorded(store: Path) -> int:
    with Recordings(store / RECORDINGS) as book:
        return sum(1 for _ in book.asked("searxng"))


def _files(store: Path) -> dict[str, str]:
    """Return the hashes of manifest and shards, by path."""
    paths = [store / MANIFEST_NAME]
    paths += [path for table in TABLES for path in sorted((store / table).iterdir())]
    return {
        str(path.relative_to(store)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def _write_posts(folder: Path, number: int) -> None:
    """Write posts whose sentences all differ; for one in fifty nothing is to be found."""
    folder.mkdir(parents=True)
    lines: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
    for place in range(number):
        word = UNKNOWN_WORD if place % 50 == 7 else ("Oslo", "Celia", "Turin", "Hugo")[place % 4]
        tokens = ["The", word, "Times", ",", f"no{place}", "edition"]
        split = ("train", "train", "train", "dev", "test")[place % 5]
        lines[split].append(
            json.dumps({"id": f"post-{place:05d}", "tokens": tokens, "entities": []})
        )
    for split, rows in lines.items():
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n")


def _write_recipe(folder: Path, address: str) -> Path:
    path = folder / "asking.toml"
    host = address.rpartition("//")[2]
    root = json.dumps(str((folder / "posts").resolve()))
    path.write_text(_RECIPE.format(root=root, address=address, host=host))
    return path
