"""The root of a data set, as its holder works it out (protocol.md section 4).

Whoever means a data set computes its root from the records themselves, the key of its salts and
what a program says of its data tensors; then a receipt either names that root or is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from .building import data_tree_root
from .errors import UsageError
from .poseidon2 import DIGEST, Elements
from .program.types import Program, Tensor
from .quoting import listed, quoted
from .reader import P
from .roots import dataset_root, digest_elements

Array = np.ndarray[Any, np.dtype[Any]]

KEY_BYTES = 4 * DIGEST
PUBLIC_KEY = bytes(KEY_BYTES)
"""Of a public data set: anyone who has the records recomputes its root."""


def root_of(program: Program, arrays: Mapping[str, Array], key: bytes = PUBLIC_KEY) -> bytes:
    """The root of a data set, 32 bytes.

    Args:
        program: that reads it; of this only number, width, range, shape and layout of its data
            tensors matter.
        arrays: all records by tensor name, [records, ...], whole numbers in the declared ranges.
        key: of the salts, 8 field elements of 4 little-endian bytes each.

    Raises:
        UsageError: `usage.input`, the arrays are not those of the program's data tensors; or the
            key is none.
    """
    names = {program.tensors[number].name: number for number in program.data}
    if not names or set(arrays) != set(names):
        raise _refused(
            "the arrays are not those of the program's data tensors",
            listed(names, "no data set"),
            listed(arrays, "no arrays"),
        )
    elements = key_elements(key)
    roots = [
        data_tree_root(elements, rank, tensor, _records(tensor, arrays[tensor.name]))
        for rank, tensor in enumerate(program.tensors[number] for number in program.data)
    ]
    return dataset_root(program.records, np.array(roots))


def key_elements(key: bytes) -> Elements:
    """A key as field elements, uint64 [8].

    Raises:
        UsageError: it is not 8 numbers below p of 4 bytes each.
    """
    if len(key) != KEY_BYTES or any(e >= P for e in struct.unpack(f"<{DIGEST}I", key)):
        raise UsageError(
            "this is no key of a data set", expected="8 field elements, 32 bytes", received="others"
        )
    return digest_elements(key)


def _records(tensor: Tensor, given: Array) -> Array:
    array = np.asarray(given)
    what = f"array {quoted(tensor.name)}"
    if array.dtype.kind not in "iu":
        raise _refused(f"{what} has a wrong dtype", "integers", array.dtype)
    if array.shape != tensor.tree_shape:
        raise _refused(f"{what} has a wrong shape", tensor.tree_shape, array.shape)
    least, most = int(array.min()), int(array.max())
    if least < tensor.lo or most > tensor.hi:
        raise _refused(
            f"{what} is out of range",
            f"integers in [{tensor.lo}, {tensor.hi}]",
            f"[{least}, {most}]",
        )
    return array


def _refused(message: str, expected: object, received: object) -> UsageError:
    return UsageError(
        message,
        code="usage.input",
        expected=expected,
        received=received,
        hint="records are whole numbers, one array per data tensor of the program, by its name",
    )
