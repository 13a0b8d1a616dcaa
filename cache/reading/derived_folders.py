"""Where the derived files of a store may lie, best place first."""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path
from typing import Final

from cache.keys import content_key

_log = logging.getLogger(__name__)
_MOUNTS: Final = Path("/proc/self/mountinfo")
_NETWORK: Final = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre"}
    | {"nfs", "nfs4", "smb3", "smbfs", "virtiofs"}
)


def derived_folders(store: Path) -> list[Path]:
    """Return ``local/`` of the store and the user's cache folder, those on a local disk first.

    A ``local/`` that is a symbolic link is left out: a store from a stranger must not decide
    where this machine writes.
    """
    own, users = store / "local", _user_folder(store)
    if own.is_symlink():
        _log.warning("%s is a symbolic link, so derived files go to %s", own, users)
        return [users]
    folders = [own, users]
    if (kind := network_file_system(store)) and not network_file_system(users):
        _log.info(
            "%s is on a network file system (%s): derived files go to %s", store, kind, users
        )
        folders.reverse()
    return folders


def network_file_system(path: Path) -> str:
    """Return the kind of network file system that holds ``path``, or empty for a local disk.

    Where the operating system does not tell (other than Linux), every disk counts as local.
    """
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        device = path.stat().st_dev
        mounts = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    name = f"{os.major(device)}:{os.minor(device)}"
    for mount in mounts:
        about, _, rest = mount.partition(" - ")
        if about.split()[2] == name:
            kind = rest.split()[0]
            return kind if kind in _NETWORK or kind.startswith("fuse.") else ""
    return ""


def _user_folder(store: Path) -> Path:
    """Return where the user's copies for ``store`` lie: one folder for each store."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("HOME") or tempfile.gettempdir()
    folder = base if os.environ.get("XDG_CACHE_HOME") else f"{base}/.cache"
    return Path(folder) / "ramie" / content_key(os.fsencode(store.resolve()))[:16]
