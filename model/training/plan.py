"""Which posts a step of training shows, and with whose evidence: a function of its number."""

from __future__ import annotations

from collections.abc import Sequence

from model.collate import Collator, Shown
from model.data import Evidences, PreparedPost, task_of
from model.order import batches_of_epoch, mixed, shown_evidence, with_mismatch
from model.settings import TrainSettings
from model.training.ranks import Ranks
from model.training.step import Part, parts_of_step


class Plan:
    """All steps of a training.

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
            mismatch: share of posts that are shown another's evidence; 0 for a network that
                learns nothing from that.
        """
        self.posts, self.collator, self.settings = posts, collator, settings
        self._mismatch = mismatch
        joint, reads = collator.joint, collator.reads_evidence
        self._costs = [post.cost(joint=joint, reads_evidence=reads) for post in posts]
        # A step shows posts of one task; most networks have but one.
        self._tasks = [
            [index for index, post in enumerate(posts) if task_of(post) == task]
            for task in sorted({task_of(post) for post in posts})
        ]
        self.steps_per_epoch = sum(-(-len(of) // settings.batch_size) for of in self._tasks)
        self.total = self.steps_per_epoch * settings.epochs
        self._epoch: tuple[int, list[list[int]], list[Shown]] | None = None

    def indices(self, step: int) -> list[int]:
        """Return which posts the step after ``step`` steps shows, over all processes."""
        epoch, place = divmod(step, self.steps_per_epoch)
        return self._of_epoch(epoch)[0][place]

    def shown(self, epoch: int) -> list[Shown]:
        """Return the evidence that each post is shown in an epoch."""
        return self._of_epoch(epoch)[1]

    def parts(self, step: int, ranks: Ranks) -> list[Part]:
        """Return this process's part of that step, in ``accumulate`` parts of similar cost."""
        indices = self.indices(step)
        count = ranks.count * self.settings.accumulate
        mine = parts_of_step(indices, self._costs, count)[ranks.rank :: ranks.count]
        parts = [self._part(step, part) for part in mine if part]
        # Whoever has no post takes part in averaging nevertheless, with one that counts nothing.
        return parts or [Part(self._part(step, indices[:1]).batch, counts=False)]

    def _part(self, step: int, indices: list[int]) -> Part:
        shown = self.shown(step // self.steps_per_epoch)
        return Part(self.collator([self.posts[i] for i in indices], [shown[i] for i in indices]))

    def _of_epoch(self, epoch: int) -> tuple[list[list[int]], list[Shown]]:
        """Return order and evidence of an epoch; remembered, because every step asks."""
        if self._epoch is None or self._epoch[0] != epoch:
            size, seed = self.settings.batch_size, self.settings.seed
            batches: list[list[list[int]]] = []
            shown = [Shown(Evidences()) for _ in self.posts]
            for of in self._tasks:
                found = batches_of_epoch([self._costs[i] for i in of], size, seed, epoch)
                batches.append([[of[at] for at in batch] for batch in found])
                for index, what in zip(of, self._shown_of(of, epoch), strict=True):
                    shown[index] = what
            self._epoch = (epoch, mixed(batches, seed, epoch), shown)
        return self._epoch[1], self._epoch[2]

    def _shown_of(self, indices: Sequence[int], epoch: int) -> list[Shown]:
        """Return what the posts of one task are shown in an epoch."""
        posts, seed = [self.posts[index] for index in indices], self.settings.seed
        shown = shown_evidence(posts, self.settings.evidence, seed)
        return with_mismatch(posts, shown, self._mismatch, seed, epoch)
