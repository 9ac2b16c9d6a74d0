"""What a caller demands of a receipt, and what it must be about; never taken from the receipt.

Each demand stands here once: its field, what it may be, how a statement is held against it, and the
option of the command line that sets it.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, Field, dataclass, field, fields
from typing import Any

import numpy as np

from .confidence import headline
from .errors import (
    ErrorBoundExceeded,
    InsufficientSecurity,
    JournalMismatch,
    ParametersMismatch,
    UsageError,
)
from .inputs import port_name, real_values, unpack_ports
from .journal import FAST, MAX_BITS, MAX_PPM, MODES, OWN, ZERO_DIGEST, Journal
from .labels import Labels, as_bytes, in_words
from .plain import to_json
from .program.types import Program, Role
from .quoting import listed, quoted
from .sampling import Counts

MILLION = 10**6
_DIGEST = 32
_ROUNDING = 1e-9

Inputs = np.ndarray[Any, np.dtype[Any]] | Mapping[str, np.ndarray[Any, np.dtype[Any]]]


def parts_per_million(value: float, name: str) -> int:
    """A fraction as the whole number of parts per million that goes on the wire.

    `value · 10^6` must lie within 1e-9 of a whole number, so that nothing is rounded in silence:
    0.05 is 50,000, and 1e-7 is refused.

    Raises:
        UsageError: it is not such a number, or not finite.
    """
    scaled = _real(value, name) * MILLION
    if not math.isfinite(scaled) or abs(scaled - round(scaled)) > _ROUNDING * max(1.0, abs(scaled)):
        raise UsageError(
            f"{name} is not a whole number of parts per million",
            expected="a multiple of 1e-6",
            received=value,
        )
    return round(scaled)


BOUNDS = {
    "max_delta": ("policy.delta", ""),
    "max_delta_step": ("policy.delta-step", " per step"),
    "max_delta_op": ("policy.delta-op", " per op"),
}
"""Fields of a policy that bound what may be wrong: code of a refusal, and of what it is the δ."""


DIGESTS = {
    "initial_state": "verify.state-mismatch",
    "dataset_root": "verify.dataset-mismatch",
    "input_root": "verify.input-mismatch",
    "srs": "verify.srs-mismatch",
}
"""Digests of a journal that the caller may know, in the order in which they are compared: code."""

KNOWN_MODES = (*MODES, "snark")
"""What a policy can accept; a SNARK receipt only if it is asked for, and it has no journal."""

SEEDS = ("any", "derived", "nonce")
STARTS = ("any", "declared")
"""What can be demanded of the seed and of the start of a run, from the least to the most."""


def _option(default: Any, help: str, **argument: Any) -> Any:
    """A field that an option of its name sets, and what argparse is told of that."""
    return field(default=default, metadata={"help": help, **argument})


def _pair_of(kind: Any) -> Any:
    """What reads LO:HI on a command line."""

    def pair(text: str) -> tuple[Any, ...]:
        low, colon, high = text.partition(":")
        if not colon:
            raise ValueError(text)
        return kind(low), kind(high)

    return pair


def _digests(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def options(of: type[Policy] | type[Expectations]) -> Iterator[Field[Any]]:
    """The fields that an option of their name sets; their metadata is what argparse is told."""
    return (each for each in fields(of) if each.metadata)


@dataclass(frozen=True)
class Policy:
    """What a receipt must claim at least.

    Args:
        max_delta: largest acceptable bound on the wrong fraction of the chain's compute, (0, 0.5].
        min_bits: smallest acceptable confidence in bits, 1 to 256.
        modes: acceptable modes: "fast", "hybrid", "strict", and "snark", which no default has.
        max_delta_step: largest acceptable bound per step, or None where none is demanded.
        max_delta_op: largest acceptable bound on the wrong gates of any single op, likewise.
        outputs_exact: whether every gate of every op that defines an output must be checked.

    Raises:
        UsageError: a field is out of its range.
    """

    max_delta: float = _option(
        0.05,
        "largest acceptable wrong part of the multiply-accumulates (default: 0.05)",
        type=float,
        metavar="D",
    )
    min_bits: int = _option(
        100, "smallest acceptable confidence in bits (default: 100)", type=int, metavar="N"
    )
    modes: tuple[str, ...] = MODES
    max_delta_step: float | None = _option(
        None,
        "demand a bound on the wrong part of every single step, at most D",
        type=float,
        metavar="D",
    )
    max_delta_op: float | None = _option(
        None,
        "demand a bound on the wrong part of every single op, at most D",
        type=float,
        metavar="D",
    )
    outputs_exact: bool = True
    seed: str = _option(
        "any",
        "what the seed of a run must be: any (the default), derived from program and data set, or "
        "from a nonce, too",
        choices=SEEDS,
    )
    start: str = _option(
        "any",
        "how a run must begin: any (the default), or declared by its program",
        choices=STARTS,
    )
    max_steps: int | None = _option(
        None, "most steps of a run, those of earlier receipts included", type=int, metavar="N"
    )
    max_epochs: int | None = _option(
        None, "most epochs of its data set that a run may have begun", type=int, metavar="N"
    )
    batch: tuple[int, int] | None = _option(
        None, "how many records a step may read", type=_pair_of(int), metavar="LO:HI"
    )
    programs: tuple[bytes, ...] | None = _option(
        None, "acceptable programs, by program id", type=_digests, metavar="HEX,…"
    )
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._judge_bounds()
        self._judge_run_fields()

    def _judge_bounds(self) -> None:
        for name in BOUNDS:
            value = getattr(self, name)
            if value is None and name != "max_delta":
                continue
            if not 1 <= parts_per_million(value, name) <= MAX_PPM:
                raise UsageError(f"{name} is out of range", expected="1e-6 to 0.5", received=value)
            object.__setattr__(self, name, float(value))
        object.__setattr__(self, "min_bits", _whole(self.min_bits, "min_bits"))
        if not 1 <= self.min_bits <= MAX_BITS:
            raise UsageError(
                "min_bits is out of range", expected=f"1 to {MAX_BITS}", received=self.min_bits
            )
        modes = (self.modes,) if isinstance(self.modes, str) else self.modes
        object.__setattr__(self, "modes", _names(modes, "modes"))
        if not self.modes or not set(self.modes) <= set(KNOWN_MODES):
            raise UsageError(
                "modes are unknown",
                expected=f"some of {', '.join(KNOWN_MODES)}",
                received=self.modes,
            )
        object.__setattr__(self, "outputs_exact", _flag(self.outputs_exact, "outputs_exact"))

    def _judge_run_fields(self) -> None:
        for name, known in (("seed", SEEDS), ("start", STARTS)):
            if getattr(self, name) not in known:
                raise UsageError(
                    f"{name} is unknown",
                    expected=" or ".join(known),
                    received=quoted(getattr(self, name)),
                )
        for name in ("max_steps", "max_epochs"):
            value = getattr(self, name)
            if value is not None and _whole(value, name) < 0:
                raise UsageError(f"{name} is out of range", expected="0 or more", received=value)
        if self.batch is not None:
            low, high = (_whole(end, "batch") for end in _ends(self.batch, "batch"))
            if not 0 <= low <= high:
                raise UsageError(
                    "batch is no range", expected="0 ≤ low ≤ high", received=self.batch
                )
            object.__setattr__(self, "batch", (low, high))
        if self.programs is not None:
            listed = _listed(self.programs, "programs")
            digests = (as_digest(each, "an id of a program") for each in listed)
            object.__setattr__(self, "programs", tuple(digests))
            if any(len(each) != _DIGEST for each in self.programs):
                raise UsageError(
                    "an id of a program has a wrong length",
                    expected="32 bytes (64 hexadecimal digits)",
                )
        object.__setattr__(self, "ranges", _ranges(self.ranges))

    def ppm(self, bound: str) -> int | None:
        """A bound in parts per million, None where it is not demanded."""
        value = getattr(self, bound)
        return None if value is None else parts_per_million(value, bound)

    def to_json(self) -> dict[str, Any]:
        """The policy as one JSON-ready object, bounds in parts per million."""
        plain = {name: value for name, value in to_json(self).items() if name not in BOUNDS}
        return plain | {f"{name}_ppm": self.ppm(name) for name in BOUNDS}

    def judge(self, counts: Counts) -> None:
        """Refuse claims that are less than what is demanded.

        Raises:
            VerificationFailed: `policy.mode`, `policy.bits`, `policy.delta`, `policy.delta-step`,
                `policy.delta-op`, `policy.exact`, in this order.
        """
        mode = MODES[counts.claim.mode]
        if mode not in self.modes:
            raise ParametersMismatch(
                "the policy refuses this mode",
                code="policy.mode",
                expected=" or ".join(self.modes),
                received=mode,
            )
        if not counts.is_strict:
            self._judge_sampling(counts.claim)
        if self.outputs_exact and (sampled := sampled_outputs(counts)):
            raise ParametersMismatch(
                "outputs are only sampled",
                code="policy.exact",
                expected="every gate of the ops that define outputs",
                received=f"samples of {listed(sampled)}",
                hint="prove with these ops exact, or pass --allow-sampled-outputs",
            )

    def judge_run(self, counts: Counts) -> None:
        """Refuse a run that was made otherwise than demanded.

        Raises:
            VerificationFailed: `policy.seed`, `policy.start`, `policy.steps`, `policy.epochs`,
                `policy.batch`, `policy.program`, `policy.range`, in this order.
        """
        program, journal = counts.checked.program, counts.claim
        end = journal.first + journal.steps
        if self._has_seed(program):
            seed = SEEDS[0 if journal.seed == OWN else 1 if journal.nonce is None else 2]
            holds = SEEDS.index(self.seed) <= SEEDS.index(seed)
            _demand(holds, "policy.seed", self.seed, seed, "seed of the run")
        if program.states:
            start = STARTS[journal.start]
            _demand(self.start in ("any", start), "policy.start", self.start, start, "start")
        _at_most("policy.steps", "steps", self.max_steps, end)
        _at_most("policy.epochs", "epochs", self.max_epochs, program.epochs_begun(end))
        low, high = self.batch or (0, math.inf)
        slots = program.data_slots or program.batch
        _demand(low <= slots <= high, "policy.batch", f"{low} to {high}", slots, "batch")
        ids = [journal.program_id] if self.programs is None else self.programs
        _demand(
            journal.program_id in ids,
            "policy.program",
            " or ".join(each.hex() for each in ids),
            journal.program_id.hex(),
            "program",
        )
        self._judge_ranges(program, journal)

    @staticmethod
    def _has_seed(program: Program) -> bool:
        return bool(program.of_role(Role.PRF, Role.DATA)) or program.draws_start

    def _judge_ranges(self, program: Program, journal: Journal) -> None:
        """Every published value of the inputs that have a range lies in it."""
        ports = {port.name: port for port in program.inputs}
        for name, (low, high) in self.ranges.items():
            expected, what = f"{low} to {high}", f"input {quoted(name)}"
            _demand(name in ports, "policy.range", expected, "no such input", what)
            _demand(journal.inputs is not None, "policy.range", expected, "nothing published", what)
            values = real_values(ports[name], _published(program, journal, name))
            outside = values[~((values >= low) & (values <= high))]
            received = outside[0] if len(outside) else None
            _demand(not len(outside), "policy.range", expected, received, what)

    def _judge_sampling(self, journal: Journal) -> None:
        """What the sampling claims; a strict receipt samples nothing, and obeys every bound."""
        # Of a fast receipt nothing but samples and hashes can fail; a hybrid one is judged again
        # with its proofs.
        self.judge_bits(headline(journal.bits) if journal.mode == FAST else journal.bits)
        for name, (code, of) in BOUNDS.items():
            most, claimed = self.ppm(name), getattr(journal, f"{name.removeprefix('max_')}_ppm")
            if most is not None and not 0 < claimed <= most:
                raise ErrorBoundExceeded(
                    f"the claimed bound δ{of} is larger than the policy allows",
                    code=code,
                    expected=f"at most {most / 1e6}",
                    received=claimed / 1e6 or "none",
                )

    def judge_bits(self, bits: int) -> None:
        """Refuse fewer bits than what is demanded.

        Raises:
            InsufficientSecurity: `policy.bits`.
        """
        if bits < self.min_bits:
            raise InsufficientSecurity(
                "fewer bits than the policy demands",
                code="policy.bits",
                expected=f"at least {self.min_bits}",
                received=bits,
            )


def _demand(holds: bool, code: str, expected: object, received: object, what: str) -> None:
    if not holds:
        raise ParametersMismatch(
            f"the policy refuses the {what}", code=code, expected=expected, received=received
        )


def _at_most(code: str, what: str, most: int | None, received: int) -> None:
    holds = most is None or received <= most
    _demand(holds, code, f"at most {most}", received, f"number of {what}")


def _published(
    program: Program, journal: Journal, name: str
) -> np.ndarray[Any, np.dtype[np.int64]]:
    """All values of an input in all steps, as integers."""
    found = unpack_ports(program, program.inputs, journal.inputs or b"", journal.steps)
    tensor = next(port.tensor for port in program.inputs if port.name == name)
    return found[tensor].ravel()


def sampled_outputs(counts: Counts) -> list[str]:
    """Names of the outputs whose own op is not checked gate by gate."""
    program = counts.checked.program
    exact = {op.out for c, op in enumerate(program.ops) if counts.enumerated[c]}
    return [port.name for port in program.outputs if port.tensor not in exact]


@dataclass(frozen=True)
class Expectations(Labels):
    """Everything that the caller knows before looking at a receipt.

    Args:
        model_id: of the model that the caller means, 32 bytes.
        policy: what is demanded.
        initial_state, input_root: digests of 32 bytes; None: any.
        dataset_root: of the data set that the steps read, 32 bytes. None: there must be none,
            unless `any_dataset`.
        any_dataset: whether the prover may choose the data set.
        srs: of a SNARK receipt: the digest of its structured reference string, 32 bytes.
        any_srs: whether any string will do: trust in whoever made it.
        inputs: arrays by port name, or one array, that the committed inputs must be; None: any.
        follows: whether the initial state is not the caller's own word, but the one in which a
            receipt ended that was judged before.

    A label is what the receipt must name; None: it must name none.

    Raises:
        UsageError: a field cannot be what it stands for.
    """

    model_id: bytes
    policy: Policy = field(default_factory=Policy)
    _: KW_ONLY
    input_root: bytes | None = _option(
        None, "the commitment to the inputs that you mean", metavar="HEX"
    )
    initial_state: bytes | None = _option(
        None, "the digest of the initial state that you mean", metavar="HEX"
    )
    dataset_root: bytes | None = _option(
        None, "the root of the data set that you mean", metavar="HEX"
    )
    any_dataset: bool = _option(
        False, "accept whichever data set the prover chose", action="store_true"
    )
    srs: bytes | None = _option(
        None, "the structured reference string that you mean (SNARK receipts)", metavar="HEX"
    )
    any_srs: bool = _option(
        False, "trust whoever made the string of a SNARK receipt", action="store_true"
    )
    inputs: Inputs | None = None
    follows: bool = False

    def __post_init__(self) -> None:
        for name in ("model_id", *DIGESTS):
            value = getattr(self, name)
            if value is None and name in DIGESTS:
                continue
            digest = as_bytes(name, value)
            if len(digest) != 32:
                raise UsageError(
                    f"{name} has a wrong length",
                    expected="32 bytes (64 hexadecimal digits)",
                    received=f"{len(digest)} bytes",
                )
            object.__setattr__(self, name, digest)
        if _flag(self.any_dataset, "any_dataset") and self.dataset_root is not None:
            raise UsageError(
                "a data set is named, and any accepted",
                expected="dataset_root or any_dataset",
                received="both",
            )
        if _flag(self.any_srs, "any_srs") and self.srs is not None:
            raise UsageError(
                "a string is named, and any accepted", expected="srs or any_srs", received="both"
            )
        self.judge_labels()

    @classmethod
    def of(cls, model_id: str | bytes, policy: Policy | None = None, **given: Any) -> Expectations:
        """Expectations from what a caller has at hand: digests as 32 bytes or as hexadecimal text.

        Raises:
            UsageError: a field cannot be what it stands for.
        """
        for name in DIGESTS:
            if given.get(name) is not None:
                given[name] = as_digest(given[name], name)
        return cls(as_digest(model_id, "model_id"), policy or Policy(), **given)

    def to_json(self) -> dict[str, Any]:
        """What a receipt is held against, but for the inputs, as one JSON-ready object."""
        others = ("inputs", "follows", "srs", "any_srs")
        plain = {name: to_json(value) for name, value in vars(self).items() if name not in others}
        return plain | {"policy": self.policy.to_json()}

    def judge(self, counts: Counts) -> None:
        """Refuse a statement that claims too little, or is about something else.

        Raises:
            VerificationFailed: see `Policy.judge`; then `verify.….-mismatch` of the labels, of the
                initial state, of the data set; see `Policy.judge_run`; of the inputs.
        """
        self.policy.judge(counts)
        # The values themselves are compared, never how they are shown: a quote can be cut short.
        for name, received in counts.claim.labels.items():
            expected = getattr(self, name)
            if expected != received:
                raise JournalMismatch(
                    f"the receipt has another {name}",
                    code=f"verify.{name}-mismatch",
                    expected=in_words(expected),
                    received=in_words(received),
                    hint=f"pass --{name} exactly if the receipt was made for one",
                )
        self._judge_digest("initial_state", counts.claim)
        self._judge_data_set(counts.claim)
        self.policy.judge_run(counts)
        self._judge_digest("input_root", counts.claim)

    def _judge_digest(self, name: str, journal: Journal) -> None:
        wanted, claimed = getattr(self, name), getattr(journal, name)
        if wanted not in (None, claimed):
            raise JournalMismatch(
                f"the receipt has another {name.replace('_', ' ')}",
                code=DIGESTS[name],
                expected=wanted.hex(),
                received="none" if claimed == ZERO_DIGEST else claimed.hex(),
            )

    def _judge_data_set(self, journal: Journal) -> None:
        """A data set is the caller's to name: whoever chooses the records chooses the outcome."""
        self._judge_digest("dataset_root", journal)
        unnamed = self.dataset_root is None and not self.any_dataset
        if unnamed and journal.dataset_root != ZERO_DIGEST:
            raise JournalMismatch(
                "the receipt is about a data set, and you named none",
                code=DIGESTS["dataset_root"],
                expected="no data set",
                received=journal.dataset_root.hex(),
                hint="pass --dataset-root as its holder computes it, or --any-dataset",
            )


