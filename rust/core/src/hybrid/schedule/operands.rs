//! What a gate reads: operands as stretches of addresses (docs/hybrid.md section 2, Factors).

use p3_field::PrimeCharacteristicRing;

use crate::commit::{Course, Prepared};
use crate::error::{Error, Result};
use crate::hash::Elem;
use crate::hybrid::leaves::{Leaves, PrfRead, TreeLeaves};
use crate::program::{OperandRef, Read, Role, Run, Segment, Source as TensorSource, Walk};

const NUMBER_BITS: u32 = 30;

/// A place on the read bus, named before the addresses of wide values and bits are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Nowhere,
    /// Address of a byte.
    Byte(usize),
    /// Address of the first byte of a value of width 2 or 3.
    Wide(usize),
    /// Row of the bits table.
    Bits(usize),
}

impl At {
    pub fn byte(address: u32) -> Self {
        Self(1 << NUMBER_BITS | address)
    }

    fn wide(address: u32) -> Self {
        Self(2 << NUMBER_BITS | address)
    }

    fn bits(row: usize) -> Self {
        Self(3 << NUMBER_BITS | row as u32)
    }

    /// The value of a width that begins at an address.
    fn value(width: usize, address: u32) -> Self {
        if width == 1 { Self::byte(address) } else { Self::wide(address) }
    }

    pub fn place(self) -> Place {
        let number = (self.0 & ((1 << NUMBER_BITS) - 1)) as usize;
        match self.0 >> NUMBER_BITS {
            0 => Place::Nowhere,
            1 => Place::Byte(number),
            2 => Place::Wide(number),
            _ => Place::Bits(number),
        }
    }
}

/// `r·v + k`: reads where it has a place.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Factor {
    pub at: At,
    pub k: Elem,
}

/// Values of an operand that stand side by side.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    at: At,
    pub len: usize,
    k: Elem,
    /// Bytes of a value; 0 for constants and pads.
    pub width: usize,
    /// The value of a constant or pad.
    fixed: i64,
}

impl Stretch {
    fn fixed(value: i64, len: usize) -> Self {
        Self { at: At::default(), len, k: Elem::from_i64(value), width: 0, fixed: value }
    }

    /// The factor of value `j`.
    pub fn factor(&self, j: usize) -> Factor {
        Factor { at: At(self.at.0 + (j * self.width) as u32), k: self.k }
    }

    /// Address of the first byte, where these are bytes.
    pub fn bytes(&self) -> Option<usize> {
        if let Place::Byte(address) = self.at.place() { Some(address) } else { None }
    }

    /// Limbs of a value under a wide accumulator.
    pub fn limbs(&self) -> usize {
        let bits = 64 - self.fixed.unsigned_abs().leading_zeros() as usize;
        if self.width == 0 { bits.div_ceil(8).max(1) } else { self.width }
    }

    /// Limb `i` of value `j`.
    pub fn limb(&self, j: usize, i: usize) -> Factor {
        if self.width == 0 {
            let byte = (self.fixed.unsigned_abs() >> (8 * i) & 0xff) as i64;
            let k = Elem::from_i64(self.fixed.signum() * byte);
            return Factor { at: At::default(), k };
        }
        let (Place::Byte(first) | Place::Wide(first)) = self.at.place() else {
            return Factor::default();
        };
        let k = if i + 1 == self.width { Elem::ZERO } else { Elem::from_u8(128) };
        Factor { at: At::byte((first + j * self.width + i) as u32), k }
    }
}

/// Where the values of a segment stand.
pub struct Context<'a> {
    pub prepared: &'a Prepared,
    pub course: &'a Course,
    pub leaves: &'a Leaves,
}

/// Where a tensor stands in a step, and what is taken from its values.
struct Ground<'a> {
    tensor: usize,
    step: usize,
    /// Less the zero of the read.
    k: Elem,
    width: usize,
    /// `None` where no leaf of it is opened, and for prf tensors.
    tree: Option<&'a TreeLeaves>,
}

impl<'a> Context<'a> {
    /// The place of the value that a gate defines.
    pub fn output(&self, out: usize, step: usize, gate: usize) -> Result<At> {
        let mut found = Stretch::fixed(0, 0);
        let run = Run { start: gate, step: 0, len: 1 };
        self.run(&self.ground(out, step, 0), run, &mut |stretch| found = stretch)?;
        Ok(found.at)
    }

    fn ground(&self, tensor: usize, step: usize, zero: i64) -> Ground<'a> {
        let place = self.prepared.tree_of(tensor, step);
        let tree = place.and_then(|(place, number)| self.leaves.tree(place, number).ok());
        let width = self.prepared.checked.program.tensors[tensor].width;
        Ground { tensor, step, k: Elem::from_i64(-zero), width, tree }
    }

    /// Cuts a run of a tensor into stretches.
    fn run(&self, ground: &Ground, run: Run, visit: &mut impl FnMut(Stretch)) -> Result<()> {
        let Ground { tensor, step, k, width, tree } = *ground;
        if let TensorSource::Prf { domain } = self.prepared.checked.program.tensors[tensor].source {
            for j in 0..run.len {
                let index = run.start.wrapping_add_signed(run.step * j as isize) as u32;
                let (step, tensor) = (self.course.position(step) as u32, tensor as u32);
                let row = self.prf_row(PrfRead { step, domain, index, tensor })?;
                visit(Stretch { at: At::bits(row), len: 1, k, width: 1, fixed: 0 });
            }
            return Ok(());
        }
        let missing = || Error::new("internal", "a tree is not in its segment");
        let tree = tree.ok_or_else(missing)?;
        self.prepared.parts(tensor, run, |leaf, slot, len| {
            let leaf = self.prepared.leaf_in(self.course, tensor, step, leaf)?;
            let at = At::value(width, tree.address(leaf, slot)?);
            visit(Stretch { at, len, k, width, fixed: 0 });
            Ok(())
        })
    }

    fn prf_row(&self, read: PrfRead) -> Result<usize> {
        let missing = |_| Error::new("internal", "a prf value is not in its segment");
        self.leaves.prf.binary_search(&read).map_err(missing)
    }
}

