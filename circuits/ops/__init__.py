"""The ONNX operators that compile, one file each (files that are not listed serve several)."""

from __future__ import annotations

from importlib import import_module

from ..operator import Operator

FILES = (
    "add",
    "arg_max",
    "average_pool",
    "batch_normalization",
    "cast",
    "clip",
    "concat",
    "conv",
    "conv_transpose",
    "depth_to_space",
    "div",
    "einsum",
    "expand",
    "flatten",
    "gather",
    "gather_elements",
    "gather_nd",
    "gemm",
    "global_average_pool",
    "identity",
    "leaky_relu",
    "matmul",
    "max_pool",
    "mul",
    "one_hot",
    "pad",
    "relu",
    "reshape",
    "resize",
    "reverse_sequence",
    "scatter",
    "sigmoid",
    "slice",
    "softmax",
    "split",
    "squeeze",
    "sub",
    "tanh",
    "tile",
    "top_k",
    "transpose",
    "trilu",
    "unsqueeze",
)
"""Each holds an `OPERATOR`."""


def _operators() -> dict[str, Operator]:
    found: dict[str, Operator] = {}
    for file in FILES:
        operator: Operator = import_module(f".{file}", __name__).OPERATOR
        found |= dict.fromkeys(operator.names, operator)
    return found


OPERATORS = _operators()
"""Every operator by its ONNX name."""
