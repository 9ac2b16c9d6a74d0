"""Public columns of the tables that hold gates (docs/hybrid.md section 4, tables 6 to 10)."""

from __future__ import annotations

import math

import numpy as np

from ..gates import Ints
from ..gates.operand import Points, points
from ..program.checked import Checked
from ..program.types import Const, Div, Dot, Gather, Operand, Pick, PickMode
from ..stark.columns import Columns
from .factors import NONE, References
from .leaves import gather_source
from .requantise import DIRECT_OFFSET, WIDE_OFFSET, form
from .rows import Rows, absent, factor_columns
from .segments import GateRun
from .streams import PAIRS, SLOTS, DotStreams, Streams

LIMBS_COLUMNS = Columns(f"on gate slot has:{PAIRS} bias:factor cst:3")
GATE_COLUMNS = Columns(
    "on direct slot_a has_a slot_b has_b row bias:factor mult:factor rounding:factor "
    "y_at:reference offset class_u2 sigma_u3 o:6 cst:6 alpha:6 beta:6 gamma:6 delta:6 "
    "sigma_t:2 sigma_r:4 sigma_p:2 qoff clo chi has_act act"
)
PICK_COLUMNS = Columns("on copy greater equal select a:factor b:factor c:factor y_at:reference")
SCAN_COLUMNS = Columns(
    "on first_max compare larger link k last_value last_index last_gather value:factor "
    "index:factor y_at:reference"
)
DIV_COLUMNS = Columns(
    "on quotient two scale q_offset zero lo hi num:factor den:factor y_at:reference"
)

_LIMB_SLOT = 2
_PICKS = (PickMode.COPY, PickMode.GREATER, PickMode.EQUAL, PickMode.SELECT)
_QUOTIENT_OFFSET = 1 << 23
_DIGIT = 24