/// An operand, prepared.
pub enum Source {
    Const(i64),
    Read { tensor: usize, walk: Box<Walk>, zero: i64, pad: i64, prf: bool },
}

impl Source {
    pub fn new(
        prepared: &Prepared,
        space: &[usize],
        window: &[usize],
        operand: OperandRef,
    ) -> Self {
        let read: &Read = match operand {
            OperandRef::Const(value) => return Self::Const(value.into()),
            OperandRef::Read(read) => read,
        };
        Self::Read {
            tensor: read.tensor,
            walk: Box::new(Walk::new(read, space, window)),
            zero: read.zero.into(),
            pad: read.pad.unwrap_or(read.zero).into(),
            prf: prepared.checked.program.tensors[read.tensor].role == Role::Prf,
        }
    }

    /// What is taken from a read.
    pub fn zero(&self) -> i64 {
        if let Self::Read { zero, .. } = self { *zero } else { 0 }
    }

    /// The value of a constant.
    pub fn constant(&self) -> Option<i64> {
        if let Self::Const(value) = self { Some(*value) } else { None }
    }

    /// Whether this reads a tensor whose declared range is narrower than its bytes.
    pub fn is_narrow(&self, context: &Context) -> bool {
        let Self::Read { tensor, .. } = self else { return false };
        let tensor = &context.prepared.checked.program.tensors[*tensor];
        let half = 1i64 << (8 * tensor.width - 1);
        i64::from(tensor.lo) > -half || i64::from(tensor.hi) < half - 1
    }

    /// Whether this reads a committed tensor.
    pub fn committed(&self) -> bool {
        matches!(self, Self::Read { prf: false, .. })
    }

    /// The first gate for which this is the same operand.
    pub fn first(&self, gate: usize) -> usize {
        if let Self::Read { walk, .. } = self { walk.first(gate) } else { 0 }
    }

    /// The operand's values over its window of `size` positions.
    pub fn fill(
        &self,
        context: &Context,
        (step, gate): (usize, usize),
        size: usize,
        out: &mut Vec<Stretch>,
    ) -> Result<()> {
        out.clear();
        let (tensor, walk, zero, pad) = match self {
            Self::Const(value) => {
                out.push(Stretch::fixed(*value, size));
                return Ok(());
            }
            Self::Read { tensor, walk, zero, pad, .. } => (*tensor, walk, *zero, *pad),
        };
        let ground = context.ground(tensor, step, zero);
        let mut done = Ok(());
        walk.segments(gate, |segment| match segment {
            Segment::Pad(len) => out.push(Stretch::fixed(pad - zero, len)),
            Segment::Run(run) if done.is_ok() => {
                done = context.run(&ground, run, &mut |stretch| out.push(stretch));
            }
            Segment::Run(_) => {}
        });
        done
    }

    /// The operand's one value.
    pub fn one(&self, context: &Context, at: (usize, usize)) -> Result<Factor> {
        let mut out = Vec::with_capacity(1);
        self.fill(context, at, 1, &mut out)?;
        Ok(out.first().map_or(Factor::default(), |stretch| stretch.factor(0)))
    }

    /// The values along an axis of a gather's source.
    pub fn along(
        &self,
        context: &Context,
        (step, gate): (usize, usize),
        (stride, dim): (usize, usize),
        out: &mut Vec<Stretch>,
    ) -> Result<()> {
        out.clear();
        let Self::Read { tensor, walk, zero, pad, .. } = self else { return Ok(()) };
        let ground = context.ground(*tensor, step, *zero);
        let mut done = Ok(());
        walk.segments(gate, |segment| match segment {
            Segment::Pad(_) => out.push(Stretch::fixed(pad - zero, dim)),
            Segment::Run(run) => {
                let run = Run { start: run.start, step: stride as isize, len: dim };
                done = context.run(&ground, run, &mut |stretch| out.push(stretch));
            }
        });
        done
    }
}

/// Two operands side by side: what each gives for the next few products.
pub struct Pairs<'a> {
    a: &'a [Stretch],
    b: &'a [Stretch],
    /// Values already taken of the first stretches.
    taken: (usize, usize),
}

/// Values `first` and on of two stretches, `len` of them.
pub struct Pair<'a> {
    pub a: &'a Stretch,
    pub b: &'a Stretch,
    pub first: (usize, usize),
    pub len: usize,
}

impl<'a> Pairs<'a> {
    pub fn new(a: &'a [Stretch], b: &'a [Stretch]) -> Self {
        Self { a, b, taken: (0, 0) }
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        let (a, b) = (self.a.first()?, self.b.first()?);
        let first = self.taken;
        let len = (a.len - first.0).min(b.len - first.1);
        self.taken = (first.0 + len, first.1 + len);
        if self.taken.0 == a.len {
            (self.a, self.taken.0) = (&self.a[1..], 0);
        }
        if self.taken.1 == b.len {
            (self.b, self.taken.1) = (&self.b[1..], 0);
        }
        Some(Pair { a, b, first, len })
    }
}
