from __future__ import annotations

import io
import json
import resource
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ctrl_c import seconds_after_ctrl_c
from curation_helpers import encode, make_hit, picture
from hostile_server import (
    HostileServer,
    Talk,
    drips,
    not_found,
    picture_bytes,
    png_bomb,
    redirects,
    says,
    serving,
)
from live_helpers import LivePlayer
from PIL import Image
from polite_helpers import FakeClock

from cache.errors import ProviderUnavailable
from cache.keys import content_key
from cache.recording.recordings import Recording, Recordings
from cache.records import Dropped, Hit, Media, Observation, Post, Query
from retrieval.asking.answers import MemoryBook
from retrieval.building.cases import Seen, Unfinished
from retrieval.building.gather import Gatherer
from retrieval.fetching.fetch import Fetcher
from retrieval.fetching.fetch_url import Fetched, Target
from retrieval.fetching.kept_image import kept_copy
from retrieval.fetching.live_hits import LiveHits
from retrieval.http.base import NoAnswer, Request, Response
from retrieval.http.client import GuardedClient
from retrieval.http.connection import Network
from retrieval.settings import CurateSettings, FetchSettings, PoliteSettings

# Two tries without pauses; patient enough for a machine that stands still for seconds.
POLITE = PoliteSettings(timeout_s=60, deadline_s=120, attempts=2, first_pause_s=0)
HASTY = POLITE.model_copy(update={"timeout_s": 1.0, "deadline_s": 2.0})
HOSTS = ("a.test", "b.test", "c.test", "d.test")


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with serving() as one:
        yield one


def here(host: str, port: int) -> list[Any]:
    """Resolve every name to this machine, but those that end in ``dead.test``."""
    if host.endswith("dead.test"):
        raise OSError("no such name")
    return [(2, 1, 0, "", ("127.0.0.1", port))]


class Fetching:
    """A fetcher of a server that has several names, and the book that it keeps."""

    def __init__(self, server: HostileServer, book: Any = None, **rest: Any) -> None:
        polite = rest.pop("polite", POLITE)
        offline = rest.pop("offline", False)
        clock = rest.pop("clock", None)
        settings = FetchSettings(
            **{"robots": False, "allowed_hosts": HOSTS, "seconds_between": 0, **rest}
        )
        client = GuardedClient(
            polite, allowed_hosts=settings.allowed_hosts, network=Network(resolve=here)
        )
        self.server = server
        self.book = MemoryBook() if book is None else book
        self.fetcher = Fetcher(client, settings, polite, self.book, offline, clock)

    def url(self, path: str, host: str = "a.test") -> str:
        return self.server.url(path, host)

    def get(self, path: str, kind: Any = "image", host: str = "a.test") -> Fetched:
        target = Target(self.url(path, host), kind)
        self.fetcher.fetch([target])
        return self.fetcher.get(target)


def image_of(fetching: Fetching, found: Fetched) -> Image.Image:
    return Image.open(io.BytesIO(fetching.book.media(found.media_key).data))


def exif(**tags: Any) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = tags.get("orientation", 1)
    found[0x010F] = "SecretCamera"
    found.get_ifd(0x8825)[1] = "N"
    found.get_ifd(0x8825)[2] = (59.0, 54.0, 0.0)
    return found


def test_an_image_is_kept_as_a_small_clean_copy_with_the_hash_of_the_original(
    server: HostileServer,
) -> None:
    data = picture_bytes("PNG", (1600, 1200))
    server.on("/a.png", says(data, "image/png"))
    fetching = Fetching(server, max_image_side=320)

    found = fetching.get("/a.png")

    assert found.sha256 == content_key(data)
    media = fetching.book.media(found.media_key)
    assert (media.format, media.width, media.height) == ("JPEG", 320, 240)
    assert media.key == content_key(media.data) != found.sha256
    assert (found.status, found.final_url) == (200, fetching.url("/a.png"))
    assert image_of(fetching, found).size == (320, 240)


