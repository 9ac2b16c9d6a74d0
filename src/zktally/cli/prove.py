"""zktally prove: run a compiled model and write a receipt."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any, Literal

from ..api import load
from ..circuits.model import CompiledModel
from ..hybrid.chain import prove
from ..prover import Claims
from ..prover.estimate import estimate_job
from ..prover.options import profile_of
from ..prover.outputs import SUFFIX
from ..prover.run import KEEP_BYTES
from ..prover.snark.model import is_snark_model
from ..verifier.cli import labels_from, read_arrays
from ..verifier.errors import UsageError
from ..verifier.inputs import quantise, saturation
from ..verifier.journal import MAX_PPM, MODES
from ..verifier.labels import LABELS
from ..verifier.sampling import Counts
from ..verifier.verified import saturation_words
from .acceptance import demands, shell_word
from .agreement import Cost, agree, bounded
from .console import note, warn
from .proving import (
    add_output_arguments,
    add_prover_arguments,
    at_once,
    check_output,
    make,
    names,
    options_from,
)
from .training import add_training_arguments, training_from

VISIBILITIES = ("private", "checkable", "public")


class _OldName(argparse.Action):
    """`--inputs`, a letter from `--input`: goes with the version after this one."""

    def __call__(self, parser: Any, args: Any, value: Any, option: str | None = None) -> None:
        warn(f"--inputs is now --input-visibility: --input-visibility {value}")
        setattr(args, self.dest, value)


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "prove",
        help="run a compiled model and write a receipt",
        description="Run the program on every batch and write one receipt for the whole chain.",
    )
    verb.add_argument("model", help=".zkt file; with --mode snark, the folder of snark-setup")
    verb.add_argument("--input", metavar="NPZ", help="inputs by name; items along the batch axis")
    verb.add_argument("--items", type=int, help="steps, for a program without inputs")
    verb.add_argument(
        "--mode",
        default="hybrid",
        choices=(*MODES, "snark"),
        help="prove the samples in zero knowledge (hybrid, the default), or every gate (strict), "
        "or show the samples (fast); or by ezkl, for a model that snark-setup set up (snark)",
    )
    verb.add_argument(
        "--delta", type=float, metavar="D", help="wrong multiply-accumulates at most (0.05)"
    )
    verb.add_argument(
        "--delta-step", type=float, metavar="D", help="the same for every single step"
    )
    verb.add_argument(
        "--delta-op",
        type=_delta_op,
        default="usual",
        metavar="D",
        help="wrong gates of any single op at most, or none to claim no such bound (the strongest "
        "of 0.01, 0.02, 0.05, 0.1, 0.2, 0.5 that at most doubles the checks)",
    )
    verb.add_argument(
        "--bits", type=int, help="confidence of the sampling (102 if hybrid, 128 if fast)"
    )
    verb.add_argument("--exact", default="", metavar="NAMES", help="ops checked in full, or all")
    verb.add_argument(
        "--reveal",
        action="store_true",
        help="fast: publish the sampled rows of private weights, the sampled private records",
    )
    verb.add_argument(
        "--input-visibility",
        choices=VISIBILITIES,
        dest="visibility",
        help="root only (usual in hybrid); root that holders of the input can recompute (usual in "
        "fast); or the values themselves",
    )
    verb.add_argument(
        "--inputs",
        choices=VISIBILITIES,
        dest="visibility",
        action=_OldName,
        help=argparse.SUPPRESS,
    )
    verb.add_argument(
        "--outputs",
        choices=("published", "hidden"),
        default="published",
        help="in the statement (published), or bound to it and shown later, step by step (hidden); "
        "a fast receipt still opens those that it checks",
    )
    verb.add_argument(
        "--outputs-file",
        metavar="FILE",
        help="new secret file from which hidden outputs can be shown (the receipt's name with "
        f"{SUFFIX})",
    )
    add_training_arguments(verb)
    for name, rule in LABELS.items():
        verb.add_argument(f"--{name}", help=rule.stated)
    add_prover_arguments(verb)
    add_output_arguments(verb)
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prove and write; print what was made."""
    check_output(args)
    if args.mode == "snark":
        from .snark import prove as prove_with_ezkl

        return prove_with_ezkl(args)
    if is_snark_model(args.model):
        raise UsageError("the model is set up for SNARK receipts", expected="--mode snark")
    model = load(args.model)
    inputs: Any = {} if args.input is None else read_arrays(args.input)
    claims = Claims(
        args.mode,
        delta=args.delta,
        delta_step=args.delta_step,
        delta_op=args.delta_op,
        bits=args.bits,
        exact=names(args.exact),
        visibility=args.visibility,
        outputs=args.outputs,
        **labels_from(args),
    )
    _, items = quantise(model.checked.program, inputs, args.items)
    warn_of_inputs(model, inputs)
    counts = claims.counts(model.checked, items)
    warn_of_claims(counts)
    announce(args, counts)
    return make(
        args,
        lambda show: prove(
            model,
            inputs,
            claims,
            options_from(args, show),
            training=training_from(args),
            items=args.items,
        ),
    )


def warn_of_inputs(model: CompiledModel, inputs: Any) -> None:
    """Say on stderr what of the inputs the program cannot represent; it stands in no receipt."""
    for found in saturation(model.checked.program, inputs):
        if found.outside:
            warn(f"{saturation_words(found)}; each counts as the nearest end of it")


def warn_of_claims(counts: Counts) -> None:
    """Say on stderr what verifiers will have to pass, before the work is done for nobody."""
    for demand in demands(counts):
        arguments = shell_word("=".join(demand.arguments))
        warn(f"verifiers refuse this receipt unless they pass {arguments}: {demand.why}")


def _delta_op(text: str) -> float | Literal["usual"] | None:
    if text == "usual":
        return "usual"
    return None if text == "none" else float(text)


_delta_op.__name__ = "bound"  # what argparse calls it where it refuses a text


def announce(args: argparse.Namespace, counts: Counts) -> None:
    """Say what the job will take, before it is begun, and ask where that is much."""
    job = bounded(
        estimate_job(counts, profile_of(args.small, args.foldable, args.succinct)), KEEP_BYTES
    )
    steps = "1 step" if job.run.steps == 1 else f"{job.run.steps:,} steps"
    checks = "every gate checked" if all(counts.enumerated) else f"{job.run.samples:,} samples"
    note(f"{steps}, {job.run.macs:,} MACs, {checks}{_single_ops(counts)}", args.quiet)
    agree(args, Cost.of(job, at_once=at_once(args)))


def _single_ops(counts: Counts) -> str:
    """What is claimed about single ops, and what the weakest bound would take where nothing is."""
    if all(counts.enumerated):
        return ""
    if counts.claim.delta_op_ppm:
        return f", at most {counts.claim.delta_op_ppm / 1e4:g} % of any op wrong"
    half = Counts(counts.checked, replace(counts.claim, delta_op_ppm=MAX_PPM))
    more = half.expected_checks / counts.expected_checks
    return f", no bound on single ops (--delta-op 0.5 would take {more:.1f} times the checks)"
