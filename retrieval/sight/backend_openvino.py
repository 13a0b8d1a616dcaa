"""OpenVINO as a backend: the only file that imports it.

To be imported through `retrieval.sight.backends` alone, which keeps OpenVINO from reporting that.
"""

from __future__ import annotations

from queue import SimpleQueue

import numpy as np
import openvino
import torch
from openvino.frontend import FrontEndManager
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder
from torch import Tensor, nn

from cache.errors import InputError
from retrieval.sight.backends import Forward


def translate_openvino(model: nn.Module, example: Tensor, dtype: str, streams: int) -> Forward:
    """Return what computes ``model`` with OpenVINO; see `retrieval.sight.backends.Translate`."""
    core = openvino.Core()
    if dtype == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        # It would compute in float32 and say nothing.
        raise InputError(
            "this CPU has no bfloat16, so OpenVINO cannot compute in it. Set "
            "observe.dtype=float32, or observe.backend=torch."
        )
    compiled = core.compile_model(
        _converted(model, example),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "bf16" if dtype == "bfloat16" else "f32",
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            # Processes side by side would all be pinned to the same cores.
            "ENABLE_CPU_PINNING": False,
        },
    )
    requests: SimpleQueue[openvino.InferRequest] = SimpleQueue()
    for _ in range(streams):
        requests.put(compiled.create_infer_request())

    def forward(batch: Tensor) -> Tensor:
        request = requests.get()
        try:
            found = request.infer({0: batch.numpy()}, share_inputs=True)[0]
            # The next call writes where this one's answer lies.
            return torch.from_numpy(np.array(found, dtype=np.float32))
        finally:
            requests.put(request)

    return forward


def _converted(model: nn.Module, example: Tensor) -> openvino.Model:
    """Return ``model`` as OpenVINO's, by its reader of torch itself.

    ``openvino.convert_model`` does the same, and reports to its makers that it did.
    """
    decoder = TorchScriptPythonDecoder(
        model, example_input=(example,), trace_kwargs={"check_trace": False}
    )
    reader = FrontEndManager().load_by_framework("pytorch")
    converted = reader.convert(reader.load(decoder))
    entry = converted.inputs[0].get_node()
    entry.set_partial_shape(openvino.PartialShape(list(example.shape)))
    is_number = example.is_floating_point()
    entry.set_element_type(openvino.Type.f32 if is_number else openvino.Type.i64)
    converted.validate_nodes_and_infer_types()
    return converted
