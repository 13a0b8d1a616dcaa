"""A bucket with the S3 protocol: large files go by parts that survive an interruption."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pipelines.sharing.files import StoreFile
from pipelines.sharing.filesystem import FilesystemRemote
from pipelines.sharing.local import pieces
from pipelines.sharing.remote import Moved, TransferFailed, WrongBytes, explained

_PIECE_BYTES: Final = 256 << 10
# S3 takes parts from 5 MiB and at most 10,000 of them; a kill loses the parts under way.
PART_BYTES: Final = 8 << 20
_MOST_PARTS: Final = 10_000


class BucketRemote(FilesystemRemote):
    """The files of a store below a prefix of a bucket."""

    def __init__(self, fs: Any, path: str, url: str) -> None:
        super().__init__(fs, path, url)
        self._bucket, _, prefix = self._path.partition("/")
        self._prefix = f"{prefix}/" if prefix else ""

    def read(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of a file from ``start`` to ``end``, in one request."""
        from fsspec.asyn import sync

        where = self._where(name)
        with explained(f"reading {self._url}/{name}"):
            # No range from 0: an empty file has none, and answers with an error.
            span = {"Range": f"bytes={start}-{end - 1}"} if start else {}
            body = self._fs.call_s3("get_object", **where, **span)["Body"]
            try:
                while start < end:
                    piece = sync(self._fs.loop, body.read, min(_PIECE_BYTES, end - start))
                    if not piece:
                        break
                    start += len(piece)
                    yield piece
            finally:
                self._fs.loop.call_soon_threadsafe(body.close)

    def send(self, file: StoreFile, path: Path, moved: Moved) -> int:
        """Send a file; the server says what it received, or else it is read back."""
        with explained(f"writing {self._url}/{file.name}"):
            if file.size_bytes > PART_BYTES:
                upload = _MultipartUpload(self._fs, self._where(file.name), file)
                travelled, certain = upload.send(path, moved)
                if not (certain or self.holds(file, moved)):
                    raise self._wrong(file.name)
                return travelled
            data = b"".join(pieces(path, file))
            self._put(file.name, data)
            moved(len(data))
        return file.size_bytes

    def put(self, name: str, data: bytes) -> None:
        """Write a small file; others see the old one or the new one."""
        with explained(f"writing {self._url}/{name}"):
            self._put(name, data)

    def tidy(self) -> None:
        """Give up the uploads that interrupted pushes left."""
        with explained(f"tidying {self._url}"):
            for upload in _uploads(self._fs, self._bucket, self._prefix):
                # Whoever was at it may have ended it meanwhile.
                with suppress(FileNotFoundError):
                    self._fs.call_s3(
                        "abort_multipart_upload",
                        Bucket=self._bucket,
                        Key=upload["Key"],
                        UploadId=upload["UploadId"],
                    )

    def _put(self, name: str, data: bytes) -> None:
        where = self._where(name)
        answer = self._fs.call_s3("put_object", **where, Body=data, ContentMD5=_content_md5(data))
        if _fits(answer, _md5(data).hexdigest()):
            return
        if not _is_encrypted(answer) or self.get(name, len(data)) != data:
            raise self._wrong(name)

    def _wrong(self, name: str) -> WrongBytes:
        self._fs.call_s3("delete_object", **self._where(name))
        return WrongBytes(f"{self._url}/{name} arrived with other bytes. Push again.")

    def _where(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + name}


