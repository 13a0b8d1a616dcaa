from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cache.errors import InputError, ProviderUnavailable
from cache.records import Observation, Post, Query, Span
from retrieval.datasets import recorded as recorded_files
from retrieval.providers.base import Provider
from retrieval.providers.recorded import RecordedProvider
from retrieval.queries import make_queries

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
def captions(tmp_path: Path) -> Path:
    path = tmp_path / "captions.txt"
    path.write_text("1.jpg :two people: a and b\n2.jpg :\n\n1.jpg :another\n", encoding="utf-8")
    return path


@pytest.fixture
def context(tmp_path: Path) -> Path:
    path = tmp_path / "context"
    path.mkdir()
    (path / "train.txt").write_text(CONTEXT, encoding="utf-8")
    (path / "labels.txt").write_text("B-LOC\n")
    return path


def texts(provider: RecordedProvider, query: Query, k: int = 20) -> list[str]:
    (body,) = provider.ask([query], k)
    assert isinstance(body, bytes)
    return [hit.text for hit in provider.parse(query, body, "2026-11-22T00:00:00Z")]


def query_of(post: Post, level: str) -> Query:
    (query,) = [
        query
        for query in make_queries(Observation(post))
        if (query.level, query.modality) == (level, "text")
    ]
    return query


def by_photo(name: str) -> Query:
    return Query("image", "text", image_name=name)


def test_it_is_a_provider(captions: Path) -> None:
    provider: Provider = RecordedProvider(captions)

    assert provider.name == "recorded"


def test_captions_are_found_by_the_photos_name(captions: Path) -> None:
    provider = RecordedProvider(captions)
    post = Post("any-id", ("whatever",), "1.jpg")

    assert texts(provider, query_of(post, "image")) == ["two people: a and b", "another"]
    assert texts(provider, by_photo("1.jpg"), k=1) == ["two people: a and b"]


def test_contexts_are_found_by_the_sentence_as_queries_ask_for_it(context: Path) -> None:
    provider = RecordedProvider(context=context)

    assert texts(provider, query_of(Post("x", TOKENS), "sentence")) == ["Paris is a city"]
    assert texts(provider, query_of(Post("x", ("Lima",)), "sentence")) == ["first", "second"]


def test_a_post_that_is_not_in_the_files_found_nothing(captions: Path, context: Path) -> None:
    provider = RecordedProvider(captions, context)

    assert texts(provider, by_photo("2.jpg")) == []
    assert texts(provider, by_photo("unknown.jpg")) == []
    assert texts(provider, Query("sentence", "text", text="no context")) == []


def test_only_what_the_files_can_answer_is_accepted(captions: Path, context: Path) -> None:
    both, only_captions = RecordedProvider(captions, context), RecordedProvider(captions)

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


def test_a_hit_says_where_it_comes_from(captions: Path) -> None:
    provider = RecordedProvider(captions)
    query = by_photo("1.jpg")
    (body,) = provider.ask([query], 20)
    assert isinstance(body, bytes)

    first, second = provider.parse(query, body, "2026-11-22T00:00:00Z")

    assert (first.level, first.modality, first.region_index) == ("image", "text", -1)
    assert (first.provider, first.rank, second.rank) == ("recorded", 0, 1)
    assert first.document_id != second.document_id
    assert first.retrieved_at == "2026-11-22T00:00:00Z"
    # The answer is read from the recording alone.
    other = RecordedProvider(captions)
    other._captions.clear()
    assert [hit.text for hit in other.parse(query, body, "")] == [first.text, second.text]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"passages": [{"id": "x"}]}', b'{"hits": []}', b"[" * 100_000, b"\xff"]
)
def test_a_body_that_is_no_answer_is_refused(captions: Path, body: bytes) -> None:
    with pytest.raises(InputError, match="is no answer of provider 'recorded'"):
        RecordedProvider(captions).parse(by_photo("1.jpg"), body, "")


def relabelled(text: str) -> str:
    return text.replace("B-LOC", "B-ORG").replace("is\tO", "is\tno-label-at-all")


@pytest.mark.parametrize("change", [relabelled, lambda text: text.replace("\n", "\r\n")])
def test_labels_in_the_context_files_reach_no_answer_and_no_key(
    context: Path, change: Callable[[str], str]
) -> None:
    query = query_of(Post("x", TOKENS), "sentence")
    before = RecordedProvider(context=context)
    (context / "train.txt").write_text(change(CONTEXT), encoding="utf-8", newline="")
    after = RecordedProvider(context=context)

    assert before.ask([query], 20) == after.ask([query], 20)
    assert before.fingerprint == after.fingerprint


