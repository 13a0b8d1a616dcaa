"""What every provider behind HTTP promises when the other side misbehaves.

The real client and sender talk TLS to a server on this machine; see `live_cases.LIVE_CASES`.
"""

from __future__ import annotations

import json
import logging
import random
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest
from ctrl_c import seconds_after_ctrl_c
from live_cases import LIVE_CASES
from replay_helpers import QUICK, LiveCase

from cache.errors import InputError, ProviderUnavailable
from cache.records import Query
from pipelines.replay.faults import GARBAGE, Faults
from pipelines.replay.http import VISION_KEY
from pipelines.replay.server import ReplayServer
from retrieval.providers.api import MAX_TEXT, MAX_TITLE
from retrieval.providers.base import query_key
from retrieval.providers.web_text import web_url
from retrieval.settings import PoliteSettings

ASKED_AT = "2026-11-22T16:00:00Z"
HASTY = QUICK.model_copy(update={"timeout_s": 0.4, "deadline_s": 1.0})
# What is not left soon lasts a minute here, or longer. A busy machine stands still for seconds.
SOON_S = 30.0


@pytest.fixture(scope="module", params=list(LIVE_CASES))
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveCase]:
    name: str = request.param
    with LIVE_CASES[name](tmp_path_factory.mktemp(f"live-{name}")) as case:
        yield case


@pytest.fixture
def case(shared: LiveCase) -> Iterator[LiveCase]:
    """Return a case whose server behaves, unless the test says otherwise."""
    shared.server.faults = Faults()
    yield shared
    shared.server.faults = Faults()


def ask_one(
    case: LiveCase, query: Query | None = None, polite: PoliteSettings = QUICK
) -> bytes | ProviderUnavailable:
    return case.make(polite).ask([query or case.queries[0]], 5)[0]


def refusal(case: LiveCase, faults: Faults, polite: PoliteSettings = QUICK) -> str:
    """Return the message with which a question fails that meets ``faults``."""
    case.server.faults = faults
    answer = ask_one(case, polite=polite)
    assert isinstance(answer, ProviderUnavailable)
    message = str(answer)
    assert case.make(polite).name in message
    assert VISION_KEY not in message
    return message


def num_requests(case: LiveCase) -> int:
    return len(case.server.log)


@pytest.mark.parametrize("status", [202, 403, 429, 500, 503])
def test_a_block_is_unavailable_and_names_the_status(case: LiveCase, status: int) -> None:
    assert str(status) in refusal(case, Faults(blocked=1, statuses=(status,)))


def test_what_was_blocked_is_asked_again_and_then_answered(case: LiveCase) -> None:
    provider = case.make(QUICK)
    case.server.faults = Faults(blocked=1, statuses=(429,))
    assert isinstance(provider.ask(case.queries[:1], 5)[0], ProviderUnavailable)
    case.server.faults = Faults()
    body = provider.ask(case.queries[:1], 5)[0]
    assert isinstance(body, bytes)
    assert provider.parse(case.queries[0], body, ASKED_AT)


def test_a_server_that_asks_for_a_long_pause_is_left_alone(case: LiveCase) -> None:
    before = num_requests(case)
    assert "3600" in refusal(case, Faults(blocked=1, statuses=(429,), retry_after=("3600",)))
    assert num_requests(case) == before + 1


def test_a_server_that_asks_for_a_short_pause_gets_it(case: LiveCase) -> None:
    started = time.monotonic()
    refusal(case, Faults(blocked=1, statuses=(503,), retry_after=("1",)))
    assert time.monotonic() - started >= QUICK.attempts - 1


@pytest.mark.parametrize("kind", list(GARBAGE))
def test_garbage_is_unavailable_and_never_an_empty_answer(case: LiveCase, kind: str) -> None:
    before = num_requests(case)
    refusal(case, Faults(garbage=1, garbage_kinds=(kind,)))
    assert num_requests(case) - before == QUICK.attempts


def test_silence_is_unavailable_within_the_deadlines(case: LiveCase) -> None:
    started = time.monotonic()
    refusal(case, Faults(slow=1, slow_s=60), HASTY)
    assert time.monotonic() - started < SOON_S


