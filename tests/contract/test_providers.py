"""What every provider promises, over all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from live_cases import LIVE_CASES
from recorded_imports import captions as captions_of
from replay_helpers import QUICK
from tiny_kb import write_folder
from tiny_vision import media, tiny_settings, write_clip

from cache.errors import InputError, ProviderUnavailable, StoreMismatch
from cache.records import Hit, Observation, Post, Query
from retrieval.asking.queries import make_queries
from retrieval.kb.knowledge_base import build_kb, open_kb
from retrieval.providers.base import Provider, is_live, query_key
from retrieval.providers.kb import KbProvider
from retrieval.providers.recorded import RecordedProvider
from retrieval.sight.observe import Observer
from retrieval.sight.photos import decode_image

ASKED_AT = "2026-11-22T16:00:00Z"


@dataclass
class Case:
    """A provider and queries to it.

    ``reopen`` gives a provider to which ``nothing`` is a query without hits; nobody accepts
    ``foreign``.
    """

    provider: Provider
    queries: list[Query]
    nothing: Query
    reopen: Callable[[], Provider]
    foreign: Query


def kb_case(folder: Path, *, with_encoder: bool) -> Case:
    settings = tiny_settings(write_clip(folder / "clip") if with_encoder else None)
    path = build_kb(write_folder(folder / "raw"), folder / "kb", settings).path
    observer = Observer(settings, device="cpu")
    post = Post("train-1", ("Paris", "tower", "東京タワー", "🗼"), "1.png")
    photo = decode_image(media(1).data)
    observation = observer.observe([post], [photo], ["ok"])[0]
    asked = make_queries(observation)

    def reopen() -> Provider:
        return KbProvider(open_kb(path), observer.encoder_fingerprint)

    provider = reopen()
    queries = [query for query in asked if provider.accepts(query)]
    if with_encoder:
        # Vectors always have neighbours, so only a knowledge base without images finds none.
        bare = write_folder(folder / "bare", [{"id": "a", "text": "a"}], 0)
        other = KbProvider(
            open_kb(build_kb(bare, folder / "bare_kb", settings).path),
            observer.encoder_fingerprint,
        )
        return Case(provider, queries, queries[1], lambda: other, Query("image", "text"))
    return Case(
        provider, queries, Query("sentence", "text", "xyzzy"), reopen, Query("image", "text")
    )


def lance_case(folder: Path) -> Case:
    pytest.importorskip("lancedb", reason="needs the extra [lancedb]")
    from retrieval.kb.lance_export import write_table
    from retrieval.kb.lance_table import LanceTable

    plain = kb_case(folder, with_encoder=True)
    uri, encoder = str(folder / "lance"), open_kb(folder / "kb").encoder_fingerprint
    for name in ("kb", "bare_kb"):
        write_table(open_kb(folder / name), uri, name, lambda _: None)

    def reopen(name: str = "bare_kb") -> Provider:
        return KbProvider(LanceTable(uri, name), encoder, "lancedb")

    return Case(reopen("kb"), plain.queries, plain.nothing, reopen, plain.foreign)


def recorded_case(folder: Path) -> Case:
    captions = folder / "captions.txt"
    captions.write_text("1.jpg :a café in 東京 🗼\n2.jpg :two dogs\n", encoding="utf-8")

    def reopen() -> Provider:
        return RecordedProvider([captions_of(captions)])

    queries = [
        query
        for name in ("1.jpg", "2.jpg")
        for query in make_queries(Observation(Post("a", ("Hi",), name)))
        if query.level == "image" and query.modality == "text"
    ]
    nothing = Query("image", "text", image_name="9.jpg")
    return Case(reopen(), queries, nothing, reopen, Query("sentence", "image", text="Hi"))


@contextmanager
def live_case(name: str, folder: Path) -> Iterator[Case]:
    with LIVE_CASES[name](folder) as live:

        def reopen() -> Provider:
            return live.make(QUICK)

        yield Case(reopen(), live.queries, live.nothing, reopen, live.foreign)


@pytest.fixture(
    scope="module", params=["kb", "kb without encoder", "lancedb", "recorded", *LIVE_CASES]
)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("provider")
    if request.param in LIVE_CASES:
        with live_case(request.param, folder) as live:
            yield live
    elif request.param == "recorded":
        yield recorded_case(folder)
    elif request.param == "lancedb":
        yield lance_case(folder)
    else:
        yield kb_case(folder, with_encoder=request.param == "kb")


def answers(provider: Provider, queries: list[Query], k: int = 5) -> list[bytes]:
    bodies = provider.ask(queries, k)
    assert all(isinstance(body, bytes) for body in bodies)
    return [body for body in bodies if isinstance(body, bytes)]


def plain(hits: list[Hit]) -> list[dict[str, object]]:
    return [
        {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name in Hit.__slots__
            for value in [getattr(hit, name)]
        }
        for hit in hits
    ]


def test_hits_come_best_first_and_carry_what_was_asked(case: Case) -> None:
    assert case.queries
    total = 0
    for query, body in zip(case.queries, answers(case.provider, case.queries), strict=True):
        hits = case.provider.parse(query, body, ASKED_AT)
        total += len(hits)
        assert [hit.rank for hit in hits] == list(range(len(hits)))
        scores = [hit.provider_score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        for hit in hits:
            assert (hit.level, hit.modality, hit.region_index, hit.provider, hit.retrieved_at) == (
                query.level,
                query.modality,
                query.region_index,
                case.provider.name,
                ASKED_AT,
            )
            # A live provider knows images by URL, the others by the key of their bytes.
            image = hit.image_url if is_live(case.provider) else hit.media_key
            assert hit.text if hit.modality == "text" else image
        assert len({hit.document_id for hit in hits}) == len(hits)
    assert total


@pytest.mark.parametrize("k", [1, 2, 1000])
def test_at_most_k_hits_and_fewer_are_the_first_of_more(case: Case, k: int) -> None:
    many = answers(case.provider, case.queries, 1000)
    for query, body, few in zip(
        case.queries, many, answers(case.provider, case.queries, k), strict=True
    ):
        ids = [hit.document_id for hit in case.provider.parse(query, few, ASKED_AT)]
        assert len(ids) <= k
        everything = [hit.document_id for hit in case.provider.parse(query, body, ASKED_AT)]
        assert ids == everything[:k]


def test_answers_do_not_depend_on_the_order_or_company_of_queries(case: Case) -> None:
    together = answers(case.provider, case.queries)
    assert answers(case.provider, case.queries[::-1]) == together[::-1]
    assert [answers(case.provider, [query])[0] for query in case.queries] == together


def test_nothing_found_is_an_answer_without_hits(case: Case) -> None:
    provider = case.reopen()
    assert provider.accepts(case.nothing)
    body = answers(provider, [case.nothing])[0]
    assert provider.parse(case.nothing, body, ASKED_AT) == []


def test_no_queries_are_no_answers(case: Case) -> None:
    assert case.provider.ask([], 5) == []


def test_what_cannot_be_asked_is_not_accepted(case: Case) -> None:
    assert not case.provider.accepts(case.foreign)


def test_an_answer_is_json_in_utf8(case: Case) -> None:
    for body in answers(case.provider, case.queries):
        assert json.loads(body.decode("utf-8"))


def test_unicode_survives(case: Case) -> None:
    texts = {
        hit.text
        for query, body in zip(case.queries, answers(case.provider, case.queries), strict=True)
        for hit in case.provider.parse(query, body, ASKED_AT)
    }
    assert any("🗼" in text and ("東京" in text) for text in texts)


@pytest.mark.parametrize(
    "body", [b"", b"garbage", b"{}", b"[]", b"null", b"\xff\xfe", b'{"hits": [1]}', b"[" * 9999]
)
def test_garbage_in_a_recording_is_a_clear_error(case: Case, body: bytes) -> None:
    with pytest.raises(InputError, match=case.provider.name):
        case.provider.parse(case.queries[0], body, ASKED_AT)


def test_an_image_that_nobody_has_is_unavailable_not_empty(case: Case) -> None:
    for key in ("0" * 64, "", "../../etc/passwd"):
        with pytest.raises(ProviderUnavailable):
            case.provider.media(key)


def test_every_image_that_an_answer_names_is_to_be_had(case: Case) -> None:
    for query, body in zip(case.queries, answers(case.provider, case.queries), strict=True):
        for hit in case.provider.parse(query, body, ASKED_AT):
            if hit.media_key is not None:
                assert case.provider.media(hit.media_key).key == hit.media_key


def test_the_vector_of_a_query_is_no_part_of_its_key(case: Case) -> None:
    query = case.queries[0]
    bare = Query(query.level, query.modality, query.text, query.image_key, query.image_name)
    assert query_key(case.provider, bare, 5) == query_key(case.provider, query, 5)


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return kb_case(tmp_path_factory.mktemp("kb_only"), with_encoder=True)


def test_a_recording_is_read_without_the_knowledge_base(kb: Case, tmp_path: Path) -> None:
    from retrieval.providers.kb import parse_answer

    for query, body in zip(kb.queries, answers(kb.provider, kb.queries), strict=True):
        hits = kb.provider.parse(query, body, ASKED_AT)
        assert plain(parse_answer(query, body, ASKED_AT)) == plain(hits)
        for hit in hits:
            assert hit.query_key == query_key(kb.provider, query, 5)
            assert hit.embedding is not None
            assert query.embedding is not None
            assert hit.relevance == pytest.approx(float(hit.embedding @ query.embedding), abs=1e-5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("score", "high"),
        ("media", "../../etc/passwd"),
        ("embedding", "AAAA"),
        ("embedding", "not base64!"),
        ("embedding", "AHwAfAB8"),
        ("document", ""),
        ("surprise", 1),
    ],
)
def test_a_changed_answer_of_the_knowledge_base_is_refused(
    kb: Case, field: str, value: object
) -> None:
    answer = json.loads(answers(kb.provider, kb.queries)[0])
    answer["hits"][0][field] = value
    with pytest.raises(InputError, match="damaged"):
        kb.provider.parse(kb.queries[0], json.dumps(answer).encode(), ASKED_AT)


def test_more_hits_than_were_asked_for_are_refused(kb: Case) -> None:
    answer = json.loads(answers(kb.provider, kb.queries)[0])
    answer["k"] = 1
    with pytest.raises(InputError, match="1 were asked for"):
        kb.provider.parse(kb.queries[0], json.dumps(answer).encode(), ASKED_AT)


def test_a_query_without_the_vector_that_is_needed_is_unavailable_not_empty(kb: Case) -> None:
    found = kb.provider.ask([Query("sentence", "text", text="Paris"), kb.queries[0]], 5)
    assert isinstance(found[0], ProviderUnavailable)
    assert isinstance(found[1], bytes)


def test_another_encoder_than_the_posts_is_refused(tmp_path: Path) -> None:
    path = build_kb(write_folder(tmp_path / "raw"), tmp_path / "kb", tiny_settings(None)).path
    with pytest.raises(StoreMismatch, match=r"encoder none.*observed with abc"):
        KbProvider(open_kb(path), "abc")
