"""The Rust executor in the place of the reference: the same values, fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .. import _core
from ..verifier.inputs import DTYPES
from ..verifier.program.checked import Checked
from ..verifier.program.codec import encode
from ..verifier.program.types import Program, Role
from .evaluate import Executor, opened
from .graph import Array


def executor(checked: Checked, weights: Sequence[Array]) -> Executor:
    """An executor of this program, which has no prf tensors, with these weights.

    One with states is run as `opened`.
    """
    program = checked.program
    data = encode(opened(program)) if program.states else checked.data
    core = _core.Executor(data, list(weights))

    def run(
        program: Program, inputs: Mapping[int, Array], _: Mapping[int, Array]
    ) -> Mapping[int, Array]:
        dtypes = {number: DTYPES[program.tensors[number].width] for number in inputs}
        given = [inputs[t].astype(dtypes[t]) for t in program.of_role(Role.INPUT)]
        return {**inputs, **dict(core.execute(given))}

    return run
