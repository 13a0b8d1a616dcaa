"""``ramie kb build``: from documents and images, or a dump, to a searchable knowledge base.

Three stages, each in constant memory: the sources are read and sorted by id; documents are
embedded in that order; the files of the base are written. What a killed build did is not done
again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from tqdm import tqdm

from cache.errors import InputError
from cache.keys import fingerprint
from retrieval.kb.embedding import IMAGES as IMAGE_VECTORS
from retrieval.kb.embedding import ROWS, TEXTS, Embedder, embed_documents
from retrieval.kb.finishing import Told, finish
from retrieval.kb.format import DOCUMENTS, INDEX, MANIFEST, KbManifest
from retrieval.kb.nearest import EXACT_UP_TO
from retrieval.kb.problems import KbProblem
from retrieval.kb.sorting import collect, merge
from retrieval.kb.sources import NamedSource, open_sources
from retrieval.kb.work import Work, work_folder
from retrieval.settings import ObserveSettings
from retrieval.sight.observe import Observer

__all__ = ["Embedder", "KbReport", "build_kb"]

# Of what lies in the folder of a build; another version does not go on with it.
_WORK_VERSION: Final = 1


@dataclass(frozen=True)
class KbReport:
    """What a build did.

    Attributes:
        path: of the knowledge base.
        fingerprint: of its content; equal input and settings give an equal one.
        documents: how many can be found.
        with_image: how many of them have an image.
        problems: the first lines that were left out or lost something, in the order of lines;
            all of them are in ``problems.jsonl``.
        counts: how often each kind of problem occurred, and what else was left out.
        resumed: whether an earlier build of the same was gone on with.
    """

    path: Path
    fingerprint: str
    documents: int
    with_image: int
    problems: tuple[KbProblem, ...]
    counts: dict[str, int]
    resumed: bool


def build_kb(
    paths: Path | Sequence[Path],
    out: Path,
    observe: ObserveSettings,
    *,
    embedder: Embedder | None = None,
    exact_up_to: int = EXACT_UP_TO,
    progress: bool = False,
) -> KbReport:
    """Build the knowledge base ``out`` from ``paths``, whole or not at all.

    A build that was killed or interrupted goes on where it was, in a hidden folder beside ``out``.

    Args:
        paths: of what is read; see `retrieval.kb.sources.open_sources`.
        out: is made; a knowledge base that is there already is replaced at the very end.
        observe: names the encoder; posts must be observed with the same one.
        embedder: embeds in place of the encoder that ``observe`` names.
        exact_up_to: so many vectors of a side are compared with each query; more are put into
            lists, which is part of the fingerprint.
        progress: show a bar on a terminal.

    Raises:
        InputError: nothing usable at a path, ``out`` is something else, or not writable.
        StoreError: another process builds the same.
    """
    sources = open_sources([paths] if isinstance(paths, Path) else paths)
    _check_target(out)
    embedder = embedder or Observer(observe)
    try:
        with Work(work_folder(out), _identity(sources, embedder)) as work:
            try:
                _grow(work, sources, embedder, progress)
                with _bar(progress, 100, "%", "kb: index") as bar:
                    told = _by_name_and_share(bar)
                    manifest = finish(work, embedder.encoder_fingerprint, exact_up_to, told)
            except InputError:
                if not _is_of_use(work):
                    work.remove()
                raise
            _replace(work, out)
            return _report(work, out, manifest)
    except OSError as error:
        raise InputError(
            f"cannot write the knowledge base {out}: {error}. Free space, or choose another "
            "folder, and run the same command again, which goes on where this one was; a base "
            "that was there before is unchanged."
        ) from error


def _identity(sources: Sequence[NamedSource], embedder: Embedder) -> str:
    return fingerprint(
        {
            "version": _WORK_VERSION,
            "sources": [named.identity for named in sources],
            "encoder": embedder.encoder_fingerprint,
        }
    )


def _grow(work: Work, sources: Sequence[NamedSource], embedder: Embedder, progress: bool) -> None:
    """Do what is left to do of the first two stages."""
    if work.state.stage == "collect":
        for index, named in enumerate(sources):
            if index >= work.state.source:
                with _bar(progress, 100, "%", f"kb: read {named.source.path.name}") as bar:
                    collect(work, sources[: index + 1], _by_share(bar))
        _check_documents(work, sources)
        merge(work, sources)
    for name in (DOCUMENTS, ROWS, TEXTS, IMAGE_VECTORS):
        work.growing(name)
    if work.state.stage == "embed":
        with _bar(progress, work.state.documents, "doc", "kb: embed") as bar:
            bar.update(work.state.embedded)
            embed_documents(work, sources, embedder, lambda num: _update(bar, num))


def _is_of_use(work: Work) -> bool:
    """Return whether the same command can go on with what was done, once what failed is mended.

    It cannot where the sources are no good: whoever repairs them has other ones.
    """
    if work.state.stage == "finish":
        return (work.folder / ROWS).stat().st_size > 0
    return work.state.stage == "embed"


def _check_documents(work: Work, sources: Sequence[NamedSource]) -> None:
    if work.state.runs:
        return
    found = work.log.found
    first = f" (line {found[0].line}: {found[0].message})" if found else ""
    places = ", ".join(str(named.source.path) for named in sources)
    raise InputError(
        f"{places} holds no usable document{first}. Give each line an id and a title, a text or "
        "an image."
    )


@contextmanager
def _bar(progress: bool, total: int, unit: str, what: str) -> Iterator[tqdm[NoReturn]]:
    # None shows the bar on a terminal only.
    with tqdm(total=total, unit=unit, desc=what, disable=None if progress else True) as bar:
        yield bar


def _update(bar: tqdm[NoReturn], num: int) -> None:
    bar.update(num)


def _by_share(bar: tqdm[NoReturn]) -> Callable[[float], None]:
    def told(share: float) -> None:
        bar.update(int(100 * share) - bar.n)

    return told


def _by_name_and_share(bar: tqdm[NoReturn]) -> Told:
    def told(what: str, share: float) -> None:
        bar.set_description(f"kb: {what}", refresh=False)
        bar.update(int(100 * share) - bar.n)

    return told


def _report(work: Work, out: Path, manifest: KbManifest) -> KbReport:
    return KbReport(
        path=out,
        fingerprint=manifest.fingerprint,
        documents=manifest.documents,
        with_image=work.state.with_image,
        problems=tuple(sorted(work.log.found)),
        counts=dict(sorted(work.log.counts.items())),
        resumed=work.resumed,
    )


def _check_target(out: Path) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / MANIFEST).is_file() or not (out / INDEX).is_dir():
        raise InputError(
            f"{out} exists and is no knowledge base; it is not overwritten. Choose another path."
        )


def _replace(work: Work, out: Path) -> None:
    """Put the new base in the place of ``out``, which is missing, empty, or an older base."""
    for folder, _, names in os.walk(work.kb):
        for name in names:
            with (Path(folder) / name).open("rb") as file:
                os.fsync(file.fileno())
    old = work.folder / "old"
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
        try:
            work.kb.rename(out)
        except OSError:
            old.rename(out)
            raise
    else:
        work.kb.rename(out)
    work.remove()
