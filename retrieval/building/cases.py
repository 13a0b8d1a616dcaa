"""A post on its way through a build: seen, then with what was found for it, or unfinished."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from cache.errors import ProviderUnavailable
from cache.records import Dropped, Evidence, Hit, Media, Observation, Query
from retrieval.building.hit_vectors import EncoderMismatch

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """An observed post and the bytes of its photo, None without a usable one."""

    observation: Observation
    photo: Media | None = None

    @property
    def example_id(self) -> str:
        """Id of the post."""
        return self.observation.post.example_id


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A post that this run could not finish; the next one tries again.

    Attributes:
        example_id: of the post.
        reason: what went wrong, for people.
        unavailable: True if a provider could not be asked, False if the post itself failed.
    """

    example_id: str
    reason: str
    unavailable: bool


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """What was found for one post.

    Attributes:
        evidence: kept, in the order of the streams.
        dropped: the rest, with step and reason.
        media: the images of the evidence, and the photo of the post.
    """

    evidence: tuple[Evidence, ...]
    dropped: tuple[Dropped, ...]
    media: tuple[Media, ...]


@dataclass(slots=True, eq=False)
class Case:
    """One post between its observation and its evidence.

    Attributes:
        seen: the post.
        found: every hit, with the question that found it.
        dropped: hits that could not be resolved.
        failure: why the post cannot be finished; None so far.
    """

    seen: Seen
    found: list[tuple[Query, Hit]] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    failure: Unfinished | None = None

    @property
    def hits(self) -> list[Hit]:
        """What was found; nothing once the post has failed."""
        return [] if self.failure else [hit for _, hit in self.found]

    def resolve(self, step: Callable[[Hit], Hit | Dropped]) -> None:
        """Replace each hit by what ``step`` makes of it, or drop it."""
        resolved = [(query, step(hit)) for query, hit in self.found]
        self.found = [(query, one) for query, one in resolved if isinstance(one, Hit)]
        self.dropped = [one for _, one in resolved if isinstance(one, Dropped)]

    def attempt(self, step: Callable[[Case], None]) -> None:
        """Run ``step`` on this post; whatever it raises concerns this post alone.

        Raises:
            EncoderMismatch: concerns every post, so the build must stop.
        """
        name = self.seen.example_id
        try:
            if self.failure is None:
                step(self)
        except ProviderUnavailable as problem:
            self.failure = Unfinished(name, str(problem), unavailable=True)
        except EncoderMismatch:
            raise
        except Exception as error:  # one example; recorded with its id, the others go on
            _log.exception("post %s could not be finished", name)
            self.failure = Unfinished(name, f"{type(error).__name__}: {error}", unavailable=False)
