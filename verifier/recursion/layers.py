"""Layers of proofs: nodes over leaves, nodes over nodes, and the outer proof over the last one.

docs/recursion.md section 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from .. import stark
from ..confidence import INSIDE_BITS, more_bits
from ..reader import Reader
from ..stark.params import FOLDABLE, OUTER, REFERENCE_OF_NODES, reaching
from .child import Child, child_of, read_points
from .tables import tables_file
from .template import Template

_NODE, _OUTER = b"zktally node v1\0", b"zktally outer v1\0"
_LEAVES, _NODES = 2, 4
"""Leaves under a node of the first layer, and nodes under one of a higher layer."""


@dataclass(frozen=True)
class Node:
    """The statement of a node or of the outer proof."""

    present: list[stark.PresentTable]
    terms: stark.PublicTerms
    parameters: stark.Parameters
    context: bytes


def layers(leaves: int) -> list[int]:
    """How many nodes each layer has over so many leaves, from the first one on."""
    found = [-(-leaves // _LEAVES)]
    while found[-1] > 1:
        found.append(-(-found[-1] // _NODES))
    return found


def targets(leaves: int, bits: int = 0) -> tuple[int, int]:
    """Proven bits of each node and of the outer proof over so many leaves, at this λ.

    Half of the error is the outer proof's, so that its size does not follow from what is below it.
    """
    half = INSIDE_BITS + more_bits(bits) + 1
    return half + (sum(layers(leaves)) - 1).bit_length(), half


def verify_layers(leaves: Sequence[Child], reader: Reader, bits: int = 0) -> None:
    """Judge the points of all nodes and the outer proof over these leaves, at least one.

    Args:
        leaves: in order.
        reader: of the points of the nodes, and of what follows.
        bits: the largest λ of all receipts.

    Raises:
        MalformedReceipt: `receipt.truncated`, `receipt.non-canonical`.
        InvalidProof: `verify.stark`.
        InsufficientSecurity: `security.insufficient`.
        UnsupportedReceipt: `verify.too-large`.
    """
    of_each, of_outer = targets(len(leaves), bits)
    of_nodes = reaching(FOLDABLE, REFERENCE_OF_NODES, of_each)
    row, arity = list(leaves), _LEAVES
    template: Template | None = None
    while arity == _LEAVES or len(row) > 1:
        above = []
        for start in range(0, len(row), arity):
            children = row[start : start + arity]
            if template is None or not template.fits(children, of_nodes.hiding_rows):
                template = Template.of(children, of_nodes.hiding_rows)
            node = node_over(_NODE, children, of_nodes, template)
            _judge_bits(node, of_each)
            above.append(
                child_of(
                    tables_file(),
                    node.present,
                    node.terms,
                    node.parameters,
                    node.context,
                    read_points(reader),
                )
            )
        row, arity = above, _NODES
    outer = node_over(_OUTER, row, reaching(OUTER, REFERENCE_OF_NODES, of_outer))
    _judge_bits(outer, of_outer)
    used = stark.verify_stark(
        reader.rest,
        context=outer.context,
        tables=tables_file(),
        present=outer.present,
        public_terms=outer.terms,
        parameters=outer.parameters,
    )
    reader.take(used)


def node_over(
    tag: bytes,
    children: Sequence[Child],
    parameters: stark.Parameters,
    template: Template | None = None,
) -> Node:
    """The statement that these children's proofs verify, of a template that fits if there is one.

    Raises:
        UnsupportedReceipt: `verify.too-large`.
    """
    if template is None:
        template = Template.of(children, parameters.hiding_rows)
    return Node(
        present=template.present(children),
        terms=template.terms(children),
        parameters=parameters,
        context=_context(tag, children),
    )


def _context(tag: bytes, children: Sequence[Child]) -> bytes:
    """What a node is bound to: all that its public columns follow from."""
    found = hashlib.sha256(tag + len(children).to_bytes(4, "little"))
    for child in children:
        found.update(b"".join(word.to_bytes(4, "little") for word in child.start))
        found.update(child.points.to_bytes())
    return found.digest()


def _judge_bits(node: Node, least: int) -> None:
    statement = stark.Statement(tables_file(), node.present, node.parameters)
    stark.judge_bits(statement, node.terms, least)
