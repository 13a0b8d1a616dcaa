from __future__ import annotations

import bz2
import json
import random
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_dump import HEAD, PAGES, dump, page
from tiny_kb import LINES, write_folder
from tiny_vision import tiny_settings

from cache.errors import InputError
from retrieval.kb import mediawiki, parquet_rows
from retrieval.kb.build import KbReport, build_kb
from retrieval.kb.documents import RawDocument
from retrieval.kb.estimate import estimate_kb
from retrieval.kb.knowledge_base import Search, open_kb
from retrieval.kb.mediawiki import MediaWikiDump
from retrieval.kb.problems import MOST_SHOWN, ProblemLog
from retrieval.sight.observe import Observer

NONE = tiny_settings(None)


def read(path: Path, log: ProblemLog | None = None) -> list[RawDocument]:
    return [
        document
        for record in MediaWikiDump(path).records(log or ProblemLog())
        for document in record.documents
    ]


def written(folder: Path, data: bytes, name: str = "tiny.xml") -> Path:
    path = folder / name
    path.write_bytes(bz2.compress(data) if name.endswith("bz2") else data)
    return path


def by_words(report: KbReport, text: str) -> list[str]:
    found = open_kb(report.path).search([Search("text", text, None)], 5)[0]
    return [one.document.id for one in found]


def rows_file(path: Path, rows: Sequence[dict[str, object]]) -> Path:
    columns = {name: [row.get(name) for row in rows] for name in ("id", "title", "text", "image")}
    pq.write_table(pa.table(columns), path, row_group_size=2)
    return path


def test_a_parquet_file_gives_the_base_that_its_lines_give(tmp_path: Path) -> None:
    lines = [line for line in LINES if "url" not in line]
    folder = write_folder(tmp_path / "raw", lines)
    report = build_kb(folder, tmp_path / "a", NONE)
    rows_file(folder / "documents.parquet", lines)
    (folder / "documents.jsonl").unlink()
    assert build_kb(folder, tmp_path / "b", NONE).fingerprint == report.fingerprint
    alone = build_kb(folder / "documents.parquet", tmp_path / "c", NONE)
    assert (alone.fingerprint, alone.with_image) == (report.fingerprint, 4)


def test_rows_that_are_no_documents_are_counted_with_their_number(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": "a", "text": "kept"},
        {"id": None, "text": "no id"},
        {"id": "b"},
        {"id": "a", "text": "twice"},
    ]
    report = build_kb(rows_file(tmp_path / "x.parquet", rows), tmp_path / "kb", NONE)
    found = [(problem.line, problem.kind) for problem in report.problems]
    assert found == [(2, "broken line"), (3, "empty document"), (4, "duplicate id")]


def test_what_is_no_parquet_file_of_documents_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 is how it begins")
    with pytest.raises(InputError, match=r"x\.parquet as Parquet"):
        build_kb(tmp_path / "x.parquet", tmp_path / "kb", NONE)
    pq.write_table(pa.table({"name": ["a"]}), tmp_path / "y.parquet")
    with pytest.raises(InputError, match="no column 'id', but name"):
        build_kb(tmp_path / "y.parquet", tmp_path / "kb", NONE)
    monkeypatch.setattr(parquet_rows, "_LARGEST_GROUP", 10)
    rows_file(tmp_path / "z.parquet", LINES)
    with pytest.raises(InputError, match="row group of"):
        build_kb(tmp_path / "z.parquet", tmp_path / "kb", NONE)


@pytest.mark.parametrize("name", ["nothing.txt", "missing.jsonl", "."])
def test_what_nothing_can_be_built_from_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "nothing.txt").touch()
    with pytest.raises(InputError, match=r"MediaWiki dump"):
        build_kb(tmp_path / name, tmp_path / "kb", NONE)


