"""Rewrites of the float graph before it is quantised: fewer roundings, fewer committed tensors.

In this order, each only where the value in between has no other reader, is no output, and has no
code of its own in the file:

1. A table of columns (the input of a Scaler, of trees) that a Concat joins is read part by part; a
   product or sum by columns before it becomes a Scaler.
2. An ArgMax (or the index of a TopK) of a Softmax or LogSoftmax reads what that reads.
3. A Gemm, or a MatMul by a constant matrix, takes the form x·wᵀ + b with w [N, K].
4. An Add of a constant vector after that becomes b.
5. A BatchNormalization after a Conv or Gemm becomes part of its weights (in float64).
6. A Mul or Div by a positive number after a product of two values becomes its scale.
7. A Log after a Softmax makes it a LogSoftmax.
8. A Pad of minus infinity before a MaxPool becomes pads of that MaxPool.
9. An activation after an operator that lowers to one dot becomes part of that dot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from .graph import Array, Graph, Node
from .masks import ROWS
from .operator import Operator, axis_of
from .ops.batch_normalization import scale_and_bias
from .ops.gemm import is_linear
from .ops.matmul import SCALED
from .ops.ml_columns import with_columns
from .ops.pad import with_pool
from .quantise import Grid


def fuse(graph: Graph, operators: Mapping[str, Operator]) -> Graph:
    """The graph in the form that is lowered."""
    graph = with_columns(graph, operators)
    graph = _normalise(_without_shares(graph))
    graph = _merge_pairs(graph, _with_addend)
    graph = _merge_pairs(graph, _with_batch_norm)
    graph = _merge_pairs(graph, _with_scale)
    graph = _merge_pairs(graph, _with_log)
    graph = _merge_pairs(graph, _with_pool)

    def with_activation(node: Node, follower: Node, graph: Graph) -> _Merged | None:
        fits = (
            operators[node.op].takes_activation
            and graph.is_float(node.output)
            and operators[follower.op].is_function(follower, graph)
        )
        if not fits or node.activation is not None or node.output != follower.inputs[0]:
            return None
        return replace(node, outputs=follower.outputs, activation=follower), {}

    return _merge_pairs(graph, with_activation)


_Merged = tuple[Node, dict[str, Array]]
_Rule = Callable[[Node, Node, Graph], _Merged | None]


def _without_shares(graph: Graph) -> Graph:
    """The place of the largest of a row is the same before a Softmax, where no share is rounded."""
    nodes = list(graph.nodes)
    for node in graph.nodes:
        if node.op not in ROWS or node.output in graph.outputs:
            continue
        if all(_ranks(reader, node, graph) for reader in graph.consumers(node.output)):
            for number, reader in enumerate(nodes):
                if reader.input(0) == node.output:
                    nodes[number] = replace(reader, inputs=(node.inputs[0], *reader.inputs[1:]))
    return graph.prune(nodes)


def _ranks(reader: Node, node: Node, graph: Graph) -> bool:
    """Whether a node only asks where in a row of a Softmax's output the largest value is."""
    if reader.op == "TopK":
        read = reader.outputs[0] in graph.outputs or graph.consumers(reader.outputs[0])
        if read or not reader.attributes.get("largest", 1):
            return False
    elif reader.op != "ArgMax":
        return False
    axis = axis_of(reader, graph, 0 if reader.op == "ArgMax" else -1)
    if graph.opset < 13:
        return axis >= axis_of(node, graph, 1)
    return axis == axis_of(node, graph, -1)


def _normalise(graph: Graph) -> Graph:
    nodes, constants, grids = [], dict(graph.constants), dict(graph.grids)
    for node in graph.nodes:
        merged = _as_gemm(node, graph)
        if merged is not None:
            grid = _grid_by_rows(node, graph)
            node, made = merged
            constants.update(made)
            if grid is not None:
                grids[node.inputs[1]] = grid
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), constants=constants, grids=grids)


def _grid_by_rows(node: Node, graph: Graph) -> Grid | None:
    """The grid of the weights that `_as_gemm` makes of a node's."""
    grid, alpha = graph.grids.get(node.inputs[1]), node.attributes.get("alpha", 1.0)
    if grid is None or alpha <= 0.0:
        return None
    by_rows = grid if node.attributes.get("transB", 0) else grid.transposed((1, 0))
    return replace(by_rows, scale=by_rows.scale * alpha)


