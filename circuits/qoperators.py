"""The nodes of models that are quantised already: each as a float operator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from onnx import helper

from .graph import FLOATS, Array, Coded, Graph, Node
from .qdq import DEPENDS, MICROSOFT, RANGES, Handler, Product, Refused, Resolver
from .quantise import Affine, Grid

MOVES = frozenset(
    {
        "ArgMax",
        "ArgMin",
        "Concat",
        "DepthToSpace",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "GlobalMaxPool",
        "Identity",
        "MaxPool",
        "Pad",
        "ReduceMax",
        "Reshape",
        "Resize",
        "ReverseSequence",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "TopK",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators that pass integers on, or means of them, in their own code, or ask for their order."""

TOTAL_MAX = 2**23 - 1
"""The largest integer that a program holds."""


def resolve(graph: Graph) -> Graph:
    """The graph without quantised operators, as far as they have a float form."""
    resolver = Resolver(graph, lambda op: HANDLERS.get(op, _other))
    for node in graph.nodes:
        resolver.take(node)
    return resolver.result()


def _other(to: Resolver, node: Node) -> None:
    """A node that is not about quantisation: what it reads are floats, or integers as they are."""
    given = {*to.dynamic, *to.products, *to.scales}
    if node.op == "Mul" and given.intersection(node.inputs):
        _scaled(to, node)
    elif node.op == "Cast" and node.inputs[0] in to.products and not _is_output(to, node):
        to.products[node.output] = to.products[node.inputs[0]]
    elif given.intersection(node.inputs):
        raise Refused(DEPENDS)
    elif node.op == "Gather" and _is_table(to, node):
        _looked_up(to, node)
    elif node.op in MOVES and node.inputs[0] in to.coded:
        _moved(to, node)
    else:
        inputs = tuple(to.whole(name) if name in to.coded else name for name in node.inputs)
        to.nodes.append(replace(node, inputs=inputs))


def _is_table(to: Resolver, node: Node) -> bool:
    """Whether a Gather looks up integers of a constant that may stand for reals."""
    table = to.constants.get(node.inputs[0])
    return (
        table is not None
        and node.inputs[1] not in to.constants
        and helper.np_dtype_to_tensor_dtype(table.dtype) in RANGES
    )


def _looked_up(to: Resolver, node: Node) -> None:
    """Rows of integers: reals of scale 1, until what reads them says of which scale they are."""
    reals = to.constant(node, 0, np.ones(1), None, None)
    file = Affine(1.0, 0, *RANGES[to.graph.types[node.output]])
    to.write(node, "Gather", (reals, *node.inputs[1:]), node.attributes, file)


def _is_output(to: Resolver, node: Node) -> bool:
    return node.output in to.graph.outputs


def _moved(to: Resolver, node: Node) -> None:
    """Integers that are moved: reals that are, in the same code."""
    data = node.inputs if node.op == "Concat" else node.inputs[:1]
    held = [to.codes[to.coded[name]] for name in data if name in to.coded]
    alike = {(coded.code, coded.offset) for coded in held}
    if "crop" in str(node.attributes.get("coordinate_transformation_mode", "")):
        raise Refused("its crop can leave the input, where an integer of no code is read")
    if len(held) < len(data) or len(alike) > 1:
        raise Refused("it joins integers of unlike codes")
    kind, rest = to.graph.types[node.inputs[0]], node.inputs[len(data) :]
    if node.op == "Pad" and node.attributes.get("mode", "constant") == "constant":
        rest = (rest[0], _filler(to, node, held[0]), *rest[2:])
    inputs = (*(to.coded[name] for name in data), *rest)
    moved = [name for name in node.outputs if name and to.graph.types[name] == kind]
    names = {name: to.name(name, replace(held[0], integers=name)) for name in moved}
    outputs = tuple(names.get(name, name) for name in node.outputs)
    to.nodes.append(replace(node, inputs=inputs, outputs=outputs))
    for name in moved:
        to.show(name)


