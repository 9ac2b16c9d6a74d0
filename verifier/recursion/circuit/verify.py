"""All checks of one proof, in order."""

from __future__ import annotations

from ..child import Child
from ..machine import Machine
from .batch import Batch
from .constraints import check_constraints
from .queries import check_queries
from .transcript import split_opened, transcribe


def verify_inside(machine: Machine, child: Child) -> None:
    """Write the rows that verify a proof."""
    said = transcribe(machine, child)
    opened = split_opened(child, said.opened)
    check_constraints(machine, child, said, opened)
    batch = Batch.of(machine, child, said.eta, opened)
    check_queries(machine, child, said, batch)
