//! The words of a program: tensors, operands, ops, ports (docs/protocol.md section 1).
//!
//! Plain data. `decode` reads the canonical bytes, `validate` judges a program, `ranges` derives its
//! bounds, `weights` the weights of its gates.

/// Who fixes the values of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Input,
    Weight,
    State,
    Prf,
    Value,
    /// Slots of a batch that each step fills with records of a data set.
    Data,
}

/// How a tensor is cut into Merkle leaves: axis order, axes merged into a row, piece length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub order: Vec<usize>,
    pub trailing: usize,
    pub piece: usize,
}

/// How the values of a tensor are fixed to the outside: by a commitment of its own, by one to a whole
/// data set of so many records, or by the PRF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Committed(Layout),
    Data { layout: Layout, records: usize },
    Prf { domain: u32 },
}

impl Source {
    /// The layout of what is committed; `None` for a prf tensor.
    pub fn layout(&self) -> Option<&Layout> {
        match self {
            Self::Committed(layout) | Self::Data { layout, .. } => Some(layout),
            Self::Prf { .. } => None,
        }
    }
}

/// An integer tensor: `width` bytes a value, values in `[lo, hi]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub name: String,
    pub role: Role,
    pub width: usize,
    pub lo: i32,
    pub hi: i32,
    pub shape: Vec<usize>,
    pub source: Source,
}

impl Tensor {
    /// Number of elements; call after the limits were checked.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// Records of the data set of which a data tensor holds a batch.
    pub fn records(&self) -> Option<usize> {
        match self.source {
            Source::Data { records, .. } => Some(records),
            Source::Committed(_) | Source::Prf { .. } => None,
        }
    }

    /// The shape of what is committed: of a data tensor the whole data set's.
    pub fn committed_shape(&self) -> Vec<usize> {
        let mut shape = self.shape.clone();
        if let Some(records) = self.records() {
            shape[0] = records;
        }
        shape
    }
}

/// A lookup table over the domain `[lo, lo + entries.len() - 1]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    pub lo: i32,
    pub entries: Vec<i32>,
}

/// `index = (a·i[i_axis] + b·k[k_axis] + c) / d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisMap {
    pub i_axis: Option<usize>,
    pub a: i32,
    pub k_axis: Option<usize>,
    pub b: i32,
    pub c: i32,
    pub d: u32,
}

/// A tensor operand, read through a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub tensor: usize,
    pub view: Vec<usize>,
    pub maps: Vec<AxisMap>,
    pub zero: i32,
    pub pad: Option<i32>,
}

/// What an op reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    Const(i32),
    Read(Read),
}

/// One sum of products of a dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    pub window: Vec<usize>,
    pub a: Operand,
    pub b: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PickMode {
    Max,
    Argmax,
    Copy,
    Greater,
    Equal,
    Select,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dot {
    pub terms: Vec<Term>,
    pub bias: Option<Operand>,
    pub mult: Operand,
    pub shift: Operand,
    pub rounding: Option<Operand>,
    pub out_zero: i32,
    pub table: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pick {
    pub mode: PickMode,
    pub window: Vec<usize>,
    pub operands: Vec<Operand>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gather {
    pub axis: usize,
    pub source: Read,
    pub index: Operand,
}

/// A rounded quotient (`den` present), or the floor of a square root (`den` absent).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Div {
    pub scale: i32,
    pub num: Operand,
    pub den: Option<Operand>,
    pub out_zero: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpKind {
    Dot(Dot),
    Pick(Pick),
    Gather(Gather),
    Div(Div),
}

/// One op: gate `g` of `space` (row-major) defines element `g` of `out`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    pub name: String,
    pub out: usize,
    pub exact: bool,
    pub space: Vec<usize>,
    pub kind: OpKind,
}

impl Op {
    /// Number of gates; call after the limits were checked.
    pub fn gates(&self) -> usize {
        self.space.iter().product()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortKind {
    Float,
    Integer,
}

/// A named input or output; `batch` is the batch axis (always 0) where there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    pub name: String,
    pub tensor: usize,
    pub batch: Option<usize>,
    pub kind: PortKind,
    pub scale: f64,
    pub zero: i32,
}

/// How a state begins, where the program says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Every element is this one.
    Constant(i32),
    /// Uniform in `[lo, hi]`, from the seed of the run.
    Drawn { domain: u32, lo: i32, hi: i32 },
}

/// The state tensor that a step reads and the value tensor that the next step reads in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateLink {
    pub state: usize,
    pub value: usize,
    pub start: Option<Start>,
}

/// A whole program; ops in topological order, tensors and ops named by their positions.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    pub name: String,
    pub tensors: Vec<Tensor>,
    pub tables: Vec<Table>,
    pub ops: Vec<Op>,
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    pub states: Vec<StateLink>,
    /// States and weights that a served model has as its weights, in the order of that model.
    pub exports: Vec<usize>,
}

impl Program {
    /// Whether a port has a batch axis; otherwise the unit is the step.
    pub fn itemised(&self) -> bool {
        self.inputs.iter().chain(&self.outputs).any(|port| port.batch.is_some())
    }

    /// Item slots of one step (1 if no port has a batch axis).
    pub fn batch(&self) -> usize {
        self.inputs
            .iter()
            .chain(&self.outputs)
            .find_map(|port| port.batch.map(|axis| self.tensors[port.tensor].shape[axis]))
            .unwrap_or(1)
    }

    /// Slots and records of the data tensors, if there are any; all of them have the same.
    pub fn data(&self) -> Option<(usize, usize)> {
        self.tensors.iter().find_map(|tensor| tensor.records().map(|r| (tensor.shape[0], r)))
    }

    /// Whether the states begin as the program says.
    pub fn declares_start(&self) -> bool {
        self.states.iter().any(|link| link.start.is_some())
    }

    /// Whether a state begins with values drawn from the seed.
    pub fn draws_start(&self) -> bool {
        self.states.iter().any(|link| matches!(link.start, Some(Start::Drawn { .. })))
    }

    /// Whether the program needs a format that older readers do not know.
    pub(super) fn trains(&self) -> bool {
        self.data().is_some() || self.declares_start() || !self.exports.is_empty()
    }

    /// Numbers of the tensors with one of these roles, ascending.
    pub fn of_role(&self, roles: &[Role]) -> Vec<usize> {
        (0..self.tensors.len()).filter(|&t| roles.contains(&self.tensors[t].role)).collect()
    }
}