def test_an_answer_that_is_late_but_in_time_is_taken(case: LiveCase) -> None:
    case.server.faults = Faults(slow=1, slow_s=0.1)
    assert isinstance(ask_one(case), bytes)


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "data:,{}",
        "https://[::1]/",
    ],
)
def test_a_redirect_to_where_nobody_may_go_is_not_followed(case: LiveCase, target: str) -> None:
    refusal(case, Faults(redirected=1, redirect_to=target))


def test_a_redirect_to_another_port_of_this_machine_is_not_followed(case: LiveCase) -> None:
    with ReplayServer() as other:
        refusal(case, Faults(redirected=1, redirect_to=other.wikipedia_endpoint))
        assert other.log == []


def test_a_redirect_to_something_else_is_no_answer(case: LiveCase) -> None:
    refusal(case, Faults(redirected=1, redirect_to="/page/1"))


def test_an_answer_that_is_too_large_is_refused_before_it_is_there(case: LiveCase) -> None:
    started = time.monotonic()
    refusal(case, Faults(huge=1, huge_bytes=2**40))
    assert time.monotonic() - started < SOON_S


def test_a_large_answer_within_the_limit_is_taken(case: LiveCase) -> None:
    case.server.faults = Faults(huge=1, huge_bytes=2**20)
    assert isinstance(ask_one(case), bytes)


def test_one_question_that_fails_leaves_the_others_alone(case: LiveCase) -> None:
    ask_one(case)
    case.server.faults = Faults(blocked=1, only=case.server.log[-1].question)
    answers = case.make(QUICK).ask([case.queries[0], case.nothing], 5)
    assert isinstance(answers[0], ProviderUnavailable)
    assert isinstance(answers[1], bytes)


def test_ctrl_c_ends_a_wait_for_a_silent_server_at_once(case: LiveCase) -> None:
    case.server.faults = Faults(slow=1, slow_s=60)
    provider = case.make(QUICK)
    before = num_requests(case)
    seconds = seconds_after_ctrl_c(
        lambda: provider.ask(case.queries[:1], 5), lambda: num_requests(case) > before
    )
    assert seconds < SOON_S


def test_questions_that_make_the_same_request_share_its_answer_once_each(case: LiveCase) -> None:
    provider = case.make(QUICK)
    before = num_requests(case)
    first = provider.ask(case.queries, 5)
    asked = [line.question for line in case.server.log[before:]]
    assert len(asked) == len(set(asked))
    # Who asks again wants to know anew.
    provider.ask(case.queries[:1], 5)
    assert num_requests(case) == before + len(asked) + 1
    assert provider.ask(case.queries, 5) == first


def test_a_canary_is_of_the_same_kind_and_has_hits(case: LiveCase) -> None:
    provider = case.make(QUICK)
    for query in case.queries:
        canary = provider.canary(query)
        assert (canary.level, canary.modality) == (query.level, query.modality)
        assert provider.accepts(canary)
        before = num_requests(case)
        body = provider.ask([canary], 5)[0]
        assert isinstance(body, bytes)
        assert provider.parse(canary, body, ASKED_AT)
        # A canary that is sung again is a new question.
        provider.ask([canary], 5)
        assert num_requests(case) > before


def test_image_hits_name_where_the_image_is_and_page_hits_where_the_page_is(
    case: LiveCase,
) -> None:
    provider = case.make(QUICK)
    for query, body in zip(case.queries, provider.ask(case.queries, 5), strict=True):
        assert isinstance(body, bytes)
        for hit in provider.parse(query, body, ASKED_AT):
            assert hit.media_key is None
            assert bool(hit.image_url) == (hit.modality == "image")
            assert hit.image_url in ("", hit.document_id)
            assert hit.url.startswith("http") or not hit.url


def test_a_recording_is_read_by_another_instance_and_without_a_server(
    case: LiveCase,
) -> None:
    bodies = case.make(QUICK).ask(case.queries, 5)
    case.server.faults = Faults(blocked=1)
    reader = case.make(QUICK)
    before = num_requests(case)
    for query, body in zip(case.queries, bodies, strict=True):
        assert isinstance(body, bytes)
        assert reader.parse(query, body, ASKED_AT)
        assert query_key(reader, query, 5) == query_key(case.make(HASTY), query, 5)
    assert num_requests(case) == before


HOSTILE: list[object] = [
    *["http://[::1/x", "//[", "https://x.test:99999"] * 3,
    "http://x.test:port/",
    "\x00\u202e<script>",
    "&#xffffffff;&#0;",
    "a" * 5000,
    "",
    None,
    -1,
    1e308,
    True,
    [],
    {},
]


