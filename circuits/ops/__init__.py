"""The ONNX operators that compile: a file each, or one for a family that shares its idea.

Files that are not listed serve several.
"""

from __future__ import annotations

from importlib import import_module

from ..operator import Operator

FILES = (
    "activations",
    "add",
    "arg_max",
    "average_pool",
    "batch_normalization",
    "cast",
    "clip",
    "columns",
    "comparisons",
    "composite",
    "concat",
    "conv",
    "conv_transpose",
    "cum_sum",
    "depth_to_space",
    "div",
    "einsum",
    "expand",
    "flatten",
    "functions",
    "gather",
    "gather_elements",
    "gather_nd",
    "gemm",
    "global_average_pool",
    "identity",
    "leaky_relu",
    "log_softmax",
    "logic",
    "lp_pool",
    "lrn",
    "matmul",
    "max_pool",
    "min_max",
    "mul",
    "normalisations",
    "one_hot",
    "pad",
    "pow",
    "prelu",
    "reduce",
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
    "sum",
    "tanh",
    "tile",
    "top_k",
    "transpose",
    "trilu",
    "unsqueeze",
    "where",
)
"""Each holds an `OPERATOR`, or the `OPERATORS` of a family."""


def _operators() -> dict[str, Operator]:
    found: dict[str, Operator] = {}
    for file in FILES:
        module = import_module(f".{file}", __name__)
        family: tuple[Operator, ...] = getattr(module, "OPERATORS", ()) or (module.OPERATOR,)
        for operator in family:
            found |= dict.fromkeys(operator.names, operator)
    return found


OPERATORS = _operators()
"""Every operator by its ONNX name."""
