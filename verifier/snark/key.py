"""The key of a SNARK circuit: all that a checker of its proofs needs; its digest is the model id.

It says the same twice, for two checkers: ezkl rebuilds its circuit from its settings and reads its
own key; plain Python reads the constraints as data (`circuit`).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import UnsupportedReceipt
from ..reader import RECEIPT_CODES, Reader, Writer
from .circuit import Circuit, read_circuit, write_circuit
from .curve import Twisted

LABEL = "zktally_label"
LABEL_OUT = "zktally_label_out"
PARTS = 16
"""The digest of a statement goes through the circuit in so many parts of 16 bits."""

KINDS = ("F32", "F64", "Int", "Bool")
"""What ezkl calls the types of ports that are read here."""

RELEASE = r"[0-9][0-9A-Za-z.+-]{0,31}"
"""What a release may look like: verdicts show it, so that it must not read like one."""

MAX_SELECTOR_BYTES = 1 << 30
MAX_VALUES = 1 << 18
MAX_RANGE_LOG = 64
"""Bits of `decomp_base` to the power of `decomp_legs`: ezkl's range of what goes in and out."""

MAX_SETTINGS, MAX_DEPTH = 1 << 20, 32


@dataclass(frozen=True)
class Port:
    """An input or an output.

    Attributes:
        name: in the ONNX file.
        shape: fixed sizes.
        scale: a value v stands for v / 2^scale.
        kind: one of `KINDS`.
    """

    name: str
    shape: tuple[int, ...]
    scale: int
    kind: str

    @property
    def size(self) -> int:
        """Values in it."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Key:
    """What names a circuit.

    Attributes:
        version: of ezkl, whose circuits differ from release to release.
        settings: ezkl's, JSON in one form.
        header: the first bytes of ezkl's key.
        selectors: of each selector the lengths of runs of zeros, ones, zeros, …
        inputs, outputs: ports, of which the last ones carry the digest of the statement.
        circuit: the constraints, the commitments, the string.
    """

    version: str
    settings: bytes
    header: bytes
    selectors: tuple[tuple[int, ...], ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    circuit: Circuit
    told: dict[str, Any] = field(compare=False, repr=False)

    @property
    def public(self) -> bool:
        """Whether inputs are published."""
        return bool(self.told["run_args"]["input_visibility"] == "Public")

    @property
    def id(self) -> bytes:
        """The model id: 32 bytes of SHA-256 of all of it."""
        return hashlib.sha256(b"zktally snark model v1\0" + self.encode()).digest()

    @property
    def srs(self) -> bytes:
        """The digest that names the structured reference string, whatever its size."""
        return srs_digest(self.circuit.tau)

    def encode(self) -> bytes:
        """The canonical bytes."""
        w = Writer()
        w.string(self.version.encode())
        w.blob(self.settings)
        w.string(self.header)
        w.u16(len(self.selectors))
        for runs in self.selectors:
            w.u32(len(runs))
            for run in runs:
                _write_length(w, run)
        for ports in (self.inputs, self.outputs):
            w.u16(len(ports))
            for port in ports:
                w.string(port.name.encode())
                w.dims(port.shape)
                w.i32(port.scale)
                w.u8(KINDS.index(port.kind))
        write_circuit(w, self.circuit)
        return w.getvalue()

    @classmethod
    def decode(cls, data: bytes | memoryview) -> Key:
        """Read the canonical bytes.

        Raises:
            MalformedReceipt: they are not canonical, or contradict themselves.
            UnsupportedReceipt: a circuit that hides its outputs, or does not fix its weights.
        """
        r = Reader(data, RECEIPT_CODES)
        version = _text(r)
        if not re.fullmatch(RELEASE, version):
            raise r.bad("a release has another form", expected=RELEASE)
        settings = bytes(r.blob())
        told = _settings(r, settings)
        header = r.string()
        selectors = tuple(
            tuple(_length(r) for _ in range(_counted(r, r.u32()))) for _ in range(r.u16())
        )
        inputs, outputs = _ports(r), _ports(r)
        circuit = read_circuit(r)
        r.end()
        found = cls(version, settings, header, selectors, inputs, outputs, circuit, told)
        found._judge(r)
        return found

    def _judge(self, r: Reader) -> None:
        rows = 1 << self.circuit.k
        for runs in self.selectors:
            if 0 in runs[1:] or sum(runs) != rows:
                raise r.bad("the runs of a selector are not canonical")
        if rows // 8 * len(self.selectors) > MAX_SELECTOR_BYTES:
            raise UnsupportedReceipt(
                "the selectors of the circuit are too large", code="verify.too-large"
            )
        for ports, name in ((self.inputs, LABEL), (self.outputs, LABEL_OUT)):
            label = ports[-1]
            if (label.name, label.shape, label.scale, label.kind) != (name, (1, PARTS), 0, "Int"):
                raise r.bad("the circuit does not carry the digest of its statement")
        self._judge_settings(r)

    def _judge_settings(self, r: Reader) -> None:
        """The settings say the same as the ports and the circuit."""
        run, told = self.told["run_args"], self.told
        if (run["output_visibility"], run["param_visibility"]) != ("Public", "Fixed"):
            raise UnsupportedReceipt(
                "the circuit hides its outputs, or leaves its weights to the prover",
                code="receipt.unsupported-mode",
            )
        if run["input_visibility"] not in ("Public", "Private"):
            raise UnsupportedReceipt(
                "the circuit neither publishes nor hides its inputs",
                code="receipt.unsupported-mode",
            )
        if not _ranged(run):
            raise UnsupportedReceipt(
                "the circuit leaves inputs and outputs without a range: a prover could choose "
                "inputs that wrap round the field, and with them the outputs",
                code="receipt.unsupported-mode",
                expected=f"range checks, of at most {MAX_RANGE_LOG} bits",
            )
        shown = (*(self.inputs if self.public else ()), *self.outputs)
        same = (
            (run["logrows"], self.circuit.k),
            (told["version"], self.version),
            (told["model_input_scales"], [port.scale for port in self.inputs]),
            (told["model_output_scales"], [port.scale for port in self.outputs]),
            (told["input_types"], [port.kind for port in self.inputs]),
            (told["output_types"], [port.kind for port in self.outputs]),
            (told["model_instance_shapes"], [list(port.shape) for port in shown]),
            (self.circuit.instances, sum(port.size for port in shown)),
        )
        for said, held in same:
            if said != held:
                raise r.bad("settings and key contradict each other", held, str(said)[:200])


def _ranged(run: dict[str, Any]) -> bool:
    """Whether ezkl bounds what goes in and comes out, far below the field."""
    base, legs = (run.get(name) for name in ("decomp_base", "decomp_legs"))
    if run.get("ignore_range_check_inputs_outputs") is not False:
        return False
    if type(base) is not int or type(legs) is not int or base < 2 or legs < 1:
        return False
    return (base - 1).bit_length() * legs <= MAX_RANGE_LOG


def srs_digest(tau: Twisted) -> bytes:
    """What names a structured reference string: τ·G₂ fixes all of it, of whatever size."""
    data = b"".join(each.to_bytes(32, "big") for each in tau)
    return hashlib.sha256(b"zktally kzg srs v1\0" + data).digest()


def canonical(settings: dict[str, Any]) -> bytes:
    """Settings in the one form that a key holds: sorted, without the time they were made."""
    told = {**settings, "timestamp": 0}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


NEEDED = (
    "model_input_scales", "model_output_scales", "input_types", "output_types",
    "model_instance_shapes", "version",
)  # fmt: skip


def _depth(data: bytes) -> int:
    """How deep brackets are nested, those in texts counted like others."""
    depth = deepest = 0
    for bracket in re.sub(rb"[^][{}]", b"", data):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _settings(r: Reader, data: bytes) -> dict[str, Any]:
    try:
        if len(data) > MAX_SETTINGS or _depth(data) > MAX_DEPTH:
            raise ValueError
        told = json.loads(data)
        if canonical(told) == data:
            told["run_args"]["input_visibility"], told["run_args"]["logrows"]
            told["run_args"]["output_visibility"], told["run_args"]["param_visibility"]
            if all(name in told for name in NEEDED):
                return dict(told)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    raise r.bad("the settings are not canonical")


def _text(r: Reader) -> str:
    try:
        return r.string().decode()
    except UnicodeDecodeError as error:
        raise r.bad("a name is not UTF-8") from error


def _counted(r: Reader, count: int) -> int:
    """So many numbers, if there are as many bytes."""
    if count > r.remaining:
        raise r.bad("a list is longer than what follows")
    return count


def _write_length(w: Writer, value: int) -> None:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    while value > 0x7F:
        w.u8(value & 0x7F | 0x80)
        value >>= 7
    w.u8(value)


def _length(r: Reader) -> int:
    value = shift = 0
    while (byte := r.u8()) & 0x80:
        value |= (byte & 0x7F) << shift
        shift += 7
        if shift > 28:
            raise r.bad("a length is too long")
    if shift and not byte:
        raise r.bad("a length is not canonical")
    return value | byte << shift


def _ports(r: Reader) -> tuple[Port, ...]:
    found = []
    for _ in range(r.u16()):
        name, shape, scale, kind = _text(r), r.dims(0, 8), r.i32(), r.u8()
        if kind >= len(KINDS) or not -128 <= scale <= 128 or math.prod(shape) > MAX_VALUES:
            raise r.bad("a port is out of range")
        found.append(Port(name, shape, scale, KINDS[kind]))
    if len(found) < 2 or len({port.name for port in found}) < len(found):
        raise r.bad("ports are too few, or two have one name")
    return tuple(found)


def as_runs(bits: Sequence[int]) -> tuple[int, ...]:
    """The lengths of runs of zeros, ones, zeros, …; the first may be 0."""
    runs, value = [0], 0
    for bit in bits:
        if bit == value:
            runs[-1] += 1
        else:
            runs.append(1)
            value = bit
    return tuple(runs)