def _filler(to: Resolver, node: Node, coded: Coded) -> str:
    """The real that the integer stands for with which a Pad fills."""
    given = to.known(node, 2, optional=True)
    whole = np.zeros(()) if given is None else given
    return to.add_constant(f"filler of {node.name}", coded.dequantise(whole))


def _quantize(to: Resolver, node: Node) -> None:
    x, output = node.inputs[0], node.output
    if to.types[x] not in FLOATS:
        raise Refused("it quantises integers")
    file = to.parameters(node, 1, 2, to.graph.types[output])
    known = to.pairs.get((x, file))
    if known is None:
        to.pairs[x, file] = to.write(node, "QuantizeLinear", (x,), {}, file)
    else:
        to.coded[output] = known
        to.show(output)


def _dequantize(to: Resolver, node: Node) -> None:
    name, output = node.inputs[0], node.output
    if name in to.dynamic:
        x, scale = to.dynamic[name]
        if node.inputs[1] != scale:
            raise Refused("it reads integers whose scale depends on the data by another scale")
        real = x
    else:
        real = to.real(node, 0, 1, 2)
    if output in to.graph.outputs:
        code = {"code": to.codes[real].code} if real in to.codes else {}
        to.nodes.append(Node(node.name, "DequantizeLinear", (real,), (output,), code))
    else:
        to.alias[output] = real


def _dynamic(to: Resolver, node: Node) -> None:
    integers, scale, zero = (*node.outputs, "", "")[:3]
    if set(node.outputs) & set(to.graph.outputs):
        raise Refused("its scale depends on the data, and is an output of the model")
    to.dynamic[integers] = (node.inputs[0], scale)
    if scale:
        to.scales[scale] = (scale, np.ones(1))
    if zero:
        to.scales[zero] = (zero, np.ones(1))


def _integer_product(to: Resolver, node: Node, op: str) -> None:
    """MatMulInteger or ConvInteger: of integers as such, or kept until it is scaled."""
    a, b = node.inputs[:2]
    if a not in to.dynamic:
        _exact_product(to, node, op)
    elif b not in to.constants or _is_output(to, node):
        raise Refused("its integers have a scale that depends on the data, and it is not scaled")
    else:
        to.products[node.output] = Product(replace(node, op=op), *to.dynamic[a], np.ones(1))


def _exact_product(to: Resolver, node: Node, op: str) -> None:
    """Integers are reals of scale 1; so is their product, which has 24 bits."""
    shape = to.shapes[node.inputs[1]]
    terms = math.prod(shape[1:]) if op == "Conv" else shape[-2] if len(shape) > 1 else shape[0]
    if terms * 255**2 > TOTAL_MAX:
        raise Refused(f"its sums of {terms} products can exceed 24 bits")
    one = to.add_constant("one", np.ones(1))
    zeros = [node.input(2) or "", node.input(3) or ""]
    whole = replace(node, inputs=(*node.inputs[:2], one, *zeros))
    reals = (to.real(whole, 0, 2, 3), to.real(whole, 1, 2, 4, axis=0 if op == "Conv" else -1))
    file = Affine(1.0, 0, -TOTAL_MAX - 1, TOTAL_MAX)
    to.write(node, op, reals, node.attributes, file)


def _scaled(to: Resolver, node: Node) -> None:
    """A Mul of a scale by a constant, or of an integer product by its scale."""
    names = sorted(node.inputs, key=lambda name: name in to.products, reverse=True)
    first, second = names
    if first in to.products:
        product = to.products[first]
        scale = to.scales.get(second)
        if scale is not None and scale[0] == product.name:
            _finished(to, node, replace(product, factor=product.factor * scale[1]))
            return
        constant = to.constants.get(second)
        if constant is not None and not _is_output(to, node):
            to.products[node.output] = replace(product, factor=product.factor * constant)
            return
    for name, other in ((first, second), (second, first)):
        if name in to.scales and other in to.constants and not _is_output(to, node):
            of, factor = to.scales[name]
            to.scales[node.output] = (of, factor * to.constants[other])
            return
    raise Refused("it scales integers by what is not their scale")