def test_two_files_of_documents_in_a_folder_are_one_too_many(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw")
    rows_file(folder / "documents.parquet", LINES)
    with pytest.raises(InputError, match="both"):
        build_kb(folder, tmp_path / "kb", NONE)


@pytest.mark.parametrize("name", ["tiny.xml", "tiny.xml.bz2"])
def test_a_dump_becomes_passages_and_says_what_it_left_out(tmp_path: Path, name: str) -> None:
    report = build_kb(written(tmp_path, dump(), name), tmp_path / "kb", NONE)
    assert report.counts == {
        "page is no wikitext": 1,
        "page of another namespace": 1,
        "page redirects": 1,
        "page without passages": 1,
    }
    assert report.documents == 3
    documents = open_kb(report.path).search([Search("text", "Parisii capital river", None)], 5)[0]
    intro, history = sorted((one.document for one in documents), key=lambda one: one.id)[:2]
    assert (intro.id, intro.title) == ("12#000", "Paris")
    assert intro.url == "https://tiny.test/wiki/Paris"
    assert intro.text == (
        "Paris is the capital of France. It lies on the Seine river. See the city's page."
    )
    assert (history.id, history.title) == ("12#001", "Paris: History")
    assert history.text.startswith("The Parisii lived here;")
    assert history.text.endswith("by those who had stayed in it.")
    assert "1800" not in history.text
    assert by_words(report, "Japan") == ["17#000"]


def test_a_compressed_dump_may_have_many_streams(tmp_path: Path) -> None:
    data = dump()
    parts = [bz2.compress(part) for part in (data[:500], data[500:900], data[900:])]
    (tmp_path / "many.xml.bz2").write_bytes(b"".join(parts))
    plain = read(written(tmp_path, data))
    many = read(tmp_path / "many.xml.bz2")
    assert [one.text for one in many] == [one.text for one in plain]


def test_a_long_article_is_cut_into_passages_at_its_sentences(tmp_path: Path) -> None:
    text = "".join(f"This is sentence number {n} of a long story. " for n in range(200))
    found = read(written(tmp_path, dump([page("Long", text, number=5)])))
    assert [one.document_id for one in found] == [f"5#{place:03d}" for place in range(len(found))]
    assert " ".join(one.text for one in found) == text.strip()
    assert all(len(one.text) <= 1000 and one.text.endswith("story.") for one in found)


def test_a_dump_goes_on_after_the_pages_that_were_read(tmp_path: Path) -> None:
    path, log = written(tmp_path, dump()), ProblemLog()
    records = [record.line for record in MediaWikiDump(path).records(log, skip=4)]
    assert records == [5, 6]
    assert log.counts == {"page without passages": 1}


_LAUGHS = """<?xml version="1.0"?><!DOCTYPE mediawiki [<!ENTITY a "haha">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><mediawiki><page><title>&b;</title></page></mediawiki>"""
_FILE = '<!DOCTYPE mediawiki [<!ENTITY x SYSTEM "file:///etc/passwd">]><mediawiki>&x;</mediawiki>'


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (_LAUGHS.encode(), "entity"),
        (_FILE.encode(), "entity"),
        (b"<mediawiki><page>", "no element found"),
        (b"<html><body>not found</body></html>", "begins with <html>"),
        (b"", "no element found"),
        (b"<mediawiki><page>\xff</page></mediawiki>", "invalid token"),
        (b"<mediawiki>" + b"<a>" * 1000, "deep"),
        (b'<mediawiki><page x="' + b"a" * 9_000_000, "a tag of more than"),
    ],
)
def test_what_is_no_dump_is_refused(tmp_path: Path, data: bytes, told: str) -> None:
    with pytest.raises(InputError, match=f"MediaWiki dump: .*{told}"):
        read(written(tmp_path, data))


def test_a_dump_that_was_cut_off_is_no_shorter_dump(tmp_path: Path) -> None:
    whole = bz2.compress(dump())
    (tmp_path / "cut.xml.bz2").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="Fetch it again"):
        read(tmp_path / "cut.xml.bz2")
    (tmp_path / "cut.xml.bz2").write_bytes(b"no bzip2")
    with pytest.raises(InputError, match="Fetch it again"):
        read(tmp_path / "cut.xml.bz2")


