from __future__ import annotations

import json
import logging
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from builder_helpers import SETTINGS, make_dataset
from pydantic import ValidationError
from recorded_imports import captions, contexts, mnre_lists

from cache.errors import InputError, ProviderUnavailable
from cache.records import Hit, Level, Observation, Post, Query, Span
from retrieval.asking.queries import make_queries
from retrieval.building.identity import Identity, compare, store_identity
from retrieval.datasets import recorded as recorded_files
from retrieval.providers.base import Provider
from retrieval.providers.recorded import RecordedProvider
from retrieval.settings import AskSettings, ImportSettings

CONTEXT = (
    "RT\tO\n@bob\tO\n:\tO\nParis\tB-LOC\nis\tO\nnice\tO\n<EOS>\tX\nParis\tX\nis\tX\na\tX\ncity\tX\n"
    "\nno\tO\ncontext\tO\n\nLima\tB-LOC\n<EOS>\tX\nfirst\tX\n<EOS>\tX\nsecond\tX\n"
)
TOKENS = ("RT", "@bob", ":", "Paris", "is", "nice")
MNRE_LINE = (
    "{'token': ['a', 'b'], 'h': {'name': 'a', 'pos': [0, 1]}, 't': {'name': 'b', 'pos': [1, 2]},"
    " 'img_id': 'm.jpg', 'relation': 'None','caption':['A  caption' ,'',],'entity':['X' ,'X']}\n"
)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    path = tmp_path / "captions.txt"
    path.write_text("1.jpg :two people: a and b\n2.jpg :\n\n1.jpg :another\n", encoding="utf-8")
    return path


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    path = tmp_path / "context"
    path.mkdir()
    (path / "train.txt").write_text(CONTEXT, encoding="utf-8")
    (path / "labels.txt").write_text("B-LOC\n")
    return path


def hits(provider: RecordedProvider, query: Query, k: int = 20) -> list[Hit]:
    (body,) = provider.ask([query], k)
    assert isinstance(body, bytes)
    return provider.parse(query, body, "2026-11-22T00:00:00Z")


def texts(provider: RecordedProvider, query: Query, k: int = 20) -> list[str]:
    return [hit.text for hit in hits(provider, query, k)]


def query_of(post: Post, level: str) -> Query:
    (query,) = [
        query
        for query in make_queries(Observation(post))
        if (query.level, query.modality) == (level, "text")
    ]
    return query


def by_photo(name: str) -> Query:
    return Query("image", "text", image_name=name)


def test_it_is_a_provider(photos: Path) -> None:
    provider: Provider = RecordedProvider([captions(photos)])

    assert provider.name == "recorded"


def test_captions_are_found_by_the_photos_name(photos: Path) -> None:
    provider = RecordedProvider([captions(photos)])
    post = Post("any-id", ("whatever",), "1.jpg")

    assert texts(provider, query_of(post, "image")) == ["two people: a and b", "another"]
    assert texts(provider, by_photo("1.jpg"), k=1) == ["two people: a and b"]


def test_contexts_are_found_by_the_sentence_as_queries_ask_for_it(sentences: Path) -> None:
    provider = RecordedProvider([contexts(sentences)])

    assert texts(provider, query_of(Post("x", TOKENS), "sentence")) == ["Paris is a city"]
    assert texts(provider, query_of(Post("x", ("Lima",)), "sentence")) == ["first", "second"]


def test_a_post_that_is_not_in_the_files_found_nothing(photos: Path, sentences: Path) -> None:
    provider = RecordedProvider([captions(photos), contexts(sentences)])

    assert texts(provider, by_photo("2.jpg")) == []
    assert texts(provider, by_photo("unknown.jpg")) == []
    assert texts(provider, Query("sentence", "text", text="no context")) == []


def test_only_what_the_files_can_answer_is_accepted(photos: Path, sentences: Path) -> None:
    both, only_captions = (
        RecordedProvider([captions(photos), contexts(sentences)]),
        RecordedProvider([captions(photos)]),
    )

    assert both.accepts(by_photo("1.jpg"))
    assert both.accepts(Query("sentence", "text", text="x"))
    assert not only_captions.accepts(Query("sentence", "text", text="x"))
    for query in (
        Query("image", "image", image_name="1.jpg"),
        Query("image", "text", image_key="0" * 64),
        Query("object", "text", text="x", image_name="1.jpg", region_index=0),
        Query("sentence", "image", text="x"),
    ):
        assert not both.accepts(query)
        with pytest.raises(InputError, match="Ask `accepts` first"):
            both.ask([query], 1)


