//! Public columns of the tables of gates: 4 to 10 of docs/hybrid.md section 4.

use p3_field::PrimeCharacteristicRing;

use super::Builder;
use super::rows::ScanKind;
use super::streams::SLOTS;
use super::write::table;
use crate::error::Result;
use crate::hash::Elem;
use crate::hybrid::tables::{PRODUCTS, index};
use crate::program::{OpKind, PickMode};
use crate::stark::PublicTable;

/// Pairs of limbs of a wide accumulator.
const PAIRS: usize = 9;
/// Makes the sum of a pair of limbs positive.
const LIMB_OFFSET: i128 = 127 << 23;
/// Makes a wide accumulator positive.
const WIDE_OFFSET: i128 = 1 << 47;
/// Makes a quotient positive.
const QUOTIENT_OFFSET: usize = 1 << 23;

impl Builder<'_> {
    pub(super) fn row_dot(&self) -> Result<Option<PublicTable>> {
        let rows = &self.rows.streams.blocks;
        table(index::ROW_DOT, rows.len(), self.hiding_rows, |i, out| {
            let row = &rows[i];
            out.flag(true);
            row.blocks.iter().for_each(|&block| out.number(block as usize));
            row.centers.iter().for_each(|&center| out.signed(center));
            row.times.iter().for_each(|&times| match times {
                0 | 1 => out.flag(times == 1),
                more => out.number(more as usize),
            });
            out.flag(!row.last);
            out.number(row.slot as usize);
            out.flag(row.last);
        })
    }

    pub(super) fn read_dot(&self) -> Result<Option<PublicTable>> {
        let streams = &self.rows.streams;
        table(index::READ_DOT, streams.reads.len(), self.hiding_rows, |i, out| {
            let row = streams.reads[i];
            out.flag(!row.last);
            out.number(row.slot as usize);
            out.flag(row.last);
            for product in &streams.products[PRODUCTS * i..PRODUCTS * (i + 1)] {
                product.iter().for_each(|&factor| out.factor(self.addresses, factor));
            }
        })
    }

    pub(super) fn limbs(&self) -> Result<Option<PublicTable>> {
        let rows = &self.rows.limbs;
        table(index::LIMBS, rows.len(), self.hiding_rows, |i, out| {
            let row = &rows[i];
            out.flag(true);
            out.number(row.gate as usize);
            out.number(SLOTS * row.gate as usize + 2);
            let mut rest = WIDE_OFFSET + i128::from(row.fixed);
            for n in 0..PAIRS {
                let has = row.has >> n & 1 == 1;
                out.flag(has);
                rest -= if has { LIMB_OFFSET << (8 * (n / 3 + n % 3)) } else { 0 };
            }
            out.factor(self.addresses, row.bias);
            let digit = 1i128 << 24;
            out.signed(rest.rem_euclid(digit) as i64);
            out.signed(rest.div_euclid(digit).rem_euclid(digit) as i64);
            out.signed(rest.div_euclid(digit * digit) as i64);
        })
    }

    pub(super) fn gate(&self) -> Result<Option<PublicTable>> {
        let rows = &self.rows.gates;
        table(index::GATE, rows.len(), self.hiding_rows, |i, out| {
            let row = &rows[i];
            let plan = self.plans[row.op as usize].as_ref().and_then(|plan| plan.requant());
            let Some(requant) = plan else { return };
            out.flag(true);
            out.flag(requant.direct);
            out.number(SLOTS * i);
            out.flag(row.has_rows);
            out.number(SLOTS * i + 1);
            out.flag(row.has_reads);
            out.number(if requant.direct { 0 } else { i });
            for factor in [row.bias, row.mult, row.rounding] {
                out.factor(self.addresses, factor);
            }
            out.address(self.addresses, row.y);
            out.elements(&requant.columns);
        })
    }

    pub(super) fn pick(&self) -> Result<Option<PublicTable>> {
        let rows = &self.rows.picks;
        table(index::PICK, rows.len(), self.hiding_rows, |i, out| {
            out.flag(true);
            for mode in [PickMode::Copy, PickMode::Greater, PickMode::Equal, PickMode::Select] {
                out.flag(rows[i].mode == mode);
            }
            rows[i].factors.iter().for_each(|&factor| out.factor(self.addresses, factor));
            out.address(self.addresses, rows[i].y);
        })
    }

    pub(super) fn scan(&self) -> Result<Option<PublicTable>> {
        let rows = &self.rows.scans;
        table(index::SCAN, rows.len(), self.hiding_rows, |i, out| {
            let row = &rows[i];
            let larger = row.kind != ScanKind::Gather;
            out.flag(true);
            out.flag(larger && row.k == 0);
            out.flag(larger && row.k > 0);
            out.flag(larger);
            out.flag(!row.last);
            out.number(row.k as usize);
            for kind in [ScanKind::Max, ScanKind::Argmax, ScanKind::Gather] {
                out.flag(row.last && row.kind == kind);
            }
            out.factor(self.addresses, row.value);
            out.factor(self.addresses, row.index);
            out.address(self.addresses, row.y);
        })
    }

    pub(super) fn div(&self) -> Result<Option<PublicTable>> {
        let program = &self.prepared.checked.program;
        let rows = &self.rows.divs;
        table(index::DIV, rows.len(), self.hiding_rows, |i, out| {
            let op = &program.ops[rows[i].op as usize];
            let OpKind::Div(div) = &op.kind else { return };
            let two = if div.den.is_some() { 2 } else { 1 };
            out.flag(true);
            out.flag(div.den.is_some());
            out.number(two);
            out.element(Elem::from_i64(two as i64 * i64::from(div.scale)));
            out.number(if div.den.is_some() { QUOTIENT_OFFSET } else { 0 });
            out.signed(div.out_zero.into());
            out.signed(program.tensors[op.out].lo.into());
            out.signed(program.tensors[op.out].hi.into());
            out.factor(self.addresses, rows[i].num);
            out.factor(self.addresses, rows[i].den);
            out.address(self.addresses, rows[i].y);
        })
    }
}