class _MultipartUpload:
    """One large file on its way; parts that arrived before are compared and left alone."""

    def __init__(self, fs: Any, where: dict[str, str], file: StoreFile) -> None:
        self._fs = fs
        self._where = where
        self._file = file
        self._part_bytes = max(PART_BYTES, -(-file.size_bytes // _MOST_PARTS))

    def send(self, path: Path, moved: Moved) -> tuple[int, bool]:
        """Return how many bytes travelled, and whether the server has shown what it received."""
        upload_id, is_new = self._upload()
        try:
            there = {} if is_new else self._arrived(upload_id)
            return self._send_parts(path, {**self._where, "UploadId": upload_id}, there, moved)
        except FileNotFoundError as error:
            raise TransferFailed(
                f"{self._file.name}: somebody else ended the same upload. Push again."
            ) from error

    def _send_parts(
        self, path: Path, upload: dict[str, str], there: dict[int, str], moved: Moved
    ) -> tuple[int, bool]:
        parts: list[dict[str, object]] = []
        digests = b""
        travelled = 0
        for number, data in enumerate(_blocks(pieces(path, self._file), self._part_bytes), 1):
            md5 = _md5(data)
            if there.get(number) != md5.hexdigest():
                there[number] = self._send_part(upload, number, data)
                travelled += len(data)
            moved(len(data))
            digests += md5.digest()
            parts.append({"PartNumber": number, "ETag": f'"{there[number]}"'})
        answer = self._fs.call_s3(
            "complete_multipart_upload", **upload, MultipartUpload={"Parts": parts}
        )
        return travelled, _fits(answer, f"{_md5(digests).hexdigest()}-{len(parts)}")

    def _upload(self) -> tuple[str, bool]:
        """Return the upload to go on with, and whether it has just begun."""
        mine = [
            upload
            for upload in _uploads(self._fs, self._where["Bucket"], self._where["Key"])
            if upload["Key"] == self._where["Key"]
        ]
        if not mine:
            begun = self._fs.call_s3("create_multipart_upload", **self._where)
            return str(begun["UploadId"]), True
        return str(max(mine, key=lambda upload: upload["Initiated"])["UploadId"]), False

    def _arrived(self, upload_id: str) -> dict[int, str]:
        """Return the MD5 of each part that has arrived."""
        there: dict[int, str] = {}
        marker: dict[str, int] = {}
        while True:
            page = self._fs.call_s3("list_parts", **self._where, UploadId=upload_id, **marker)
            there |= {
                part["PartNumber"]: part["ETag"].strip('"') for part in page.get("Parts", [])
            }
            if not page.get("IsTruncated"):
                return there
            marker = {"PartNumberMarker": page["NextPartNumberMarker"]}

    def _send_part(self, upload: dict[str, str], number: int, data: bytes) -> str:
        answer = self._fs.call_s3(
            "upload_part",
            **upload,
            PartNumber=number,
            Body=data,
            ContentMD5=_content_md5(data),
        )
        if not _fits(answer, _md5(data).hexdigest()) and not _is_encrypted(answer):
            raise WrongBytes(f"part {number} of {self._file.name} arrived with other bytes.")
        return _etag(answer)


def _uploads(fs: Any, bucket: str, prefix: str) -> list[dict[str, Any]]:
    """Return the multipart uploads below a prefix that nobody completed."""
    found: list[dict[str, Any]] = []
    marker: dict[str, str] = {}
    while True:
        page = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **marker)
        found += page.get("Uploads", [])
        if not page.get("IsTruncated"):
            return found
        marker = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page["NextUploadIdMarker"],
        }


def _blocks(parts: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield what ``parts`` yields in blocks of ``size`` bytes, and a rest."""
    block = bytearray()
    for part in parts:
        block += part
        while len(block) >= size:
            yield bytes(block[:size])
            del block[:size]
    if block:
        yield bytes(block)


def _md5(data: bytes) -> hashlib._Hash:
    # Not for security: it is S3's name for what arrived. A pull compares SHA-256.
    return hashlib.md5(data, usedforsecurity=False)


def _content_md5(data: bytes) -> str:
    return base64.b64encode(_md5(data).digest()).decode()


def _etag(answer: dict[str, Any]) -> str:
    return str(answer["ETag"]).strip('"')


def _fits(answer: dict[str, Any], md5: str) -> bool:
    """Return whether the server has what we sent; a server that ignores Content-MD5 is caught."""
    return _etag(answer) == md5


def _is_encrypted(answer: dict[str, Any]) -> bool:
    """Return whether the ETag may be no MD5: some servers hash what they encrypted."""
    return bool(answer.get("SSECustomerAlgorithm") or answer.get("ServerSideEncryption"))
