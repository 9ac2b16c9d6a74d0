"""The transcript: what is absorbed, what is drawn (docs/stark.md section 3)."""

from __future__ import annotations

from dataclasses import dataclass

from ...stark.field import DEGREE, K
from ...stark.statement import CHUNKS
from ..child import Child
from ..machine import NEXT, POW_CHECK, SQUEEZE, Bits, Block, Cell, Machine
from ..tables import BLOCK

_MAIN, _AUXILIARY, _QUOTIENT, _OPENED, _ROUND, _FINAL = range(4, 10)
_POW = 0x20


@dataclass(frozen=True)
class Transcribed:
    """Everything that the messages of a proof say, and the challenges.

    Attributes:
        roots: of the main, the auxiliary and the quotient tree.
        terminals: by table.
        opened: all opened values in order.
        alpha, beta, gamma, eta: challenges.
        rounds: their roots, and what folds them.
        last: coefficients of the final polynomial.
        indices: of the queries.
    """

    roots: tuple[Block, Block, Block]
    terminals: list[Cell]
    opened: list[Cell]
    alpha: Cell
    beta: Cell
    gamma: Cell
    eta: Cell
    rounds: list[tuple[Block, Cell]]
    last: list[Cell]
    indices: list[Bits]


@dataclass(frozen=True)
class OpenedTable:
    """The opened values of a table; `start` is the number of the first one."""

    start: int
    main: list[Cell]
    next: list[Cell]
    fractions: list[Cell]
    acc: Cell
    acc_next: Cell


@dataclass(frozen=True)
class OpenedChunks:
    """The opened values of the chunks of a height; `start` is the number of the first one."""

    start: int
    cells: list[Cell]


@dataclass(frozen=True)
class Opened:
    """All opened values: by table, and by height."""

    tables: list[OpenedTable]
    chunks: list[OpenedChunks]
    count: int


def transcribe(machine: Machine, child: Child) -> Transcribed:
    """All rounds, in the order of docs/stark.md section 3."""
    profile = child.statement.parameters.profile
    points, tables = child.points, len(child.tables)
    # 0 to 2. The verifier knows what comes before the first message.
    said = _Transcript(machine, machine.known_block(child.start))
    # 3. It worked with α, β, ζ; here they turn out to be the ones that are drawn.
    main = said.absorb(_MAIN, BLOCK)
    alpha, beta = said.element(), said.element()
    said.known(alpha, points.alpha)
    said.known(beta, points.beta)
    # 4, 5.
    auxiliary = said.absorb(_AUXILIARY, BLOCK + DEGREE * tables)
    terminals = machine.unpack(auxiliary + 1, tables)
    gamma = said.element()
    # 6.
    quotient = said.absorb(_QUOTIENT, BLOCK)
    zeta = said.element()
    said.known(zeta, points.zeta)
    # 7, 8.
    opened = said.elements(_OPENED, child.statement.opening_count)
    said.work(profile.batch_bits)
    eta = said.element()
    # 9.
    rounds = []
    for _ in child.rounds:
        root = said.absorb(_ROUND, BLOCK)
        said.work(profile.commit_bits)
        rounds.append((root, said.element()))
    # 10.
    last = said.elements(_FINAL, 1 << profile.log_final)
    said.work(profile.query_bits)
    indices = said.indices(child.statement.parameters.queries, child.statement.log_domain)
    roots = (main, auxiliary, quotient)
    return Transcribed(roots, terminals, opened, alpha, beta, gamma, eta, rounds, last, indices)


def split_opened(child: Child, opened: list[Cell]) -> Opened:
    """The opened values by table, and by height those of the chunks."""
    cells = iter(opened)
    start = 0

    def take(count: int) -> list[Cell]:
        return [next(cells) for _ in range(count)]

    tables, chunks = [], []
    for one in child.tables:
        main, ahead = take(one.table.mains), take(len(one.table.next_columns))
        fractions, (acc, acc_next) = take(one.fractions), take(2)
        tables.append(OpenedTable(start, main, ahead, fractions, acc, acc_next))
        start += one.openings
    for _ in child.heights:
        chunks.append(OpenedChunks(start, take(CHUNKS)))
        start += CHUNKS
    return Opened(tables, chunks, start)


class _Transcript:
    """The transcript while it runs: its state is a block."""

    def __init__(self, machine: Machine, state: Block) -> None:
        self._machine, self._state = machine, state

    def absorb(self, tag: int, count: int) -> Block:
        """Absorb a message of so many elements; its first block."""
        sponge = self._machine.sponge(tag, self._state, count)
        if sponge.digest is not None:
            self._state = sponge.digest
        return sponge.first

    def elements(self, tag: int, count: int) -> list[Cell]:
        """Absorb a message of so many elements of K."""
        return self._machine.unpack(self.absorb(tag, DEGREE * count), count)

    def element(self) -> Cell:
        """Draw an element of K."""
        block = self._machine.squeeze(self._state, (0, SQUEEZE))
        self._state = self._machine.squeeze(self._state, (0, NEXT))
        (cell,) = self._machine.unpack(block, 1)
        return cell

    def known(self, cell: Cell, value: K) -> None:
        """Demand that a challenge is the one that the verifier worked with."""
        self._machine.demand(cell, constant=value)

    def work(self, bits: int) -> None:
        """A proof of work."""
        if bits == 0:
            return
        self.absorb(_POW, 1)
        block = self._machine.squeeze(self._state, (0, POW_CHECK))
        self._machine.bits(block, 0, zeros=bits, log_size=0)

    def indices(self, count: int, log_size: int) -> list[Bits]:
        """Draw the query indices."""
        found = []
        for start in range(0, count, BLOCK):
            block = self._machine.squeeze(self._state, (start // BLOCK, SQUEEZE))
            for element in range(min(BLOCK, count - start)):
                found.append(self._machine.bits(block, element, zeros=0, log_size=log_size))
        return found
