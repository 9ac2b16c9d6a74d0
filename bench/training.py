"""A training step of a perceptron as a program by hand: forward, backward, momentum, update.

Integers only: master weights of 24 bits and momenta of 16 are the state; the layers compute with
copies of 8 bits, one for each way in which a matrix is read. The error is target less output, the
loss its square.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..verifier.program.types import (
    ABSENT,
    AxisMap,
    Const,
    Dot,
    Layout,
    Op,
    Operand,
    Pick,
    PickMode,
    Port,
    PortKind,
    Program,
    Read,
    Role,
    StateLink,
    Tensor,
    Term,
)

TOP = 127
MASTER = 1 << 22
MOMENTUM = (1 << 15) - 1
COPY_SHIFT = 15
"""From a master weight to its copy of 8 bits."""

DECAY, DECAY_SHIFT = 29, 5
RATE, RATE_SHIFT = 1 << 10, 7
LOSS_SHIFT = 8


class _Step:
    """The program as it grows."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.ops: list[Op] = []

    def tensor(self, name: str, role: Role, shape: Sequence[int], width: int, most: int) -> int:
        layout = Layout(tuple(range(len(shape))), 1, shape[-1])
        self.tensors.append(Tensor(name, role, width, -most, most, tuple(shape), layout))
        return len(self.tensors) - 1

    def read(self, tensor: int, *maps: AxisMap) -> Read:
        return Read(tensor, self.tensors[tensor].shape, maps)

    def dot(
        self, name: str, shape: Sequence[int], terms: Sequence[Term], shift: int,
        width: int = 1, most: int = TOP,
    ) -> int:  # fmt: skip
        """The rounded sum of these terms over 2^shift, clamped to ±most."""
        out = self.tensor(name, Role.VALUE, shape, width, most)
        self.ops.append(
            Dot(f"make {name}", out, False, tuple(shape), tuple(terms), None, Const(1),
                Const(shift), None, 0, None)
        )  # fmt: skip
        return out

    def pick(self, name: str, shape: Sequence[int], mode: PickMode, *operands: Operand) -> int:
        out = self.tensor(name, Role.VALUE, shape, 1, TOP)
        self.ops.append(Pick(f"make {name}", out, False, tuple(shape), mode, (), operands))
        return out

    def transposed(self, name: str, tensor: int) -> int:
        rows, columns = self.tensors[tensor].shape
        return self.pick(name, (columns, rows), PickMode.COPY, self.read(tensor, _i(1), _i(0)))


def training_step(widths: Sequence[int], batch: int) -> Program:
    """One step of a perceptron with ReLU between layers of these widths.

    Args:
        widths: of the input and of every layer's output.
        batch: rows of the input; all of them together are one item.
    """
    step, layers = _Step(), len(widths) - 1
    x = step.tensor("x", Role.INPUT, (batch, widths[0]), 1, TOP)
    target = step.tensor("target", Role.INPUT, (batch, widths[-1]), 1, TOP)
    shapes = [(widths[layer + 1], widths[layer]) for layer in range(layers)]
    masters = [step.tensor(f"W{n}", Role.STATE, shape, 3, MASTER) for n, shape in enumerate(shapes)]
    momenta = [
        step.tensor(f"V{n}", Role.STATE, shape, 2, MOMENTUM) for n, shape in enumerate(shapes)
    ]
    copies = [_copy(step, f"Q{n}", master) for n, master in enumerate(masters)]
    values = _forward(step, x, copies)
    one = (batch, widths[-1])
    terms = [
        Term((), step.read(target, _i(0), _i(1)), Const(1)),
        Term((), step.read(values[-1], _i(0), _i(1)), Const(-1)),
    ]
    error = step.dot("error", one, terms, 0)
    loss = _loss(step, error, one)
    links = _backward(step, error, values, masters, momenta)
    return Program(
        f"training {'-'.join(map(str, widths))}",
        tuple(step.tensors),
        (),
        tuple(step.ops),
        tuple(Port(step.tensors[t].name, t, ABSENT, PortKind.INTEGER) for t in (x, target)),
        (Port("loss", loss, ABSENT, PortKind.INTEGER),),
        tuple(sorted(links, key=lambda link: link.state)),
    )


