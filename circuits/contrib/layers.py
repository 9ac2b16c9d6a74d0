"""Activations, products, convolutions and normalisations of com.microsoft."""

from __future__ import annotations

import math

from .emit import Emit


def gelu(emit: Emit) -> None:
    """x/2·(1 + erf(x/√2)); BiasGelu adds a vector before."""
    x, bias = emit.given(0), emit.input(1)
    _gelu(emit, emit.op("Add", x, bias) if bias else x, emit.node.output[0])


def _gelu(emit: Emit, x: str, out: str | None = None) -> str:
    inner = emit.op("Erf", emit.op("Div", x, emit.number(math.sqrt(2.0))))
    outer = emit.op("Mul", emit.op("Add", inner, emit.number(1.0)), emit.number(0.5))
    return emit.op("Mul", x, outer, out=out)


def fast_gelu(emit: Emit) -> None:
    """x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))), of x and a bias."""
    x, bias = emit.given(0), emit.input(1)
    x = emit.op("Add", x, bias) if bias else x
    cube = emit.op("Mul", emit.op("Pow", x, emit.number(3.0)), emit.number(0.044715))
    inner = emit.op("Mul", emit.op("Add", x, cube), emit.number(math.sqrt(2.0 / math.pi)))
    outer = emit.op("Add", emit.op("Tanh", inner), emit.number(1.0))
    half = emit.op("Mul", outer, emit.number(0.5))
    emit.op("Mul", x, half, out=emit.node.output[0])


def quick_gelu(emit: Emit) -> None:
    """x·sigmoid(alpha·x)."""
    x = emit.given(0)
    inner = emit.op("Mul", x, emit.number(emit.attribute("alpha", 1.702)))
    emit.op("Mul", x, emit.op("Sigmoid", inner), out=emit.node.output[0])


def fused_gemm(emit: Emit) -> None:
    """Gemm, then an activation."""
    names = ("alpha", "beta", "transA", "transB")
    given = {name: emit.attribute(name, None) for name in names}
    inputs = [name for name in emit.node.input if name]
    y = emit.op("Gemm", *inputs, **{key: by for key, by in given.items() if by is not None})
    params = [emit.attribute(f"activation_{key}", None) for key in ("alpha", "beta", "gamma")]
    known = [value for value in params if value is not None]
    emit.activation(emit.attribute("activation", ""), y, known, emit.node.output[0])


def fused_conv(emit: Emit) -> None:
    """Conv, a value added to it if there is one, then an activation."""
    x, weight, bias, added = (emit.input(index) for index in range(4))
    own = {a.name: a for a in emit.attributes() if not a.name.startswith("activation")}
    y = emit.op("Conv", *[name for name in (x, weight, bias) if name])
    emit.nodes[-1].attribute.extend(own.values())
    y = emit.op("Add", y, added) if added else y
    name, params = emit.attribute("activation", ""), emit.attribute("activation_params", [])
    emit.activation(name, y, params, emit.node.output[0])


def skip_layer_norm(emit: Emit) -> None:
    """The sum of two values and a vector, normalised; the sum is an output, too."""
    x, skip, gain = map(emit.given, range(3))
    simplified = emit.node.op_type.startswith("SkipSimplified")
    bias = emit.input(3 if simplified else 4)
    if emit.output(1) or emit.output(2):
        raise emit.refuse("its mean or deviation is an output")
    total = emit.op("Add", x, skip, out=None if bias else emit.output(3))
    total = emit.op("Add", total, bias, out=emit.output(3)) if bias else total
    beta = None if simplified else emit.input(3)
    _normalised(emit, total, gain, beta, simplified=simplified)


def _normalised(emit: Emit, x: str, gain: str, beta: str | None, *, simplified: bool) -> None:
    epsilon = emit.attribute("epsilon", 1e-5 if simplified else 1e-12)
    op = "SimplifiedLayerNormalization" if simplified else "LayerNormalization"
    inputs = [x, gain] + ([beta] if beta else [])
    emit.op(op, *inputs, out=emit.node.output[0], axis=-1, epsilon=epsilon)


def embed_layer_norm(emit: Emit) -> None:
    """Rows of two or three tables, added and normalised."""
    ids, words, places, gain, beta = map(emit.given, (0, 2, 3, 5, 6))
    segments, kinds, positions = map(emit.input, (1, 4, 8))
    if emit.output(1):
        raise emit.refuse("its mask_index is read", "give the mask itself to Attention")
    if positions is None:
        positions = emit.range(emit.length(ids, 1))
    total = emit.op("Add", emit.op("Gather", words, ids), emit.op("Gather", places, positions))
    if segments and kinds:
        kind = emit.op("Gather", kinds, segments)
        total = emit.op("Add", total, kind, out=emit.output(2))
    elif emit.output(2):
        total = emit.op("Identity", total, out=emit.output(2))
    _normalised(emit, total, gain, beta, simplified=False)
