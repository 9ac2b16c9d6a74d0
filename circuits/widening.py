"""What more than 8 bits cost: a program beside the same one with 8 bits everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..verifier.program.checked import Checked
from ..verifier.program.types import Program, Role, gates
from .bits import NARROW, Bits


@dataclass(frozen=True)
class Widening:
    """How many values, and layers' weights, have more than 8 bits; the sizes of both programs.

    `wide_gates` have sums beyond a field element, which are split into bytes.
    """

    values: int
    of_values: int
    weights: int
    of_weights: int
    committed_bytes: int
    committed_bytes_int8: int
    weight_bytes: int
    weight_bytes_int8: int
    wide_gates: int

    @staticmethod
    def of(checked: Checked, eight: Checked, bits: Bits, coded: int, weighed: int) -> Widening:
        """Of a program with these bits and the one of 8; how many values and weights there are."""
        now, before = checked.program, eight.program
        return Widening(
            values=_wide(bits.values),
            of_values=coded,
            weights=_wide(bits.weights),
            of_weights=weighed,
            committed_bytes=committed(now),
            committed_bytes_int8=committed(before),
            weight_bytes=weight_bytes(now),
            weight_bytes_int8=weight_bytes(before),
            wide_gates=_wide_gates(checked),
        )

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Widening:
        """From the fields; raises TypeError for other data."""
        found = Widening(**data)
        if not all(type(count) is int and count >= 0 for count in vars(found).values()):
            raise TypeError("a count of wide values is none")
        return found

    def text(self) -> str:
        """In words: what is wide, and what it costs."""
        if not (self.values or self.weights):
            return f"int8: all of {self.of_values} values"
        parts = [f"int16: {self.values} of {self.of_values} values"]
        if self.weights:
            parts.append(f"weights of {self.weights} of {self.of_weights} layers")
        parts.append(_more(self.committed_bytes, self.committed_bytes_int8) + " committed bytes")
        if self.weights:
            parts.append(_more(self.weight_bytes, self.weight_bytes_int8) + " of weights")
        if self.wide_gates:
            parts.append(f"{self.wide_gates:,} gates with wide sums")
        return ", ".join(parts)


def committed(program: Program) -> int:
    """Bytes that a step commits to."""
    return _bytes(program, Role.INPUT, Role.VALUE)


def weight_bytes(program: Program) -> int:
    """Bytes of all weights."""
    return _bytes(program, Role.WEIGHT)


def _bytes(program: Program, *roles: Role) -> int:
    tensors = (program.tensors[number] for number in program.of_role(*roles))
    return sum(tensor.size * tensor.width for tensor in tensors)


def _wide_gates(checked: Checked) -> int:
    wide = {bound.op for bound in checked.bounds if bound.identity == "limb accumulator"}
    return sum(gates(checked.program.ops[number]) for number in wide)


def _wide(bits: Mapping[str, int]) -> int:
    return sum(count > NARROW for count in bits.values())


def _more(now: int, before: int) -> str:
    return f"{100 * (now / before - 1):+.0f} %" if before else "no"
