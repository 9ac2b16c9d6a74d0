"""From a caller's arrays to the integers of a program, and to bytes (protocol.md sections 1, 4).

The prover and the verifiers share this, so that the same arrays always mean the same inputs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import UsageError
from .program.codec import MAX_NAME
from .program.types import ABSENT, Port, PortKind, Program, Role, Tensor
from .quoting import listed, quoted

_NONE = "no inputs"

Array = np.ndarray[Any, np.dtype[Any]]
Ints = NDArray[np.int64]

DTYPES: Mapping[int, type[np.signedinteger[Any]]] = {1: np.int8, 2: np.int16, 3: np.int32}
"""The integer type that holds a tensor of each width in memory."""


def quantise(
    program: Program, arrays: Mapping[str, Array] | Array, items: int | None = None
) -> tuple[list[list[Array]], int]:
    """Cut a caller's arrays into the inputs of steps.

    Args:
        program: a valid program.
        arrays: by port name, or one array for a program with one input, in any form that
            `arranged` takes. Floats are quantised by the port's rule; integers must lie in the
            declared range.
        items: number of items; needed only where no array has a batch axis, by default all slots.

    Returns:
        Per step one integer array per input tensor, in tensor order (int8, int16 or int32 by
        width), the last step padded with the port's zero; and the number of items.

    Raises:
        UsageError: `usage.input`.
    """
    named = _by_name(program, caller_arrays(program, arrays))
    steps, items = _extent(program, named, items)
    by_tensor = {}
    for port in program.inputs:
        tensor = program.tensors[port.tensor]
        values = _integers(port, tensor, named[port.name])
        by_tensor[port.tensor] = _steps(port, tensor, values, steps)
    order = program.of_role(Role.INPUT)
    return [[by_tensor[number][step] for number in order] for step in range(steps)], items


def caller_arrays(
    program: Program, arrays: Mapping[str, Array] | Array
) -> Mapping[str, Array] | Array:
    """A caller's arrays by port name and as `arranged` has them; what does not fit, as it is."""
    names = [port.name for port in program.inputs]
    if not isinstance(arrays, Mapping):
        if len(names) != 1:
            return arrays
        arrays = {names[0]: arrays}
    elif not set(arrays) <= set(names):
        arrays = _renamed(arrays)
    if set(arrays) != set(names):
        return arrays
    slots = {
        port.name: Slots(program.tensors[port.tensor].shape, port.batch != ABSENT)
        for port in program.inputs
    }
    return arranged(slots, arrays)


@dataclass(frozen=True)
class Slots:
    """The shape of an input in one step, and whether its axis 0 is the batch."""

    shape: tuple[int, ...]
    batched: bool


