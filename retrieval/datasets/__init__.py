"""Raw data sets in, examples out; the formats in circulation and one documented of our own."""

from __future__ import annotations

from retrieval.datasets.dataset import Dataset, read_dataset
from retrieval.datasets.found import Problem

__all__ = ["Dataset", "Problem", "read_dataset"]
