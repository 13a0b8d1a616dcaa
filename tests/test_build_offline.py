"""Promises of builds that ask little or nobody: offline, renewed, recurated, within a budget."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from builder_helpers import (
    SETTINGS,
    STRICTER,
    CountingObserver,
    CountingProvider,
    files_of,
    make_dataset,
    relabelled,
)
from live_helpers import BLOCK, EMPTY, GARBAGE, LivePlayer

from cache.checking.verify import verify_store
from cache.errors import StoreMismatch
from cache.reading.parquet_reader import ParquetReader
from cache.recording.recordings import Recording, Recordings
from pipelines.cli import main
from pipelines.replay.server import ReplayServer
from retrieval.asking.manner import AskingOptions
from retrieval.building.builder import RECORDINGS, build_store
from retrieval.building.report import BuildReport
from retrieval.datasets import Dataset
from retrieval.providers.base import Provider
from retrieval.settings import CurateSettings, PoliteSettings


def only_parse(what: str) -> None:
    """Fail the test unless a recording is read."""
    assert what == "parse"


OFFLINE = AskingOptions(offline=True)
RECURATE = AskingOptions(recurate_only=True)
RIVER = "a quiet day at the river"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return the data set of all these tests; nobody changes its files."""
    return make_dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def one_date(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every answer have the same date, so that stores can be compared."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")


def build(
    store: Path,
    dataset: Dataset,
    *providers: Provider,
    asking: AskingOptions | None = None,
    curate: CurateSettings = SETTINGS.curate,
    observer: CountingObserver | None = None,
    progress: bool = False,
    **polite: float,
) -> BuildReport:
    """Build with a live provider and others."""
    polite_settings = PoliteSettings.model_validate({"rest_s": 0, **polite})
    ask = SETTINGS.ask.model_copy(update={"polite": polite_settings})
    return build_store(
        SETTINGS.model_copy(update={"curate": curate, "ask": ask}),
        store,
        dataset=dataset,
        observer=observer or CountingObserver(),
        providers=providers,
        asking=asking or AskingOptions(),
        progress=progress,
    )


def never(what: str) -> None:
    """Fail the test: nobody was to be asked."""
    raise AssertionError(f"nobody was to {what}")


def test_offline_asks_nobody_and_says_how_many_answers_are_missing(
    tmp_path: Path, dataset: Dataset
) -> None:
    report = build(tmp_path, dataset, LivePlayer(before=never), asking=OFFLINE)
    assert report.missing == {"web": 4}
    assert len(report.unfinished) == 5
    assert all("without --offline" in one.reason for one in report.unfinished)


def test_offline_gives_the_same_store_where_all_is_recorded(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path / "online", dataset, LivePlayer(), CountingProvider())
    recordings = tmp_path / "offline" / RECORDINGS
    recordings.mkdir(parents=True)
    for path in (tmp_path / "online" / RECORDINGS).iterdir():
        (recordings / path.name).write_bytes(path.read_bytes())
    mute = LivePlayer(before=never)
    report = build(tmp_path / "offline", dataset, mute, CountingProvider(), asking=OFFLINE)
    assert (report.unfinished, report.missing, report.asked) == ((), {}, 0)
    assert files_of(tmp_path / "offline") == files_of(tmp_path / "online")


def test_offline_asks_those_who_answer_from_files_at_hand(
    tmp_path: Path, dataset: Dataset
) -> None:
    local = CountingProvider()
    build(tmp_path, dataset, local, asking=OFFLINE)
    assert len(local.asked) == 12


@pytest.mark.parametrize("trouble", [BLOCK, GARBAGE, EMPTY])
def test_trouble_leaves_the_post_for_the_next_run_which_asks_only_for_it(
    tmp_path: Path, dataset: Dataset, trouble: bytes
) -> None:
    build(tmp_path / "whole", dataset, LivePlayer())
    player = LivePlayer(script={RIVER: [trouble]})
    player.script["a word that everybody knows"] = [EMPTY]
    report = build(tmp_path / "store", dataset, player)
    assert [one.example_id for one in report.unfinished] == ["e1"]
    assert (report.unavailable, report.blocked, report.asked) == (1, 1, 3)

    player = LivePlayer()
    assert build(tmp_path / "store", dataset, player).unfinished == ()
    assert player.asked == [RIVER]
    assert files_of(tmp_path / "store") == files_of(tmp_path / "whole")