def _finished(to: Resolver, node: Node, product: Product) -> None:
    """The float product in the place of the Mul by which an integer product was scaled."""
    first, factor = product.node, product.factor
    array = to.constants[first.inputs[1]]
    outputs = 0 if first.op == "Conv" else -1
    scale = factor.reshape(-1) if factor.size == array.shape[outputs] else factor
    if array.ndim == 1 and scale.size != 1:
        raise Refused("its scale differs along an axis that it sums over")
    weight = to.constant(first, 1, scale, to.known(first, 3, optional=True), outputs)
    made = Node(node.name, first.op, (product.x, weight), (node.output,), first.attributes)
    to.nodes.append(made)


def _qlinear(
    to: Resolver, node: Node, op: str, operands: Sequence[int], output: int, plain: int = 0
) -> None:
    """An operator of operands (integers, scale, zero point) at these inputs, after `plain` ones."""
    if node.attributes.get("channels_last", 0):
        raise Refused("channels_last is set")
    reals = [to.real(node, at, at + 1, at + 2) for at in operands]
    file = to.parameters(node, output, output + 1, to.graph.types[node.output])
    to.write(node, op, (*node.inputs[:plain], *reals), node.attributes, file)


def _softmax(to: Resolver, node: Node) -> None:
    rank, axis = len(to.shapes[node.inputs[0]]), int(node.attributes.get("axis", -1))
    old = [version < 13 for version in (int(node.attributes.get("opset", 13)), to.graph.opset)]
    if old[0] != old[1] and axis % rank != rank - 1:
        raise Refused("its attribute opset is of another kind of Softmax than the model's opset")
    _qlinear(to, replace(node, attributes={"axis": axis}), "Softmax", (0,), 3)


def _concat(to: Resolver, node: Node) -> None:
    _qlinear(to, node, "Concat", range(2, len(node.inputs), 3), 0)


def _conv(to: Resolver, node: Node) -> None:
    reals = (to.real(node, 0, 1, 2), to.real(node, 3, 4, 5, axis=0))
    bias = to.bias(node, 8, to.known(node, 1) * to.known(node, 4).astype(np.float64))
    file = to.parameters(node, 6, 7, to.graph.types[node.output])
    to.write(node, "Conv", (*reals, *bias), node.attributes, file)


def _matmul(to: Resolver, node: Node) -> None:
    reals = (to.real(node, 0, 1, 2, axis=-2), to.real(node, 3, 4, 5, axis=-1))
    file = to.parameters(node, 6, 7, to.graph.types[node.output])
    to.write(node, "MatMul", reals, {}, file)


def _gemm(to: Resolver, node: Node) -> None:
    """Its int32 has the scale of the product, alpha included, and beta is 1."""
    get = node.attributes.get
    reals = (to.real(node, 0, 1, 2), to.real(node, 3, 4, 5, axis=0 if get("transB", 0) else 1))
    unit = to.known(node, 1) * to.known(node, 4).astype(np.float64) * get("alpha", 1.0)
    scaled = node.input(7) is not None
    file = to.parameters(node, 7, 8, to.graph.types[node.output]) if scaled else None
    to.write(node, "Gemm", (*reals, *to.bias(node, 6, unit)), node.attributes, file)


def _float_output(to: Resolver, node: Node, reals: Sequence[str], bias: int) -> None:
    """A product of floats that is no integer, with a bias of floats."""
    added = (node.inputs[bias],) if node.input(bias) else ()
    if added and len(to.shapes[reals[1]]) != 2:
        raise Refused("it adds a bias to a product by other than a matrix")
    to.write(node, "Gemm" if added else "MatMul", (*reals, *added), {}, None)


def _matmul_to_float(to: Resolver, node: Node) -> None:
    """MatMulIntegerToFloat: A, B, their scales, their zero points, a bias."""
    name = node.inputs[0]
    if name in to.dynamic:
        x, scale = to.dynamic[name]
        if node.inputs[2] != scale:
            raise Refused("it reads integers whose scale depends on the data by another scale")
        left = x
    else:
        left = to.real(node, 0, 2, 4, axis=-2)
    _float_output(to, node, (left, to.real(node, 1, 3, 5, axis=-1)), 6)


