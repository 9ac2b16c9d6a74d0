//! docs/tables.txt: every table by the names of its columns.

use std::ops::Range;

use super::*;
use crate::hash::P;
use crate::stark::air::{Air, BLIND, ENGINE_MAINS, ENGINE_PUBLICS, Lookup, Node};

const WIDTH: usize = 118;
const HEAD: &str = "\
The tables of hybrid receipts as they stand in verifier/stark/tables.bin. `make tables` writes both; what the columns
hold and when they are zero stands in hybrid.md section 4, expressions, lookups and groups in stark.md section 1.

Numbers of columns, constraints and lookups are those of the file. Constraints hold on every active row; First and
Last select the first and the last of them, next(x) is x one row on. A row takes tuples from a bus, or gives them to
it, as often as stands behind ×. Three lookups each, in order, are a group. The engine adds its own constraints.

Rows of Poseidon2 stand in one line for all constraints of its columns. Each of those is \"this column is an expression
of input and earlier columns\", so there is one solution; that it is Poseidon2 is shown by the true rows, which satisfy
them (hybrid/tests), and by tests of the rounds (hybrid/permutation.rs).
";

/// The names of a table's columns.
struct Names {
    publics: Vec<String>,
    mains: Vec<String>,
    /// Fields as they are declared, with their numbers of columns.
    fields: [Vec<(String, usize)>; 2],
    /// What the permutation is taken of.
    permutation: Option<&'static str>,
}

fn names() -> Vec<Names> {
    macro_rules! names {
        ($($table:ident $($permutation:literal)?),+ $(,)?) => {
            vec![$({
                let engine = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();
                let (mut publics, mut mains): (Vec<_>, Vec<_>) =
                    (engine(&["mask_on", "mask_tag"]), engine(&["mask"]));
                assert_eq!((publics.len(), mains.len()), (ENGINE_PUBLICS, ENGINE_MAINS));
                let single = |name: &String| (name.clone(), 1);
                let mut fields = [&publics, &mains].map(|n| n.iter().map(single).collect::<Vec<_>>());
                fields[0].extend($table::Public::fields());
                fields[1].extend($table::Main::fields());
                publics.extend($table::Public::names());
                mains.extend($table::Main::names());
                Names { publics, mains, fields, permutation: None $(.or(Some($permutation)))? }
            }),+]
        };
    }
    names![
        sponge "P24 of (bytes[3j] + 256·bytes[3j + 1] + 65536·bytes[3j + 2] for j = 0–15, cap)",
        node "P16 of (left_digest, right_digest)",
        spread,
        wide,
        row_dot,
        read_dot,
        limbs,
        gate,
        pick,
        scan,
        div,
        noise "P16 of (bytes[3j] + 256·bytes[3j + 1] + 65536·bytes[3j + 2] for j = 0–7, rest)",
        bits,
        digest,
        record,
        act,
        range,
    ]
}

/// The whole page.
pub fn page() -> String {
    let tables = TABLES.airs.iter().zip(names()).enumerate();
    let tables = tables.map(|(number, (air, names))| table(number, air, &names));
    [HEAD.to_string()].into_iter().chain(tables).collect::<Vec<_>>().join("\n")
}

fn table(number: usize, air: &Air, names: &Names) -> String {
    assert_eq!((names.publics.len(), names.mains.len()), (air.publics, air.mains), "{}", air.name);
    let mut lines = vec![format!("## {number} {}", air.name), String::new()];
    for (kind, fields) in ["public", "main"].iter().zip(&names.fields) {
        let mut next = 0;
        let column = |(field, width): &(String, usize)| {
            let own = numbers(next..next + width);
            next += width;
            // A column's number stands on one line with its name.
            format!("{own} {field}").replace(' ', "\u{a0}")
        };
        let columns = fields.iter().map(column).collect::<Vec<_>>().join(", ");
        lines.push(wrapped(&format!("{kind} columns: {columns}"), 4).replace('\u{a0}', " "));
    }
    lines.push(String::new());
    let lookups: Vec<&Lookup> = air.lookups().collect();
    let page = Page { air, names };
    if !air.constraints.is_empty() {
        lines.push("constraints:".into());
        lines.extend(page.constraints());
        lines.push(String::new());
    }
    lines.push("lookups:".into());
    lines.extend(lookups.iter().enumerate().map(|(n, lookup)| page.lookup(n, lookup)));
    lines.push(String::new());
    lines.join("\n")
}

struct Page<'a> {
    air: &'a Air,
    names: &'a Names,
}

