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
    "comparisons",
    "composite",
    "concat",
    "conv",
    "cum_sum",
    "div",
    "flatten",
    "functions",
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
    "pad",
    "pow",
    "prelu",
    "reduce",
    "relu",
    "reshape",
    "sigmoid",
    "slice",
    "softmax",
    "squeeze",
    "sub",
    "sum",
    "tanh",
    "transpose",
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
