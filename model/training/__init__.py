"""The training loop, and what it is made of."""

from model.training.loop import TrainReport, train
from model.training.optimizer import make_optimizer, rate_at

__all__ = ["TrainReport", "make_optimizer", "rate_at", "train"]
