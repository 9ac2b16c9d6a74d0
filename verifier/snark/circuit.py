"""What a halo2 circuit demands, as its verifier needs it, and its bytes (docs/snark.md).

ezkl's own key holds commitments, but not the constraints: those are Rust code. Here they are data,
so that the digest of these bytes names the circuit, and any reader can check its proofs.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..reader import Reader, Writer
from .curve import Point, R, Twisted, on_curve

CONSTANT, ADVICE, FIXED, CHALLENGE, NEGATION, SUM, PRODUCT = range(7)
"""What a line of an expression computes."""

OF_ADVICE, OF_FIXED, OF_INSTANCE = range(3)
"""What a column of the permutation is read as: an advice query, a fixed one, the instances."""

MAX_ROWS_LOG, MAX_LINES, MAX_LIST = 26, 4096, 1024


@dataclass(frozen=True)
class Line:
    """One operation; operands are numbers of earlier lines, of queries, or of challenges.

    Attributes:
        op: `CONSTANT` and so on.
        a, b: operands; the value of a constant stands in `a`.
    """

    op: int
    a: int
    b: int = 0


Expression = tuple[Line, ...]
"""Its value is the one of its last line."""


@dataclass(frozen=True)
class Lookup:
    """Values that lie in a table: every input is, compressed, among the compressed rows."""

    table: tuple[Expression, ...]
    inputs: tuple[tuple[Expression, ...], ...]


@dataclass(frozen=True)
class Circuit:
    """A circuit and the string under which it is committed.

    Attributes:
        k: log2 of the rows.
        blinding: rows at the end that hold only randomness.
        instances: public values, in one column.
        phases: (advice columns, challenges drawn after them), phase by phase.
        advice, fixed_queries: (column, rotation) of every evaluation in the proof, in its order.
        gates: expressions that are zero on every row.
        permutation: (kind, query) of the columns that copy; kinds as `OF_ADVICE`.
        chunk: columns that one product polynomial covers.
        lookups: in the order of their polynomials.
        quotients: pieces of the quotient polynomial.
        digest: what the transcript begins with, a scalar that halo2 derives from the key.
        fixed, sigma: commitments to the fixed columns and to the permutation's.
        tau: τ·G₂ of the string.
    """

    k: int
    blinding: int
    instances: int
    phases: tuple[tuple[int, int], ...]
    advice: tuple[tuple[int, int], ...]
    fixed_queries: tuple[tuple[int, int], ...]
    gates: tuple[Expression, ...]
    permutation: tuple[tuple[int, int], ...]
    chunk: int
    lookups: tuple[Lookup, ...]
    quotients: int
    digest: int
    fixed: tuple[Point, ...]
    sigma: tuple[Point, ...]
    tau: Twisted

    @property
    def products(self) -> int:
        """Product polynomials of the permutation."""
        return -(-len(self.permutation) // self.chunk)

    @property
    def advices(self) -> int:
        """Advice columns of all phases."""
        return sum(columns for columns, _ in self.phases)

    @property
    def points(self) -> int:
        """Commitments in a proof, before the evaluations."""
        return self.advices + 2 * len(self.lookups) + self.products + 1 + self.quotients

    @property
    def evaluations(self) -> int:
        """Scalars in a proof."""
        queries = len(self.advice) + len(self.fixed_queries)
        of_products = 3 * self.products - 1 if self.products else 0
        return queries + 1 + len(self.permutation) + of_products + 3 * len(self.lookups)

    @property
    def proof_bytes(self) -> int:
        """Bytes of a proof: points of 64, scalars of 32, two points of the opening."""
        return 64 * (self.points + 2) + 32 * self.evaluations


def write_circuit(w: Writer, circuit: Circuit) -> None:
    """The canonical bytes."""
    w.u8(circuit.k)
    w.u8(circuit.blinding)
    w.u32(circuit.instances)
    w.u8(len(circuit.phases))
    for columns, challenges in circuit.phases:
        w.u16(columns)
        w.u8(challenges)
    for queries in (circuit.advice, circuit.fixed_queries):
        w.u16(len(queries))
        for column, rotation in queries:
            w.u16(column)
            w.i32(rotation)
    w.u16(len(circuit.gates))
    for gate in circuit.gates:
        _write_expression(w, gate)
    w.u16(len(circuit.permutation))
    for kind, query in circuit.permutation:
        w.u8(kind)
        w.u16(query)
    w.u8(circuit.chunk)
    w.u16(len(circuit.lookups))
    for lookup in circuit.lookups:
        for part in (lookup.table, *lookup.inputs):
            w.u8(len(part))
            for expression in part:
                _write_expression(w, expression)
        w.u8(0)
    w.u8(circuit.quotients)
    w.raw(circuit.digest.to_bytes(32, "big"))
    for points in (circuit.fixed, circuit.sigma):
        w.u16(len(points))
        for point in points:
            for each in point or (0, 0):
                w.raw(each.to_bytes(32, "big"))
    for each in circuit.tau:
        w.raw(each.to_bytes(32, "big"))


def read_circuit(r: Reader) -> Circuit:
    """Read the canonical bytes.

    Raises:
        MalformedReceipt: they are not canonical, end too early, or contradict themselves.
    """
    k = _within(r, "rows", r.u8(), 1, MAX_ROWS_LOG)
    blinding = _within(r, "blinding rows", r.u8(), 1, 64)
    instances = _within(r, "instances", r.u32(), 1, min(1 << k, 1 << 20))
    phases = tuple((r.u16(), r.u8()) for _ in range(_within(r, "phases", r.u8(), 1, 3)))
    advices = _within(r, "advice columns", sum(n for n, _ in phases), 1, MAX_LIST)
    advice, fixed_queries = _queries(r), _queries(r)
    if any(column >= advices for column, _ in advice):
        raise r.bad("a query is of no advice column")
    limits = (len(advice), len(fixed_queries), sum(n for _, n in phases))
    gates = tuple(_expression(r, limits) for _ in range(_length(r, "gates")))
    permutation = tuple(_column(r, limits) for _ in range(_length(r, "copying columns")))
    chunk = _within(r, "a chunk", r.u8(), 1, 64)
    lookups = tuple(_lookup(r, limits) for _ in range(_length(r, "lookups", 0)))
    quotients = _within(r, "pieces of the quotient", r.u8(), 1, 64)
    digest = _scalar(r)
    fixed, sigma = _points(r), _points(r)
    tau = (_coordinate(r), _coordinate(r), _coordinate(r), _coordinate(r))
    if any(column >= len(fixed) for column, _ in fixed_queries):
        raise r.bad("a query is of no fixed column")
    if len(sigma) != len(permutation):
        raise r.bad("the permutation's columns and commitments differ in number")
    return Circuit(
        k, blinding, instances, phases, advice, fixed_queries, gates, permutation, chunk, lookups,
        quotients, digest, fixed, sigma, tau,
    )  # fmt: skip


def _write_expression(w: Writer, expression: Expression) -> None:
    w.u16(len(expression))
    for line in expression:
        w.u8(line.op)
        if line.op == CONSTANT:
            w.string(line.a.to_bytes((line.a.bit_length() + 7) // 8, "big"))
        else:
            w.u16(line.a)
            if line.op in (SUM, PRODUCT):
                w.u16(line.b)


def _expression(r: Reader, limits: tuple[int, int, int]) -> Expression:
    lines: list[Line] = []
    for number in range(_within(r, "lines", r.u16(), 1, MAX_LINES)):
        op = _within(r, "an operation", r.u8(), CONSTANT, PRODUCT)
        if op == CONSTANT:
            data = r.string()
            value = int.from_bytes(data, "big")
            if value >= R or data[:1] == b"\0":
                raise r.bad("a constant is not canonical")
            lines.append(Line(op, value))
            continue
        limit = number if op >= NEGATION else limits[op - ADVICE]
        a = _below(r, r.u16(), limit)
        lines.append(Line(op, a, _below(r, r.u16(), limit) if op in (SUM, PRODUCT) else 0))
    return tuple(lines)


def _lookup(r: Reader, limits: tuple[int, int, int]) -> Lookup:
    parts = []
    while count := r.u8():
        parts.append(tuple(_expression(r, limits) for _ in range(count)))
        if len(parts) > MAX_LIST:
            raise r.bad("a lookup has too many inputs")
    if len(parts) < 2:
        raise r.bad("a lookup has no input")
    return Lookup(parts[0], tuple(parts[1:]))


def _queries(r: Reader) -> tuple[tuple[int, int], ...]:
    found = tuple(
        (r.u16(), _within(r, "a rotation", r.i32(), -(1 << 16), 1 << 16))
        for _ in range(_length(r, "queries"))
    )
    if len(set(found)) < len(found):
        raise r.bad("a query stands twice")
    return found


def _column(r: Reader, limits: tuple[int, int, int]) -> tuple[int, int]:
    kind = _within(r, "a kind of column", r.u8(), OF_ADVICE, OF_INSTANCE)
    return kind, _below(r, r.u16(), 1 if kind == OF_INSTANCE else limits[kind])


def _length(r: Reader, what: str, least: int = 1) -> int:
    return _within(r, f"the number of {what}", r.u16(), least, MAX_LIST)


def _within(r: Reader, what: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise r.bad(f"{what} out of range", expected=f"{least} to {most}", received=value)
    return value


def _below(r: Reader, value: int, limit: int) -> int:
    if value >= limit:
        raise r.bad("an operand does not exist", expected=f"below {limit}", received=value)
    return value


def _scalar(r: Reader) -> int:
    value = int.from_bytes(r.take(32), "big")
    if value >= R:
        raise r.bad("a scalar is not below r")
    return value


def _coordinate(r: Reader) -> int:
    return int.from_bytes(r.take(32), "big")


def _points(r: Reader) -> tuple[Point, ...]:
    return tuple(_point(r) for _ in range(_length(r, "commitments")))


def _point(r: Reader) -> Point:
    """A point of the curve; what no prover writes elsewhere, infinity, is a column of zeros."""
    x, y = _coordinate(r), _coordinate(r)
    if (x, y) == (0, 0):
        return None
    if not on_curve(x, y):
        raise r.bad("a commitment is not on the curve")
    return x, y
