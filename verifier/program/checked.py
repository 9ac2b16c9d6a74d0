"""A program together with everything that a reader derives from it."""

from __future__ import annotations

from dataclasses import dataclass

from .codec import decode, encode_and_read, program_id
from .items import judge_items
from .liveness import live_gates
from .ranges import Bound, bounds
from .types import Program
from .validate import validate
from .weights import GateWeights, gate_weights


@dataclass(frozen=True)
class Checked:
    """A valid program: its canonical bytes, its id (32 bytes), its bounds and weights.

    `live` counts the gates of each op that reach an output or a state; `live_macs` what all of them
    count of the compute that δ is about, per step.
    """

    program: Program
    data: bytes
    id: bytes
    bounds: tuple[Bound, ...]
    weights: GateWeights
    live: tuple[int, ...]

    @property
    def live_macs(self) -> int:
        """`M`: the MACs of the live gates of one step."""
        return sum(n * macs for n, macs in zip(self.live, self.weights.macs, strict=True))


def load(data: bytes) -> Checked:
    """Read and judge the bytes of a program (protocol sections 1 to 3).

    Raises:
        MalformedProgram: the bytes are not canonical.
        InvalidProgram: the program breaks a rule.
    """
    return _judged(decode(data), bytes(data))


def check(program: Program) -> Checked:
    """`load` of the program's own bytes.

    Raises:
        MalformedProgram: the program has no canonical encoding.
        InvalidProgram: the program breaks a rule.
    """
    data, found = encode_and_read(program)
    return _judged(found, data)


def _judged(program: Program, data: bytes) -> Checked:
    validate(program)
    found = tuple(bounds(program))
    judge_items(program)
    weights = gate_weights(program)
    return Checked(program, data, program_id(data), found, weights, live_gates(program))
