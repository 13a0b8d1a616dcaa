"""Getting a file's bytes from the disk into memory before they are asked for."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Final

# Name of the threads that read.
WARMING: Final = "warm"
_PIECE_BYTES: Final = 1 << 20
# More than this share of the machine's memory would push out what others need.
_MEMORY_SHARE: Final = 0.5


def warm(path: Path) -> threading.Thread | None:
    """Read a whole file in the background, front to back, so that it is in memory.

    Returns:
        The thread that reads, or None where the file is too big for this machine's memory.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    size = os.fstat(descriptor).st_size
    if size > _MEMORY_SHARE * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"):
        os.close(descriptor)
        return None
    thread = threading.Thread(target=_read_all, name=WARMING, args=(descriptor,), daemon=True)
    thread.start()
    return thread


def _read_all(descriptor: int) -> None:
    try:
        buffer = bytearray(_PIECE_BYTES)
        place = 0
        while count := os.preadv(descriptor, [buffer], place):
            place += count
    except OSError:
        # Whoever reads the values themselves is told what is wrong.
        pass
    finally:
        os.close(descriptor)
