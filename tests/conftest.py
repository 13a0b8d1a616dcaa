"""What every test may use. No test reaches the network, and nothing here needs a GPU.

The first is enforced for the sockets of this process. What has sockets of its own is not covered:
subprocesses, and libraries that do not use Python's (primp, behind ddgs).
"""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is.
settings.register_profile("ramie", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ramie")

# Set before any test imports a library that would look at a hub or write to the user's home.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("YOLO_OFFLINE", "true")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# A job in the background is started deaf to Ctrl-C, and so would be all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

_attempts: list[str] = []


def _is_here(sock: socket.socket, address: Any) -> bool:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return sock.family == getattr(socket, "AF_UNIX", None)
    try:
        there = ipaddress.ip_address(str(address[0]).partition("%")[0])
    except ValueError:
        return bool(address[0] == "localhost")
    return there.is_loopback


def _only_here(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(sock: socket.socket, address: Any) -> Any:
        if not _is_here(sock, address):
            _attempts.append(str(address))
            raise PermissionError(f"a test must contact nothing but this machine, not {address}")
        return connect(sock, address)

    return guarded


# Now, before anything that is tested takes a reference to them.
socket.socket.connect = _only_here(socket.socket.connect)  # type: ignore[method-assign]
socket.socket.connect_ex = _only_here(socket.socket.connect_ex)  # type: ignore[method-assign]


@pytest.fixture(autouse=True)
def contacts() -> Iterator[list[str]]:
    """Fail the test that tried to reach another machine, even where the code took it calmly."""
    _attempts.clear()
    yield _attempts
    assert not _attempts, f"contacted something outside this machine: {_attempts}"


REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder with real posts, photos and weights, or skip with the reason."""
    folder = Path(os.environ.get("RAMIE_REAL_DATA", str(REPOSITORY.parent / "shared")))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real data at {folder} (set RAMIE_REAL_DATA to a folder with data/)")
    return folder
