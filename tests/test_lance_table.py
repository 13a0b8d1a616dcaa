from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_kb import write_folder
from tiny_vision import tiny_settings, write_clip

from cache.errors import InputError, ProviderUnavailable, StoreMismatch
from cache.records import Query
from pipelines.sources import make_providers
from retrieval.kb.knowledge_base import KnowledgeBase, Search, build_kb, open_kb
from retrieval.providers.kb import KbProvider
from retrieval.settings import AskSettings
from retrieval.sight.observe import Observer

lancedb = pytest.importorskip("lancedb", reason="needs the extra [lancedb]")

from retrieval.kb.lance_export import write_table  # noqa: E402
from retrieval.kb.lance_table import LanceTable  # noqa: E402


def _line(identifier: str, **fields: object) -> dict[str, object]:
    return {"id": identifier, **fields}


def tell_nobody(_: int) -> None:
    """Tell nobody."""


@pytest.fixture(scope="module")
def knowledge(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeBase:
    folder = tmp_path_factory.mktemp("lance")
    settings = tiny_settings(write_clip(folder / "clip"))
    lines: list[dict[str, object] | str | bytes] = [
        *(_line(f"{n:03d}", text=f"words {n} and {n % 7}") for n in range(300)),
        *(_line(f"p{n}", text=f"pictured {n}", image=f"{1 + n % 4}.png") for n in range(9)),
        {"id": "wordless", "image": "4.png"},
    ]
    return open_kb(build_kb(write_folder(folder / "raw", lines), folder / "kb", settings).path)


@pytest.fixture
def uri(knowledge: KnowledgeBase, tmp_path: Path) -> str:
    place = str(tmp_path / "lance")
    assert write_table(knowledge, place, "documents", tell_nobody) == 310
    return place


def some_vectors(num: int) -> NDArray[np.float32]:
    vectors = np.random.default_rng(0).normal(size=(num, 24))
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(unit.astype(np.float16), np.float32)


def test_a_table_answers_by_vectors_as_the_files_do(knowledge: KnowledgeBase, uri: str) -> None:
    table = LanceTable(uri, "documents")
    searches = [
        Search(side, "", vector) for vector in some_vectors(6) for side in ("text", "image")
    ]
    ours, theirs = table.search(searches, 20), knowledge.search(searches, 20)
    for a, b in zip(ours, theirs, strict=True):
        assert [one.document for one in a] == [one.document for one in b]
        assert [one.score for one in a] == [one.score for one in b]
        for one, other in zip(a, b, strict=True):
            assert one.vector is not None
            assert np.array_equal(one.vector, np.asarray(other.vector))


def test_a_table_finds_words(uri: str, knowledge: KnowledgeBase) -> None:
    vector = some_vectors(1)[0]
    for text in ("pictured 3", 'words 17 AND (title:"x" OR *^2 [', "🗼 xyzzy"):
        found = LanceTable(uri, "documents").search([Search("text", text, vector)], 5)[0]
        same = knowledge.search([Search("text", text, vector)], 5)[0]
        assert found[0].document.id == same[0].document.id


def test_every_image_comes_back_as_it_was(uri: str, knowledge: KnowledgeBase) -> None:
    table = LanceTable(uri, "documents")
    keys = list(knowledge.image_keys())
    assert [table.image(key) for key in keys] == [knowledge.image(key) for key in keys]
    for foreign in ("0" * 64, "' OR '1' = '1", ""):
        with pytest.raises(ProviderUnavailable, match="no image"):
            table.image(foreign)


def test_a_table_that_is_written_to_is_another_one_but_not_for_who_has_it_open(
    uri: str, knowledge: KnowledgeBase
) -> None:
    before = LanceTable(uri, "documents")
    search = [Search("text", "", some_vectors(1)[0])]
    found = before.search(search, 5)
    lancedb.connect(uri).open_table("documents").delete("id != 'p3'")
    after = LanceTable(uri, "documents")
    assert after.fingerprint != before.fingerprint
    assert [len(one) for one in after.search(search, 5)] == [1]
    assert [[one.document.id for one in f] for f in before.search(search, 5)] == [
        [one.document.id for one in f] for f in found
    ]
    again = str(Path(uri).parent / "again")
    write_table(knowledge, again, "documents", tell_nobody)
    assert LanceTable(again, "documents").fingerprint == before.fingerprint


def test_a_store_that_is_gone_is_unavailable_and_never_empty(
    uri: str, knowledge: KnowledgeBase
) -> None:
    provider = KbProvider(LanceTable(uri, "documents"), knowledge.encoder_fingerprint, "lancedb")
    shutil.rmtree(uri)
    query = Query("sentence", "text", text="words", embedding=some_vectors(1)[0])
    with pytest.raises(ProviderUnavailable, match="could not be asked"):
        provider.ask([query], 5)
    with pytest.raises(ProviderUnavailable):
        provider.media("0" * 64)


def test_tables_of_others_are_neither_read_nor_replaced(
    tmp_path: Path, knowledge: KnowledgeBase
) -> None:
    uri = str(tmp_path / "lance")
    lancedb.connect(uri).create_table("mine", data=[{"id": "a", "vector": [0.0, 1.0]}])
    with pytest.raises(InputError, match="with which encoder"):
        LanceTable(uri, "mine")
    with pytest.raises(InputError, match="with which encoder"):
        write_table(knowledge, uri, "mine", tell_nobody)
    assert lancedb.connect(uri).open_table("mine").count_rows() == 1
    with pytest.raises(InputError, match="ramie kb export"):
        LanceTable(uri, "nothing")


@pytest.mark.parametrize("uri", ["db://cloud", "https://x.test/y", "s3://me:secret@bucket/x", ""])
def test_a_place_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match="no place of a LanceDB"):
        LanceTable(uri, "documents")


def test_a_recipe_names_the_table_and_its_encoder_is_checked(uri: str) -> None:
    ask = AskSettings.model_validate({"providers": ("lancedb",), "lancedb": {"uri": uri}})
    with pytest.raises(StoreMismatch, match="encoder"):
        make_providers(ask, Observer(tiny_settings(None)))
    with pytest.raises(InputError, match=r"ask\.lancedb\.uri"):
        make_providers(AskSettings(providers=("lancedb",)), Observer(tiny_settings(None)))


def test_a_base_without_vectors_is_found_by_words(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "raw")
    knowledge = open_kb(build_kb(folder, tmp_path / "kb", tiny_settings(None)).path)
    write_table(knowledge, str(tmp_path / "lance"), "plain", tell_nobody)
    table = LanceTable(str(tmp_path / "lance"), "plain")
    found = table.search([Search("text", "dogs bark", None), Search("image", "Paris", None)], 5)
    assert [one.document.id for one in found[0]] == ["dog"]
    assert {one.document.id for one in found[1]} == {"paris-city", "paris-hilton"}
