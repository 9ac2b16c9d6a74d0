"""A program together with everything that a reader derives from it."""

from __future__ import annotations

from dataclasses import dataclass

from .codec import decode, encode, program_id
from .liveness import live_share
from .ranges import Bound, bounds
from .types import Program
from .validate import validate
from .weights import GateWeights, gate_weights


@dataclass(frozen=True)
class Checked:
    """A valid program: its canonical bytes, its id (32 bytes), its bounds and weights.

    `live` is 1024 times the share of the step weight that reaches an output or a state.
    """

    program: Program
    data: bytes
    id: bytes
    bounds: tuple[Bound, ...]
    weights: GateWeights
    live: int


def load(data: bytes) -> Checked:
    """Read and judge the bytes of a program (protocol sections 1 to 3).

    Raises:
        MalformedProgram: the bytes are not canonical.
        InvalidProgram: the program breaks a rule.
    """
    program = decode(data)
    validate(program)
    found = tuple(bounds(program))
    weights = gate_weights(program)
    live = live_share(program, weights)
    return Checked(program, bytes(data), program_id(data), found, weights, live)


def check(program: Program) -> Checked:
    """`load` of the program's own bytes.

    Raises:
        MalformedProgram: the program has no canonical encoding.
        InvalidProgram: the program breaks a rule.
    """
    return load(encode(program))