def test_a_bomb_is_refused_before_it_goes_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mediawiki, "_EXPANDED_FREELY", 2**20)
    spaces = HEAD.encode() + b" " * 30_000_000
    started = time.thread_time()
    with pytest.raises(InputError, match="as in no dump"):
        read(written(tmp_path, spaces, "bomb.xml.bz2"))
    assert time.thread_time() - started < 30


def test_a_page_that_is_too_long_is_left_out_and_never_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mediawiki, "_LONGEST_PAGE", 100_000)
    pages = [page("Endless", "word " * 4_000_000, number=3), PAGES[0]]
    path, log = written(tmp_path, dump(pages)), ProblemLog()
    tracemalloc.start()
    try:
        found = read(path, log)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [one.line for one in found] == [2, 2]
    assert log.counts == {"page too long": 1}
    assert most < 5_000_000


def test_wikitext_that_was_made_to_be_slow_is_not(tmp_path: Path) -> None:
    many = 100_000
    pages = [
        page(f"Slow {number}", text, number=number)
        for number, text in enumerate(
            [
                "[[a" * many + "]]" * many,
                "{{" * many,
                "<ref" * many,
                "==" + " " * many + "x" + " " * many,
                "[//" * many,
                "'" * many,
                "&amp" * many,
                "(" * many + " " * many,
            ],
            1,
        )
    ]
    started = time.thread_time()
    read(written(tmp_path, dump(pages)))
    assert time.thread_time() - started < 20


def test_problems_are_all_counted_and_written_but_not_all_held(tmp_path: Path) -> None:
    lines = ["{broken"] * (MOST_SHOWN + 500) + ['{"id": "a", "text": "kept"}']
    folder = write_folder(tmp_path / "raw", lines, 0)
    report = build_kb(folder, tmp_path / "kb", NONE)
    assert report.counts == {"broken line": MOST_SHOWN + 500}
    assert len(report.problems) == MOST_SHOWN
    told = (report.path / "problems.jsonl").read_text().splitlines()
    assert [json.loads(line)["line"] for line in told] == list(range(1, MOST_SHOWN + 501))
    assert open_kb(report.path).manifest.problems == report.counts


def test_a_dump_and_a_folder_go_into_one_base(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "news", [{"id": "1", "text": "Paris in the news"}])
    path = written(tmp_path, dump(), "tiny.xml.bz2")
    report = build_kb([folder, path], tmp_path / "kb", NONE)
    assert sorted(by_words(report, "Paris")) == ["news/1", "tiny/12#000", "tiny/12#001"]


def test_an_estimate_is_near_what_is_built(tmp_path: Path) -> None:
    lines = [json.dumps({"id": str(n), "text": f"words about {n} " * 5}) for n in range(5000)]
    folder = write_folder(tmp_path / "raw", lines, 0)
    observer = Observer(NONE)
    guess = estimate_kb([folder], tmp_path / "kb", observer)
    assert guess.documents == pytest.approx(5000, rel=0.1)
    assert guess.source_bytes == (folder / "documents.jsonl").stat().st_size
    report = build_kb(folder, tmp_path / "kb", NONE)
    size = sum(path.stat().st_size for path in report.path.rglob("*") if path.is_file())
    assert size < guess.disk_bytes < 10 * size
    assert f"about {guess.documents:,} documents" in guess.told
    assert not (tmp_path / ".kb.building").exists()


def test_an_estimate_of_a_dump_is_near_what_it_holds(tmp_path: Path) -> None:
    rng = random.Random(0)
    pages = [
        page(f"Page {n}", " ".join(f"{rng.random()}" for _ in range(60)), number=n)
        for n in range(1, 3000)
    ]
    path = written(tmp_path, dump(pages), "many.xml.bz2")
    guess = estimate_kb([path], tmp_path / "kb", Observer(NONE))
    # bzip2 is read by blocks of 900 kB, of which the estimate sees one or two.
    assert guess.documents == pytest.approx(len(read(path)), rel=0.5)


def test_an_estimate_says_when_it_will_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "raw", 50 * [json.dumps({"id": "a", "text": "words"})], 0)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    assert "hardly fit" in estimate_kb([folder], tmp_path / "kb", Observer(NONE)).told
