"""How likely an evidence item belongs to the post it is shown with."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from model.features import NUM_FEATURES

_HIDDEN = 32
# Evidence is believed until training says otherwise: sigmoid(2) = 0.88.
_BELIEF_AT_START = 2.0
_TEMPERATURE_AT_START = 0.2


class Consistency(nn.Module):
    """Log-odds of ``c_j = sigmoid(cos(pool(X) W_x, pool(E_j) W_e) / tau + f(features))``.

    The cosine is the paper's consistency weight; ``features`` are similarities of the
    store's embeddings (`model.features`). Trained without labels: see ``TrainSettings.mismatch``.
    """

    def __init__(self, dim: int, item_dim: int) -> None:
        super().__init__()
        self.post = nn.Linear(dim, dim // 2, bias=False)
        self.item = nn.Linear(item_dim, dim // 2, bias=False)
        self.log_temperature = nn.Parameter(torch.tensor(_TEMPERATURE_AT_START).log())
        last = nn.Linear(_HIDDEN, 1)
        nn.init.zeros_(last.weight)
        nn.init.constant_(last.bias, _BELIEF_AT_START)
        self.features = nn.Sequential(nn.Linear(NUM_FEATURES, _HIDDEN), nn.Tanh(), last)

    def forward(
        self,
        posts: Float[Tensor, "rows dim"],
        items: Float[Tensor, "rows item_dim"],
        features: Float[Tensor, "rows features"],
    ) -> Float[Tensor, " rows"]:
        """Return the log-odds of each pair of post and item.

        Args:
            posts: pooled word states.
            items: pooled item states.
            features: of `model.features.item_features`.
        """
        left, right = self.post(posts).float(), self.item(items).float()
        cosine = nn.functional.cosine_similarity(left, right, dim=-1)
        odds: Tensor = cosine / self.log_temperature.exp() + self.features(features)[:, 0].float()
        return odds