def _dynamic_matmul(to: Resolver, node: Node) -> None:
    """DynamicQuantizeMatMul: A as floats, B, its scale, its zero point, a bias."""
    _float_output(to, node, (node.inputs[0], to.real(node, 1, 2, 3, axis=-1)), 4)


def _matmul_nbits(to: Resolver, node: Node) -> None:
    """MatMulNBits: A as floats, columns of B in blocks of packed integers, scales, zero points."""
    given = node.attributes
    rows, columns, size = (int(given[name]) for name in ("K", "N", "block_size"))
    bits = int(given.get("bits", 4))
    if node.input(4) is not None:
        raise Refused("g_idx is given")
    if bits not in (4, 8):
        raise Refused(f"its integers have {bits} bits")
    packed, scales = to.known(node, 1), to.known(node, 2)
    blocks = -(-rows // size)
    whole = _unpacked(packed.reshape(columns, -1), bits)[:, : blocks * size]
    zeros = to.known(node, 3, optional=True)
    if zeros is None:
        origin: Array = np.full((columns, blocks), 2 ** (bits - 1))
    elif zeros.dtype == np.uint8:
        origin = _unpacked(zeros.reshape(columns, -1), bits)[:, :blocks]
    else:
        origin = zeros.reshape(columns, blocks).astype(np.float64)
    steps = scales.reshape(columns, blocks, 1).astype(np.float64)
    reals = (whole.reshape(columns, blocks, size) - origin[:, :, None]) * steps
    grid = None
    if blocks == 1 and origin.dtype.kind in "iu":
        grid = Grid(steps[:, :, 0], origin.astype(np.int64), 0, 2**bits - 1)
    made = to.add_constant(node.inputs[1], reals.reshape(columns, -1)[:, :rows], grid)
    bias = (node.inputs[5],) if node.input(5) else ()
    to.write(node, "Gemm", (node.inputs[0], made, *bias), {"transB": 1}, None)


def _unpacked(packed: Array, bits: int) -> Array:
    """The integers in rows of bytes, the lowest bits first."""
    if bits == 8:
        return packed.astype(np.int64)
    pairs = np.stack([packed & 15, packed >> 4], axis=-1)
    return pairs.reshape(len(packed), -1).astype(np.int64)


def _handlers() -> Iterator[tuple[str, Handler]]:
    for domain in ("", MICROSOFT):
        yield f"{domain}QuantizeLinear", _quantize
        yield f"{domain}DequantizeLinear", _dequantize
    yield "DynamicQuantizeLinear", _dynamic
    yield "MatMulInteger", partial(_integer_product, op="MatMul")
    yield "ConvInteger", partial(_integer_product, op="Conv")
    yield "QLinearConv", _conv
    yield "QLinearMatMul", _matmul
    own: Mapping[str, Handler] = {
        "DynamicQuantizeMatMul": _dynamic_matmul,
        "MatMulIntegerToFloat": _matmul_to_float,
        "MatMulNBits": _matmul_nbits,
        "QGemm": _gemm,
        "QLinearAdd": partial(_qlinear, op="Add", operands=(0, 3), output=6),
        "QLinearAveragePool": partial(_qlinear, op="AveragePool", operands=(0,), output=3),
        "QLinearConcat": _concat,
        "QLinearGlobalAveragePool": partial(
            _qlinear, op="GlobalAveragePool", operands=(0,), output=3
        ),
        "QLinearLeakyRelu": partial(_qlinear, op="LeakyRelu", operands=(0,), output=3),
        "QLinearMul": partial(_qlinear, op="Mul", operands=(0, 3), output=6),
        "QLinearSigmoid": partial(_qlinear, op="Sigmoid", operands=(0,), output=3),
        "QLinearSoftmax": _softmax,
        "QLinearWhere": partial(_qlinear, op="Where", operands=(1, 4), output=7, plain=1),
    }
    yield from ((MICROSOFT + name, handler) for name, handler in own.items())


HANDLERS: Mapping[str, Handler] = dict(_handlers())
"""By ONNX name, with the domain."""
