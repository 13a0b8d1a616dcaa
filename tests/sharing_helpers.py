"""Stores to hand on, and what is left of them at the other side."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType

from cache_helpers import IDENTITY, build, files_of, image, shard, write

from cache import Manifest, Recording, Recordings, StoreWriter, content_key, read_manifest
from cache.tables.shards import check_bytes


def answer(number: int, size: int = 100) -> Recording:
    """Recording ``number``; it does not compress."""
    body = b"%d " % number + os.urandom(size)
    return Recording(f"{number:064d}", "kb", "{}", "2026-01-01T00:00:00Z", body)


def trap_recording(store: Path, kind: str, elsewhere: Path) -> str:
    """Put a pipe, a link or a linked folder in the place of a recording; return what is said.

    What a link leads to is sound, and somebody else's.
    """
    path = next((store / "recordings").iterdir())
    if kind == "pipe":
        path.unlink()
        os.mkfifo(path)
    else:
        linked = path if kind == "link" else path.parent
        linked.rename(elsewhere)
        linked.symlink_to(elsewhere)
    return "is a symbolic link" if kind == "folder" else f"{path.name} is not a regular file"


def make_store(path: Path, *, recorded: int = 2, size: int = 100) -> Manifest:
    """Write a small store with recordings, of which each is a segment of its own."""
    manifest = build(path)
    # All that the hits of the store were made from, and more.
    asked = replace(answer(0), key=content_key(b"query"))
    Recordings(path / "recordings").put_segment([asked], [image(number) for number in range(4)])
    for number in range(recorded):
        Recordings(path / "recordings").put_segment([answer(number, size)])
    return manifest


def change_store(path: Path) -> Manifest:
    """Build shard 0 of a finished store again, with other content."""
    with StoreWriter(path, identity=IDENTITY, num_shards=3) as writer:
        write(writer, 0, shard(0, 2))
        return writer.close({"posts": 12})


def travelling(path: Path) -> dict[str, bytes]:
    """The files that hand a store on: without what only a push writes or leaves."""
    found = files_of(path)
    return {name: data for name, data in found.items() if name != "recordings.json"}


def shown(path: Path) -> Manifest:
    """Return the manifest of a store, after every file that it names was compared."""
    manifest = read_manifest(path)
    for part in manifest.shards:
        for file in part.files.values():
            check_bytes(path, file)
    return manifest


class WebFolder:
    """A folder behind a plain web server, which knows no byte ranges unless told."""

    def __init__(self, folder: Path, *, ranges: bool = False) -> None:
        self.ranges: list[str] = []
        handler = partial(_Handler, web=self, know_ranges=ranges, directory=str(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> WebFolder:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args: object, web: WebFolder, know_ranges: bool, directory: str) -> None:
        self._web = web
        self._know_ranges = know_ranges
        super().__init__(*args, directory=directory)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        if asked:
            self._web.ranges.append(asked)
        path = Path(self.translate_path(self.path))
        if not (asked and self._know_ranges and path.is_file()):
            super().do_GET()
            return
        data = path.read_bytes()
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= len(data):
            # RFC 9110, 15.5.17: nothing of the file is in that range.
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start:])

    def log_message(self, format: str, *args: object) -> None:
        pass