impl Page<'_> {
    fn constraints(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut at = 0;
        while at < self.air.constraints.len() {
            let of = |i: usize| self.air.constraints.get(i).and_then(|&c| self.of_permutation(c));
            let field = of(at);
            let end = (at + 1..).find(|&i| field.is_none() || of(i) != field).expect("an end");
            let text = match (field, self.names.permutation) {
                (Some("early"), Some(what)) => {
                    format!("early are the states after full rounds 1–4 of {what}")
                }
                (Some("cubes"), Some(_)) => {
                    "cubes are those of the partial rounds that follow".into()
                }
                (Some(_), _) => "late are the states after full rounds 5–8".into(),
                (None, _) => self.constraint(self.air.constraints[at]),
            };
            lines.push(wrapped(&format!("[{}] {text}", numbers(at..end)), 8));
            at = end;
        }
        lines
    }

    fn constraint(&self, node: u32) -> String {
        match self.air.nodes[node as usize] {
            Node::Sub(a, b) => format!("{} = {}", self.sum(a), self.sum(b)),
            _ => format!("{} = 0", self.sum(node)),
        }
    }

    /// The field of the permutation to which a constraint belongs, `column − expression`.
    fn of_permutation(&self, constraint: u32) -> Option<&str> {
        let Node::Sub(a, b) = self.air.nodes[constraint as usize] else { return None };
        let Node::Main(column) = self.air.nodes[a as usize] else { return None };
        let field = self.names.mains[column as usize].split('[').next()?;
        let own = self.names.permutation.is_some() && ["early", "cubes", "late"].contains(&field);
        if own {
            self.assert_earlier(b, column);
        }
        own.then_some(field)
    }

    /// Asserts that an expression is one of main columns before this one.
    fn assert_earlier(&self, node: u32, column: u32) {
        let (mut open, mut seen) = (vec![node], std::collections::HashSet::from([node]));
        while let Some(node) = open.pop() {
            match self.air.nodes[node as usize] {
                Node::Const(_) => {}
                Node::Main(c) => assert!(c < column),
                Node::Add(a, b) | Node::Sub(a, b) | Node::Mul(a, b) => {
                    open.extend([a, b].into_iter().filter(|&n| seen.insert(n)));
                }
                other => panic!("{other:?} in a permutation"),
            }
        }
    }

    fn lookup(&self, number: usize, lookup: &Lookup) -> String {
        const BUSES: [&str; 10] =
            ["blind", "digest", "block", "read", "acc", "limb", "word", "act", "range", "element"];
        assert_eq!((BLIND, bus::RANGE, bus::ELEMENT), (0, 8, 9));
        let (verb, times) = match self.air.nodes[lookup.multiplicity as usize] {
            Node::Sub(zero, x) if self.air.nodes[zero as usize] == Node::Const(0) => ("gives", x),
            _ => ("takes", lookup.multiplicity),
        };
        let (bus, tuple) = (BUSES[lookup.bus as usize], self.tuple(&lookup.tuple));
        let times = self.product(times);
        wrapped(&format!("[{number}] {verb} {bus}({tuple}) × {times}"), 8)
    }

    /// The elements of a tuple; columns that stand side by side as one.
    fn tuple(&self, elements: &[u32]) -> String {
        let mut parts: Vec<(String, usize)> = Vec::new();
        for text in elements.iter().map(|&e| self.sum(e)) {
            if let Some((first, count)) = parts.last_mut()
                && nth_of(first, *count).is_some_and(|next| next == text)
            {
                *count += 1;
                continue;
            }
            parts.push((text, 1));
        }
        let text = |(first, count): (String, usize)| match count {
            1 => first,
            _ => first.replace("[0]", &format!("[0–{}]", count - 1)),
        };
        parts.into_iter().map(text).collect::<Vec<_>>().join(", ")
    }

    /// An expression as an operand of a sum, or by itself.
    fn sum(&self, node: u32) -> String {
        match self.air.nodes[node as usize] {
            Node::Add(a, b) => format!("{} + {}", self.sum(a), self.sum(b)),
            Node::Sub(a, b) => format!("{} − {}", self.sum(a), self.product(b)),
            Node::Mul(a, b) => format!("{}·{}", self.product(a), self.product(b)),
            _ => self.leaf(node),
        }
    }

    /// An expression as a factor, or as what is taken away.
    fn product(&self, node: u32) -> String {
        match self.air.nodes[node as usize] {
            Node::Add(..) | Node::Sub(..) => format!("({})", self.sum(node)),
            _ => self.sum(node),
        }
    }

    fn leaf(&self, node: u32) -> String {
        match self.air.nodes[node as usize] {
            Node::Const(value) if value > P / 2 => format!("(−{})", P - value),
            Node::Const(value) if value >= 1 << 16 && value.is_power_of_two() => {
                format!("2^{}", value.ilog2())
            }
            Node::Const(value) => value.to_string(),
            Node::Public(c) => self.names.publics[c as usize].clone(),
            Node::Main(c) => self.names.mains[c as usize].clone(),
            Node::Next(c) => format!("next({})", self.names.mains[c as usize]),
            Node::First => "First".into(),
            Node::Last => "Last".into(),
            Node::Add(..) | Node::Sub(..) | Node::Mul(..) => unreachable!("not a leaf"),
        }
    }
}

/// `name[n]`, of `name[0]`.
fn nth_of(first: &str, n: usize) -> Option<String> {
    first.strip_suffix("[0]").filter(|name| !name.contains(' ')).map(|name| format!("{name}[{n}]"))
}

fn numbers(range: Range<usize>) -> String {
    match range.len() {
        1 => range.start.to_string(),
        _ => format!("{}–{}", range.start, range.end - 1),
    }
}

/// Lines of at most [`WIDTH`] characters, the later ones indented.
fn wrapped(text: &str, indent: usize) -> String {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        if !line.trim().is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent - 1)));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\n")
}
