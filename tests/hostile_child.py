"""Does everything to hostile stores that is done to stores; a process of its own for each of them.

Run as ``hostile_child.py FOLDER heavy|light PART OF``. Prints a line of JSON for each operation.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any, Final

import hostile_stores
from PIL import Image

from cache import RamieError, open_store, read_manifest
from cache.card import data_card
from cache.operations.diff import diff_stores
from cache.operations.merge import merge_stores
from cache.operations.migrate import migrate_store
from cache.operations.withhold import withhold_store
from cache.store import ReaderName
from pipelines import cli
from pipelines.sharing.pull import PullOptions, pull

# Of processor time, for the machine may be busy; waiting for nothing ends after the second.
_LIMIT_S: Final = 20
_WAIT_S: Final = 120
# The first operations are done to all stores, the others to one in so many; with 1, to all.
_ALWAYS: Final = 3
_EVERY: Final = int(os.environ.get("RAMIE_HOSTILE_EVERY", "16"))
# For the machine's sake; what is promised is measured.
_ADDRESS_BYTES: Final = 8 << 30
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES: Final = (
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.chown",
)
_NEVER: Final = (
    "socket.connect",
    "socket.getaddrinfo",
    "pickle.find_class",
    "marshal.loads",
    "exec",
    "compile",
    "import",
    "ctypes.dlopen",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
)


class Watch:
    """Notes what an operation does that it must not."""

    def __init__(self) -> None:
        self.allowed: tuple[str, ...] = ()
        self.seen: list[str] = []
        self.on = False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        self.on = False
        try:
            self._look(event, args)
        finally:
            self.on = True

    def _look(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _NEVER:
            self.seen.append(f"{event} {str(args)[:200]}")
        elif event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            mode, flags = args[1], args[2]
            writing = any(one in mode for one in "wax+") if mode else flags & _WRITES
            if writing:
                self._check(event, args[0])
        elif event in _CHANGES:
            # The last of them say relative to what.
            folders = [f"/proc/self/fd/{one}" for one in args if type(one) is int and one > 2]
            for path in args[:2]:
                if isinstance(path, str | bytes | os.PathLike):
                    self._check(event, Path(folders[-1] if folders else "") / os.fsdecode(path))

    def _check(self, event: str, path: Any) -> None:
        real = os.path.realpath(os.fsdecode(path))
        if not real.startswith(self.allowed) and real != "/dev/null":
            self.seen.append(f"{event} {real}")


def _verify(store: Path, out: Path, sound: Path) -> str:
    return _cli("verify", str(store))


def _read(reader: ReaderName, store: Path, out: Path, sound: Path) -> str:
    failed: dict[str, str] = {}
    with open_store(store, reader=reader, images=True) as opened:
        keys: set[str] = set()
        for name in opened.example_ids():
            for read in (opened.read, opened.features, opened.dropped):
                try:
                    found = read(name)
                except RamieError as error:
                    failed.setdefault(str(error)[:100], "")
                    continue
                keys.update(
                    str(one.media_key)
                    for one in getattr(found, "evidence", ())
                    if hasattr(one, "media_key") and one.media_key
                )
        arrays = [
            (one, name) for one in opened.manifest.feature_sets for name in opened.example_ids()
        ]
        for key in keys:
            try:
                opened.media(key)
            except RamieError as error:
                failed.setdefault(str(error)[:100], "")
        for one, name in arrays:
            try:
                opened.array(one, name)
            except RamieError as error:
                failed.setdefault(str(error)[:100], "")
    return "\n".join(failed)


def _cli(*words: str) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = cli.main([*words])
    text = said.getvalue()
    if odd := sorted({char for char in text if not char.isprintable() and char != "\n"}):
        raise AssertionError(f"the terminal gets {odd}")
    if code not in (0, 1, 2) or (code and not text):
        raise AssertionError(f"exit code {code}: {text[:200]}")
    return text if code else ""


def _inspect(store: Path, out: Path, sound: Path) -> str:
    out.mkdir()
    page = out / "page.html"
    said = _cli("inspect", str(store), "--html", str(page))
    text = page.read_text() if page.exists() else ""
    for never in ("<script", "<img src=x", 'href="javascript', 'href="data:', "onload=", "\x1b"):
        if never in text:
            raise AssertionError(f"the page has {never!r}")
    return said


def _card(store: Path, out: Path, sound: Path) -> str:
    card = data_card(read_manifest(store))
    outside = "".join(card.split("`")[::2])
    for never in ("<script", "alert", "evil", "\x1b", "\u202e"):
        if never in outside:
            raise AssertionError(f"the card has {never!r}")
    return ""


def _merge(store: Path, out: Path, sound: Path) -> str:
    merge_stores(out, [store, sound], prefer="first", mixed=True)
    return ""


def _diff(store: Path, out: Path, sound: Path) -> str:
    diff_stores(store, sound)
    _cli("diff", str(sound), str(store))
    return ""


def _migrate(store: Path, out: Path, sound: Path) -> str:
    migrate_store(store, out)
    return ""


def _withhold(store: Path, out: Path, sound: Path) -> str:
    withhold_store(store, out, texts_of=["kb"])
    return ""


def _pull(store: Path, out: Path, sound: Path) -> str:
    pull(str(store), out, PullOptions())
    return ""


OPERATIONS: Final[dict[str, Callable[[Path, Path, Path], str]]] = {
    "verify": _verify,
    "parquet": lambda *paths: _read("parquet", *paths),
    "lmdb": lambda *paths: _read("lmdb", *paths),
    "pull": _pull,
    "card": _card,
    "inspect": _inspect,
    "merge": _merge,
    "diff": _diff,
    "migrate": _migrate,
    "withhold": _withhold,
}


def _peak(what: str) -> int:
    """Return a figure of this process's memory in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(what))


