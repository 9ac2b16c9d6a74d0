"""What the property tests draw: programs, arrays, keys; and the Rust core's answer as a code."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from support import programs
from zktally import _core
from zktally.verifier.errors import ZktallyError
from zktally.verifier.inputs import DTYPES
from zktally.verifier.program.checked import Checked, check
from zktally.verifier.program.types import Role, Tensor
from zktally.verifier.reader import P

ACCEPTED = "accepted"
SETTINGS = settings(deadline=None, derandomize=True)
FEW = settings(SETTINGS, max_examples=25)

CHECKED = {name: (check(build()[0]), build()[1]) for name, build in programs.EVERY.items()}

names = st.sampled_from(sorted(CHECKED))
elements = st.integers(0, P - 1) | st.sampled_from([0, 1, P - 1])
seeds = st.integers(0, 2**32 - 1)


@st.composite
def keys(draw: st.DrawFn) -> bytes:
    """8 field elements, 32 bytes."""
    return np.array(draw(st.lists(elements, min_size=8, max_size=8)), "<u4").tobytes()


def array(tensor: Tensor, rng: np.random.Generator) -> np.ndarray:
    """Values of the declared range: anywhere, or at its ends and around zero, where it hurts."""
    ends = [v for v in (tensor.lo, tensor.hi, 0, -1, 1) if tensor.lo <= v <= tensor.hi]
    anywhere = rng.integers(tensor.lo, tensor.hi + 1, tensor.shape)
    extreme = rng.choice(ends, tensor.shape)
    chosen = np.where(rng.random(tensor.shape) < rng.choice([0, 0.5, 1]), extreme, anywhere)
    return chosen.astype(DTYPES[tensor.width])


def arrays(checked: Checked, role: Role, rng: np.random.Generator) -> list[np.ndarray]:
    """One array per tensor of a role, in tensor order."""
    program = checked.program
    return [array(program.tensors[t], rng) for t in program.of_role(role)]


def code(call, *args) -> str:
    """`ACCEPTED`, or the code with which a call refuses; anything else is let through."""
    try:
        call(*args)
    except ZktallyError as error:
        return error.code
    except _core.CoreError as error:
        return error.args[0]
    return ACCEPTED
