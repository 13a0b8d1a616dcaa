"""The pages of a MediaWiki XML dump, plain or compressed by bzip2, one after the other.

A dump is a stranger's file: no entity and no document type is read, and what one page, one tag or
the whole file may take is bounded.
"""

from __future__ import annotations

import bz2
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote
from xml.parsers import expat

from cache.errors import InputError
from retrieval.kb.documents import LONGEST_FIELD, RawDocument, Record
from retrieval.kb.problems import ProblemLog
from retrieval.kb.wikitext import passages_of

SUFFIXES: Final = (".xml.bz2", ".xml")
_CHUNK_BYTES: Final = 2**18
# MediaWiki itself takes no article of more than 2 MiB.
_LONGEST_PAGE: Final = 8 * 2**20
# What has no end in so many bytes would be kept in memory by the parser until it has one.
_LONGEST_TAG: Final = 2**20
_DEEPEST: Final = 32
# Real dumps shrink to a quarter or a fifth, with all revisions to a fiftieth; a bomb to less than
# a thousandth.
_MOST_EXPANDED: Final = 500
_EXPANDED_FREELY: Final = 64 * 2**20
_CAPTURED: Final = {
    ("mediawiki", "siteinfo", "base"): "base",
    ("mediawiki", "page", "title"): "title",
    ("mediawiki", "page", "ns"): "ns",
    ("mediawiki", "page", "id"): "id",
    ("mediawiki", "page", "revision", "model"): "model",
    ("mediawiki", "page", "revision", "text"): "text",
    ("mediawiki", "siteinfo", "namespaces", "namespace"): "namespace",
}
_PAGE: Final = ("mediawiki", "page")
_FILE_AND_CATEGORY: Final = frozenset({"6", "14"})


@dataclass(slots=True)
class Page:
    """A page as the dump has it; of several revisions the last one.

    Attributes:
        title: with its namespace.
        ns: number of the namespace, as text.
        id: of the page.
        model: of the content; empty in old dumps, which know wikitext alone.
        text: in wikitext.
        redirect: whether it only leads to another one.
        too_long: whether its text was left out because of its length.
    """

    title: str = ""
    ns: str = ""
    id: str = ""
    model: str = ""
    text: str = ""
    redirect: bool = False
    too_long: bool = False


class MediaWikiDump:
    """A `Source`: the articles of a dump, each cut into passages."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # A dump names images by title and holds none.
        self.folder = path.parent
        self._bytes_read = 0
        self._site = _Site()

    @property
    def consumed(self) -> float:
        """Share of the (compressed) bytes that was read so far."""
        return self._bytes_read / max(1, self.path.stat().st_size)

    def records(self, log: ProblemLog, skip: int = 0) -> Iterator[Record]:
        """Yield one record per page; pages are numbered from 1.

        Raises:
            InputError: it is no dump, damaged, cut off, or made to exhaust whoever reads it.
        """
        for number, page in enumerate(self._pages(), 1):
            if number > skip:
                yield Record(number, self._documents(number, page, log))

    def _pages(self) -> Iterator[Page]:
        self._site = _Site()
        reader = _Reader(self._site)
        try:
            with self.path.open("rb") as file:
                for chunk in self._chunks(file):
                    self._bytes_read = file.tell()
                    reader.feed(chunk)
                    while reader.pages:
                        yield reader.pages.popleft()
                reader.close()
        except (OSError, EOFError) as error:
            raise self._unreadable(f"{error}") from error
        except expat.ExpatError as error:
            raise self._unreadable(f"{error}") from error
        except ValueError as error:
            raise self._unreadable(f"{error}") from error

    def _chunks(self, file: IO[bytes]) -> Iterator[bytes]:
        """Yield the bytes of the XML.

        Raises:
            ValueError: they are out of proportion to the file.
        """
        if self.path.suffix != ".bz2":
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
            return
        num_bytes = 0
        with bz2.BZ2File(file) as plain:
            while chunk := plain.read(_CHUNK_BYTES):
                num_bytes += len(chunk)
                if num_bytes > _EXPANDED_FREELY + _MOST_EXPANDED * file.tell():
                    raise ValueError(
                        f"{file.tell():,} bytes of it hold more than {num_bytes:,}, as in no dump"
                    )
                yield chunk

    def _documents(self, number: int, page: Page, log: ProblemLog) -> list[RawDocument]:
        """Return a page's passages; without any, the reason is told or counted."""
        if page.ns not in ("0", ""):
            log.skip("page of another namespace")
        elif page.redirect:
            log.skip("page redirects")
        elif page.model not in ("wikitext", ""):
            log.skip("page is no wikitext")
        elif page.too_long:
            told = f"page {page.title[:99]!r} is longer than {_LONGEST_PAGE:,} characters"
            log.add(number, "page too long", f"{told}; left out")
        elif not page.id.isdecimal() or len(page.id) > 20 or not page.title.strip():
            log.add(number, "broken page", "a page without title or number; left out")
        else:
            return self._passages(number, page, log)
        return []

    def _passages(self, number: int, page: Page, log: ProblemLog) -> list[RawDocument]:
        title = " ".join(page.title.replace("\0", " ").split())[:LONGEST_FIELD]
        url = self._site.url_of(title)
        found = [
            RawDocument(
                self.folder,
                number,
                f"{int(page.id)}#{place:03d}",
                f"{title}: {passage.section}" if passage.section else title,
                passage.text,
                url,
                None,
            )
            for place, passage in enumerate(passages_of(page.text, self._site.hidden))
        ]
        if not found:
            log.skip("page without passages")
        return found

    def _unreadable(self, why: str) -> InputError:
        return InputError(
            f"cannot read {self.path} as a MediaWiki dump: {why}. Fetch it again, as "
            "pages-articles.xml.bz2, and compare its checksum."
        )