def test_a_budget_is_gone_on_with_in_the_next_run(tmp_path: Path, dataset: Dataset) -> None:
    build(tmp_path / "whole", dataset, LivePlayer())
    player = LivePlayer()
    for left in (3, 2, 1, 0):
        report = build(tmp_path / "store", dataset, player, max_queries=1)
        assert (report.unavailable, report.blocked) == (left, 0)
    assert max(player.times.values()) == 1
    assert files_of(tmp_path / "store") == files_of(tmp_path / "whole")


def test_a_better_reader_makes_another_store_and_asks_nobody(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path, dataset, LivePlayer())
    better = LivePlayer(reading=2, before=never)
    with pytest.raises(StoreMismatch, match="how their answers are read"):
        build(tmp_path, dataset, better)
    (tmp_path / "manifest.json").unlink()
    report = build(tmp_path, dataset, better)
    assert (report.action, report.asked, report.unfinished) == ("built", 0, ())


def test_refreshing_renews_what_is_old_and_nothing_else(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, dataset, LivePlayer(), CountingProvider())
    old = files_of(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(1_700_000_000 + 10 * 86400))
    local = CountingProvider()
    patient = AskingOptions(refresh_days=11)
    report = build(tmp_path, dataset, LivePlayer(before=never), local, asking=patient)
    assert report.action == "nothing to do"

    news = LivePlayer(script={RIVER: [b'["a flood at the river"]']})
    asking = AskingOptions(refresh_days=9)
    report = build(tmp_path, dataset, news, local, asking=asking)
    assert (report.action, report.asked, local.asked) == ("refreshed", 4, {})
    with ParquetReader(tmp_path) as store:
        texts = {one.hit.text for one in store.read("e1").evidence}
        dates = {one.hit.retrieved_at for one in store.read("e1").evidence}
    assert "a flood at the river" in texts
    assert "2023-11-24T22:13:20+00:00" in dates
    assert files_of(tmp_path) != old
    assert verify_store(tmp_path).problems == ()
    assert build(tmp_path, dataset, news, local, asking=asking).action == "nothing to do"


def test_old_answers_to_questions_that_nobody_asks_any_more_are_no_reason_to_refresh(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path, dataset, LivePlayer())
    dead = Recording("0" * 64, "web", "{}", "2001-01-01T00:00:00+00:00", b"[]")
    with Recordings(tmp_path / RECORDINGS) as book:
        book.put_segment([dead])
    mute = LivePlayer(before=never)
    report = build(tmp_path, dataset, mute, asking=AskingOptions(refresh_days=9))
    assert report.action == "nothing to do"


def test_nothing_is_refreshed_where_nobody_may_be_asked(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, dataset, LivePlayer())
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    asking = AskingOptions(offline=True, refresh_days=1)
    report = build(tmp_path, dataset, LivePlayer(before=never), asking=asking)
    assert report.action == "nothing to do"