def test_the_copy_stands_upright_and_tells_neither_place_nor_camera(
    server: HostileServer,
) -> None:
    data = picture_bytes("JPEG", (64, 48), exif=exif(orientation=6), comment=b"SecretComment")
    assert b"SecretCamera" in data
    server.on("/a.jpg", says(data + b"SecretTrailer", "image/jpeg"))
    fetching = Fetching(server)

    found = fetching.get("/a.jpg")

    copy = fetching.book.media(found.media_key).data
    assert b"Secret" not in copy
    image = image_of(fetching, found)
    assert len(image.getexif()) == 0
    assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    assert image.size == (48, 64)  # a quarter turn to the right
    red, green, blue = image.getpixel((40, 8))  # type: ignore[misc]
    assert red > 200
    assert max(green, blue) < 60


def test_the_copy_is_the_same_every_time_and_transparency_is_white() -> None:
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    first, second = kept_copy(buffer.getvalue(), 32), kept_copy(buffer.getvalue(), 32)
    assert first == second
    assert Image.open(io.BytesIO(first.data)).getpixel((5, 5)) == (255, 255, 255)


def test_a_line_of_pixels_keeps_its_width() -> None:
    media = kept_copy(picture_bytes("PNG", (4000, 2)), 64)
    assert (media.width, media.height) == (64, 1)


def test_of_an_animation_the_first_frame_is_kept(server: HostileServer) -> None:
    frames = [Image.new("P", (20, 20), color) for color in (1, 2, 3)]
    for frame in frames:
        frame.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    buffer = io.BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    server.on("/a.gif", says(buffer.getvalue(), "image/gif"))
    fetching = Fetching(server)

    red, green, blue = image_of(fetching, fetching.get("/a.gif")).getpixel((5, 5))  # type: ignore[misc]

    assert red > 200
    assert max(green, blue) < 60


def parquet_bytes() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"zeros": pa.array([0] * 100_000)}), buffer)
    return buffer.getvalue()


BOMB = png_bomb(20_000)
PHOTO = picture_bytes()


@pytest.mark.parametrize(
    ("body", "kind", "problem"),
    [
        (BOMB, "image/png", "too many pixels"),
        (parquet_bytes(), "image/jpeg", "not an image"),
        (parquet_bytes(), "application/octet-stream", "not an image"),
        (PHOTO[: len(PHOTO) // 2], "image/jpeg", "damaged"),
        (b"", "image/jpeg", "empty"),
        (b"<svg onload=alert(1)>", "image/svg+xml", "not an image"),
        (b"<html>log in first</html>", "text/html", "type"),
        (PHOTO, "application/json", "type"),
        (PHOTO + bytes(200_000), "image/jpeg", "larger than 100,000 bytes"),
    ],
    ids=["bomb", "parquet", "octets", "half", "empty", "svg", "html", "json", "large"],
)
def test_what_is_no_image_is_dropped_with_the_reason_and_never_asked_again(
    body: bytes, kind: str, problem: str, server: HostileServer
) -> None:
    server.on("/x", says(body, kind))
    fetching = Fetching(server, max_image_bytes=100_000)

    assert problem in fetching.get("/x").problem
    assert problem in Fetching(server, fetching.book, max_image_bytes=100_000).get("/x").problem
    assert server.paths == ["/x"]
    assert fetching.fetcher.counts["failed"] == 1


def test_a_bomb_of_pixels_takes_no_memory() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        with pytest.raises(Exception, match="pixels"):
            kept_copy(BOMB, 768)
    assert len(BOMB) < 100_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "data:image/png;base64,iVBORw0KGgo=", "javascript:alert(1)",
        "ftp://a.test/x.png", "http://127.0.0.1:9/x", "http://169.254.169.254/latest",
        "http://[::1]/", "http://user:word@a.test/", "x", "", "http://a\ud800.test/", "//a.test/x",
    ],
)  # fmt: skip
def test_what_may_not_be_fetched_is_recorded_with_the_reason(
    url: str, server: HostileServer, tmp_path: Any
) -> None:
    target = Target(url, "image")
    with Recordings(tmp_path) as book:
        client = GuardedClient(POLITE, allowed_hosts=HOSTS)
        settings = FetchSettings(robots=False, allowed_hosts=HOSTS)
        fetcher = Fetcher(client, settings, POLITE, book)
        fetcher.fetch([target])
        assert fetcher.get(target).problem
        assert "word" not in fetcher.get(target).problem
        assert fetcher.counts["failed"] == 1


