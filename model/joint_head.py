"""Two heads over the same words: the batch says whether entities or a relation are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from model.batch import Batch
from model.data import Task, task_of


class JointHead(nn.Module):
    """Passes each batch to the head of its task; a batch holds posts of one task."""

    def __init__(self, heads: Mapping[Task, nn.Module]) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({str(task): head for task, head in heads.items()})

    def of(self, batch: Batch) -> Any:
        """Return the head of the batch's task."""
        return self.heads[task_of(batch.posts[0])]

    def loss(self, words: Tensor, batch: Batch) -> Tensor:
        """Return the loss of the batch's task; raises like the head of that task."""
        loss: Tensor = self.of(batch).loss(words, batch)
        return loss

    def log_probability(self, words: Tensor, batch: Batch, answers: Tensor) -> Tensor:
        """Return [posts]: the log-probability of labels [posts, words] or relations [posts]."""
        found: Tensor = self.of(batch).log_probability(words, batch, answers)
        return found

    def predict(self, words: Tensor, batch: Batch) -> list[Any]:
        """Return the answers of the head of the batch's task."""
        answers: list[Any] = self.of(batch).predict(words, batch)
        return answers