def test_another_passage_is_another_fingerprint(captions: Path, context: Path) -> None:
    before = RecordedProvider(captions, context).fingerprint
    (context / "train.txt").write_text(CONTEXT.replace("city", "town"))
    middle = RecordedProvider(captions, context).fingerprint
    captions.write_text("1.jpg :x\n")

    assert len({before, middle, RecordedProvider(captions, context).fingerprint}) == 3


def test_folder_zip_and_file_give_the_same_answers(context: Path, tmp_path: Path) -> None:
    packed = tmp_path / "knowledge.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("2017/../../train.txt", CONTEXT)
        archive.writestr("__MACOSX/._train.txt", b"\x00\x05\x16\x07")
        archive.writestr("labels.txt", "B-LOC\n")
    before = sorted(tmp_path.rglob("*"))

    folder, zipped, single = (
        RecordedProvider(context=path) for path in (context, packed, context / "train.txt")
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
        RecordedProvider(context=bomb)

    liar = bomb.read_bytes().replace(len(text).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    bomb.write_bytes(liar)
    with pytest.raises(InputError, match="cannot read the zip file"):
        RecordedProvider(context=bomb)


@pytest.mark.parametrize("damage", ["truncated", "flipped"])
def test_a_damaged_zip_is_named(context: Path, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "damaged.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("train.txt", CONTEXT)
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[60] ^= 0xFF
    path.write_bytes(data if damage == "flipped" else data[: len(data) // 2])

    with pytest.raises(InputError, match=r"damaged\.zip"):
        RecordedProvider(context=path)


def test_mnre_lines_give_captions_and_entities_by_photo(tmp_path: Path) -> None:
    (tmp_path / "ours_train.txt").write_text(MNRE_LINE)
    (tmp_path / "ours_test.txt").write_text(MNRE_LINE.replace("'X'", "'Y'"))

    folder = RecordedProvider(captions=tmp_path)
    single = RecordedProvider(captions=tmp_path / "ours_train.txt")

    assert texts(folder, by_photo("m.jpg")) == ["A caption", "X", "Y"]
    assert texts(single, by_photo("m.jpg")) == ["A caption", "X"]
    assert folder.counts["empty captions"] == 2


def test_what_cannot_be_read_is_an_error_when_the_provider_is_made(
    tmp_path: Path, captions: Path
) -> None:
    with pytest.raises(InputError, match=r"Set ask\.captions"):
        RecordedProvider()
    with pytest.raises(InputError, match=r"cannot read .*nowhere"):
        RecordedProvider(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"cannot read .*nowhere"):
        RecordedProvider(captions, tmp_path / "nowhere")
    (tmp_path / "plain.txt").write_text("a\tO\n")
    with pytest.raises(InputError, match=r"no sentence of .* has a context"):
        RecordedProvider(context=tmp_path / "plain.txt")
    (tmp_path / "bad.txt").write_text("1.jpg :a\n2.jpg no separator\n")
    with pytest.raises(InputError, match=r"bad\.txt:2: '2\.jpg no separator' is not"):
        RecordedProvider(tmp_path / "bad.txt")


def test_counts_say_what_was_read(captions: Path, context: Path) -> None:
    assert RecordedProvider(captions, context).counts == {
        "photos with captions": 1,
        "empty captions": 1,
        "sentences with context": 2,
        "sentences without context": 1,
    }


def test_it_has_no_images(captions: Path) -> None:
    with pytest.raises(ProviderUnavailable):
        RecordedProvider(captions).media("0" * 64)


def test_answers_are_json_and_cut_at_k(context: Path) -> None:
    (body,) = RecordedProvider(context=context).ask([Query("sentence", "text", text="Lima")], 1)
    assert isinstance(body, bytes)

    assert [passage["text"] for passage in json.loads(body)["passages"]] == ["first"]


def test_a_post_with_mentions_asks_another_question(context: Path) -> None:
    # Contexts are recorded for sentences; a relation's query carries its mentions as well.
    post = Post("x", TOKENS, head=Span(3, 4), tail=Span(1, 2))

    assert texts(RecordedProvider(context=context), query_of(post, "sentence")) == []