def _as_gemm(node: Node, graph: Graph) -> _Merged | None:
    if node.op not in ("Gemm", "MatMul", SCALED) or not is_linear(node, graph):
        return None
    if not graph.is_float(node.output):
        return None
    weight = graph.constants[node.inputs[1]]
    if node.op != "Gemm" and len(graph.shapes[node.inputs[0]]) < 2:
        return None
    by_rows = weight if node.attributes.get("transB", 0) else weight.T
    alpha = node.attributes.get("alpha", 1.0)
    # Quantising works in float64, slice by slice: no copy of all weights is needed for it.
    made = {f"{node.name}/w": by_rows if alpha == 1.0 else by_rows.astype(np.float64) * alpha}
    inputs = [node.inputs[0], f"{node.name}/w"]
    addend = graph.constant(node.input(2))
    if addend is not None:
        vector = np.broadcast_to(addend.reshape(-1), (len(by_rows),))
        made[f"{node.name}/b"] = vector.astype(np.float64) * node.attributes.get("beta", 1.0)
        inputs.append(f"{node.name}/b")
    return replace(node, op="Gemm", inputs=tuple(inputs), attributes={}), made


def _merge_pairs(graph: Graph, rule: _Rule) -> Graph:
    """Apply a rule to every node and its only reader; the merged node takes the first's place."""
    nodes, constants, gone = [], dict(graph.constants), set()
    for node in graph.nodes:
        if node.name in gone:
            continue
        readers = graph.consumers(node.output)
        kept = node.output in graph.outputs or node.output in graph.codes
        if len(readers) == 1 and not kept:
            merged = rule(node, readers[0], graph)
            if merged is not None:
                gone.add(readers[0].name)
                node, made = merged
                constants.update(made)
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), constants=constants)


def _with_addend(node: Node, follower: Node, graph: Graph) -> _Merged | None:
    if node.op != "Gemm" or node.input(2) is not None or follower.op != "Add":
        return None
    if not is_linear(node, graph):
        return None
    other = follower.inputs[1] if follower.inputs[0] == node.output else follower.inputs[0]
    addend, columns = graph.constant(other), graph.shapes[node.output][-1]
    same_shape = graph.shapes[follower.output] == graph.shapes[node.output]
    if addend is None or not same_shape or addend.shape[-1:] not in ((), (1,), (columns,)):
        return None
    if addend.size not in (1, columns):
        return None
    name = f"{node.name}/b"
    vector = np.broadcast_to(addend.reshape(-1), (columns,)).astype(np.float64)
    merged = replace(node, inputs=(*node.inputs[:2], name), outputs=follower.outputs)
    return merged, {name: vector}


def _with_batch_norm(node: Node, follower: Node, graph: Graph) -> _Merged | None:
    if node.op not in ("Conv", "Gemm") or follower.op != "BatchNormalization":
        return None
    if node.op == "Gemm" and (len(graph.shapes[node.output]) != 2 or not is_linear(node, graph)):
        return None  # its channels are on axis 1, a Gemm's on the last
    bias_known = node.input(2) is None or graph.constant(node.input(2)) is not None
    if graph.constant(node.inputs[1]) is None or not bias_known:
        return None
    scale, offset = scale_and_bias(follower, graph)
    weight = graph.constants[node.inputs[1]].astype(np.float64)
    bias = graph.constant(node.input(2))
    names = (f"{node.name}/folded w", f"{node.name}/folded b")
    folded = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    added = offset if bias is None else offset + bias.astype(np.float64) * scale
    merged = replace(node, inputs=(node.inputs[0], *names), outputs=follower.outputs)
    return merged, dict(zip(names, (folded, added), strict=True))


def _with_scale(node: Node, follower: Node, graph: Graph) -> _Merged | None:
    if node.op not in ("MatMul", SCALED) or follower.op not in ("Mul", "Div"):
        return None
    first = follower.inputs[0] == node.output
    factor = graph.constant(follower.inputs[1 if first else 0])
    if factor is None or factor.size != 1 or not factor > 0 or not (first or follower.op == "Mul"):
        return None
    if graph.shapes[follower.output] != graph.shapes[node.output]:
        return None
    by = float(factor.item()) if follower.op == "Mul" else 1.0 / float(factor.item())
    scale = {"alpha": float(node.attributes.get("alpha", 1.0)) * by}
    return replace(
        node, op=SCALED, outputs=follower.outputs, attributes={**node.attributes, **scale}
    ), {}


def _with_log(node: Node, follower: Node, graph: Graph) -> _Merged | None:
    if node.op != "Softmax" or follower.op != "Log":
        return None
    return replace(node, op="LogSoftmax", outputs=follower.outputs), {}


def _with_pool(node: Node, follower: Node, graph: Graph) -> _Merged | None:
    merged = with_pool(node, follower, graph)
    return None if merged is None else (merged, {})
