from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest
from replay_helpers import QUICK, ask_settings, hits_of, provider_of, sentence_queries
from tiny_kb import write_folder
from tiny_vision import tiny_settings

from cache.errors import InputError
from pipelines.replay.http import VISION_KEY
from pipelines.replay.server import ReplayServer
from pipelines.sources import fetch_client, make_providers
from retrieval.http.client import GuardedClient
from retrieval.kb.knowledge_base import build_kb, open_kb
from retrieval.providers.base import Provider, is_live
from retrieval.settings import LOCAL_PROVIDERS, AskSettings
from retrieval.sight.observe import Observer

LOCAL_ONLY = """
import sys
from pathlib import Path
from typing import get_args
from pipelines.sources import fetch_client, make_providers
from retrieval.sight.observe import Observer
from retrieval.settings import AskSettings, ObserveSettings
captions = Path(sys.argv[1])
captions.write_text("1.jpg :a dog\\n")
given = {"path": captions, "format": "captions", "level": "image", "modality": "text"}
ask = AskSettings.model_validate({"providers": ("recorded",), "imports": (given,)})
observer = Observer(ObserveSettings(detector="none", encoder="none"))
assert make_providers(ask, observer)[0].name == "recorded"
assert fetch_client(ask) is None
print(*(name for name in sys.modules if name.startswith(("retrieval.http", "requests", "ddgs"))))
"""


def made(name: str, **settings: object) -> Provider:
    ask = AskSettings.model_validate({"providers": (name,), **settings})
    observer = Observer(tiny_settings(None))
    if name == "qdrant":  # which finds by vectors alone
        observer.encoder_fingerprint = "e" * 64
    return make_providers(ask, observer)[0]


def test_a_store_from_files_at_hand_needs_no_http_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOCAL_ONLY, str(tmp_path / "captions.txt")],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"requests", "ddgs", "retrieval.http.client", "retrieval.http.polite"}


def test_a_live_provider_brings_a_client_that_fetches() -> None:
    for name in ("web", "wikipedia", "searxng", "vision"):
        ask = AskSettings.model_validate({"providers": ("recorded", name)})
        assert isinstance(fetch_client(ask), GuardedClient)


def test_who_is_said_to_be_local_is_who_is_not_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAMIE_VISION_KEY", "key")
    (tmp_path / "captions.txt").write_text("1.jpg :a dog\n")
    given = {"path": tmp_path / "captions.txt", "format": "captions", "level": "image"}
    needed = {
        "kb": build_kb(write_folder(tmp_path / "raw"), tmp_path / "kb", tiny_settings(None)).path,
        "imports": ({**given, "modality": "text"},),
        "wikipedia": {"contact": "me@example.org"},
        "searxng": {"address": "http://localhost:8888"},
        "qdrant": {"address": "http://localhost:6333"},
        "lancedb": {"uri": str(tmp_path / "lance")},
    }
    if importlib.util.find_spec("lancedb"):
        from retrieval.kb.lance_export import write_table

        place = str(tmp_path / "lance")
        write_table(open_kb(tmp_path / "kb"), place, "documents", lambda _: None)
    names = get_args(get_args(AskSettings.model_fields["providers"].annotation)[0])
    for name in names:
        if name == "lancedb" and not importlib.util.find_spec("lancedb"):
            continue
        assert is_live(made(name, **needed)) == (name not in LOCAL_PROVIDERS)


def test_providers_of_one_host_do_not_ask_it_faster_than_one_of_them_may() -> None:
    with ReplayServer() as server:
        ask = ask_settings("wikipedia", server).model_copy(
            update={
                "providers": ("wikipedia", "searxng"),
                "polite": QUICK.model_copy(update={"seconds_between": 0.3}),
            }
        )
        providers = make_providers(ask, Observer(tiny_settings(None)))
        started = time.monotonic()
        for provider in providers:
            assert isinstance(provider.ask(sentence_queries()[:1], 5)[0], bytes)
        assert time.monotonic() - started >= 0.3


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("wikipedia", r"ask\.wikipedia\.contact"),
        ("searxng", r"ask\.searxng\.address"),
        ("vision", "RAMIE_VISION_KEY"),
        ("kb", "ask.kb=DIR"),
        ("recorded", r"ask\.imports"),
        ("lancedb", r"ask\.lancedb\.uri"),
        ("qdrant", r"ask\.qdrant\.address"),
    ],
)
def test_a_provider_that_lacks_something_says_which_setting(
    name: str, way_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAMIE_VISION_KEY", raising=False)
    with pytest.raises(InputError, match=way_out):
        made(name)


def test_providers_come_in_the_order_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAMIE_VISION_KEY", "key")
    names = ("vision", "searxng", "web", "wikipedia")
    ask = AskSettings.model_validate(
        {
            "providers": names,
            "wikipedia": {"contact": "me@example.org"},
            "searxng": {"address": "http://localhost:8888"},
        }
    )
    providers = make_providers(ask, Observer(tiny_settings(None)))
    assert tuple(provider.name for provider in providers) == names


def test_the_key_is_in_no_representation_of_what_a_recipe_makes() -> None:
    with ReplayServer() as server:
        provider = provider_of(ask_settings("vision", server))
        assert VISION_KEY not in repr(provider)
        # The values too, of which a traceback with local variables shows the representation.
        assert VISION_KEY not in repr(vars(provider))


def test_the_contact_is_in_the_user_agent() -> None:
    with ReplayServer() as server:
        provider = provider_of(ask_settings("wikipedia", server))
        assert hits_of(provider, sentence_queries()[0])
        assert "(me@example.org)" in server.log[0].user_agent
        assert server.log[0].user_agent.startswith("ramie/")


def test_every_provider_and_each_of_its_settings_is_in_the_documentation() -> None:
    text = (Path(__file__).parent.parent / "docs" / "providers.md").read_text(encoding="utf-8")
    sections = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])
    fields = AskSettings.model_fields
    for name in get_args(get_args(fields["providers"].annotation)[0]):
        (section,) = (body for head, body in sections.items() if f"`{name}`" in head)
        annotation = fields[name].annotation if name in fields else None
        for setting in getattr(annotation, "model_fields", ()):
            assert f".{setting}`" in section, f"{name}: {setting}"


def test_providers_of_later_are_in_no_manifest_of_stores_that_do_not_ask_them() -> None:
    assert not {"lancedb", "qdrant"} & AskSettings().model_dump().keys()
    asked = AskSettings.model_validate({"qdrant": {"collection": "mine"}})
    assert asked.model_dump()["qdrant"]["collection"] == "mine"
    assert AskSettings.model_validate(asked.model_dump()) == asked
