"""ONNX Runtime as a backend: the only file that imports it."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnxruntime
import onnxscript  # noqa: F401  (torch's exporter needs it, and says so less clearly)
import torch
from torch import Tensor, nn

from retrieval.sight.backends import Forward


def translate_onnx(model: nn.Module, example: Tensor, dtype: str, streams: int) -> Forward:
    """Return what computes ``model`` with ONNX Runtime; see `retrieval.sight.backends.Translate`.

    In float32 alone: its kernels for CPUs have no bfloat16.
    """
    assert dtype == "float32"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads() // streams
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix="ramie-onnx-") as folder:
        # Weights beside the model: one message of ONNX cannot hold more than 2 GB.
        path = Path(folder) / "model.onnx"
        with _quiet_exporter():
            # The runtime optimises by itself, and faster.
            program = torch.onnx.export(
                model, (example,), dynamo=True, optimize=False, verbose=False
            )
        assert program is not None
        program.save(path, external_data=True)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def forward(batch: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {name: batch.numpy()})[0])

    return forward


@contextlib.contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Keep the exporter's account of its steps from people who cannot act on it."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        log.setLevel(before)
