"""What only tests call, to hold the core against plain Python.

Sections are those of docs/protocol.md.
"""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

__all__ = [
    "compress",
    "journal_decode",
    "journal_encode",
    "keyed",
    "poseidon2_16",
    "poseidon2_24",
    "sample_count",
    "sponge",
    "tensor_root",
]

_Integers = NDArray[Any]

def journal_encode(text: str) -> bytes:
    """The bytes of a journal from JSON.

    The keys are the fields of `zktally.verifier.journal.Journal`; bytes are in hexadecimal digits.

    Raises:
        ZktallyError: `usage` for a field that is missing or has a wrong type.
    """

def journal_decode(bytes: bytes) -> str:
    """A journal as JSON, the inverse of `journal_encode`.

    Raises:
        ZktallyError: `receipt.*`.
    """

def poseidon2_16(state: Sequence[int]) -> list[int]:
    """Poseidon2 of width 16 on canonical elements."""

def poseidon2_24(state: Sequence[int]) -> list[int]:
    """Poseidon2 of width 24 on canonical elements."""

def sponge(domain: int, aux: int, input: Sequence[int]) -> bytes:
    """`H(domain, aux, input)`, 32 bytes."""

def compress(left: bytes, right: bytes) -> bytes:
    """`C(left, right)`, 32 bytes."""

def keyed(x: Sequence[int]) -> list[int]:
    """`F(x)` on 16 elements."""

def tensor_root(
    values: _Integers,
    shape: Sequence[int],
    width: int,
    order: Sequence[int],
    trailing: int,
    piece: int,
    salt_key: bytes,
    position: int,
    tensor: int,
) -> bytes:
    """The root of row-major values in this layout, salted under a key, 32 bytes."""

def sample_count(u: int, r: int, n: int, lam: int) -> int | None:
    """`s(u, r, n, λ)`, None above 2^24."""