def operate(name: str, store: Path, arena: Path, sound: Path, watch: Watch) -> dict[str, Any]:
    """Do one thing to a store; return what came of it."""
    out = arena / "out"
    shutil.rmtree(out, ignore_errors=True)
    Path("/proc/self/clear_refs").write_text("5")
    before, began = _peak("VmRSS"), time.process_time()
    watch.seen = []
    allowed = (out, store / "local", arena / "tmp", arena / "user")
    watch.allowed = tuple(os.path.realpath(path) for path in allowed)
    signal.setitimer(signal.ITIMER_PROF, _LIMIT_S)
    signal.alarm(_WAIT_S)
    try:
        watch.on = True
        said, wrong = OPERATIONS[name](store, out, sound), ""
    except RamieError as error:
        watch.on = False
        said, wrong = str(error), ""
    except BaseException:
        watch.on = False
        said, wrong = "", traceback.format_exc(limit=-6)
    watch.on = False
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    return {
        "said": said[:4000],
        "wrong": wrong[-1500:],
        "seen": watch.seen[:5],
        "seconds": round(time.process_time() - began, 2),
        "bytes": _peak("VmHWM") - before,
    }


def _late(*_: object) -> None:
    raise TimeoutError(f"still not done after {_LIMIT_S} seconds")


def _files(arena: Path) -> dict[Path, tuple[int, int]]:
    """Return what must stay as it is: the store, and what is beside it."""
    free = [arena / "out", arena / "tmp", arena / "user", arena / "store" / "local"]
    status = {path: path.lstat() for path in arena.rglob("*")}
    return {
        path: (one.st_size, one.st_mtime_ns)
        for path, one in status.items()
        if not path.is_dir() and not any(path.is_relative_to(folder) for folder in free)
    }


def _case(
    case: hostile_stores.Hostile, arena: Path, sound: Path, watch: Watch, operations: int
) -> None:
    store = arena / "store"
    shutil.copytree(sound, store)
    case.make(store)
    around = _files(arena)
    for name in islice(OPERATIONS, operations):
        print(json.dumps({"case": case.name, "begun": name}), flush=True)
        result = operate(name, store, arena, sound, watch)
        print(json.dumps({"case": case.name, "operation": name, **result}), flush=True)
    if _files(arena) != around:
        print(json.dumps({"case": case.name, "outside": True}), flush=True)


def main(folder: Path, heavy: bool, part: int, of: int) -> None:
    """Do everything to every store of a part of the catalogue."""
    for one in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(one, _late)
    sound, watch = folder / "sound", Watch()
    hostile_stores.sound_store(sound)
    Image.init()
    sys.addaudithook(watch)
    os.environ["XDG_CACHE_HOME"] = str(folder / "warm" / "user")
    # All that is imported by any operation is imported now.
    (folder / "warm").mkdir()
    for name in OPERATIONS:
        operate(name, sound, folder / "warm", sound, watch)
    shutil.rmtree(sound / "local")
    cases = [case for case in hostile_stores.catalogue() if case.heavy == heavy]
    for number, case in enumerate(islice(cases, part, None, of)):
        arena = folder / str(number)
        for name in ("tmp", "user"):
            (arena / name).mkdir(parents=True)
        operations = len(OPERATIONS) if heavy or number % _EVERY == 0 else _ALWAYS
        pid = os.fork()
        if not pid:
            os.environ["XDG_CACHE_HOME"] = str(arena / "user")
            import tempfile

            tempfile.tempdir = str(arena / "tmp")
            resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_BYTES, _ADDRESS_BYTES))
            code = 99
            try:
                _case(case, arena, sound, watch, operations)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps({"case": case.name, "exit": status}), flush=True)
        shutil.rmtree(arena, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "heavy", int(sys.argv[3]), int(sys.argv[4]))
