"""LogSoftmax: (x − m) − log Σ exp(x − m), m the largest x along the axis."""

from __future__ import annotations

from ...verifier.program.types import Const, Term
from ..builder import Builder
from ..graph import Node
from ..maps import rows
from ..operator import Operator
from ..quantise import coefficients
from ..tape import Tape, of_first
from .reduction import Reduction, log_sum_exp
from .softmax import factors, summed_axes, support


def lower(node: Node, builder: Builder) -> None:
    """The maximum and the logarithm of each line, taken from each of its values."""
    lines = Reduction(factors(node, builder.graph), (1,))
    x, target = builder.values[node.inputs[0]], builder.target(node)
    largest, log = log_sum_exp(builder, x, lines)
    ratios = [x.code.scale / target.pre.scale, -log.code.scale / target.pre.scale]
    (by, by_log), shift, _ = coefficients(node.name, ratios, target.pre.scale)
    terms = [
        Term((), builder.read(x, rows(3), view=lines.shape, raw=True), Const(by)),
        Term((), builder.read(largest, lines.each, raw=True), Const(-by)),
        Term((), builder.read(log, lines.each), Const(by_log)),
    ]
    builder.requantised(node, lines.shape, terms, target, mult=Const(1), shift=shift)


def _back(node: Node, tape: Tape, dy: str) -> str:
    """The gradient less exp(y) times its sum."""
    total = tape.sum(dy, summed_axes(node, tape.graph))
    return tape.sub(dy, tape.mul(tape.unary("Exp", node.output), total))


OPERATOR = Operator(
    ("LogSoftmax",), lower, support, takes_activation=True, gradient=of_first(_back)
)
