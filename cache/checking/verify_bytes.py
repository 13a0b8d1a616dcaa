"""Whether every file of a store has the bytes that were written; rows are not looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tqdm import tqdm

from cache.checking.strangers import RECORDINGS, strangers
from cache.checking.verify import THREADS, VerifyReport
from cache.checking.verify_ends import card_problems, manifest_problems
from cache.errors import StoreError
from cache.manifest import read_manifest
from cache.recording.segments import check_segment, segments
from cache.tables.shards import check_bytes


def verify_bytes(path: Path | str, *, progress: bool = False) -> VerifyReport:
    """Compare every file of a store with its hash: several times as fast as `verify_store`.

    Finds every damage that happens to files. It does not find what somebody wrote wrong on
    purpose and gave right hashes: a store from a stranger needs `verify_store`.

    Args:
        path: folder of the store.
        progress: show a bar where the output is a terminal.
    """
    root = Path(path)
    try:
        manifest = read_manifest(root)
    except StoreError as error:
        return VerifyReport((str(error),), {})
    files = manifest.files
    recorded = segments(root / RECORDINGS)
    checks: list[Callable[[], object]] = [partial(check_bytes, root, file) for file in files]
    checks += [partial(check_segment, segment, root) for segment, _ in recorded]
    with ThreadPoolExecutor(THREADS) as pool:
        said = pool.map(_problem, checks)
        bar = tqdm(said, "comparing", len(checks), disable=None if progress else True)
        problems = [problem for problem in bar if problem is not None]
    problems += [
        *manifest_problems(root, manifest),
        *card_problems(root, manifest),
        *strangers(root, manifest),
    ]
    counts = Counter(posts=manifest.num_examples, files=len(checks))
    counts["bytes"] = sum(file.size_bytes for file in files)
    return VerifyReport(tuple(problems), dict(counts))


def _problem(check: Callable[[], object]) -> str | None:
    try:
        check()
    except StoreError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename} cannot be read: {error.strerror or error}. Mend its rights."
    return None
