"""The bytes of a proof, cut into fields; all sizes are derived (docs/stark.md section 7)."""

from __future__ import annotations

from dataclasses import dataclass

from ..reader import P, Reader
from .field import DEGREE, Elements, Ints, K, elements
from .fri import Round
from .params import Hashing
from .statement import CHUNKS, Statement
from .tree import Opening, Shape, read_digest, read_opening, read_words


@dataclass(frozen=True)
class OpenedTable:
    """The values of a table's columns at ζ, and of some one row on, at ω_k·ζ."""

    main: list[K]
    next: list[K]
    fractions: list[K]
    acc: K
    acc_next: K


@dataclass(frozen=True)
class Head:
    """Everything before the openings of trees.

    Attributes:
        main_root, aux_root, quotient_root: of the three trees.
        terminals: of each table.
        opened: all opened values in order, uint64 [openings, 5].
        batch_nonce: of the proof of work before η.
        rounds: root and nonce of each round of FRI.
        final: the coefficients of the final polynomial, uint64 [length, 5].
        query_nonce: of the proof of work before the queries.
    """

    main_root: bytes
    aux_root: bytes
    terminals: list[K]
    quotient_root: bytes
    opened: Elements
    batch_nonce: int
    rounds: list[tuple[bytes, int]]
    final: Elements
    query_nonce: int


@dataclass(frozen=True)
class Openings:
    """The openings of all trees: main, auxiliary, quotient, and one of each round of FRI."""

    main: Opening
    aux: Opening
    quotient: Opening
    rounds: list[Opening]


def read_head(reader: Reader, statement: Statement, rounds: list[Round]) -> Head:
    """Read everything before the openings.

    Raises:
        MalformedReceipt: `receipt.truncated`, `receipt.non-canonical`.
    """
    profile = statement.parameters.profile
    hashing = profile.hashing

    def nonce(bits: int) -> int:
        return _nonce(reader, bits, hashing)

    return Head(
        main_root=read_digest(reader, hashing),
        aux_root=read_digest(reader, hashing),
        terminals=elements(_read(reader, len(statement.tables))),
        quotient_root=read_digest(reader, hashing),
        opened=_read(reader, statement.opening_count),
        batch_nonce=nonce(profile.batch_bits),
        rounds=[(read_digest(reader, hashing), nonce(profile.commit_bits)) for _ in rounds],
        final=_read(reader, 1 << profile.log_final),
        query_nonce=nonce(profile.query_bits),
    )


def read_openings(
    reader: Reader, statement: Statement, rounds: list[Round], indices: Ints
) -> Openings:
    """Read the openings at these indices of the tallest domain, int64 [queries].

    Raises:
        MalformedReceipt: `receipt.truncated`, `receipt.non-canonical`.
    """
    main, aux, quotient = (read_opening(reader, shape, indices) for shape in statement.shapes)
    folded = []
    for each in rounds:
        widths = {each.log_rows: DEGREE << each.log_arity}
        shape = Shape(widths, salted=False, hashing=statement.parameters.profile.hashing)
        rows = indices >> (statement.log_domain - each.log_rows)
        folded.append(read_opening(reader, shape, rows))
    return Openings(main, aux, quotient, folded)


def split_opened(statement: Statement, opened: Elements) -> tuple[list[OpenedTable], list[list[K]]]:
    """The opened values by table, and by height, tallest first, those of the quotient's chunks."""
    values = iter(elements(opened))

    def take(count: int) -> list[K]:
        return [next(values) for _ in range(count)]

    tables = [
        OpenedTable(
            main=take(one.table.mains),
            next=take(len(one.table.next_columns)),
            fractions=take(one.fractions),
            acc=next(values),
            acc_next=next(values),
        )
        for one in statement.tables
    ]
    return tables, [take(CHUNKS) for _ in statement.log_heights]


def to_bytes(array: Elements) -> bytes:
    """Elements of K as little-endian words."""
    return array.astype("<u4").tobytes()


def _read(reader: Reader, count: int) -> Elements:
    return read_words(reader, DEGREE * count).reshape(count, DEGREE)


def _nonce(reader: Reader, bits: int, hashing: Hashing) -> int:
    nonce = reader.u64()
    if bits == 0 and nonce:
        raise reader.bad("a nonce without a proof of work", 0, nonce)
    if hashing is Hashing.POSEIDON2 and nonce >= P:
        raise reader.bad("a nonce is not below p", f"below {P}", nonce)
    return nonce
