"""Provider ``web`` for the contract suites: a DuckDuckGo that answers from the made-up web."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

from connect_proxy import Asked, ConnectProxy, Reply
from played_duckduckgo import NO_TEXTS, TOKEN_PAGE, image_answer, text_page
from replay_helpers import LiveCase, provider_of, sentence_queries

from cache.records import Query
from pipelines.replay.corpus import UNKNOWN_WORD, search
from pipelines.replay.faults import GARBAGE, Faults
from pipelines.replay.script import Logged
from retrieval.providers.base import LiveProvider
from retrieval.settings import AskSettings, PoliteSettings

_ADDRESS = "https://made-up.example"
_PER_PAGE = 10


class PlayedWeb:
    """A `Scripted` DuckDuckGo behind a proxy."""

    def __init__(self, proxy: ConnectProxy) -> None:
        self.faults = Faults()
        self.log: list[Logged] = []
        self._proxy = proxy
        self._times_asked: Counter[str] = Counter()
        proxy.script = self.answer

    def answer(self, asked: Asked) -> Reply:
        """Return a page of hits, a token or images, or what goes wrong."""
        question = f"{asked.path} {asked.fields.get('q', '')}"
        kind, choice = self.faults.draw(question, self._times_asked[question])
        self._times_asked[question] += 1
        reply = self._faulty(kind, choice, _sound(asked))
        sound = kind in ("none", "slow", "huge")
        user_agent = asked.headers.get("user-agent", "")
        self.log.append(
            Logged(asked.method, asked.path, "", question, reply.status, sound, user_agent)
        )
        if kind == "slow":
            self._proxy.closing.wait(self.faults.slow_s)
        return reply

    def _faulty(self, kind: str, choice: int, sound: Reply) -> Reply:
        faults = self.faults
        if kind == "blocked":
            pause = faults.retry_after[choice % len(faults.retry_after)]
            headers = {"Retry-After": pause} if pause else {}
            return Reply(faults.statuses[choice % len(faults.statuses)], b"", headers)
        if kind == "garbage":
            kinds = faults.garbage_kinds
            return Reply(body=GARBAGE[kinds[choice % len(kinds)]])
        if kind == "redirected":
            return Reply(302, b"", {"Location": faults.redirect_to})
        if kind == "huge":
            return Reply(body=_behind_space(sound, faults.huge_bytes))
        return sound


def _sound(asked: Asked) -> Reply:
    if asked.path == "/":
        return Reply(body=TOKEN_PAGE)
    documents = search(asked.fields["q"], _PER_PAGE)
    if asked.path == "/i.js":
        images = [(d.title, _ADDRESS + d.image, _ADDRESS + d.page) for d in documents]
        return Reply(body=image_answer(images))
    texts = [(escape(d.title), _ADDRESS + d.page, escape(d.text)) for d in documents]
    return Reply(body=text_page(texts) if texts else NO_TEXTS)


def _behind_space(reply: Reply, num_bytes: int) -> Iterator[bytes]:
    assert isinstance(reply.body, bytes)
    space = b" " * 2**16
    for _ in range(num_bytes // len(space)):
        yield space
    yield reply.body


@contextmanager
def web_case(folder: Path) -> Iterator[LiveCase]:
    """Yield a case of provider ``web``, made as a build makes it."""
    with ConnectProxy(folder, _sound) as proxy:
        ask = AskSettings.model_validate(
            {"providers": ("web",), "web": {"proxy": proxy.address}, "ca_file": proxy.ca_file}
        )

        def make(polite: PoliteSettings) -> LiveProvider:
            return provider_of(ask.model_copy(update={"polite": polite}))

        unknown = sentence_queries(UNKNOWN_WORD)[0]
        foreign = Query("image", "text", image_key="0" * 64)
        yield LiveCase(PlayedWeb(proxy), make, sentence_queries(), unknown, foreign)
