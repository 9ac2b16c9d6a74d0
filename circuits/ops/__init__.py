"""The ONNX operators that compile, one file each (files without `OPERATOR` serve several)."""

from __future__ import annotations

from ..operator import Operator
from . import (
    add,
    arg_max,
    average_pool,
    batch_normalization,
    cast,
    clip,
    concat,
    conv,
    div,
    flatten,
    gemm,
    global_average_pool,
    identity,
    leaky_relu,
    matmul,
    max_pool,
    mul,
    pad,
    relu,
    reshape,
    sigmoid,
    slice,
    softmax,
    squeeze,
    sub,
    tanh,
    transpose,
    unsqueeze,
)

_MODULES = (
    add,
    arg_max,
    average_pool,
    batch_normalization,
    cast,
    clip,
    concat,
    conv,
    div,
    flatten,
    gemm,
    global_average_pool,
    identity,
    leaky_relu,
    matmul,
    max_pool,
    mul,
    pad,
    relu,
    reshape,
    sigmoid,
    slice,
    softmax,
    squeeze,
    sub,
    tanh,
    transpose,
    unsqueeze,
)

OPERATORS: dict[str, Operator] = {
    name: module.OPERATOR for module in _MODULES for name in module.OPERATOR.names
}
"""Every operator by its ONNX name."""