def test_a_hit_says_where_it_comes_from(photos: Path) -> None:
    provider = RecordedProvider([captions(photos)])
    query = by_photo("1.jpg")
    (body,) = provider.ask([query], 20)
    assert isinstance(body, bytes)

    first, second = provider.parse(query, body, "2026-11-22T00:00:00Z")

    assert (first.level, first.modality, first.region_index) == ("image", "text", -1)
    assert (first.provider, first.rank, second.rank) == ("recorded", 0, 1)
    assert first.document_id != second.document_id
    assert first.retrieved_at == "2026-11-22T00:00:00Z"
    # The answer is read from the recording alone.
    photos.write_text("2.jpg :other\n")
    other = RecordedProvider([captions(photos)])
    assert [hit.text for hit in other.parse(query, body, "")] == [first.text, second.text]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"passages": [{"id": "x"}]}', b'{"hits": []}', b"[" * 100_000, b"\xff"]
)
def test_a_body_that_is_no_answer_is_refused(photos: Path, body: bytes) -> None:
    with pytest.raises(InputError, match="is no answer of provider 'recorded'"):
        RecordedProvider([captions(photos)]).parse(by_photo("1.jpg"), body, "")


def relabelled(text: str) -> str:
    return text.replace("B-LOC", "B-ORG").replace("is\tO", "is\tno-label-at-all")


@pytest.mark.parametrize("change", [relabelled, lambda text: text.replace("\n", "\r\n")])
def test_labels_in_the_context_files_reach_no_answer_and_no_key(
    sentences: Path, change: Callable[[str], str]
) -> None:
    query = query_of(Post("x", TOKENS), "sentence")
    before = RecordedProvider([contexts(sentences)])
    (sentences / "train.txt").write_text(change(CONTEXT), encoding="utf-8", newline="")
    after = RecordedProvider([contexts(sentences)])

    assert before.ask([query], 20) == after.ask([query], 20)
    assert before.fingerprint == after.fingerprint


def test_another_passage_is_another_fingerprint(photos: Path, sentences: Path) -> None:
    before = RecordedProvider([captions(photos), contexts(sentences)]).fingerprint
    (sentences / "train.txt").write_text(CONTEXT.replace("city", "town"))
    middle = RecordedProvider([captions(photos), contexts(sentences)]).fingerprint
    photos.write_text("1.jpg :x\n")

    assert (
        len(
            {before, middle, RecordedProvider([captions(photos), contexts(sentences)]).fingerprint}
        )
        == 3
    )


def test_folder_zip_and_file_give_the_same_answers(sentences: Path, tmp_path: Path) -> None:
    packed = tmp_path / "knowledge.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("2017/../../train.txt", CONTEXT)
        archive.writestr("__MACOSX/._train.txt", b"\x00\x05\x16\x07")
        archive.writestr("labels.txt", "B-LOC\n")
    before = sorted(tmp_path.rglob("*"))

    folder, zipped, single = (
        RecordedProvider([contexts(path)]) for path in (sentences, packed, sentences / "train.txt")
    )

    assert folder.fingerprint == zipped.fingerprint == single.fingerprint
    assert sorted(tmp_path.rglob("*")) == before


