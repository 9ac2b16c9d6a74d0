"""What the workers of a fleet are told before their first share. Nothing in it is secret."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ... import _core

Prove = Callable[[int, bytes], bytes]
"""The proof from the number and the share of a segment or node."""


@dataclass(frozen=True)
class Task:
    """What all shares have in common.

    Attributes:
        program: of the receipt whose segments are proven; of nodes nothing, as of what follows:
            their shares say all that is needed.
        journal: its statement.
        profile: of the proofs of segments; None where the shares are of nodes.
    """

    program: bytes = b""
    journal: bytes = b""
    profile: int | None = None

    def prover(self, threads: int) -> Prove:
        """What proves shares with so many threads.

        Raises:
            ZktallyError: there are no segments of such a receipt.
        """
        if self.profile is None:
            return _core.NodeProver(threads).prove
        return _core.SegmentProver(self.program, self.journal, self.profile, threads).prove


NODES = Task()
"""Nodes, of whatever receipts."""