def spoil(value: object, rng: random.Random) -> object:
    """Return JSON with about one value in ten replaced by a hostile one."""
    if rng.random() < 0.1:
        return rng.choice(HOSTILE)
    if isinstance(value, dict):
        return {key: spoil(inner, rng) for key, inner in value.items()}
    if isinstance(value, list):
        return [spoil(inner, rng) for inner in value]
    return value


def spoilt(body: str, rng: random.Random) -> str:
    """Return a body with hostile values, or, half of the time, with a piece cut out."""
    if rng.random() < 0.5 and body.startswith("{"):
        return json.dumps(spoil(json.loads(body), rng))
    start = rng.randrange(len(body))
    return body[:start] + body[start + rng.randrange(1, 40) :]


def test_a_spoilt_answer_gives_tidy_hits_or_a_clear_error(case: LiveCase) -> None:
    provider = case.make(QUICK)
    rng = random.Random(7)
    outcomes: Counter[str] = Counter()
    for query, body in zip(case.queries, provider.ask(case.queries, 5), strict=True):
        assert isinstance(body, bytes)
        recorded = json.loads(body)
        for _ in range(300):
            recording = json.dumps({**recorded, "body": spoilt(recorded["body"], rng)})
            try:
                hits = provider.parse(query, recording.encode(), ASKED_AT)
            except InputError:
                outcomes["refused"] += 1
                continue
            outcomes["read"] += 1
            assert len(hits) <= 5
            for hit in hits:
                assert hit.document_id
                assert hit.text or hit.modality == "image"
                assert len(hit.text) <= MAX_TEXT
                assert len(hit.title) <= MAX_TITLE
                assert all(url == web_url(url) for url in (hit.url, hit.image_url))
    assert min(outcomes["refused"], outcomes["read"]) > 10


def test_questions_share_a_request_where_it_says_so(case: LiveCase) -> None:
    provider = case.make(QUICK)
    texts, images = case.queries[:2]
    before = num_requests(case)
    provider.ask([texts], 5)
    between = num_requests(case)
    provider.ask([images], 5)
    assert between > before
    assert (num_requests(case) == between) == provider.answers_both


def test_a_recording_of_another_provider_is_refused(case: LiveCase) -> None:
    body = ask_one(case)
    assert isinstance(body, bytes)
    name = case.make(QUICK).name.encode()
    with pytest.raises(InputError, match="somebody"):
        case.make(QUICK).parse(
            case.queries[0],
            body.replace(b'"provider":"' + name, b'"provider":"somebody'),
            ASKED_AT,
        )


def test_what_is_not_accepted_is_refused_when_asked(case: LiveCase) -> None:
    with pytest.raises(InputError, match="accepts"):
        case.make(QUICK).ask([case.foreign], 5)


def test_keys_are_nowhere_but_in_the_request(
    case: LiveCase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    provider = case.make(QUICK)
    seen = [repr(provider), repr(vars(provider)), provider.fingerprint, repr(case.server.log)]
    seen += [repr(body) for body in provider.ask(case.queries, 5)]
    for faults in (
        Faults(blocked=1, statuses=(401,)),
        Faults(blocked=1, statuses=(429,)),
        Faults(garbage=1),
        Faults(redirected=1, redirect_to="http://169.254.169.254/"),
    ):
        case.server.faults = faults
        problem = ask_one(case)
        assert isinstance(problem, ProviderUnavailable)
        seen += [repr(problem), *traceback.format_exception(problem)]
    seen.append(caplog.text)
    assert not [text for text in seen if VISION_KEY in text]


def test_faults_of_a_seed_do_not_depend_on_the_order_of_questions() -> None:
    faults = Faults(seed=3, blocked=0.2, garbage=0.05)
    names = [f"q{number}" for number in range(2000)]
    drawn = {name: faults.draw(name, 0) for name in names}
    assert {name: faults.draw(name, 0) for name in reversed(names)} == drawn
    kinds = [kind for kind, _ in drawn.values()]
    assert abs(kinds.count("blocked") / 2000 - 0.2) < 0.03
    assert abs(kinds.count("garbage") / 2000 - 0.05) < 0.02
    assert replace(faults, seed=4).draw("q1", 0) != drawn["q1"]