class GateTables:
    """Collects the rows of all gates of a segment, item by item."""

    def __init__(self, checked: Checked, references: References) -> None:
        self._checked, self._program = checked, checked.program
        self._references = references
        self.streams = DotStreams(references)
        self.limbs = Rows(LIMBS_COLUMNS)
        self.gate = Rows(GATE_COLUMNS)
        self.pick = Rows(PICK_COLUMNS)
        self.scan = Rows(SCAN_COLUMNS)
        self.div = Rows(DIV_COLUMNS)
        self.tables: set[int] = set()

    def add(self, run: GateRun) -> None:
        """Add the gates of a run."""
        match self._program.ops[run.op]:
            case Dot() as op:
                self._add_dots(op, run)
            case Pick() as op if op.mode in _PICKS:
                self._add_picks(op, run)
            case Pick() as op:
                self._add_scans(op, run, op.operands[0], op.window)
            case Gather() as op:
                self._add_scans(op, run, gather_source(op), (op.source.view[op.axis],))
            case Div() as op:
                self._add_divs(op, run)

    def _side(self, operand: Operand | None, at: Points, run: GateRun) -> Ints:
        """The columns of an operand without a window, one row a gate."""
        if operand is None:
            return absent(at.gates)
        return factor_columns(self._references.factors(operand, at, run.steps), (at.gates, 1))

    def _written(self, out: int, run: GateRun) -> Ints:
        return self._references.written(out, run.steps, run.gates)

    def _add_dots(self, op: Dot, run: GateRun) -> None:
        if op.table is not None:
            self.tables.add(op.table)
        shared = form(self._checked, run.op)
        for part in run.parts(sum(term.size for term in op.terms)):
            first, count = self.gate.count, len(part.gates)
            gate = np.arange(first, first + count, dtype=np.int64)
            at = points(op.space, (), part.gates)
            bias = self._side(op.bias, at, part)
            if shared.direct:
                streams = self.streams.direct(op, part, first)
                has_b: Ints = streams.others[:, 0].astype(np.int64)
            else:
                streams = self.streams.wide(op, part, first)
                has_b = np.zeros(count, np.int64)
                self._add_limbs(op, streams, gate, bias)
                bias = absent(count)
            self.gate.add(
                count,
                on=1,
                direct=int(shared.direct),
                slot_a=SLOTS * gate,
                has_a=streams.aligned,
                slot_b=SLOTS * gate + 1,
                has_b=has_b,
                row=0 if shared.direct else gate,
                bias=bias,
                mult=self._side(op.mult, at, part),
                rounding=self._side(op.rounding, at, part),
                y_at=self._written(op.out, part),
                **shared.columns,
            )

    def _add_limbs(self, op: Dot, streams: Streams, gate: Ints, bias: Ints) -> None:
        has = streams.others.astype(np.int64)
        weights = np.array([256 ** (pair // 3 + pair % 3) for pair in range(PAIRS)], np.int64)
        fixed = op.bias.value if isinstance(op.bias, Const) else 0
        if fixed:
            bias = absent(len(gate))
        total = WIDE_OFFSET + fixed - DIRECT_OFFSET * (has @ weights)
        low = (1 << _DIGIT) - 1
        digits = np.stack([total & low, total >> _DIGIT & low, total >> 2 * _DIGIT])
        self.limbs.add(
            len(gate),
            on=1,
            gate=gate,
            slot=SLOTS * gate + _LIMB_SLOT,
            has=has.T,
            bias=bias,
            cst=digits,
        )

    def _add_picks(self, op: Pick, run: GateRun) -> None:
        at = points(op.space, op.window, run.gates)
        found: list[Operand | None] = [*op.operands, None, None]
        if op.mode is PickMode.SELECT:
            found = [*op.operands[1:], op.operands[0]]
        a, b, c = (self._side(operand, at, run) for operand in found[:3])
        self.pick.add(
            len(run.gates),
            on=1,
            copy=int(op.mode is PickMode.COPY),
            greater=int(op.mode is PickMode.GREATER),
            equal=int(op.mode is PickMode.EQUAL),
            select=int(op.mode is PickMode.SELECT),
            a=a,
            b=b,
            c=c,
            y_at=self._written(op.out, run),
        )

    def _add_scans(
        self, op: Pick | Gather, run: GateRun, operand: Operand, window: tuple[int, ...]
    ) -> None:
        for part in run.parts(math.prod(window)):
            self._add_scan_rows(op, part, operand, window)

    def _add_scan_rows(
        self, op: Pick | Gather, run: GateRun, operand: Operand, window: tuple[int, ...]
    ) -> None:
        at = points(op.space, window, run.gates)
        shape = (at.gates, at.window)
        k = np.broadcast_to(np.arange(at.window, dtype=np.int64), shape).ravel()
        first, last = k == 0, k == at.window - 1
        compares = isinstance(op, Pick)
        is_max = isinstance(op, Pick) and op.mode is PickMode.MAX
        index = np.tile(absent(1), at.gates * at.window)
        if isinstance(op, Gather):
            index[:, last] = self._side(op.index, points(op.space, (), run.gates), run)
        written = np.full(len(k), NONE, np.int64)
        written[last] = self._written(op.out, run)
        self.scan.add(
            len(k),
            on=1,
            first_max=first & compares,
            compare=~first & compares,
            larger=int(compares),
            link=~last,
            k=k,
            last_value=last & is_max,
            last_index=last & (compares and not is_max),
            last_gather=last & (not compares),
            value=factor_columns(self._references.factors(operand, at, run.steps), shape),
            index=index,
            y_at=written,
        )

    def _add_divs(self, op: Div, run: GateRun) -> None:
        at = points(op.space, (), run.gates)
        quotient = op.den is not None
        out = self._program.tensors[op.out]
        self.div.add(
            len(run.gates),
            on=1,
            quotient=int(quotient),
            two=2 if quotient else 1,
            scale=2 * op.scale if quotient else op.scale,
            q_offset=_QUOTIENT_OFFSET if quotient else 0,
            zero=op.out_zero,
            lo=out.lo,
            hi=out.hi,
            num=self._side(op.num, at, run),
            den=self._side(op.den, at, run),
            y_at=self._written(op.out, run),
        )
