"""What a run begins with: its place among all steps, its seed, its first state, its data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .. import _core
from ..circuits.keys import new_key
from ..verifier.errors import UsageError
from ..verifier.program.types import Program, Role
from .state import RunState

SeedSource = Literal["own", "derived"]
Arrays = Sequence[np.ndarray]


@dataclass(frozen=True, eq=False)
class Setting:
    """What a run begins with.

    Args:
        initial_state: one integer array per state tensor, in tensor order; the state in which
            another run ended, to go on with that run; or None for what the program declares.
        first: the step of the run that this one begins with; of a state that is carried on, the
            one behind it.
        seed: where noise, the order of records and a drawn start come from: "own" is 8 random
            field elements, of which nothing is claimed; "derived" follows from program, data set
            and nonce. None is what the program needs, or what the run has that is carried on.
        nonce: of a derived seed; 1 to 64 bytes, or None. The receipts name the same one.
        data: the data set, where the program has data tensors.
        prf_seed: a seed of one's own, 32 bytes; drawn from the operating system without.

    Raises:
        UsageError: the parts of a setting contradict each other.
    """

    initial_state: Arrays | RunState | None = ()
    first: int = 0
    seed: SeedSource | None = None
    nonce: bytes | None = None
    data: _core.Dataset | None = None
    prf_seed: bytes | None = None

    def __post_init__(self) -> None:
        state = self.carried
        if state is None:
            return
        if self.first not in (0, state.position):
            raise UsageError(
                "a run goes on with the step behind its state",
                expected=f"step {state.position}",
                received=f"step {self.first}",
            )
        self._judge("nonce", state.nonce, self.nonce if state.derived else None)
        root = bytes(32) if self.data is None else self.data.root
        self._judge("data set", state.dataset_root, root)
        if self.prf_seed is not None or self.seed not in (None, state.source):
            raise UsageError("a run that goes on keeps its seed", expected="no other seed")

    @staticmethod
    def _judge(what: str, expected: object, received: object) -> None:
        if expected != received:
            shown = [v.hex() if isinstance(v, bytes) else "none" for v in (expected, received)]
            raise UsageError(
                f"a run that goes on keeps its {what}", expected=shown[0], received=shown[1]
            )

    @property
    def carried(self) -> RunState | None:
        """The state of another run that this one goes on with."""
        return self.initial_state if isinstance(self.initial_state, RunState) else None

    @property
    def _arrays(self) -> Arrays | None:
        """Of the first state; None for the declared one."""
        given = self.initial_state
        return given.arrays if isinstance(given, RunState) else given

    def derives(self, program: Program) -> bool:
        """Whether the seed follows from program, data set and nonce."""
        if self.carried is not None:
            return self.carried.derived
        needed = bool(program.data) or (self.initial_state is None and program.draws_start)
        return needed if self.seed is None else self.seed == "derived"

    def own_seed(self, program: Program) -> bytes | None:
        """The seed of one's own, where there is one."""
        if self.derives(program) or not program.of_role(Role.PRF):
            return None
        if self.carried is not None:
            return self.carried.prf_seed
        return new_key() if self.prf_seed is None else self.prf_seed

    def begin(
        self,
        model: _core.Model,
        program: Program,
        run_key: bytes,
        own_seed: bytes | None,
        keep_bytes: int,
    ) -> _core.Run:
        """The run, before its first step.

        Raises:
            UsageError: a state or data set that does not fit the program.
        """
        state, derived = self.carried, self.derives(program)
        given = self._arrays
        return _core.Run(
            model,
            run_key,
            own_seed,
            None if given is None else [np.ascontiguousarray(each) for each in given],
            keep_bytes,
            first=self.first if state is None else state.position,
            derived=derived,
            nonce=self.nonce if derived else None,
            carried=None if state is None else (state.key, state.position),
            data=self.data,
        )
