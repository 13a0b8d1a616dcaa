"""Promises of building with two nodes that share neither network stack nor all of their files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from builder_helpers import CountingObserver, CountingProvider, files_of
from ray_child import FEW, last_json
from test_build_overlap import many_posts
from two_nodes_child import OTHER

from retrieval.building.builder import build_store

HERE = Path(__file__).parent
PORT = 6401
pytestmark = pytest.mark.slow


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextmanager
def two_networks() -> Iterator[tuple[str, str]]:
    """Make two network namespaces with a cable between them; skip where that cannot be."""
    names = (f"ramie{os.getpid()}a", f"ramie{os.getpid()}b")
    with ExitStack() as stack:
        try:
            for name in names:
                ip("netns", "add", name)
                stack.callback(ip, "netns", "del", name)
            ip("link", "add", names[0], "type", "veth", "peer", "name", names[1])
            for number, name in enumerate(names, 1):
                ip("link", "set", name, "netns", name)
                ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", name)
                ip("-n", name, "link", "set", name, "up")
                ip("-n", name, "link", "set", "lo", "up")
        except (OSError, subprocess.CalledProcessError) as problem:
            pytest.skip(f"needs root and network namespaces: {problem}")
        yield names


@contextmanager
def node(network: str, start: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    """Run a node of a cluster in a network, until the block ends."""
    ray = str(Path(sys.executable).with_name("ray"))
    command = ["ip", "netns", "exec", network, *start, ray, "start", "--block", "--num-cpus=1"]
    command += ["--disable-usage-stats"]
    head = [f"--port={PORT}", "--head", "--include-dashboard=false", "--node-ip-address=10.77.0.1"]
    other = [f"--address=10.77.0.1:{PORT}", "--node-ip-address=10.77.0.2"]
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, *(other if start else head)],
            stdout=file,
            stderr=file,
            env=environment,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_node_without_photos_is_named_is_sent_them_and_may_die(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra [ray]")
    if not os.environ.get("RAMIE_TWO_NODES"):
        pytest.skip("takes minutes; set RAMIE_TWO_NODES=1 to run it, as root")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path]),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "5" * 64,
        "RAY_worker_niceness": "0",
    }
    photos = tmp_path / "photos"
    photos.mkdir()
    # A name and a file system of its own, in which there are no photos.
    setup = f'mount -t tmpfs none {photos} && hostname {OTHER} && exec "$@"'
    alone = ["unshare", "--mount", "--uts", "sh", "-c", setup, "sh"]
    address = f"10.77.0.1:{PORT}"
    child = [sys.executable, str(HERE / "two_nodes_child.py"), address, str(tmp_path)]
    with (
        two_networks() as (first, second),
        node(first, [], environment, tmp_path / "first.log"),
        node(second, alone, environment, tmp_path / "second.log"),
    ):
        done = subprocess.run(
            ["ip", "netns", "exec", first, *child],
            capture_output=True,
            text=True,
            env=environment,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    told = last_json(done.stdout)
    assert list(told) == ["path"]
    assert told["path"].startswith(f"node {OTHER} ")
    assert f"photo {photos / 'p0.png'} is not there" in told["path"]
    build_store(
        FEW,
        tmp_path / "local",
        dataset=many_posts(photos, 24),
        observer=CountingObserver(),
        providers=[CountingProvider()],
    )
    for name in ("sent", "killed"):
        assert (tmp_path / f"{name}-seen" / f"{OTHER}.saw").exists()
        assert files_of(tmp_path / name) == files_of(tmp_path / "local")
    assert (tmp_path / "killed-seen" / "killed.saw").exists()