def _copy(step: _Step, name: str, master: int, *, transposed: bool = False) -> int:
    """The 8 bits of a master that the layers compute with."""
    rows, columns = step.tensors[master].shape
    maps = (_i(1), _i(0)) if transposed else (_i(0), _i(1))
    shape = (columns, rows) if transposed else (rows, columns)
    return step.dot(name, shape, [Term((), step.read(master, *maps), Const(1))], COPY_SHIFT)


def _forward(step: _Step, x: int, copies: Sequence[int]) -> list[int]:
    """The input and the outputs of all layers, those between them cut off at zero."""
    values = [x]
    for n, copy in enumerate(copies):
        outputs, inputs = step.tensors[copy].shape
        shape = (step.tensors[x].shape[0], outputs)
        terms = [
            Term((inputs,), step.read(values[-1], _i(0), _k(0)), step.read(copy, _i(1), _k(0)))
        ]
        out = step.dot(f"h{n + 1}", shape, terms, 7 + inputs.bit_length() // 2)
        if n < len(copies) - 1:
            tensor = step.tensors[out]
            step.tensors[out] = Tensor(
                tensor.name, tensor.role, 1, 0, TOP, tensor.shape, tensor.layout
            )
        values.append(out)
    return values


def _loss(step: _Step, error: int, shape: tuple[int, int]) -> int:
    maps = (_k(0), _k(1))
    square = Term(shape, step.read(error, *maps), step.read(error, *maps))
    return step.dot("loss", (1,), [square], LOSS_SHIFT, 3, (1 << 23) - 1)


def _backward(
    step: _Step, error: int, values: Sequence[int], masters: Sequence[int], momenta: Sequence[int]
) -> list[StateLink]:
    """From the last layer to the first: momentum, update, and the error of the layer before."""
    links = []
    for n in reversed(range(len(masters))):
        outputs, inputs = step.tensors[masters[n]].shape
        batch = step.tensors[error].shape[0]
        of_error = step.transposed(f"e{n} by columns", error)
        of_input = step.transposed(f"h{n} by columns", values[n])
        at = (_i(0), _i(1))
        gradient = Term(
            (batch,), step.read(of_error, _i(0), _k(0)), step.read(of_input, _i(1), _k(0))
        )
        old = Term((), step.read(momenta[n], *at), Const(DECAY))
        momentum = step.dot(f"V{n}'", (outputs, inputs), [gradient, old], DECAY_SHIFT, 2, MOMENTUM)
        terms = [
            Term((), step.read(masters[n], *at), Const(1 << RATE_SHIFT)),
            Term((), step.read(momentum, *at), Const(RATE)),
        ]
        master = step.dot(f"W{n}'", (outputs, inputs), terms, RATE_SHIFT, 3, MASTER)
        links += [StateLink(masters[n], master), StateLink(momenta[n], momentum)]
        if n:
            rows = _copy(step, f"Q{n} by columns", masters[n], transposed=True)
            back = Term((outputs,), step.read(error, _i(0), _k(0)), step.read(rows, _i(1), _k(0)))
            shift = 7 + outputs.bit_length() // 2
            raw = step.dot(f"d{n}", (batch, inputs), [back], shift)
            error = step.pick(
                f"e{n - 1}", (batch, inputs), PickMode.SELECT,
                step.read(values[n], *at), step.read(raw, *at), Const(0),
            )  # fmt: skip
    return links


def _i(axis: int) -> AxisMap:
    return AxisMap(i_axis=axis, a=1)


def _k(axis: int) -> AxisMap:
    return AxisMap(k_axis=axis, b=1)