def test_a_zip_bomb_is_refused_by_its_stated_size_and_cannot_lie_about_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = tmp_path / "bomb.zip"
    text = "a\tO\n<EOS>\tX\nb\tX\n" + "\n" * 5000
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.txt", text)
    monkeypatch.setattr(recorded_files, "_MAX_UNPACKED_BYTES", len(text) - 1)
    with pytest.raises(InputError, match="unpacks to 5,016 bytes"):
        RecordedProvider([contexts(bomb)])

    liar = bomb.read_bytes().replace(len(text).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    bomb.write_bytes(liar)
    with pytest.raises(InputError, match="cannot read the zip file"):
        RecordedProvider([contexts(bomb)])


@pytest.mark.parametrize("other", ["b/train.txt", "a/train.txt"])
def test_a_zip_with_two_files_of_one_name_is_refused_for_one_would_be_lost(
    sentences: Path, tmp_path: Path, other: str
) -> None:
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings(action="ignore"):
        for name in ("a/train.txt", other, "a/notes.txt", "b/notes.txt"):
            archive.write(sentences / "train.txt", name)
    with pytest.raises(InputError, match=rf"a/train\.txt and {other}.*unpack"):
        RecordedProvider([contexts(path)])


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_zip_is_named(sentences: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.txt", CONTEXT)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[60] ^= 0xFF
    path.write_bytes(data if damage == "flipped" else data[: len(data) // 2])

    with pytest.raises(InputError, match=r"damaged\.zip"):
        RecordedProvider([contexts(path)])


def test_mnre_lines_give_either_list_by_photo(tmp_path: Path) -> None:
    (tmp_path / "ours_train.txt").write_text(MNRE_LINE)
    (tmp_path / "ours_test.txt").write_text(MNRE_LINE.replace("'X'", "'Y'"))

    def found(*imports: ImportSettings) -> list[str]:
        return texts(RecordedProvider(imports), by_photo("m.jpg"))

    assert found(mnre_lists(tmp_path, "caption")) == ["A caption"]
    assert found(mnre_lists(tmp_path, "entity")) == ["X", "Y"]
    assert found(mnre_lists(tmp_path / "ours_train.txt", "entity")) == ["X"]


def test_mnre_lines_of_sentence_level_are_found_by_the_question_of_their_post(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ours_train.txt"
    path.write_text(MNRE_LINE)
    provider = RecordedProvider([mnre_lists(path, "entity", "sentence")])
    post = Post("x", ("a", "b"), head=Span(0, 1), tail=Span(1, 2))

    assert texts(provider, query_of(post, "sentence")) == ["X"]
    # Another pair of mentions is another question.
    assert texts(provider, Query("sentence", "text", text="a b b a")) == []
    assert not provider.accepts(by_photo("m.jpg"))


def test_contexts_of_image_level_are_found_by_the_photo_that_their_lines_name(
    tmp_path: Path,
) -> None:
    path = tmp_path / "train.txt"
    path.write_text("IMGID:17_1\nHi\tO\n<EOS>\tX\na\tX\ndog\tX\n\nno\tO\n<EOS>\tX\nphoto\tX\n")
    provider = RecordedProvider([contexts(path, "image")])

    (hit,) = hits(provider, query_of(Post("x", ("Other", "words"), "17_1.jpg"), "image"))
    assert (hit.text, hit.level) == ("a dog", "image")
    assert not provider.accepts(Query("sentence", "text", text="Hi"))
    assert provider.counts["without a name to join by"] == 1


def test_imports_of_one_stream_come_in_the_order_of_the_recipe(
    photos: Path, tmp_path: Path
) -> None:
    more = tmp_path / "more.txt"
    more.write_text("1.jpg :another\n1.jpg :a third\n")
    query = by_photo("1.jpg")

    def found(*paths: Path) -> list[tuple[str, str]]:
        provider = RecordedProvider([captions(path) for path in paths])
        return [(hit.document_id, hit.text) for hit in hits(provider, query)]

    assert found(photos, more) == [
        ("1-captions:photo:1.jpg:0", "two people: a and b"),
        ("1-captions:photo:1.jpg:1", "another"),
        ("2-captions:photo:1.jpg:0", "another"),
        ("2-captions:photo:1.jpg:1", "a third"),
    ]
    assert [text for _, text in found(more, photos)] == [
        "another",
        "a third",
        "two people: a and b",
        "another",
    ]
    assert len(texts(RecordedProvider([captions(photos), captions(more)]), query, k=3)) == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"level": "object"}, r"which region .* set level = 'image'"),
        ({"modality": "image"}, r"hold text only; set modality = 'text'.*knowledge base"),
        ({"level": "sentence"}, r"known by their photo.* set level = 'image'"),
        ({"format": "mnre-lists"}, r"need field = 'caption' or 'entity'"),
        ({"field": "entity"}, r"other formats have no field"),
        ({"level": None}, "level"),
        ({"modality": None}, "modality"),
        ({"format": "csv"}, "format"),
    ],
)
def test_an_import_that_cannot_be_joined_is_refused_with_the_way_out(
    change: dict[str, object], reason: str
) -> None:
    good = {"path": "x", "format": "captions", "level": "image", "modality": "text"}
    ImportSettings.model_validate(good)
    with pytest.raises(ValidationError, match=reason):
        ImportSettings.model_validate(
            {name: value for name, value in {**good, **change}.items() if value is not None}
        )


def test_what_cannot_be_read_is_an_error_when_the_provider_is_made(
    tmp_path: Path, photos: Path, sentences: Path
) -> None:
    with pytest.raises(InputError, match=r"Add \[\[ask\.imports\]\]"):
        RecordedProvider([])
    with pytest.raises(InputError, match=r"cannot read .*nowhere"):
        RecordedProvider([captions(photos), contexts(tmp_path / "nowhere")])
    mnre = tmp_path / "ours_train.txt"
    mnre.write_text(MNRE_LINE.replace("['X' ,'X']", "['']").replace("A  cap", "A :cap"))
    plain, bad, empty = (tmp_path / name for name in ("plain.txt", "bad.txt", "empty.txt"))
    plain.write_text("a\tO\n")
    bad.write_text("1.jpg :a\n2.jpg no separator\n")
    empty.write_text("1.jpg :\n")
    for wanted, reason in (
        (contexts(plain), r"plain\.txt holds no context"),
        (contexts(sentences, "image"), r"no context below an IMGID: line.* level = 'sentence'"),
        (captions(bad), r"bad\.txt:2: '2\.jpg no separator' is not"),
        (captions(empty), r"holds no caption"),
        (captions(mnre), r"is not 'photo\.jpg :caption'.* another format"),
        (mnre_lists(mnre, "entity"), r"nothing in the list that field names. Set the other"),
        (mnre_lists(photos, "entity"), r"is not a Python literal"),
    ):
        with pytest.raises(InputError, match=reason):
            RecordedProvider([wanted])


def test_counts_say_what_was_read_and_are_told(
    photos: Path, sentences: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert RecordedProvider([captions(photos), contexts(sentences)]).counts == {
        "photos with passages": 1,
        "sentences with passages": 2,
        "without passages": 2,
    }
    assert "photos with passages 1" in caplog.text
    assert "without passages 2" in caplog.text


def test_a_photo_that_is_named_as_a_sentence_stays_a_photo(tmp_path: Path) -> None:
    lines, photos = tmp_path / "ours_train.txt", tmp_path / "captions.txt"
    lines.write_text(MNRE_LINE)
    photos.write_text("a b a b :of the photo\n")
    provider = RecordedProvider([captions(photos), mnre_lists(lines, "entity", "sentence")])

    assert texts(provider, by_photo("a b a b")) == ["of the photo"]
    assert texts(provider, Query("sentence", "text", text="a b a b")) == ["X"]


@pytest.mark.parametrize("level", ["image", "sentence"])
def test_the_same_passages_for_another_level_are_another_fingerprint(
    tmp_path: Path, level: Level
) -> None:
    path = tmp_path / "ours_train.txt"
    # The photo is named as the post asks, so that only the level differs.
    path.write_text(MNRE_LINE.replace("m.jpg", "a b a b"))

    entities = RecordedProvider([mnre_lists(path, "entity", level)]).fingerprint
    other: Level = "image" if level == "sentence" else "sentence"
    assert entities != RecordedProvider([mnre_lists(path, "entity", other)]).fingerprint


def test_where_files_lie_is_in_no_key(photos: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.txt"
    moved.write_bytes(photos.read_bytes())
    here, there = (RecordedProvider([captions(path)]) for path in (photos, moved))

    assert here.fingerprint == there.fingerprint
    assert here.ask([by_photo("1.jpg")], 5) == there.ask([by_photo("1.jpg")], 5)


def test_a_store_is_the_same_wherever_its_imports_lie(photos: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved.txt"
    moved.write_bytes(photos.read_bytes())
    dataset = make_dataset(tmp_path / "posts")

    def identity(path: Path) -> Identity:
        ask = AskSettings(providers=("recorded",), imports=(captions(path),))
        settings = SETTINGS.model_copy(update={"ask": ask})
        return store_identity(settings, dataset, "", [RecordedProvider(ask.imports)])

    assert identity(photos) == identity(moved)
    moved.write_text("1.jpg :other\n")
    assert compare(identity(photos), identity(moved)) == "other"


def test_it_has_no_images(photos: Path) -> None:
    with pytest.raises(ProviderUnavailable):
        RecordedProvider([captions(photos)]).media("0" * 64)


def test_answers_are_json_and_cut_at_k(sentences: Path) -> None:
    (body,) = RecordedProvider([contexts(sentences)]).ask(
        [Query("sentence", "text", text="Lima")], 1
    )
    assert isinstance(body, bytes)

    assert [passage["text"] for passage in json.loads(body)["passages"]] == ["first"]


def test_a_post_with_mentions_asks_another_question(sentences: Path) -> None:
    # Contexts are recorded for sentences; a relation's query carries its mentions as well.
    post = Post("x", TOKENS, head=Span(3, 4), tail=Span(1, 2))

    assert texts(RecordedProvider([contexts(sentences)]), query_of(post, "sentence")) == []
