"""LSTM, GRU and RNN nodes in one form: time before the batch, and an output of all states.

onnxruntime has no other order of axes. All states are needed for their range, where no bound of
them is known, also of a node of which only other outputs are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx
from onnx import helper

from .source import Source, is_default

OPERATORS = frozenset({"LSTM", "GRU", "RNN"})
SWAP = (1, 0, 2)
"""Batch and time of an input, batch and directions of a state."""
ALL_STATES = (2, 0, 1, 3)
"""[time, directions, batch, hidden] as [batch, time, directions, hidden]."""
STATES = (0, 5, 6)
"""Inputs that have a batch: the sequences, and initial states."""


def time_first(source: Source) -> Source:
    """The model with all such nodes in that form; transposes stand around those of another."""
    if not any(map(_is_one, source.model.graph.node)):
        return source
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    del model.graph.node[:]
    for node in source.model.graph.node:
        model.graph.node.extend(_normal(node) if _is_one(node) else [node])
    return replace(source, model=model)


def _is_one(node: onnx.NodeProto) -> bool:
    return node.op_type in OPERATORS and is_default(node.domain)


def _normal(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """The node, between transposes where the batch is its first axis."""
    made = onnx.NodeProto()
    made.CopyFrom(node)
    batch_first = any(a.name == "layout" and a.i for a in node.attribute)
    del made.attribute[:]
    made.attribute.extend(a for a in node.attribute if a.name != "layout")
    before, after = [], []
    if batch_first:
        for place in STATES:
            if place < len(node.input) and node.input[place]:
                made.input[place] = f"{_called(node)}/time first/{place}"
                before.append(_transpose(node.input[place], made.input[place], SWAP))
        for place, name in enumerate(node.output):
            if name:
                made.output[place] = f"{_called(node)}/time first/output {place}"
                axes = SWAP if place else ALL_STATES
                after.append(_transpose(made.output[place], name, axes))
    if not made.output[0]:
        made.output[0] = f"{_called(node)}/all states"
    return [*before, made, *after]


def _called(node: onnx.NodeProto) -> str:
    """A name that no other node has."""
    return str(next(filter(None, node.output)))


def _transpose(name: str, output: str, axes: Sequence[int]) -> onnx.NodeProto:
    return helper.make_node("Transpose", [name], [output], name=output, perm=axes)
