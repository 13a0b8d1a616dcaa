"""An S3 server on this machine (moto's), in a process of its own."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Final

_START_S: Final = 300.0
BUCKET: Final = "ramie-bench"
# Takes a free port itself, so that nobody else can take it meanwhile, and tells it.
_SERVE: Final = """
import threading
from moto.moto_server.threaded_moto_server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
threading.Event().wait()
"""


def s3_environment(endpoint: str) -> dict[str, str]:
    """Return what tells a client of S3 where to ask; the keys are made up."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def s3_server() -> Iterator[int]:
    """Run a server with one empty bucket, `BUCKET`, and yield its port; needs ``moto[server]``."""
    command = [sys.executable, "-c", _SERVE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            port = _port_of(server)
            _make_bucket(port)
            yield port
        finally:
            server.kill()


def _port_of(server: subprocess.Popen[bytes]) -> int:
    """Return what a server says once it listens, or raise if it ends or takes too long."""
    assert server.stdout is not None
    told, _, _ = select.select([server.stdout], [], [], _START_S)
    line = server.stdout.readline() if told else b""
    if not line:
        raise RuntimeError("the S3 server did not start: is moto[server] installed?")
    return int(line)


def _make_bucket(port: int) -> None:
    with closing(HTTPConnection("127.0.0.1", port, timeout=_START_S)) as connection:
        connection.request("PUT", f"/{BUCKET}")
        status = connection.getresponse().status
    if status != 200:
        raise RuntimeError(f"the S3 server made no bucket: status {status}.")
