"""The ONNX operators that compile: a file each, or one for a family that shares its idea.

Files that are not listed serve several.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

from ..operator import Operator

FILES = (
    "activations",
    "add",
    "arg_max",
    "average_pool",
    "batch_normalization",
    "bits",
    "cast",
    "clip",
    "columns",
    "comparisons",
    "composite",
    "compress",
    "concat",
    "conv",
    "conv_transpose",
    "cum_sum",
    "depth_to_space",
    "div",
    "einsum",
    "expand",
    "finite",
    "flatten",
    "fourier",
    "functions",
    "gather",
    "gather_elements",
    "gather_nd",
    "gemm",
    "global_average_pool",
    "hardmax",
    "gru",
    "hypotenuse",
    "identity",
    "integer_division",
    "leaky_relu",
    "log_softmax",
    "logic",
    "lp_pool",
    "lrn",
    "lstm",
    "matmul",
    "max_pool",
    "min_max",
    "ml_columns",
    "ml_encoders",
    "ml_linear",
    "ml_normalizer",
    "ml_svm",
    "ml_trees",
    "mul",
    "normalisations",
    "one_hot",
    "pad",
    "pow",
    "prelu",
    "quantised",
    "reduce",
    "relu",
    "reshape",
    "resize",
    "reverse_sequence",
    "samples",
    "rnn",
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

WHOLE_FILES = ("integers", "integer_choices", "integer_division", "integer_reductions")
"""Each holds the forms for integers, `WHOLE`, of operators that stand in other files."""


def _operators() -> dict[str, Operator]:
    found: dict[str, Operator] = {}
    for file in FILES:
        module = import_module(f".{file}", __name__)
        family: tuple[Operator, ...] = getattr(module, "OPERATORS", ()) or (module.OPERATOR,)
        for operator in family:
            found |= dict.fromkeys(operator.names, operator)
    for file in WHOLE_FILES:
        for name, form in import_module(f".{file}", __name__).WHOLE.items():
            found[name] = replace(found[name], whole=form)
    return found


OPERATORS = _operators()
"""Every operator by its ONNX name."""
