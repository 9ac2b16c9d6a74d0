"""One run: execute steps, commit them, and prove claims about them (docs/protocol.md section 5)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .. import _core
from ..circuits.keys import new_key
from ..verifier.errors import UsageError
from ..verifier.journal import Journal
from ..verifier.program.checked import Checked
from ..verifier.program.types import Role
from .claims import Claims
from .outputs import HeldOutputs
from .setting import Arrays, SeedSource, Setting
from .state import RunState
from .work import Job

KEEP_BYTES = 4 << 30


class FastRun:
    """A chain of steps of one model under one run key.

    Args:
        model: the committed model.
        checked: the same program as the Python side reads it.
        initial_state: one integer array per state tensor, in tensor order; the state of a run to go
            on with; or None for what the program declares.
        run_key: 32 bytes, 8 canonical field elements; fresh from the operating system by default.
            Only tests of determinism pass one: a key used twice repeats salts.
        prf_seed: likewise, for programs with prf tensors whose seed is one's own.
        first: the step of the run that the chain begins with.
        seed: "own" or "derived"; by default what the program needs (see `Setting`).
        nonce: of a derived seed; the claims name the same one.
        data: the data set, for programs with data tensors.
        keep_bytes: memory for traces; steps beyond it are executed again when they are opened.

    Raises:
        UsageError: a setting that does not fit the program.
    """

    def __init__(
        self,
        model: _core.Model,
        checked: Checked,
        initial_state: Arrays | RunState | None = (),
        *,
        run_key: bytes | None = None,
        prf_seed: bytes | None = None,
        first: int = 0,
        seed: SeedSource | None = None,
        nonce: bytes | None = None,
        data: _core.Dataset | None = None,
        keep_bytes: int = KEEP_BYTES,
    ) -> None:
        self._checked = checked
        self._model = model
        self._run_key = new_key() if run_key is None else run_key
        setting = Setting(initial_state, first, seed, nonce, data, prf_seed)
        program = checked.program
        self._derived, self._nonce = setting.derives(program), nonce
        self._own_seed = setting.own_seed(program)
        self._run = setting.begin(model, program, self._run_key, self._own_seed, keep_bytes)
        self._steps = 0

    @property
    def steps(self) -> int:
        """Number of steps so far."""
        return self._steps

    def execute(self, inputs: Arrays = ()) -> None:
        """Run one step on integer arrays, one per input tensor in tensor order.

        What the step reads of a data set, and its noise, follow from its place in the run.
        """
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
        """The trace: values of one tensor in one step, counted from the first of this chain."""
        return self._run.values(step, tensor)

    def commit(self) -> None:
        """Build the trees of all steps not committed yet."""
        self._run.commit()

    def final_state(self) -> RunState:
        """The state after the last step so far, for whoever goes on or exports; it holds secrets.

        Raises:
            UsageError: there is no step yet.
        """
        arrays, key, position = self._run.final_state()
        program = self._checked.program
        return RunState(
            program_id=self._checked.id,
            weights_root=self._model.weights_root,
            dataset_root=self._run.dataset_root,
            key=key,
            position=position,
            derived=self._derived,
            prf_seed=self._own_seed,
            nonce=self._nonce if self._derived else None,
            names=tuple(program.tensors[number].name for number in program.of_role(Role.STATE)),
            arrays=tuple(arrays),
        )

    def held_outputs(self, chain_root: bytes) -> HeldOutputs:
        """What it takes to show outputs of single steps later; as secret as these are.

        `chain_root`: of the receipt about all steps so far.
        """
        return HeldOutputs(chain_root, self._steps, self._run.held_outputs())

    def journal(self, claims: Claims, items: int) -> Journal:
        """The statement about all steps so far, `items` of whose item slots are real.

        Raises:
            UsageError: the claims name another nonce than the one that the seed is derived from.
        """
        if self._derived and claims.nonce != self._nonce:
            raise UsageError(
                "the seed of the run is derived from another nonce than the receipt shall name",
                expected="none" if self._nonce is None else self._nonce.hex(),
                received="none" if claims.nonce is None else claims.nonce.hex(),
                hint="a challenge must be known before the first step of a run",
            )
        statement = self._run.statement()
        return replace(
            claims.draft(self._checked, items),
            steps=self._steps,
            first=statement["first"],
            weights_root=self._model.weights_root,
            dataset_root=statement["dataset_root"],
            chain_root=statement["chain_root"],
            input_root=statement["input_root"],
            initial_state=statement["initial_state"],
            final_state=statement["final_state"],
            exported_root=statement["exported_root"],
            prf_seed=statement["prf_seed"],
            seed=statement["seed"],
            start=statement["start"],
            input_key=None if claims.publishes == "private" else statement["input_key"],
            inputs=statement["inputs"] if claims.publishes == "public" else None,
            outputs=statement["outputs"] if claims.outputs == "published" else b"",
        )

    def prove(self, claims: Claims, items: int) -> bytes:
        """The fast receipt of fast claims: the openings stand in the clear."""
        return self.job(claims, items).shown()

    def job(self, claims: Claims, items: int, profile: int = 0) -> Job:
        """What a receipt is made from: journal first, since the samples follow from it."""
        journal = self.journal(claims, items).encode()
        return Job(self._checked.data, journal, self._run.open(journal), profile)
