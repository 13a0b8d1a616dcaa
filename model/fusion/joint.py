"""Entities and relations by one model: the fusion of `synthesis`, shared by both tasks.

No published system does this. Posts of both tasks go through the same encoder, the same reading
of evidence and the same gates; only the heads are two (`model.joint_head`). Steps are sampled from
the two tasks in proportion to their batches (`model.order`).
"""

from __future__ import annotations

from model.fusion.synthesis import Synthesis


class Joint(Synthesis):
    """`Synthesis` between a shared encoder and one head per task."""

    tasks = 2