class _Site:
    """What the head of a dump says about its wiki."""

    def __init__(self) -> None:
        self.base = ""
        self.namespaces: set[str] = set()

    @property
    def hidden(self) -> frozenset[str]:
        """Names of the namespaces of files and categories, in lower case."""
        return frozenset(self.namespaces)

    def url_of(self, title: str) -> str:
        """Return the address of a page, or nothing where the dump does not say where it lies."""
        start, slash, _ = self.base.rpartition("/")
        if not slash or not start.startswith(("https://", "http://")):
            return ""
        url = f"{start}/{quote(title.replace(' ', '_'), safe='/:,()')}"
        return url if len(url) <= LONGEST_FIELD else ""


class _Reader:
    """Feeds expat, and collects pages; refuses whatever no dump has."""

    def __init__(self, site: _Site) -> None:
        self.pages: deque[Page] = deque()
        self._site = site
        self._path: list[str] = []
        self._page = Page()
        self._pieces: list[str] | None = None
        self._num_chars = self._num_fed = 0
        self._key = ""
        self._parser = parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        # Entities are how a small file becomes an endless one, or reads another file.
        parser.StartDoctypeDeclHandler = self._refuse
        parser.EntityDeclHandler = self._refuse

    def feed(self, chunk: bytes) -> None:
        self._num_fed += len(chunk)
        self._parser.Parse(chunk, False)
        if self._num_fed - self._parser.CurrentByteIndex > _LONGEST_TAG + len(chunk):
            raise ValueError(f"a tag of more than {_LONGEST_TAG:,} bytes")

    def close(self) -> None:
        self._parser.Parse(b"", True)

    def _refuse(self, *_: object) -> None:
        raise ValueError("it declares a document type or an entity, which no dump does")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._path and name != "mediawiki":
            raise ValueError(f"it begins with <{name[:40]}>, not with <mediawiki>")
        if len(self._path) >= _DEEPEST:
            raise ValueError(f"elements stand in each other more than {_DEEPEST} deep")
        self._path.append(name)
        path = tuple(self._path)
        if path == _PAGE:
            self._page = Page()
        elif path == (*_PAGE, "redirect"):
            self._page.redirect = True
        elif path in _CAPTURED:
            self._pieces, self._num_chars = [], 0
            self._key = attributes.get("key", "")

    def _data(self, data: str) -> None:
        if self._pieces is None:
            return
        self._num_chars += len(data)
        if self._num_chars <= _LONGEST_PAGE:
            self._pieces.append(data)
        else:
            self._pieces.clear()

    def _end(self, name: str) -> None:
        path = tuple(self._path)
        self._path.pop()
        if path == _PAGE:
            self.pages.append(self._page)
        elif self._pieces is not None and path in _CAPTURED:
            self._keep(_CAPTURED[path], "".join(self._pieces))
            self._pieces = None

    def _keep(self, what: str, value: str) -> None:
        if what == "base":
            self._site.base = value.strip()
        elif what == "namespace":
            if self._key in _FILE_AND_CATEGORY:
                self._site.namespaces.add(value.strip().lower())
        elif what == "text":
            self._page.text = value
            self._page.too_long = self._num_chars > _LONGEST_PAGE
        else:
            setattr(self._page, what, value.strip())