def as_digest(value: str | bytes, name: str) -> bytes:
    """32 bytes, from bytes or hexadecimal text; 0x before it, and blanks around it, are no harm.

    Raises:
        UsageError: the text is not hexadecimal, or of another length; or it is neither.
    """
    if isinstance(value, str):
        digits = value.strip()
        digits = digits[2:] if digits[:2].lower() == "0x" else digits
        try:
            found = bytes.fromhex(digits)
        except ValueError as error:
            odd = set(digits.lower()) <= set("0123456789abcdef")
            raise UsageError(
                f"{name} has a wrong length" if odd else f"{name} is not hexadecimal",
                expected="64 hexadecimal digits",
                received=f"{len(digits)} of them" if odd else quoted(value),
            ) from error
        if len(found) != _DIGEST:
            raise UsageError(
                f"{name} has a wrong length",
                expected="64 hexadecimal digits",
                received=f"{len(digits)} of them",
                hint="is it cut short?" if len(found) < _DIGEST else None,
            )
        return found
    return as_bytes(name, value)


def _real(value: object, name: str) -> float:
    try:
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        pass
    raise UsageError(f"{name} is no number", expected="a real number", received=repr(value))


def _names(value: object, name: str) -> tuple[str, ...]:
    """Several names in one order, whatever holds them; a text is none."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise UsageError(f"{name} are no names", expected="a tuple of names", received=repr(value))
    return tuple(value)


def _listed(value: object, name: str) -> tuple[Any, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise UsageError(f"{name} are no list", expected="a list", received=repr(value))
    return tuple(value)


def _ends(value: object, name: str) -> tuple[Any, Any]:
    ends = _listed(value, name)
    if len(ends) != 2:
        raise UsageError(f"{name} is no range", expected="two ends", received=repr(value))
    return ends


def _ranges(given: object) -> dict[str, tuple[float, float]]:
    """Ranges by name of a port, as floats."""
    if not isinstance(given, Mapping):
        raise UsageError("ranges are no mapping", expected="ranges by name", received=repr(given))
    found = {}
    for name, value in given.items():
        if not isinstance(name, str):
            raise UsageError("a range has no name", expected="a text", received=repr(name))
        low, high = (_real(end, f"range of {name}") for end in _ends(value, f"range of {name}"))
        if not -math.inf < low <= high < math.inf:
            raise UsageError(
                f"range of {name} is no range", expected="finite, low ≤ high", received=value
            )
        found[port_name(name)] = (low, high)
    return found


def _flag(value: object, name: str) -> bool:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    raise UsageError(f"{name} is no flag", expected="True or False", received=repr(value))


def _whole(value: object, name: str) -> int:
    try:
        if not isinstance(value, bool):  # True is no 1: that would be a demand of 1 bit
            return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        pass
    raise UsageError(f"{name} is no whole number", expected="an integer", received=repr(value))
