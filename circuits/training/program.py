"""A training step as a program: integers from the float step, by the ranges of a rehearsal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ...verifier.inputs import DTYPES
from ...verifier.program.types import Role
from ..assemble import assemble
from ..bits import NARROW
from ..compile import refuse_unsupported
from ..fuse import fuse
from ..graph import Array, Graph, Network
from ..lowering import lower_nodes, spatial
from ..masks import Scores
from ..model import CompiledModel
from ..operator import Operator
from ..ops.composite import compose
from ..qoperators import resolve
from ..quantise import Affine
from .integers import StepBuilder
from .optimisers import DECAY, RATE, Optimiser
from .ranges import Ranges
from .step import Step
from .updates import Updates
from .widths import PRODUCTS, widths


@dataclass(frozen=True)
class TrainingProgram:
    """The program of a step, and how its states are read.

    Args:
        model: the program with its constants; its inputs are data, labels and rates.
        codes: of the states, by name; in the order of the state tensors.
        start: the states of the first step, as the model file has them.
        loss: name of the output.
    """

    model: CompiledModel
    codes: Mapping[str, Affine]
    start: tuple[Array, ...] = field(repr=False)
    loss: str

    def reals(self, states: Mapping[str, Array]) -> dict[str, Array]:
        """What integers of states stand for."""
        return {name: self.codes[name].dequantise(array) for name, array in states.items()}


def gradient_graph(step: Step, operators: Mapping[str, Operator]) -> Graph:
    """Loss and gradients of a step in the form that is lowered; all of a batch is one item."""
    network = Network(step.slopes.model)
    network.source = step.slopes
    # What a model spells out is not put together again: the backward pass reads its parts.
    composed = compose(resolve(network.at()), operators)
    refuse_unsupported(composed, operators)
    fused = fuse(composed, operators)
    Scores(fused, operators).refuse_infinite()
    return replace(fused, batched=frozenset(), batch=1, fixed=True)


def training_program(
    step: Step,
    optimiser: Optimiser,
    operators: Mapping[str, Operator],
    graph: Graph,
    ranges: Ranges,
    *,
    products: int = NARROW,
    public: bool = False,
    weights_key: bytes | None = None,
) -> TrainingProgram:
    """The integer program of a step.

    Args:
        step: the float step.
        optimiser: the one that it was made with.
        operators: by name.
        graph: the step's `gradient_graph`.
        ranges: of all values, from a rehearsal.
        products: bits of what products read: 8, or 16.
        public: whether the constants are salted with zero.
        weights_key: salts them, as for `assemble`.

    Raises:
        CompileError: what of the step does not fit into a program.
    """
    names = {state.name for state in step.parameters}
    builder = StepBuilder(
        graph,
        ranges.values,
        ranges.sizes,
        step.error,
        spatial(graph, operators),
        widths(graph, products),
        names,
        ranges.whole,
        _summed(graph, step),
    )
    builder.copies()
    lower_nodes(graph, operators, builder)
    updated = Updates(builder, optimiser, ranges.values, ranges.rates).all(step.gradients)
    scalars = [name for name in (RATE, DECAY) if name in builder.values]
    program = builder.step_program(step.loss, scalars, updated.links)
    held = dict(zip(program.of_role(Role.WEIGHT), builder.weights, strict=True))
    model = assemble(program, held, public=public, weights_key=weights_key)
    codes = {program.tensors[link.state].name: link for link in program.states}
    ordered = [name for name in codes if name in updated.codes]
    start = {state.name: state.start for state in step.states}
    return TrainingProgram(
        model,
        {name: updated.codes[name] for name in ordered},
        tuple(_quantised(updated.codes[name], start[name]) for name in ordered),
        step.loss,
    )


def _quantised(code: Affine, array: Array) -> Array:
    held = code.quantise(array).reshape(array.shape or (1,))
    return held.astype(DTYPES[code.width])


def _summed(graph: Graph, step: Step) -> set[str]:
    """The gradients that are one sum of products and that nothing but the optimiser reads."""
    producers = {node.output: node for node in graph.nodes}
    found = set()
    for name in step.gradients.values():
        node = producers.get(name)
        alone = not graph.consumers(name)
        if node is not None and alone and node.op in (*PRODUCTS[:2], "ReduceSum"):
            found.add(name)
    return found
