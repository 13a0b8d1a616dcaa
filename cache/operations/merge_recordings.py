"""Recorded answers of several stores in one folder: segments are copied as they are."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cache.files import TEMPORARY, explaining, make_folder, sync_folder
from cache.recording.segments import check_segment, open_segment, segments

_CHUNK_BYTES: Final = 1 << 20


def merge_recordings(folders: Iterable[Path], out: Path) -> None:
    """Copy every segment of ``folders`` into ``out``; one that is there already is not copied.

    A segment is named by its content and never changed, so this is all: where two hold one key,
    the answer that was asked for last counts, wherever it is.

    Raises:
        StoreDamaged: a segment does not have the content that its name promises, or is a link.
        StoreMismatch: it has other columns.
        StoreError: ``out`` cannot be written.
    """
    for folder in folders:
        for path, table in segments(folder):
            target = out / path.name
            if not target.exists():
                check_segment(path, folder.parent)
                # Before anybody reads the folder, a file of other columns would stop them all.
                open_segment(path, table).close()
                make_folder(out)
                _copy(path, target)


def _copy(path: Path, target: Path) -> None:
    temporary = target.with_name(f"{TEMPORARY}{os.getpid()}-{target.name}")
    with explaining(target):
        temporary.unlink(missing_ok=True)
        try:
            with path.open("rb") as theirs, temporary.open("xb") as ours:
                while chunk := theirs.read(_CHUNK_BYTES):
                    ours.write(chunk)
                ours.flush()
                os.fsync(ours.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    sync_folder(target.parent)
