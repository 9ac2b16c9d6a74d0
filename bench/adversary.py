"""Provers that lie: traces with chosen wrong gates, everything after them recomputed honestly.

Used by `zktally bench sampling` and by the tests: such runs are caught at the rates that the
formula gives, or the formula is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..circuits.model import CompiledModel
from ..verifier.gates import evaluate
from ..verifier.inputs import DTYPES
from ..verifier.program.types import Program, Role, gates

Wrong = Mapping[int, np.ndarray]
"""By op number: the numbers of the gates to falsify."""


class _Store:
    def __init__(self, arrays: dict[int, np.ndarray]) -> None:
        self._arrays = arrays

    def read(self, tensor: int, offsets: np.ndarray) -> np.ndarray:
        values: np.ndarray = self._arrays[tensor].reshape(-1)[offsets].astype(np.int64)
        return values


def falsify(program: Program, op: int, values: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """The op's output with the given gates moved to another value of the declared range."""
    tensor = program.tensors[program.ops[op].out]
    flat = values.reshape(-1).astype(np.int64)
    flat[wrong] = np.where(flat[wrong] < tensor.hi, flat[wrong] + 1, tensor.lo)
    return flat.astype(DTYPES[tensor.width]).reshape(tensor.shape)


def false_trace(
    model: CompiledModel,
    inputs: Sequence[np.ndarray],
    wrong: Wrong,
    state: Sequence[np.ndarray] = (),
    given: Mapping[int, np.ndarray] | None = None,
) -> list[np.ndarray]:
    """All value tensors, in tensor order, of a step in which exactly the `wrong` gates are wrong.

    `state` holds one array per state tensor, in tensor order; `given` the arrays of data and prf
    tensors in this step, by number.
    """
    program = model.checked.program
    arrays = dict(zip(program.of_role(Role.INPUT), inputs, strict=True)) | dict(given or {})
    arrays |= dict(zip(program.of_role(Role.STATE), state, strict=True))
    arrays |= dict(zip(program.of_role(Role.WEIGHT), model.weights, strict=True))
    for number, op in enumerate(program.ops):
        out = program.tensors[op.out]
        values = evaluate(program, op, np.arange(gates(op), dtype=np.int64), _Store(arrays))
        values = values.astype(DTYPES[out.width]).reshape(out.shape)
        if number in wrong:
            values = falsify(program, number, values, wrong[number])
        arrays[op.out] = values
    return [arrays[number] for number in program.of_role(Role.VALUE)]


def false_chain(
    model: CompiledModel,
    batches: Sequence[Sequence[np.ndarray]],
    wrong: Mapping[int, Wrong],
    state: Sequence[np.ndarray] = (),
    given: Sequence[Mapping[int, np.ndarray]] = (),
) -> list[tuple[Sequence[np.ndarray], list[np.ndarray]]]:
    """Inputs and values of a chain of steps, of which those in `wrong` have wrong gates.

    `given` are the data and noise of each step, where the program has such.
    """
    program = model.checked.program
    place = {number: at for at, number in enumerate(program.of_role(Role.VALUE))}
    links = {link.state: link.value for link in program.states}
    chain = []
    for step, batch in enumerate(batches):
        own = given[step] if given else None
        values = false_trace(model, batch, wrong.get(step, {}), state, own)
        state = [values[place[links[number]]] for number in program.of_role(Role.STATE)]
        chain.append((batch, values))
    return chain
