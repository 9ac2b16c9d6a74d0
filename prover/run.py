"""One run: execute steps, commit them, and prove claims about them (docs/protocol.md section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .. import _core
from ..circuits.model import new_key
from ..verifier.journal import Journal
from ..verifier.program.checked import Checked
from .claims import Claims
from .work import Job

Arrays = Sequence[np.ndarray]
KEEP_BYTES = 4 << 30


class FastRun:
    """A chain of steps of one model under one run key.

    Args:
        model: the committed model.
        checked: the same program as the Python side reads it.
        initial_state: one integer array per state tensor, in tensor order.
        run_key: 32 bytes, 8 canonical field elements; fresh from the operating system by default.
            Only tests of determinism pass one: a key used twice repeats salts.
        prf_seed: likewise, for programs with prf tensors.
        keep_bytes: memory for traces; steps beyond it are executed again when they are opened.
    """

    def __init__(
        self,
        model: _core.Model,
        checked: Checked,
        initial_state: Arrays = (),
        *,
        run_key: bytes | None = None,
        prf_seed: bytes | None = None,
        keep_bytes: int = KEEP_BYTES,
    ) -> None:
        self._checked = checked
        self._model = model
        self._run_key = new_key() if run_key is None else run_key
        has_prf = any(tensor.domain is not None for tensor in checked.program.tensors)
        seed = (prf_seed or new_key()) if has_prf else None
        self._run = _core.Run(model, self._run_key, seed, list(initial_state), keep_bytes)
        self._steps = 0

    @property
    def steps(self) -> int:
        """Number of steps so far."""
        return self._steps

    def execute(self, inputs: Arrays) -> None:
        """Run one step on integer arrays, one per input tensor in tensor order."""
        self._run.execute(list(inputs))
        self._steps += 1

    def push(self, inputs: Arrays, values: Arrays) -> None:
        """Append a step that was executed elsewhere: its inputs and all its value tensors.

        Both in tensor order. Shapes and ranges are checked, not the arithmetic: a wrong step gives
        a receipt that is refused.
        """
        self._run.push(list(inputs), list(values))
        self._steps += 1

    def values(self, step: int, tensor: int) -> np.ndarray:
        """The trace: values of one tensor in one step."""
        return self._run.values(step, tensor)

    def commit(self) -> None:
        """Build the trees of all steps not committed yet."""
        self._run.commit()

    def journal(self, claims: Claims, items: int) -> Journal:
        """The statement about all steps so far, `items` of whose item slots are real."""
        statement = self._run.statement()
        return replace(
            claims.draft(self._checked, items),
            steps=self._steps,
            weights_root=self._model.weights_root,
            chain_root=statement["chain_root"],
            input_root=statement["input_root"],
            initial_state=statement["initial_state"],
            final_state=statement["final_state"],
            prf_seed=statement["prf_seed"],
            input_key=None if claims.publishes == "private" else statement["input_key"],
            inputs=statement["inputs"] if claims.publishes == "public" else None,
            outputs=statement["outputs"],
        )

    def prove(self, claims: Claims, items: int) -> bytes:
        """The fast receipt of fast claims: the openings stand in the clear."""
        return self.job(claims, items).shown()

    def job(self, claims: Claims, items: int, profile: int = 0) -> Job:
        """What a receipt is made from: journal first, since the samples follow from it."""
        journal = self.journal(claims, items).encode()
        return Job(self._checked.data, journal, self._run.open(journal), profile)
