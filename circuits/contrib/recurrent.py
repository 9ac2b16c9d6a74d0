"""DynamicQuantizeLSTM: an LSTM whose weights are integers; its activations are floats again."""

from __future__ import annotations

from .emit import Emit

X, W, R, B, LENGTHS, H, C, P, W_SCALE, W_ZERO, R_SCALE, R_ZERO = range(12)
"""Its inputs."""


def dynamic_quantize_lstm(emit: Emit) -> None:
    """The LSTM of ONNX, of the weights that the integers stand for."""
    names = [emit.given(X), _weights(emit, W, W_SCALE, W_ZERO), _weights(emit, R, R_SCALE, R_ZERO)]
    names += [emit.input(place) or "" for place in (B, LENGTHS, H, C, P)]
    while not names[-1]:
        names.pop()
    emit.op("LSTM", *names)
    made = emit.nodes[-1]
    made.attribute.extend(emit.attributes())
    made.output[:] = emit.node.output


def _weights(emit: Emit, integers: int, scale: int, zero: int) -> str:
    """[directions, inputs, 4·hidden] in steps of a direction or a column, as LSTM reads them."""
    whole = emit.as_number(emit.given(integers))
    if emit.input(zero):
        whole = emit.op("Sub", whole, _beside(emit, emit.as_number(emit.given(zero))))
    reals = emit.op("Mul", whole, _beside(emit, emit.given(scale)))
    return emit.transpose(reals, 0, 2, 1)


def _beside(emit: Emit, vector: str) -> str:
    """One number a direction, or one a direction and column, beside the weights."""
    rows = emit.op("Flatten", vector, axis=1)
    return emit.unsqueeze(rows, 1)
