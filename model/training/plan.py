"""Which posts a step of training shows, and with whose evidence: a function of its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from model.batch import Batch
from model.collate import Collator, Shown
from model.data import PreparedPost, task_of
from model.fusion import weighs_consistency
from model.order import batches_of_epoch, mismatched, mixed, shown_evidence
from model.settings import ModelSettings, TrainSettings
from model.training.ranks import Ranks
from model.training.step import Part, parts_of_step


class Turn(NamedTuple):
    """A post as a step shows it; ``cost`` in pieces that the encoder reads."""

    post: PreparedPost
    shown: Shown
    cost: int


def mismatch_of(model: ModelSettings, settings: TrainSettings) -> float:
    """Return the share of posts that are shown again, with another's evidence.

    It is 0 for a system that learns nothing from that, and where no post sees its own.
    """
    learns = model.consistency and weighs_consistency(model.fusion)
    return settings.mismatch if learns and settings.evidence == "own" else 0.0


class Plan:
    """All steps of a training.

    An epoch shows every post once, in steps of ``batch_size`` posts. A share of the posts
    (``mismatch``) is shown again in the same step, with another post's evidence: instead of its
    own, that would cost the task (docs/decisions/011).

    Attributes:
        steps_per_epoch: the same in every epoch.
        total: steps of all epochs.
    """

    def __init__(
        self,
        posts: Sequence[PreparedPost],
        collator: Collator,
        settings: TrainSettings,
        mismatch: float,
    ) -> None:
        """Plan a training.

        Args:
            posts: of the training split.
            collator: of the network.
            settings: of the training.
            mismatch: share of posts that are shown again, with another's evidence.
        """
        self.collator, self.settings, self._mismatch = collator, settings, mismatch
        # A step shows posts of one task; most networks have but one.
        self._tasks = [
            [post for post in posts if task_of(post) == task]
            for task in sorted({task_of(post) for post in posts})
        ]
        self._epoch = (0, self._steps_of(0))
        self.steps_per_epoch = len(self._epoch[1])
        self.total = self.steps_per_epoch * settings.epochs

    def turns(self, step: int) -> list[Turn]:
        """Return what the step after ``step`` steps shows, over all processes."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch[0]:  # remembered, because every step asks
            self._epoch = (epoch, self._steps_of(epoch))
        return self._epoch[1][place]

    def parts(self, step: int, ranks: Ranks) -> list[Part]:
        """Return this process's part of that step, in ``accumulate`` parts of similar cost."""
        turns, count = self.turns(step), ranks.count * self.settings.accumulate
        divided = parts_of_step(range(len(turns)), [turn.cost for turn in turns], count)
        mine = [[turns[at] for at in part] for part in divided[ranks.rank :: ranks.count] if part]
        parts = [Part(self._batch(part)) for part in mine]
        # Whoever has no post takes part in averaging nevertheless, with one that counts nothing.
        return parts or [Part(self._batch(turns[:1]), counts=False)]

    def _batch(self, turns: Sequence[Turn]) -> Batch:
        return self.collator([turn.post for turn in turns], [turn.shown for turn in turns])

    def _steps_of(self, epoch: int) -> list[list[Turn]]:
        """Return the steps of an epoch in their order."""
        size, seed = self.settings.batch_size, self.settings.seed
        steps = []
        for posts in self._tasks:
            turns = self._turns_of(posts, epoch)
            found = batches_of_epoch([of_post[0].cost for of_post in turns], size, seed, epoch)
            steps.append([[turn for at in batch for turn in turns[at]] for batch in found])
        return mixed(steps, seed, epoch)

    def _turns_of(self, posts: Sequence[PreparedPost], epoch: int) -> list[list[Turn]]:
        """Return the turns of each post of one task: one, and for some a second."""
        seed = self.settings.seed
        shown = [[what] for what in shown_evidence(posts, self.settings.evidence, seed)]
        for at, what in mismatched(posts, self._mismatch, seed, epoch):
            shown[at].append(what)
        cost = self.collator.cost
        return [
            [Turn(post, what, cost(post, what.evidence)) for what in of_post]
            for post, of_post in zip(posts, shown, strict=True)
        ]
