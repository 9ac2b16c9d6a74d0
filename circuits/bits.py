"""How many bits each value and each node's weights have: 8, unless accuracy asks for more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NARROW, WIDE = 8, 16
WIDEST = 24
"""What a tensor can hold: only inputs whose columns are unlike have so many."""


@dataclass(frozen=True)
class Bits:
    """Bits of values by name, and of constant factors by the name of their node; the rest has 8.

    More than 8 bits are symmetric around zero, so that sums of any size may be split into bytes
    (docs/protocol.md section 2).
    """

    values: Mapping[str, int] = field(default_factory=dict)
    weights: Mapping[str, int] = field(default_factory=dict)

    def value(self, name: str) -> int:
        """Bits of a value."""
        return self.values.get(name, NARROW)

    def weight(self, node: str) -> int:
        """Bits of the weights of a node."""
        return self.weights.get(node, NARROW)

    def beside(self, other: Bits) -> Bits:
        """These, and those of `other` where it has some."""
        return Bits({**self.values, **other.values}, {**self.weights, **other.weights})


INT8 = Bits()
"""Everything has 8 bits."""