def arranged(slots: Mapping[str, Slots], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """A caller's arrays in one form: [items, ...] with a batch axis, [steps, *shape] without.

    The axes of one step may stand for themselves or be joined: [steps, batch, ...] is read as
    [steps · batch, ...], and without a batch axis [steps · n, ...] as [steps, n, ...]. What has the
    shape of one step, where others have several, is the same in every step. Whatever fits none of
    these stays as it is, for the reader to refuse.
    """
    found, whole = {}, {}
    for name, slot in slots.items():
        array = _as_array(arrays[name])
        if not isinstance(array, np.ndarray) or 0 in slot.shape or not slot.shape:
            found[name] = array
        elif slot.batched:
            joined = array.ndim == len(slot.shape) + 1 and array.shape[1:] == slot.shape
            found[name] = array.reshape(-1, *slot.shape[1:]) if joined else array
        elif array.shape == slot.shape or (slot.shape == (1,) and array.shape == ()):
            whole[name] = array.reshape(1, *slot.shape)
        else:
            found[name] = _by_steps(slot.shape, array)
    steps = max((_steps_of(slots[name], array) for name, array in found.items()), default=1)
    for name, array in whole.items():
        found[name] = np.broadcast_to(array, (max(steps, 1), *array.shape[1:]))
    return {name: found[name] for name in slots}


def _by_steps(shape: tuple[int, ...], array: Array) -> Array:
    joined = array.ndim == len(shape) and array.ndim > 0 and array.shape[1:] == shape[1:]
    if joined and len(array) % shape[0] == 0:
        return array.reshape(-1, *shape)
    return array


def _steps_of(slot: Slots, array: object) -> int:
    if not isinstance(array, np.ndarray) or array.ndim == 0 or not all(slot.shape[:1]):
        return 1
    return -(-len(array) // slot.shape[0]) if slot.batched else len(array)


def _as_array(given: Any) -> Any:
    """The array, where it is one; anything else as it is."""
    try:
        return np.asarray(given)
    except (TypeError, ValueError):
        return given


def port_name(name: str) -> str:
    r"""The name of a port for a tensor of an ONNX model: printable ASCII, at most 128 characters.

    Other characters, and backslashes, become their escapes in Python's notation (`\u6e29`), and a
    name that is too long ends in the start of its hash, so that two names stay two.
    """
    plain = (c if " " <= c <= "~" and c != "\\" else _escape(c) for c in name)
    escaped = "".join(plain)
    if len(escaped) <= MAX_NAME:
        return escaped
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return f"{escaped[: MAX_NAME - 9]}~{digest[:8]}"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


_ESCAPES = re.compile(r"\\(?:[\\nrt]|x[0-9a-f]{2}|u[0-9a-f]{4}|U00[01][0-9a-f]{5})")


def port_label(name: str) -> str:
    """The name in the ONNX model of a port that has this one: the inverse of `port_name`.

    A name that `port_name` does not give, and one that was cut, stays as it is.
    """
    try:
        label = _ESCAPES.sub(lambda found: found[0].encode().decode("unicode_escape"), name)
    except UnicodeDecodeError:  # beyond the last character that there is
        return name
    return label if port_name(label) == name else name


def port_labels(names: Iterable[str]) -> dict[str, str]:
    """The label of each port; all stay as they are where two would have the same.

    No file that was compiled has such ports, but whoever writes a program names them as he likes,
    and of two outputs with one label only one could be seen.
    """
    labels = {name: port_label(name) for name in names}
    return labels if len(set(labels.values())) == len(labels) else {name: name for name in labels}


def _renamed(arrays: Mapping[str, Array]) -> Mapping[str, Array]:
    """Arrays by the names of ports; as they are where two names would become one."""
    if not all(isinstance(name, str) for name in arrays):
        return arrays
    renamed = {port_name(name): array for name, array in arrays.items()}
    return renamed if len(renamed) == len(arrays) else arrays


@dataclass(frozen=True)
class Saturated:
    """How many values of an input a program cannot represent, and reads as the ends of its range.

    Attributes:
        name: of the input.
        values: how many it has.
        outside: how many of them lie outside of the range.
        low, high: the range of real numbers that the port represents.
    """

    name: str
    values: int
    outside: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The part of the values that lies outside."""
        return self.outside / self.values if self.values else 0.0


def saturation(program: Program, arrays: Mapping[str, Array] | Array) -> tuple[Saturated, ...]:
    """Per input of real numbers, what `quantise` clamps; inputs of integers are never clamped.

    Raises:
        UsageError: `usage.input`, the arrays are not those of the program.
    """
    named = _by_name(program, caller_arrays(program, arrays))
    found = []
    for port in program.inputs:
        if port.kind is PortKind.INTEGER:
            continue
        tensor = program.tensors[port.tensor]
        q = _rounded(port, named[port.name])
        found.append(
            Saturated(
                name=port.name,
                values=q.size,
                outside=int(np.count_nonzero((q < tensor.lo) | (q > tensor.hi))),
                low=_real(port, tensor.lo),
                high=_real(port, tensor.hi),
            )
        )
    return tuple(found)


def dequantise(port: Port, values: Ints) -> Array:
    """What integers mean to the caller: float32 `(q − zero)·scale`, by way of float64; or int64."""
    if port.kind is PortKind.INTEGER:
        return values.astype(np.int64)
    with np.errstate(over="ignore", under="ignore"):
        return real_values(port, values).astype(np.float32)


def real_values(port: Port, values: Ints) -> NDArray[np.float64]:
    """The same in float64, without rounding: `(q − zero)·scale`, or the integer itself."""
    zero, scale = (0, 1.0) if port.kind is PortKind.INTEGER else (port.zero, port.scale)
    with np.errstate(over="ignore", under="ignore"):
        found: NDArray[np.float64] = (values - zero).astype(np.float64) * scale
    return found


def pack_values(array: NDArray[np.signedinteger[Any]], width: int) -> bytes:
    """Row-major values as `width` little-endian bytes of v + 2^(8·width − 1) each."""
    shifted = array.ravel().astype(np.int64) + (1 << (8 * width - 1))
    return shifted.astype("<u4").view(np.uint8).reshape(-1, 4)[:, :width].tobytes()


def unpack_values(data: NDArray[np.uint8], width: int) -> Ints:
    """The inverse of `pack_values` on the last axis: uint8 [..., n·width] to int64 [..., n]."""
    parts = data.reshape(*data.shape[:-1], -1, width)
    values = np.full(parts.shape[:-1], -(1 << (8 * width - 1)), np.int64)
    for place in range(width):
        values += parts[..., place].astype(np.int64) << (8 * place)
    return values


def unpack_ports(
    program: Program, ports: tuple[Port, ...], data: bytes, steps: int
) -> dict[int, Ints]:
    """Values [steps, *shape] by tensor, from step by step, port by port."""
    rows = np.frombuffer(data, np.uint8).reshape(steps, -1)
    found, start = {}, 0
    for port in ports:
        tensor = program.tensors[port.tensor]
        end = start + packed_size(program, port)
        values = unpack_values(np.ascontiguousarray(rows[:, start:end]), tensor.width)
        found[port.tensor] = values.reshape(steps, *tensor.shape)
        start = end
    return found


def packed_size(program: Program, port: Port) -> int:
    """Bytes of the values of a port in one step."""
    tensor = program.tensors[port.tensor]
    return tensor.size * tensor.width


def _by_name(program: Program, arrays: Mapping[str, Array] | Array) -> dict[str, Array]:
    names = [port.name for port in program.inputs]
    if not isinstance(arrays, Mapping):
        if len(names) != 1:
            raise _refused(
                "one array for a program with another number of inputs",
                f"a mapping with {listed(names, _NONE)}",
                "one array",
            )
        arrays = {names[0]: arrays}
    if set(arrays) != set(names):
        raise _refused(
            "the names of the inputs do not fit", listed(names, _NONE), listed(arrays, _NONE)
        )
    return {name: _array(name, arrays[name]) for name in names}


def _array(name: str, given: Array) -> Array:
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:
        raise _refused(
            f"input {quoted(name)} is no array", "numbers in a rectangle", error
        ) from None


def _extent(program: Program, named: Mapping[str, Array], items: int | None) -> tuple[int, int]:
    """Steps and items, from the leading axes of all arrays."""
    batch = program.batch
    leading: dict[str, int] = {}
    counts: dict[str, int] = {}
    for port in program.inputs:
        shape = program.tensors[port.tensor].shape
        array = named[port.name]
        if port.batch != ABSENT:
            counts[port.name] = _leading(port, array, shape[1:], "items")
        elif array.shape == shape:
            leading[port.name] = 1
        else:
            leading[port.name] = _leading(port, array, shape, "steps")
    if len({*counts.values()}) > 1:
        raise _refused(
            "inputs have different numbers of items", "one number of items", _counted(counts)
        )
    if counts:
        found = next(iter(counts.values()))
        if items not in (None, found):
            raise _refused("items is not the number of items of the inputs", found, items)
        items = found
    elif items is None:
        if not leading:
            raise _refused("a program without inputs needs the number of items", "items", "none")
        items = next(iter(leading.values())) * batch
    if items < 1:
        raise _refused("there are no items", "at least 1 item", items)
    steps = -(-items // batch)
    if any(count != steps for count in leading.values()):
        raise _refused(
            "inputs have different numbers of steps", f"{steps} steps", _counted(leading)
        )
    return steps, items


def _leading(port: Port, array: Array, rest: Sequence[int], unit: str) -> int:
    if array.ndim != len(rest) + 1 or array.shape[1:] != tuple(rest):
        expected = ", ".join([unit, *map(str, rest)])
        raise _refused(
            f"input {quoted(port.name)} has a wrong shape", f"({expected})", f"shape {array.shape}"
        )
    return int(array.shape[0])


def _real(port: Port, q: int) -> float:
    """What an end of the range means, within what a caller's numbers can be."""
    most = float(np.finfo(np.float64).max)
    return min(max((q - port.zero) * port.scale, -most), most)


def _integers(port: Port, tensor: Tensor, array: Array) -> Ints:
    """The port's rule, without padding."""
    if port.kind is PortKind.INTEGER:
        return _whole_numbers(port, tensor, array)
    q: Ints = np.clip(_rounded(port, array), tensor.lo, tensor.hi).astype(np.int64)
    return q


def _rounded(port: Port, array: Array) -> NDArray[np.float64]:
    """Real numbers in steps of the port, not clamped yet."""
    if array.dtype.kind not in "fiub":
        raise _refused(f"input {quoted(port.name)} has a wrong dtype", "real numbers", array.dtype)
    x = array.astype(np.float64)
    if not np.isfinite(x).all():
        raise _refused(
            f"input {quoted(port.name)} has NaN or infinite values",
            "finite numbers",
            f"{np.count_nonzero(~np.isfinite(x))} others",
        )
    with np.errstate(over="ignore", under="ignore"):
        steps: NDArray[np.float64] = np.rint(x / port.scale) + port.zero
    return steps


def _whole_numbers(port: Port, tensor: Tensor, array: Array) -> Ints:
    if array.dtype.kind not in "iub":
        raise _refused(f"input {quoted(port.name)} has a wrong dtype", "integers", array.dtype)
    if array.size and not (tensor.lo <= int(array.min()) and int(array.max()) <= tensor.hi):
        raise _refused(
            f"input {quoted(port.name)} is out of range",
            f"integers in [{tensor.lo}, {tensor.hi}]",
            f"[{array.min()}, {array.max()}]",
        )
    return array.astype(np.int64)


def _steps(port: Port, tensor: Tensor, values: Ints, steps: int) -> Array:
    """Values [steps, *shape] in the memory type of the tensor, the last step padded."""
    rows = steps * tensor.shape[0] if port.batch != ABSENT else len(values)
    if port.batch != ABSENT and len(values) < rows:
        rest = min(max(port.zero, tensor.lo), tensor.hi)
        padding = np.full((rows - len(values), *tensor.shape[1:]), rest, np.int64)
        values = np.concatenate([values, padding])
    return values.reshape(steps, *tensor.shape).astype(DTYPES[tensor.width])


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{quoted(name)}: {count}" for name, count in counts.items())


def _refused(message: str, expected: object, received: object) -> UsageError:
    return UsageError(
        message,
        code="usage.input",
        expected=expected,
        received=received,
        hint="`zktally inspect` lists the inputs of a program with their shapes",
    )
