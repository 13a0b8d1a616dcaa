"""Which text encoder a training starts from, wherever its files lie."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

_FILES: Final = ("config.json", "tokenizer.json", "*.safetensors")


class EncoderIdentity(NamedTuple):
    """What tells one encoder from another.

    Attributes:
        name: of transformers, or a folder.
        digest: of the files in that folder; empty where it is not known.
    """

    name: str
    digest: str

    def is_same(self, other: EncoderIdentity) -> bool:
        """Return whether both are the same; where the files of one are not known, by name."""
        if self.digest and other.digest:
            return self.digest == other.digest
        return encoder_name(self.name) == encoder_name(other.name)


def encoder_name(name: str) -> str:
    """Return the name of a text encoder without the place of its files: a machine's fact."""
    path = Path(name)
    return "/".join(path.parts[-2:]) if path.is_absolute() else name


def identity_of(name: str) -> EncoderIdentity:
    """Return the identity of an encoder by its name of transformers or its folder."""
    paths = [path for pattern in _FILES for path in sorted(Path(name).glob(pattern))]
    stats = [(path, path.stat()) for path in paths]
    known = tuple((str(path), found.st_size, found.st_mtime_ns) for path, found in stats)
    return EncoderIdentity(name, _digest(known) if known else "")


@lru_cache(maxsize=16)
def _digest(files: tuple[tuple[str, int, int], ...]) -> str:
    """Return the hash of files, by what they are called and hold; read once while they stay."""
    digest = hashlib.sha256()
    for path, size, _ in files:
        digest.update(f"{Path(path).name} {size}\n".encode())
        with Path(path).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
