//! Public columns of the tables of gates: 4 to 10 of docs/hybrid.md section 4.

use p3_field::PrimeCharacteristicRing;

use super::Draft;
use super::rows::ScanKind;
use super::write::{number, signed, table};
use crate::error::Result;
use crate::hash::Elem;
use crate::hybrid::tables::columns::Product;
use crate::hybrid::tables::{
    LIMB_OFFSET, PAIRS, PRODUCTS, QUOTIENT_OFFSET, SLOTS, WIDE_OFFSET, div, gate, index, limbs,
    pick, read_dot, row_dot, scan,
};
use crate::program::{OpKind, PickMode};
use crate::table::unwritten::Unwritten;

impl Draft<'_> {
    pub(super) fn row_dot(&self) -> Result<Option<Unwritten<'_>>> {
        let rows = &self.rows.streams.blocks;
        table(index::ROW_DOT, rows.len(), self.heights, move |i| {
            let row = &rows[i];
            let [block_a, block_b] = row.blocks.map(|block| number(block as usize));
            let [ca, cb] = row.centers;
            row_dot::Public {
                on: Elem::ONE,
                block_a,
                block_b,
                ca,
                cb,
                m: row.times.elements(),
                link: Elem::from_bool(!row.last),
                slot: number(row.slot as usize),
                last: Elem::from_bool(row.last),
            }
        })
    }

    pub(super) fn read_dot(&self) -> Result<Option<Unwritten<'_>>> {
        let streams = &self.rows.streams;
        table(index::READ_DOT, streams.reads.len(), self.heights, move |i| {
            let row = streams.reads[i];
            let products = &streams.products[PRODUCTS * i..PRODUCTS * (i + 1)];
            read_dot::Public {
                link: Elem::from_bool(!row.last),
                slot: number(row.slot as usize),
                last: Elem::from_bool(row.last),
                products: std::array::from_fn(|j| {
                    let [a, b] = products[j].map(|factor| self.addresses.factor(factor));
                    Product { a, b }
                }),
            }
        })
    }

    pub(super) fn limbs(&self) -> Result<Option<Unwritten<'_>>> {
        let rows = &self.rows.limbs;
        table(index::LIMBS, rows.len(), self.heights, move |i| {
            let row = &rows[i];
            let has: [bool; PAIRS] = std::array::from_fn(|n| row.has >> n & 1 == 1);
            let offsets = (0..PAIRS).filter(|&n| has[n]);
            let offsets = offsets.map(|n| i128::from(LIMB_OFFSET) << (8 * (n / 3 + n % 3)));
            let rest = i128::from(WIDE_OFFSET) + i128::from(row.fixed) - offsets.sum::<i128>();
            let digit = 1i128 << 24;
            limbs::Public {
                on: Elem::ONE,
                gate: number(row.gate as usize),
                slot: number(SLOTS * row.gate as usize + 2),
                has: has.map(Elem::from_bool),
                bias: self.addresses.factor(row.bias),
                cst: [
                    rest.rem_euclid(digit),
                    rest.div_euclid(digit).rem_euclid(digit),
                    rest.div_euclid(digit * digit),
                ]
                .map(|digit| signed(digit as i64)),
            }
        })
    }

    pub(super) fn gate(&self) -> Result<Option<Unwritten<'_>>> {
        let rows = &self.rows.gates;
        table(index::GATE, rows.len(), self.heights, move |i| {
            let row = &rows[i];
            let plan = self.plans[row.op as usize].as_ref().and_then(|plan| plan.requant());
            let Some(requant) = plan else { return gate::PUBLIC.map(|_| Elem::ZERO) };
            gate::Public {
                slot_a: number(SLOTS * i),
                has_a: Elem::from_bool(row.has_rows),
                slot_b: number(SLOTS * i + 1),
                has_b: Elem::from_bool(row.has_reads),
                row: number(if requant.direct { 0 } else { i }),
                bias: self.addresses.factor(row.bias),
                mult: self.addresses.factor(row.mult),
                rounding: self.addresses.factor(row.rounding),
                y_at: self.addresses.cell(row.y),
                ..requant.shared
            }
        })
    }

    pub(super) fn pick(&self) -> Result<Option<Unwritten<'_>>> {
        let rows = &self.rows.picks;
        table(index::PICK, rows.len(), self.heights, move |i| {
            let is = |mode| Elem::from_bool(rows[i].mode == mode);
            let [a, b, c] = rows[i].factors.map(|factor| self.addresses.factor(factor));
            pick::Public {
                on: Elem::ONE,
                copy: is(PickMode::Copy),
                greater: is(PickMode::Greater),
                equal: is(PickMode::Equal),
                select: is(PickMode::Select),
                a,
                b,
                c,
                y_at: self.addresses.cell(rows[i].y),
            }
        })
    }

    pub(super) fn scan(&self) -> Result<Option<Unwritten<'_>>> {
        let rows = &self.rows.scans;
        table(index::SCAN, rows.len(), self.heights, move |i| {
            let row = &rows[i];
            let larger = row.kind != ScanKind::Gather;
            let last_of = |kind| Elem::from_bool(row.last && row.kind == kind);
            scan::Public {
                on: Elem::ONE,
                first_max: Elem::from_bool(larger && row.k == 0),
                compare: Elem::from_bool(larger && row.k > 0),
                larger: Elem::from_bool(larger),
                link: Elem::from_bool(!row.last),
                k: number(row.k as usize),
                last_value: last_of(ScanKind::Max),
                last_index: last_of(ScanKind::Argmax),
                last_gather: last_of(ScanKind::Gather),
                value: self.addresses.factor(row.value),
                index: self.addresses.factor(row.index),
                y_at: self.addresses.cell(row.y),
            }
        })
    }

    pub(super) fn div(&self) -> Result<Option<Unwritten<'_>>> {
        let program = &self.prepared.checked.program;
        let rows = &self.rows.divs;
        table(index::DIV, rows.len(), self.heights, move |i| {
            let op = &program.ops[rows[i].op as usize];
            let OpKind::Div(kind) = &op.kind else { return div::PUBLIC.map(|_| Elem::ZERO) };
            let out = &program.tensors[op.out];
            let is_quotient = kind.den.is_some();
            let two = if is_quotient { 2 } else { 1 };
            div::Public {
                on: Elem::ONE,
                quotient: Elem::from_bool(is_quotient),
                two: signed(two),
                scale: signed(two * i64::from(kind.scale)),
                q_offset: signed(if is_quotient { QUOTIENT_OFFSET } else { 0 }),
                zero: signed(kind.out_zero),
                lo: signed(out.lo),
                hi: signed(out.hi),
                num: self.addresses.factor(rows[i].num),
                den: self.addresses.factor(rows[i].den),
                y_at: self.addresses.cell(rows[i].y),
            }
        })
    }
}