def test_a_refresh_that_is_blocked_keeps_the_old_answers(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(tmp_path, dataset, LivePlayer())
    old = files_of(tmp_path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    down = LivePlayer(script={RIVER: [BLOCK]})
    report = build(tmp_path, dataset, down, asking=AskingOptions(refresh_days=1))
    assert (report.unfinished, report.outdated) == ((), 1)
    assert files_of(tmp_path).keys() != old.keys()


def test_recurating_applies_settings_without_asking_or_looking(
    tmp_path: Path, dataset: Dataset
) -> None:
    def local() -> CountingProvider:
        return CountingProvider(vectors=False)

    build(tmp_path / "fresh", dataset, LivePlayer(), local(), curate=STRICTER)
    build(tmp_path / "store", dataset, LivePlayer(), local())
    idle = replace(local(), before=only_parse)
    blind = CountingObserver(before=never)
    mute = LivePlayer(before=never)
    report = build(
        tmp_path / "store",
        dataset,
        mute,
        idle,
        asking=RECURATE,
        curate=STRICTER,
        observer=blind,
    )
    assert (report.action, report.asked, report.num_observed) == ("recurated", 0, 0)
    assert files_of(tmp_path / "store") == files_of(tmp_path / "fresh")
    again = build(tmp_path / "store", dataset, mute, idle, asking=RECURATE, curate=STRICTER)
    assert again.action == "nothing to do"


def test_recurating_leaves_unfinished_posts_unfinished(tmp_path: Path, dataset: Dataset) -> None:
    down = LivePlayer(script={RIVER: [BLOCK]})
    build(tmp_path, dataset, down)
    up = LivePlayer(before=never)
    report = build(tmp_path, dataset, up, asking=RECURATE)
    assert report.action == "nothing to do"
    report = build(tmp_path, dataset, up, asking=RECURATE, curate=STRICTER)
    assert (report.action, [one.example_id for one in report.unfinished]) == ("recurated", ["e1"])
    assert "without --recurate" in report.unfinished[0].reason
    assert build(tmp_path, dataset, LivePlayer(), curate=STRICTER).unfinished == ()


def test_recurating_refuses_anything_but_other_curation(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(StoreMismatch, match="no finished store"):
        build(tmp_path, dataset, LivePlayer(), asking=RECURATE)
    build(tmp_path, dataset, LivePlayer())
    before = files_of(tmp_path)
    with pytest.raises(StoreMismatch, match="dataset"):
        build(tmp_path, relabelled(dataset, "ORG"), LivePlayer(), asking=RECURATE)
    with pytest.raises(StoreMismatch, match="ask"):
        build(tmp_path, dataset, LivePlayer(fingerprint="other"), asking=RECURATE)
    assert files_of(tmp_path) == before


def test_recurating_refuses_to_go_on_without_every_recording(
    tmp_path: Path, dataset: Dataset
) -> None:
    build(tmp_path, dataset, LivePlayer(), CountingProvider())
    before = files_of(tmp_path)
    for path in (tmp_path / RECORDINGS).glob("answers-*"):
        path.unlink()
    with pytest.raises(StoreMismatch, match=r"4 to provider web, 12 to provider kb.*without --re"):
        build(
            tmp_path, dataset, LivePlayer(), CountingProvider(), asking=RECURATE, curate=STRICTER
        )
    assert files_of(tmp_path) == before
    # Nothing was begun either: the old settings still find their store.
    assert build(tmp_path, dataset, LivePlayer(), CountingProvider()).action == "nothing to do"


def test_recurating_refuses_to_embed_or_to_drop_a_finished_post(
    tmp_path: Path, dataset: Dataset
) -> None:
    plain = CountingProvider(vectors=False)
    build(tmp_path, dataset, plain)
    with Recordings(tmp_path / RECORDINGS) as book:
        answers = [book.get(one.key) for one in book.asked("kb")]
    for path in (tmp_path / RECORDINGS).glob("answers-*"):
        path.unlink()
    with Recordings(tmp_path / RECORDINGS) as book:
        book.put_segment([one for one in answers if one is not None])
    with pytest.raises(StoreMismatch, match=r"embeddings of .* are not recorded"):
        build(tmp_path, dataset, plain, asking=RECURATE, curate=STRICTER)
    for path in (tmp_path / RECORDINGS).glob("media-*"):
        path.unlink()
    with pytest.raises(StoreMismatch, match="cannot be curated anew: image"):
        build(tmp_path, dataset, plain, asking=RECURATE, curate=STRICTER)


class Terminal(StringIO):
    """Takes what is written, and says that it is a terminal."""

    def isatty(self) -> bool:
        """Return that it is."""
        return True


def test_the_bar_shows_what_was_asked_recorded_blocked_and_is_left(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    build(tmp_path, dataset, LivePlayer(), max_queries=1)
    player = LivePlayer(script={RIVER: [BLOCK]})
    assert terminal.getvalue() == ""
    build(tmp_path, dataset, player, progress=True, max_queries=2)
    # Sentences of e0 and e3 (the same), e1, e2, e4; recorded: the one of e0.
    at_last = terminal.getvalue().split("\r")[-1]
    assert "5/5" in at_last
    assert "asked=1, recorded=1, blocked=1, left=0" in at_last


RECIPE = """
[dataset]
reader = "jsonl"
task = "mner"
root = "{root}"
[observe]
detector = "none"
encoder = "none"
[ask]
providers = ["searxng"]
[ask.searxng]
address = "http://127.0.0.1:9"
[ask.polite]
seconds_between = 3
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    """Return a recipe over three posts whose only provider cannot be reached."""
    posts = tmp_path / "posts"
    posts.mkdir()
    for split in ("train", "dev", "test"):
        line = {"id": f"{split}-1", "tokens": ["Oslo", split], "entities": []}
        (posts / f"{split}.jsonl").write_text(json.dumps(line) + "\n")
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE.format(root=posts))
    return str(path)


def test_the_verb_says_what_it_will_ask_and_what_is_missing(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["build", recipe, "--store", str(tmp_path / "store"), "--offline"]
    assert main([*call, "--json"]) == 1
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert told["missing"] == {"searxng": 6}
    assert told["estimate"][0]["seconds"] == 18
    assert "searxng: 6 questions, 0 recorded, 18 s for 6 to ask" in captured.err
    assert main(call) == 1
    said = capsys.readouterr().out
    assert "6 questions to provider searxng have no recording; run without --offline" in said
    assert "3 posts are unfinished" in said


FETCHING = """[ask.fetch]
seconds_between = 0
allowed_hosts = ["{host}"]
"""


def forget_fetches(store: Path) -> None:
    """Leave of a store the answers to questions alone."""
    with Recordings(store / RECORDINGS) as book:
        answers = [book.get(one.key) for one in book.asked("searxng")]
    shutil.rmtree(store)
    with Recordings(store / RECORDINGS) as book:
        book.put_segment([one for one in answers if one is not None])


def test_pages_and_images_that_were_never_fetched_are_counted_each_once(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    call = ["build", recipe, "--store", str(store), "--set", "ask.polite.seconds_between=0"]
    with ReplayServer() as server:
        text = Path(recipe).read_text().replace("http://127.0.0.1:9", server.address)
        host = server.address.rpartition("//")[2]
        Path(recipe).write_text(text + FETCHING.format(host=host))
        assert main([*call, "--json"]) == 0
        first = json.loads(capsys.readouterr().out)["fetches"]
        assert first["fetched"] > 0
        assert first["unavailable"] == 0
        forget_fetches(store)
        assert main([*call, "--json", "--offline"]) == 1
        missing = first["fetched"] + first["failed"]
        told = json.loads(capsys.readouterr().out)
        assert told["fetches"] == {"fetched": 0, "failed": 0, "unavailable": missing}
        assert main([*call, "--offline"]) == 1
        assert f"{missing} pages and images have no recording" in capsys.readouterr().out
        assert main(call) == 0
    said = capsys.readouterr().out
    assert f"fetched {first['fetched']}, failed for good {first['failed']}, unavailable 0" in said


def test_budgets_of_the_command_line_hold(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["build", recipe, "--store", str(tmp_path / "store")]
    assert main([*call, "--max-queries", "0"]) == 1
    assert "ask.polite.max_queries=0 were asked" in capsys.readouterr().out
    assert main([*call, "--max-minutes", "0"]) == 1
    assert "ask.polite.max_minutes=0 are over" in capsys.readouterr().out
    assert main([*call, "--max-queries", "-1"]) == 2
    assert "max_queries" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong", [["--offline", "--recurate"], ["--refresh", "-1"], ["--refresh", "nan"]]
)
def test_options_that_make_no_sense_are_a_wrong_call(recipe: str, wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["build", recipe, *wrong])
    assert stopped.value.code == 2