def test_a_url_is_fetched_once_ever_and_replayed_offline(
    server: HostileServer, tmp_path: Any
) -> None:
    server.on("/a.jpg", says(PHOTO, "image/jpeg"))
    server.on("/a.html", says(PAGE % LINES, "text/html"))
    with Recordings(tmp_path) as book:
        first = Fetching(server, book)
        targets = [
            Target(first.url("/a.jpg"), "image"),
            Target(first.url("/a.jpg#part"), "image"),
            Target(first.url("/a.html"), "page"),
            Target(first.url("/none"), "page"),
        ]
        first.fetcher.fetch(targets)
        first.fetcher.fetch(targets)
        found = [first.fetcher.get(target) for target in targets]
        assert first.fetcher.counts == {
            "fetched": 2, "failed": 1, "recorded": 3, "unavailable": 0,
        }  # fmt: skip
    assert sorted(server.paths) == ["/a.html", "/a.jpg", "/none"]
    assert found[3].problem == "status 404"

    with Recordings(tmp_path) as book:
        replay = Fetching(server, book, offline=True)
        replay.fetcher.fetch(targets)
        assert [replay.fetcher.get(target) for target in targets] == found
        assert book.media(found[0].media_key).format == "JPEG"
        with pytest.raises(ProviderUnavailable, match="online"):
            replay.get("/new")
        assert replay.fetcher.counts["unavailable"] == 1
    assert len(server.paths) == 3


def test_an_image_that_was_lost_since_is_fetched_again(
    server: HostileServer, tmp_path: Path
) -> None:
    server.on("/a.png", says(picture_bytes("PNG"), "image/png"))
    book = Recordings(tmp_path)
    found = Fetching(server, book).get("/a.png")
    for path in tmp_path.glob("media-*"):
        path.unlink()
    again = Fetching(server, Recordings(tmp_path))
    assert again.get("/a.png") == found
    assert again.book.media(found.media_key).key == found.media_key


def test_what_was_never_fetched_is_counted_once_however_often_it_is_wanted(
    server: HostileServer,
) -> None:
    fetcher = Fetching(server, offline=True).fetcher
    targets = [Target(server.url(f"/{index}", "a.test"), "page") for index in range(3)]
    fetcher.fetch(targets)
    fetcher.fetch(targets[:2])
    assert fetcher.counts["unavailable"] == 3


def test_a_target_that_was_fetched_at_last_is_not_unavailable(server: HostileServer) -> None:
    fetching = Fetching(server)
    dead = Target("http://dead.test/x", "image")
    fetching.fetcher.fetch([dead])
    assert fetching.fetcher.counts["unavailable"] == 1
    fetching.fetcher.fetch([dead, Target(fetching.url("/none"), "page")])
    assert fetching.fetcher.counts["unavailable"] == 0


