"""What live providers name is fetched once, ever: images and pages by URL, each with a record."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, TypeAlias
from urllib.parse import urldefrag

from pydantic import ValidationError

from cache.errors import InputError, ProviderUnavailable, RamieError
from cache.keys import canonical_json, fingerprint
from cache.recording.recordings import Recording
from retrieval.asking.answers import AnswerBook
from retrieval.asking.asked_at import time_of_asking
from retrieval.fetching.fetch_url import FETCH, Fetched, Outcome, Target, UrlFetcher
from retrieval.http.base import Client, Refused
from retrieval.http.clock import Clock, SystemClock
from retrieval.http.guard import Gate, check_url, shown
from retrieval.settings import FetchSettings, PoliteSettings

# Part of every key: raise it when equal bytes are read in another way.
_VERSION: Final = 1
# Fetched in one segment: bounds what is in memory, and what an interruption loses.
_TOGETHER: Final = 32
# Targets of one host that fail in a row, each after all its tries, until the host is left alone.
_FAILURES_TO_BREAK: Final = 2

_Group: TypeAlias = "list[tuple[str, Target]]"
_Result: TypeAlias = "tuple[str, Target, Outcome] | BaseException | None"


class Fetcher:
    """Fetches targets, and answers from recordings alone.

    Attributes:
        counts: ``fetched``, ``recorded`` (by an earlier fetch), ``failed`` (for good, recorded)
            targets, each distinct one of a call once; and those ``unavailable`` so far, each once
            however often it is wanted.
        stopped: set by whoever wants nothing further to be fetched; what is left stays without a
            recording.
    """

    def __init__(
        self,
        client: Client,
        settings: FetchSettings,
        polite: PoliteSettings,
        book: AnswerBook,
        offline: bool = False,
        clock: Clock | None = None,
    ) -> None:
        """Fetch with ``client`` what ``book`` does not hold.

        Args:
            client: guards addresses, sizes and times.
            settings: what is fetched, and how much of it.
            polite: how often a fetch is tried, and after which pauses.
            book: keeps what was fetched.
            offline: fetch nothing; what is not recorded is unavailable.
            clock: tells the time; None means the machine's.
        """
        self.counts: Counter[str] = Counter(fetched=0, recorded=0, failed=0, unavailable=0)
        self.stopped = threading.Event()
        self.settings = settings
        self._fetcher = UrlFetcher(client, settings, polite, clock or SystemClock())
        self._gate = Gate(settings.allowed_hosts)
        self._book = book
        self._offline = offline
        # Why a target could not be had in this run; the next call of `fetch` tries again.
        self._unavailable: dict[str, str] = {}
        # On the clock, those in which some server was reached.
        self._working_minutes: set[int] = set()

    def fetch(self, targets: Iterable[Target]) -> None:
        """Record what is at each of ``targets``; what is recorded is not fetched again.

        A problem that may pass is recorded only if the network is known to have worked meanwhile:
        some server was reached. Otherwise the target stays without a recording, and so does one
        of which nothing was learnt.
        """
        wanted = {self._key(target): target for target in targets}
        missing = {k: one for k, one in wanted.items() if not self._is_recorded(k, one)}
        self.counts["recorded"] += len(wanted) - len(missing)
        if self._offline:
            self._leave(dict.fromkeys(missing, "it was not fetched"))
            return
        done: dict[str, tuple[Target, Outcome]] = {}
        passing: dict[str, tuple[Target, Outcome]] = {}
        try:
            for key, target, outcome in self._fetch_all(missing):
                if outcome.reached:
                    self._working_minutes.add(int(outcome.ended // 60))
                if outcome.unknown:
                    self._leave({key: outcome.fetched.problem})
                    continue
                (passing if outcome.passing else done)[key] = (target, outcome)
                if len(done) >= _TOGETHER:
                    self._record(done)
                    done = {}
            for key, (target, outcome) in passing.items():
                if self._network_worked(outcome):
                    done[key] = (target, outcome)
                else:
                    self._leave({key: outcome.fetched.problem})
        finally:
            # What was fetched before Ctrl-C is kept.
            self._record(done)

    def get(self, target: Target) -> Fetched:
        """Return what was found at ``target``, from the recording alone.

        Raises:
            ProviderUnavailable: it was not fetched.
            InputError: its recording cannot be read.
        """
        key = self._key(target)
        recording = self._book.get(key)
        if recording is None:
            why = self._unavailable.get(key, "it was not fetched")
            raise ProviderUnavailable(f"{shown(target.url)}: {why}. Run the build again online.")
        try:
            return Fetched.model_validate_json(recording.body)
        except ValidationError as error:
            raise InputError(
                f"the recording of {shown(target.url)} cannot be read. Remove the recordings."
            ) from error

    def _is_recorded(self, key: str, target: Target) -> bool:
        """Return whether the recording is there and, unless it was lost since, the image."""
        if target.kind != "image" or key not in self._book:
            return key in self._book
        try:
            media_key = self.get(target).media_key
        except RamieError:  # for whoever needs it
            return True
        return not media_key or self._book.has_media(media_key)

    def _fetch_all(self, missing: Mapping[str, Target]) -> Iterator[tuple[str, Target, Outcome]]:
        """Yield what comes of each of ``missing``, as it comes.

        The threads are daemons: on Ctrl-C they are left behind, to end at their deadlines.
        """
        groups: queue.SimpleQueue[_Group] = queue.SimpleQueue()
        results: queue.SimpleQueue[_Result] = queue.SimpleQueue()
        stop = threading.Event()
        stops = (stop, self.stopped)
        by_host = _by_host(missing)
        for group in by_host:
            groups.put(group)
        num_threads = min(self.settings.together, len(by_host))
        for _ in range(num_threads):
            work = (self._fetcher, groups, results, stops)
            threading.Thread(target=_work, args=work, name=FETCH, daemon=True).start()
        try:
            while num_threads:
                result = results.get()
                if result is None:
                    num_threads -= 1
                elif isinstance(result, BaseException):
                    raise result
                else:
                    yield result
        finally:
            stop.set()

    def _record(self, done: Mapping[str, tuple[Target, Outcome]]) -> None:
        if not done:
            return
        now = time_of_asking()
        recordings, media = [], []
        for key, (target, outcome) in sorted(done.items()):
            asked = canonical_json({"kind": target.kind, "url": _writable(target.url)})
            body = canonical_json(outcome.fetched.model_dump()).encode("utf-8", "replace")
            recordings.append(Recording(key, FETCH, asked, now, body))
            self.counts["failed" if outcome.fetched.problem else "fetched"] += 1
            if outcome.media is not None:
                media.append(outcome.media)
            self._unavailable.pop(key, None)
        self._book.put_segment(recordings, media)
        self._leave({})

    def _leave(self, problems: Mapping[str, str]) -> None:
        """Note why targets stay without a recording in this run."""
        self._unavailable |= problems
        self.counts["unavailable"] = len(self._unavailable)

    def _network_worked(self, outcome: Outcome) -> bool:
        """Return whether any server was reached in the minutes around a fetch."""
        around = range(int(outcome.began // 60) - 1, int(outcome.ended // 60) + 2)
        return not self._working_minutes.isdisjoint(around)

    def _key(self, target: Target) -> str:
        """Return the key of the recording: the URL, and all that decides what is kept of it."""
        settings = self.settings
        image = target.kind == "image"
        return fingerprint(
            {
                "fetch": _VERSION,
                "url": urldefrag(target.url).url,
                "kind": target.kind,
                "max_bytes": settings.max_image_bytes if image else settings.max_page_bytes,
                "max_side": settings.max_image_side if image else 0,
                "robots": settings.robots,
                # A host that was refused and is allowed now is asked anew.
                "allowed": self._is_allowed(target.url),
            }
        )

    def _is_allowed(self, url: str) -> bool:
        try:
            parts = check_url(url)
        except Refused:
            return False
        default = 443 if parts.scheme == "https" else 80
        return self._gate.allows(parts.hostname or "", parts.port or default)


def _by_host(missing: Mapping[str, Target]) -> list[_Group]:
    """Return the targets of each host, those of the host with the most first."""
    groups: dict[str, _Group] = {}
    for key, target in sorted(missing.items()):
        host = ""
        with suppress(Refused):
            host = check_url(target.url).hostname or ""
        groups.setdefault(host, []).append((key, target))
    return sorted(groups.values(), key=len, reverse=True)


def _work(
    fetcher: UrlFetcher,
    groups: queue.SimpleQueue[_Group],
    results: queue.SimpleQueue[_Result],
    stops: Sequence[threading.Event],
) -> None:
    """Fetch group after group, each by one thread, so that no host is asked twice at a time."""
    try:
        while not any(stop.is_set() for stop in stops):
            for key, target, outcome in _fetch_group(fetcher, groups.get_nowait()):
                results.put((key, target, outcome))
                if any(stop.is_set() for stop in stops):
                    break
    except queue.Empty:
        pass
    except BaseException as error:  # handed over to the thread that waits
        results.put(error)
    results.put(None)


def _fetch_group(fetcher: UrlFetcher, group: _Group) -> Iterator[tuple[str, Target, Outcome]]:
    """Yield what comes of the targets of one host.

    A host that is not there, or that fails time after time, is not tried for the rest of them:
    each would cost all pauses and deadlines anew.
    """
    in_a_row = 0
    is_there = False
    for key, target in group:
        if in_a_row < _FAILURES_TO_BREAK:
            outcome = fetcher.fetch(target)
            is_there |= outcome.reached
            if not outcome.passing:
                in_a_row = 0
            else:
                in_a_row += 1 if outcome.reached else _FAILURES_TO_BREAK
        else:
            outcome = _untried(outcome, is_there)
        yield key, target, outcome


def _untried(last: Outcome, is_there: bool) -> Outcome:
    """Return what comes of a target whose host is left alone after ``last``.

    A host that is not there has nothing; of one that is busy nobody knows what it has.
    """
    problem = "its host failed time after time" if is_there else "its host was not reached"
    return replace(last, fetched=Fetched(problem=problem), unknown=is_there)


def _writable(url: str) -> str:
    return url.encode("utf-8", "replace").decode()
