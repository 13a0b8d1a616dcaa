"""From an address to the place that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from cache import InputError
from pipelines.sharing.bucket import BucketRemote
from pipelines.sharing.filesystem import FilesystemRemote
from pipelines.sharing.folder import FolderRemote
from pipelines.sharing.remote import Destination, Remote
from pipelines.sharing.web import WebRemote

_WEB: Final = ("http", "https")
_BUCKET: Final = ("s3", "s3a")


def open_source(url: str) -> Remote:
    """Return the place at ``url``, to read from.

    Raises:
        InputError: the address cannot be used, or a package for it is missing.
    """
    scheme = _scheme(url)
    if scheme in _WEB:
        return WebRemote(url)
    return FolderRemote(_folder(url), writing=False) if scheme == "file" else _by_fsspec(url)


def open_destination(url: str) -> Destination:
    """Return the place at ``url``, to write to.

    Raises:
        InputError: the address cannot be used or written, or a package for it is missing.
        StoreError: another process writes there.
    """
    scheme = _scheme(url)
    if scheme in _WEB:
        raise InputError(
            f"{url} can only be read. Push to the folder or bucket that the server shows."
        )
    return FolderRemote(_folder(url), writing=True) if scheme == "file" else _by_fsspec(url)


def _scheme(url: str) -> str:
    """Return the scheme of an address; ``file`` for a path."""
    scheme, found, rest = url.partition("://")
    if not found:
        return "file"
    if "::" in url or not rest.strip("/") or "?" in rest or "#" in rest:
        raise InputError(f"{url} is no address of a folder. Give SCHEME://PLACE/FOLDER.")
    if "@" in rest.partition("/")[0]:
        raise InputError(
            f"an address of {scheme}:// holds a user name or key, which logs and histories keep. "
            "Leave it out; keys belong into the environment."
        )
    return scheme.lower()


def _folder(url: str) -> Path:
    return Path(unquote(urlsplit(url).path) if "://" in url else url)


def _by_fsspec(url: str) -> FilesystemRemote:
    scheme = _scheme(url)
    try:
        import fsspec

        # Listings are not kept: others push meanwhile.
        options: dict[str, object] = {"use_listings_cache": False, "skip_instance_cache": True}
        if scheme in _BUCKET:
            # What fails is tried again by us, from where it stopped.
            retries = {"max_attempts": 2, "mode": "standard"}
            timeouts = {"connect_timeout": 10, "read_timeout": 30}
            options["config_kwargs"] = {**timeouts, "retries": retries}
        fs, path = fsspec.url_to_fs(url, **options)
    except ImportError as error:
        ours = "" if scheme not in _BUCKET else " (in a checkout: pip install '.[share]')"
        raise InputError(
            f"{scheme}:// needs a package that is not installed: {error}{ours}"
        ) from error
    except ValueError as error:
        raise InputError(
            f"{url} cannot be used: {error}. Give a folder, s3://, https://, or another scheme "
            "that fsspec knows."
        ) from error
    return (BucketRemote if scheme in _BUCKET else FilesystemRemote)(fs, path, url.rstrip("/"))