def test_recordings_are_json_with_the_url_and_the_time(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    server.on("/a.jpg", says(PHOTO, "image/jpeg"))
    kept: list[Recording] = []

    class Book(MemoryBook):
        def put_segment(self, answers: Any, media: Iterable[Media] = ()) -> None:
            kept.extend(answers)
            super().put_segment(answers, media)

    fetching = Fetching(server, Book())
    fetching.get("/a.jpg")
    assert kept[0].provider == "fetch"
    assert json.loads(kept[0].query_json) == {"kind": "image", "url": fetching.url("/a.jpg")}
    assert kept[0].asked_at == "2023-11-14T22:13:20+00:00"
    assert json.loads(kept[0].body)["sha256"] == content_key(PHOTO)


def test_a_kill_loses_no_more_finished_fetches_than_the_documentation_says() -> None:
    class Book(MemoryBook):
        def put_segment(self, answers: Any, media: Iterable[Media] = ()) -> None:
            sizes.append(len(answers))
            super().put_segment(answers, media)

    class Missing:
        def send(self, request: Request) -> Response:
            return Response(404, request.url, {}, b"")

    sizes: list[int] = []
    settings = FetchSettings(robots=False, seconds_between=0)
    fetcher = Fetcher(Missing(), settings, POLITE, Book())
    fetcher.fetch(Target(f"http://a.test/{index}", "page") for index in range(70))
    assert sizes == [32, 32, 6]
    text = (Path(__file__).parent.parent / "docs" / "fetching.md").read_text(encoding="utf-8")
    assert f"written {max(sizes)} at a time" in text


def test_other_limits_fetch_anew_and_machine_facts_do_not(server: HostileServer) -> None:
    server.on("/a.jpg", says(PHOTO, "image/jpeg"))
    fetching = Fetching(server)
    fetching.get("/a.jpg")
    Fetching(server, fetching.book, together=1, max_page_bytes=99, pages=False).get("/a.jpg")
    assert len(server.paths) == 1
    assert Fetching(server, fetching.book, max_image_side=32).get("/a.jpg").media_key
    assert len(server.paths) == 2


def test_a_host_that_is_allowed_later_is_asked_then(server: HostileServer) -> None:
    server.on("/a.jpg", says(PHOTO, "image/jpeg"))
    fetching = Fetching(server, allowed_hosts=())
    assert "no public address" in fetching.get("/a.jpg").problem
    assert server.num_connections == 0
    assert Fetching(server, fetching.book).get("/a.jpg").problem == ""


def test_redirects_are_followed_to_allowed_hosts_alone(server: HostileServer) -> None:
    server.on("/a.jpg", says(PHOTO, "image/jpeg"))
    server.on("/to", redirects(f"http://b.test:{server.port}/a.jpg"))
    server.on("/here", redirects(f"http://127.0.0.1:{server.port}/a.jpg"))
    fetching = Fetching(server)
    assert fetching.get("/to").final_url == fetching.url("/a.jpg", "b.test")
    assert "no public address" in fetching.get("/here").problem
    assert server.paths == ["/to", "/a.jpg", "/here"]


@pytest.mark.parametrize("status", ["500 Oops", "503 Later", "429 Slowly", "408 Timeout"])
def test_a_problem_that_may_pass_is_tried_again_and_then_recorded(
    status: str, server: HostileServer
) -> None:
    server.on("/x", says(b"", status=status))
    fetching = Fetching(server)
    assert fetching.get("/x").problem == f"status {status[:3]}"
    assert server.paths == ["/x", "/x"]
    assert Fetching(server, fetching.book).get("/x").problem
    assert len(server.paths) == 2


def test_the_second_try_counts(server: HostileServer) -> None:
    def recovers(talk: Talk) -> None:
        first = len(server.paths) == 1
        (says(b"", status="503 Later") if first else says(PHOTO, "image/jpeg"))(talk)

    server.on("/x", recovers)
    assert Fetching(server).get("/x").problem == ""


def test_a_dead_host_is_recorded_only_where_the_network_works(server: HostileServer) -> None:
    server.on("/a.jpg", says(PHOTO, "image/jpeg"))
    fetching = Fetching(server)
    dead = Target("http://dead.test/x", "image")

    fetching.fetcher.fetch([dead])
    with pytest.raises(ProviderUnavailable, match="cannot be resolved"):
        fetching.fetcher.get(dead)
    assert fetching.fetcher.counts["unavailable"] == 1

    alive = Target(fetching.url("/a.jpg"), "image")
    fetching.fetcher.fetch([dead, alive])
    assert "cannot be resolved" in fetching.fetcher.get(dead).problem
    assert fetching.fetcher.get(alive).problem == ""


def test_a_network_that_breaks_down_and_returns_spoils_nothing(server: HostileServer) -> None:
    clock = FakeClock()
    fetching = Fetching(server, clock=clock)
    dead = Target("http://dead.test/x", "image")
    fetching.get("/before")
    clock.wait(600)
    fetching.fetcher.fetch([dead])
    with pytest.raises(ProviderUnavailable):
        fetching.fetcher.get(dead)
    clock.wait(600)
    fetching.get("/after")
    with pytest.raises(ProviderUnavailable):
        fetching.fetcher.get(dead)
    clock.wait(30)
    fetching.fetcher.fetch([dead])
    assert fetching.fetcher.get(dead).problem


def test_a_dead_host_is_not_tried_for_each_of_its_images() -> None:
    class Silent:
        num_sent = 0

        def send(self, request: Request) -> Response:
            self.num_sent += 1
            raise NoAnswer("nobody there", reached=False)

    client = Silent()
    fetcher = Fetcher(client, FetchSettings(robots=False, seconds_between=0), POLITE, MemoryBook())
    fetcher.fetch(Target(f"http://dead.test/{index}", "image") for index in range(50))
    assert client.num_sent == POLITE.attempts
    assert fetcher.counts["unavailable"] == 50


def turned_away(server: HostileServer) -> tuple[Fetching, list[Target]]:
    """Return who was to fetch twenty images of a host that wants none to be asked for."""
    targets = [Target(server.url(f"/{index}", "a.test"), "image") for index in range(20)]
    for index in range(20):
        server.on(f"/{index}", says(b"", status="429 Slowly", Retry_After="31"))
    fetching = Fetching(server, clock=FakeClock())
    fetching.fetcher.fetch(targets)
    return fetching, targets


def test_a_host_that_turns_everything_away_is_left_alone(server: HostileServer) -> None:
    fetching, _ = turned_away(server)
    assert len(server.paths) == 2
    assert fetching.fetcher.counts == Counter(fetched=0, recorded=0, failed=2, unavailable=18)


def test_what_a_host_was_not_asked_for_has_no_recording_and_is_fetched_later(
    server: HostileServer,
) -> None:
    fetching, targets = turned_away(server)
    asked = [one for one in targets if any(one.url.endswith(path) for path in server.paths)]
    left = [one for one in targets if one not in asked]
    assert {fetching.fetcher.get(target).problem for target in asked} == {"status 429"}
    for target in left:
        with pytest.raises(ProviderUnavailable, match="its host failed time after time"):
            fetching.fetcher.get(target)

    for index in range(20):
        server.on(f"/{index}", says(PHOTO, "image/jpeg"))
    later = Fetching(server, fetching.book, clock=FakeClock())
    later.fetcher.fetch(targets)
    assert {later.fetcher.get(target).problem for target in left} == {""}
    assert later.fetcher.counts == Counter(fetched=18, recorded=2, failed=0, unavailable=0)


def test_rules_that_cannot_be_had_now_forbid_nothing_for_good(server: HostileServer) -> None:
    server.on("/robots.txt", says(b"", status="503 Later"))
    targets = [Target(server.url(f"/{index}", "a.test"), "image") for index in range(20)]
    fetching = Fetching(server, robots=True)
    fetching.fetcher.fetch(targets)
    assert fetching.fetcher.counts["unavailable"] == 18


def test_a_host_that_was_reached_before_is_there() -> None:

    class Restarting:
        num_sent = 0

        def send(self, request: Request) -> Response:
            self.num_sent += 1
            raise NoAnswer(f"no answer of {request.url}", reached=self.num_sent <= POLITE.attempts)

    settings = FetchSettings(robots=False, seconds_between=0)
    fetcher = Fetcher(Restarting(), settings, POLITE, MemoryBook())
    fetcher.fetch(Target(f"http://a.test/{index}", "image") for index in range(50))
    assert fetcher.counts == Counter(fetched=0, recorded=0, failed=2, unavailable=48)


def test_what_is_recorded_of_a_dead_host_names_no_other_url(server: HostileServer) -> None:
    server.on("/a.jpg", says(PHOTO, "image/jpeg"))
    fetching = Fetching(server)
    dead = [Target(f"http://dead.test/{index}.jpg", "image") for index in range(5)]
    fetching.fetcher.fetch([*dead, Target(fetching.url("/a.jpg"), "image")])
    for target in dead:
        problem = fetching.fetcher.get(target).problem
        assert problem == "its host was not reached" or target.url in problem


def test_want_of_memory_says_nothing_of_an_image_or_page(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: Any, **__: Any) -> Any:
        raise MemoryError

    server.on("/a.jpg", says(PHOTO, "image/jpeg"))
    server.on("/a", says(PAGE % LINES, "text/html"))
    targets = [Target(server.url("/a.jpg", "a.test"), "image")]
    targets.append(Target(server.url("/a", "b.test"), "page"))
    fetching = Fetching(server)
    with monkeypatch.context() as patch:
        patch.setattr("retrieval.sight.photos._upright", no_memory)
        patch.setattr("retrieval.fetching.pages.bare_extraction", no_memory)
        fetching.fetcher.fetch(targets)
    for target in targets:
        with pytest.raises(ProviderUnavailable, match="no memory"):
            fetching.fetcher.get(target)
    fetching.fetcher.fetch(targets)
    assert [fetching.fetcher.get(target).problem for target in targets] == ["", ""]


def test_hosts_are_asked_in_parallel_and_each_one_thing_at_a_time(server: HostileServer) -> None:
    under_way: Counter[str] = Counter()
    most_of_a_host: list[int] = []
    together: list[int] = []
    three = threading.Event()

    def slow(talk: Talk) -> None:
        host = talk.head.split("Host: ")[1].split(":")[0]
        with server.lock:
            under_way[host] += 1
            most_of_a_host.append(under_way[host])
            together.append(under_way.total())
            if together[-1] == 3:
                three.set()
        three.wait(60)
        talk.wait(0.05)  # for a fourth one, were it sent
        # Before the reply: after it, the next request may come first.
        with server.lock:
            under_way[host] -= 1
        talk.reply(PHOTO, Content_Type="image/jpeg")

    targets = []
    for host in HOSTS:
        for index in range(4):
            server.on(f"/{index}", slow)
            targets.append(Target(server.url(f"/{index}", host), "image"))
    fetching = Fetching(server, together=3)
    fetching.fetcher.fetch(targets)

    assert set(most_of_a_host) == {1}
    assert max(together) == 3
    assert all(fetching.fetcher.get(target).media_key for target in targets)


def test_a_host_is_left_in_peace_between_two_fetches(server: HostileServer) -> None:
    server.on("/robots.txt", says(b"User-agent: *\nCrawl-delay: 7\n", "text/plain"))
    clock = FakeClock()
    fetching = Fetching(server, seconds_between=3, clock=clock, robots=True)
    targets = [Target(fetching.url(f"/{index}"), "image") for index in range(3)]
    fetching.fetcher.fetch(targets)
    assert clock.seconds == 14

    other = Fetching(server, seconds_between=3, clock=FakeClock())
    other.fetcher.fetch(targets)
    assert server.paths.count("/robots.txt") == 1


def test_robots_are_asked_once_and_obeyed(server: HostileServer) -> None:
    rules = b"User-agent: *\nDisallow: /no\nUser-agent: ramie\nDisallow: /secret\n"
    server.on("/robots.txt", says(rules, "text/plain"))
    for path in ["/no/a.jpg", "/secret/a.jpg"]:
        server.on(path, says(PHOTO, "image/jpeg"))
    fetching = Fetching(server, robots=True)

    assert fetching.get("/no/a.jpg").problem == ""
    assert "robots.txt forbids" in fetching.get("/secret/a.jpg").problem
    assert server.paths == ["/robots.txt", "/no/a.jpg"]
    assert Fetching(server, robots=False).get("/secret/a.jpg").problem == ""


def test_without_rules_nothing_is_forbidden(server: HostileServer) -> None:
    server.on("/robots.txt", not_found)
    server.on("/a.jpg", says(PHOTO, "image/jpeg"))
    assert Fetching(server, robots=True).get("/a.jpg").problem == ""


@pytest.mark.parametrize("answer", [says(b"", status="503 Later"), drips(b"", b"", 30)])
def test_rules_that_cannot_be_had_now_allow_nothing_now(
    answer: Any, server: HostileServer
) -> None:
    server.on("/robots.txt", answer)
    server.on("/a.jpg", says(PHOTO, "image/jpeg"))
    assert Fetching(server, robots=True, polite=HASTY).get("/a.jpg").problem
    assert set(server.paths) == {"/robots.txt"}


def test_a_crawl_delay_of_a_year_is_a_no(server: HostileServer) -> None:
    server.on("/robots.txt", says(b"User-agent: *\nCrawl-delay: 31536000\n", "text/plain"))
    assert "between two requests" in Fetching(server, robots=True).get("/a.jpg").problem
    assert server.paths == ["/robots.txt"]


def test_rules_without_end_are_not_read(server: HostileServer) -> None:
    server.on("/robots.txt", says(b"Disallow: /x\n" * 100_000, "text/plain"))
    assert "larger" in Fetching(server, robots=True).get("/a.jpg").problem


def test_on_ctrl_c_it_returns_at_once_with_what_was_fetched(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("/a.jpg", says(PHOTO, "image/jpeg"))
    server.on("/slow", drips(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n", b"", 30))
    fetching = Fetching(server)
    fine = Target(fetching.url("/a.jpg"), "image")
    slow = Target(fetching.url("/slow", "b.test"), "image")
    one_is_there = threading.Event()
    fetch_all = fetching.fetcher._fetch_all

    def watched(missing: Any) -> Iterator[Any]:
        for one in fetch_all(missing):
            yield one
            # Who asks for the next one has put this one by.
            one_is_there.set()

    monkeypatch.setattr(fetching.fetcher, "_fetch_all", watched)
    seconds = seconds_after_ctrl_c(
        lambda: fetching.fetcher.fetch([fine, slow]),
        lambda: one_is_there.is_set() and "/slow" in server.paths,
    )
    assert seconds < 15  # of the minute that the other one drips
    assert fetching.fetcher.get(fine).media_key
    with pytest.raises(ProviderUnavailable):
        fetching.fetcher.get(slow)


def test_a_fault_of_our_own_is_raised_and_not_recorded() -> None:
    class Broken:
        def send(self, request: Request) -> Response:
            raise ZeroDivisionError

    book = MemoryBook()
    fetcher = Fetcher(Broken(), FetchSettings(robots=False), POLITE, book)
    target = Target("http://a.test/x", "image")
    with pytest.raises(ZeroDivisionError):
        fetcher.fetch([target])
    with pytest.raises(ProviderUnavailable):
        fetcher.get(target)


PAGE = b"<html><head><title>Oslo <script>x</script></title></head><body><article>%b</article>"
LINES = b"".join(b"<p>Line %d of the long story about the town.</p>" % i for i in range(300))


def resolve(fetching: Fetching, hit: Hit, **provider: Any) -> Hit | Dropped:
    live = LiveHits([LivePlayer(**{"wants_pages": True, **provider})], fetching.fetcher)
    live.fetch([hit])
    return live.resolve(hit)


def test_an_image_hit_gets_its_image_or_is_dropped(server: HostileServer) -> None:
    server.on("/a.jpg", says(PHOTO, "image/jpeg"))
    fetching = Fetching(server)
    hit = replace(
        make_hit("1", modality="image", provider="web"), image_url=fetching.url("/a.jpg")
    )

    kept = resolve(fetching, hit)
    assert isinstance(kept, Hit)
    assert kept.image_sha256 == content_key(PHOTO)
    assert fetching.book.has_media(kept.media_key or "")
    assert kept.image_url == hit.image_url

    gone = replace(hit, image_url=fetching.url("/none"))
    assert resolve(fetching, gone) == Dropped(gone, "fetch", "status 404")


def test_a_redirect_does_not_hide_where_a_hit_is_from(server: HostileServer) -> None:
    server.on("/a.jpg", says(PHOTO, "image/jpeg"))
    server.on("/image", redirects(f"http://b.test:{server.port}/a.jpg"))
    server.on("/p", says(PAGE % LINES, "text/html"))
    server.on("/page", redirects(f"http://b.test:{server.port}/p"))
    fetching = Fetching(server)
    image = replace(
        make_hit("1", modality="image", provider="web"), image_url=fetching.url("/image")
    )
    page = replace(make_hit("1", "Line 217", provider="web"), url=fetching.url("/page"))

    found_image, found_page = resolve(fetching, image), resolve(fetching, page)
    assert isinstance(found_image, Hit)
    assert isinstance(found_page, Hit)
    assert found_image.image_url == fetching.url("/a.jpg", "b.test")
    assert found_page.url == fetching.url("/p", "b.test")


def test_a_text_hit_gets_the_passage_of_its_page_around_the_snippet(
    server: HostileServer,
) -> None:
    server.on("/p", says(PAGE % LINES, "text/html"))
    fetching = Fetching(server, max_page_chars=200)
    hit = replace(
        make_hit("1", "Line 217 ... story", provider="web", title="old"), url=fetching.url("/p")
    )

    found = resolve(fetching, hit)

    assert isinstance(found, Hit)
    assert "Line 217 of the long story about the town." in found.text
    assert len(found.text) <= 200
    assert found.title == "Oslo <script>x</script>"


def test_the_snippet_stays_where_the_page_has_nothing_to_add(server: HostileServer) -> None:
    server.on("/wall", says(PAGE % b"<p>Please accept all cookies first.</p>", "text/html"))
    server.on("/pdf", says(b"%PDF-1.7", "application/pdf"))
    fetching = Fetching(server)
    for path in ["/wall", "/pdf", "/none"]:
        hit = replace(make_hit("1", "story of Oslo", provider="web"), url=fetching.url(path))
        assert resolve(fetching, hit) is hit

    bare = replace(make_hit("1", " ", provider="web"), url=fetching.url("/none"))
    assert resolve(fetching, bare) == Dropped(bare, "fetch", "status 404")


def test_nothing_is_fetched_for_hits_that_have_it_or_do_not_want_it(
    server: HostileServer,
) -> None:
    fetching = Fetching(server)
    url = fetching.url("/p")
    text = replace(make_hit("1", "words", provider="web"), url=url)
    image = make_hit("1", modality="image", provider="web")
    kept = replace(image, media_key="k", image_url=url)
    for hit in [image, kept, make_hit("1", "words", provider="web")]:
        assert resolve(fetching, hit) is hit
    assert resolve(fetching, text, wants_pages=False) is text
    for hit in [replace(text, provider="kb"), replace(kept, media_key=None, provider="kb")]:
        assert resolve(fetching, hit) is hit
    assert resolve(Fetching(server, pages=False), text) is text
    assert server.paths == []


def test_an_image_that_could_not_be_asked_for_leaves_the_post_unfinished(
    server: HostileServer,
) -> None:
    hit = replace(
        make_hit("1", modality="image", provider="web"), image_url="http://dead.test/x.jpg"
    )
    with pytest.raises(ProviderUnavailable):
        resolve(Fetching(server), hit)


class NoEncoder:
    encoder_fingerprint = ""

    def embed_texts(self, texts: Any) -> None:
        return None

    def embed_images(self, images: Any) -> None:
        return None


class ImageSearch(LivePlayer):
    """Finds the same images for every photo; keeps the questions."""

    def __init__(self, urls: list[str]) -> None:
        super().__init__()
        self.urls = urls
        self.queries: list[Query] = []

    def accepts(self, query: Query) -> bool:
        return query.level == "image" and query.modality == "image"

    def ask(self, queries: Any, k: int) -> list[bytes | ProviderUnavailable]:
        self.queries += queries
        return [b"{}"] * len(queries)

    def parse(self, query: Query, body: bytes, asked_at: str) -> list[Hit]:
        return [
            Hit(query.level, query.modality, -1, self.name, url, rank, 0.0, image_url=url)
            for rank, url in enumerate(self.urls)
        ]


def noise(seed: int) -> bytes:
    buffer = io.BytesIO()
    picture(seed).save(buffer, "PNG")
    return buffer.getvalue()


def gather(fetching: Fetching, provider: ImageSearch, *, fetch: bool = True) -> Any:
    photo = encode(picture(99), "JPEG")
    observation = Observation(Post("p", ("words",)), photo_key=photo.key, photo_status="ok")
    gatherer = Gatherer(
        [provider],
        fetching.book,
        NoEncoder(),
        5,
        CurateSettings(),
        fetcher=fetching.fetcher if fetch else None,
    )
    return gatherer.gather([Seen(observation, photo)])[0]


def test_evidence_is_made_of_fetched_images_and_the_rest_is_dropped_with_reasons(
    server: HostileServer,
) -> None:
    server.on("/a.png", says(noise(1), "image/png"))
    server.on("/bomb.png", says(BOMB, "image/png"))
    fetching = Fetching(server)
    provider = ImageSearch([fetching.url(path) for path in ["/bomb.png", "/a.png", "/none"]])

    found = gather(fetching, provider)

    assert [one.hit.image_url for one in found.evidence] == [fetching.url("/a.png")]
    assert found.evidence[0].hit.media_key in {media.key for media in found.media}
    assert [(one.step, one.reason) for one in found.dropped] == [
        ("fetch", "too many pixels"),
        ("fetch", "status 404"),
    ]
    assert gather(fetching, provider).evidence[0].hit.media_key
    assert len(server.paths) == 3


def test_a_query_by_image_comes_with_the_photo(server: HostileServer) -> None:
    provider = ImageSearch([])
    gather(Fetching(server), provider)
    photos = [query.photo for query in provider.queries if query.image_key]
    assert photos
    assert all(photo is not None and photo.format == "JPEG" for photo in photos)


def test_a_post_whose_images_could_not_be_asked_for_stays_unfinished(
    server: HostileServer,
) -> None:
    found = gather(Fetching(server), ImageSearch(["http://dead.test/x.jpg"]))
    assert isinstance(found, Unfinished)
    assert found.unavailable


def test_without_a_fetcher_a_hit_without_image_is_dropped_as_empty(
    server: HostileServer,
) -> None:
    found = gather(Fetching(server), ImageSearch([server.url("/x")]), fetch=False)
    assert [(one.step, one.reason) for one in found.dropped] == [("empty", "no image")]
    assert server.paths == []
