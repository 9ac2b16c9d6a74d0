"""zktally train: train a model in integers, and write receipts of every step."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..circuits.keys import PUBLIC_KEY
from ..display import Display
from ..hybrid.training.plan import (
    BATCH_NORMS,
    DROPOUTS,
    LOSSES,
    OPTIMISERS,
    Plan,
    Sources,
    read_plan,
    with_values,
)
from ..hybrid.training.run import prepare_run, train
from ..hybrid.training.table import Read, read_records
from ..prover import silent
from ..prover.estimate import estimate_job
from ..prover.options import profile_of
from ..prover.outputs import SUFFIX
from ..training import TrainingRun
from ..verifier.errors import UsageError
from ..verifier.plain import to_json
from ..verifier.quoting import listed, quoted, quoted_path
from ..verifier.sampling import Counts
from .acceptance import command_of_run, shell_word
from .agreement import add_yes, agree, bounded, together
from .console import note, paused, progress, size
from .files import is_stdout, refuse_outputs, write_output
from .keys import read_key

CHOICES = {
    "loss": LOSSES,
    "optimizer": OPTIMISERS,
    "schedule": ("constant", "step", "cosine"),
    "start": ("seed", "file"),
    "precision": ("int8", "int16"),
    "mode": ("fast", "hybrid", "strict"),
    "batch_norm": BATCH_NORMS,
    "dropout": DROPOUTS,
    "outputs": ("published", "hidden"),
}
HELP = {
    "loss": "of the first output (cross-entropy)",
    "label_smoothing": "of cross-entropy (0)",
    "optimizer": "what moves the parameters (sgd)",
    "lr": "the highest learning rate (0.1)",
    "momentum": "of sgd (0.9)",
    "nesterov": "sgd looks ahead",
    "betas": "of adam and adamw (0.9,0.999)",
    "weight_decay": "of sgd and adamw (0)",
    "schedule": "of the learning rate (constant)",
    "warmup": "steps in which the rate rises (0)",
    "step_every": "steps after which the schedule `step` lowers the rate",
    "step_factor": "by which it does (0.1)",
    "batch": "records of a step (64)",
    "steps": "of the run (600)",
    "clip_value": "each element of a gradient within ± this",
    "clip_norm": "the norm of all gradients at most this",
    "freeze": "patterns of names of constants that stay as they are, with commas",
    "batch_norm": "by the batch, with running statistics, or by those of the file (batch)",
    "dropout": "as the file's nodes say, or none (file)",
    "loss_output": "the output that the loss is of (the first)",
    "start": "first weights: drawn from the seed, or those of the file (seed)",
    "nonce": "a verifier's challenge in hex, from which the seed follows",
    "precision": "of what products read (int8)",
    "rehearsal": "float steps by which scales are found (150)",
    "mode": "of the receipts (hybrid)",
    "delta": "wrong multiply-accumulates at most (0.05)",
    "receipt_every": "steps of a receipt (all)",
    "strict_steps": "A:B: steps of which every gate is proven, in a receipt of their own",
    "small": "smaller receipts for more time and memory",
    "foldable": "receipts whose proofs can be verified inside a proof, for more time",
    "succinct": "a receipt of one small proof however many segments, for still more time",
    "reveal": "fast: show the sampled records and weights",
    "outputs": "of the steps, the loss among them: in the receipts (published), or shown later, "
    "from secret files beside them (hidden)",
}
"""What each setting of a plan is, for the command line."""


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "train",
        help="train a model and write receipts of every step",
        description="Train an ONNX model in integers, by a plan from the command line or a TOML "
        "file, and prove every step. With --work, the same command goes on after an interruption.",
    )
    verb.add_argument("model", help=".onnx file, or a plan (.toml), which names the model")
    verb.add_argument("--data", metavar="FILE", help="records: .npz by input name, or .csv")
    verb.add_argument("--labels", metavar="NAME", help="the array or column that holds labels (y)")
    verb.add_argument(
        "--evaluation", metavar="FILE", help="records that are not trained on: accuracy at the end"
    )
    key = verb.add_mutually_exclusive_group()
    key.add_argument("--data-key-file", metavar="FILE", help="the key of the data set's salts")
    key.add_argument(
        "--public-data", action="store_true", help="anyone may recompute the data set's root"
    )
    for each in fields(Plan):
        flag = "--" + each.name.replace("_", "-")
        if isinstance(each.default, bool):
            verb.add_argument(flag, action="store_true", default=None, help=HELP[each.name])
        else:
            verb.add_argument(flag, choices=CHOICES.get(each.name), help=HELP[each.name])
    verb.add_argument("--work", metavar="DIR", help="keeps the run: it can be interrupted")
    verb.add_argument(
        "--memory", type=float, default=4.0, metavar="GB", help="for the traces of steps (4)"
    )
    verb.add_argument(
        "--prepare",
        action="store_true",
        help="with --work: rehearse, print model id and data root, and take no step: an auditor "
        "draws a nonce then, and the same command with --nonce and -o goes on",
    )
    verb.add_argument("-o", "--output", help="the receipt to write")
    add_yes(verb)
    verb.add_argument("--force", action="store_true", help="overwrite the output")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    verb.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train, prove and write; print what was made."""
    plan, sources = _plan(args)
    if sources.model is None or sources.data is None:
        raise UsageError("a run needs a model and data", expected="MODEL.onnx --data FILE")
    if args.prepare:
        return _prepare(args, plan, sources)
    outputs = _outputs(args.output, plan)
    files = (sources.model, sources.data, sources.evaluation, args.model, args.data_key_file)
    reads = [None if path is None else str(path) for path in files]
    held = [f"{path}{SUFFIX}" for path in outputs if plan.outputs == "hidden"]
    refuse_outputs([*outputs, *held], reads, force=args.force, work=args.work)
    records, evaluation = _records(sources, plan)
    key = _data_key(args)
    start = time.perf_counter()
    with progress(args.quiet) as show:
        found = TrainingRun(
            train(
                str(sources.model),
                records.inputs,
                records.labels,
                plan,
                folder=args.work,
                data_key=key,
                keep_bytes=_bytes(args.memory),
                progress=show or silent,
                agree=lambda claims: _agree(args, plan, claims, show),
            )
        )
    seconds = time.perf_counter() - start
    for path, receipt in zip(outputs, found.receipts, strict=True):
        write_output(path, receipt.data, force=args.force)
    for path, secret in zip(held, found.held_outputs, strict=True):
        secret.save(path, args.force)
    accuracy = None
    if evaluation is not None:
        accuracy = found.accuracy(evaluation.inputs, evaluation.labels)
    classes = () if records.columns is None else records.columns.classes
    _report(args, found, (outputs, held), seconds, accuracy, classes)
    return 0


def _prepare(args: argparse.Namespace, plan: Plan, sources: Sources) -> int:
    """Print what the run will be, before its nonce is named."""
    given = {"--nonce": plan.nonce, "-o": args.output}
    if args.work is None or any(value is not None for value in given.values()):
        raise UsageError(
            "--prepare keeps a run in a folder, and ends before the first step",
            expected="--work DIR, and neither --nonce nor -o",
            hint="the same command without --prepare, with --nonce and -o, takes the steps",
        )
    records, _ = _records(sources, plan)
    with progress(args.quiet) as show:
        found = prepare_run(
            str(sources.model),
            records.inputs,
            records.labels,
            plan,
            folder=args.work,
            data_key=_data_key(args),
            progress=show or silent,
        )
    ids = {name: digest.hex() for name, digest in vars(found).items()}
    if args.json:
        print(json.dumps({"format": "zktally.train-prepare/1", **ids}, sort_keys=True))
    else:
        print(f"model id {ids['model_id']}\ndata set {ids['dataset_root']}")
        note("go on with the same command, --nonce and -o in place of --prepare", args.quiet)
    return 0


def _data_key(args: argparse.Namespace) -> bytes | None:
    """The key of the data set's salts that the command line names."""
    if args.data_key_file is not None:
        return read_key(args.data_key_file)
    return PUBLIC_KEY if args.public_data else None


def _agree(
    args: argparse.Namespace, plan: Plan, claims: list[Counts], show: Display | None
) -> None:
    """Say what the run will take, and ask where that is much."""
    most = _bytes(args.memory)
    profile = profile_of(plan.small, plan.foldable, plan.succinct)
    jobs = [bounded(estimate_job(counts, profile), most) for counts in claims]
    if jobs:
        with paused(show):
            agree(args, together(jobs))


def _plan(args: argparse.Namespace) -> tuple[Plan, Sources]:
    """The plan of a file, if there is one, with what the command line says besides."""
    plan, sources = Plan(), Sources(model=Path(args.model))
    if args.model.endswith(".toml"):
        plan, sources = read_plan(args.model)
    given = {each.name: getattr(args, each.name) for each in fields(Plan)}
    values = {name: _value(name, text) for name, text in given.items() if text is not None}
    files = {name: getattr(args, name) for name in ("data", "evaluation")}
    paths = {name: Path(path) for name, path in files.items() if path is not None}
    labels = {} if args.labels is None else {"labels": args.labels}
    return with_values(plan, values), Sources(**{**vars(sources), **paths, **labels})


def _bytes(memory: float) -> int:
    """Gigabytes of the command line in bytes."""
    if not 0.0 < memory < 2**20:
        raise UsageError("--memory is out of range", expected="gigabytes", received=memory)
    return int(memory * 2**30)


def _records(sources: Sources, plan: Plan) -> tuple[Read, Read | None]:
    """What is trained on, and what is evaluated: the same columns and classes mean the same."""
    assert sources.data is not None
    records = read_records(sources.data, sources.labels)
    classes = plan.loss == "cross-entropy"
    if records.columns is not None and records.columns.classes and not classes:
        raise UsageError(
            f"labels are texts, and the loss {plan.loss} is of numbers", expected="cross-entropy"
        )
    if sources.evaluation is None:
        return records, None
    if not classes:
        raise UsageError(
            "an evaluation shows the accuracy, which only classes have", expected="cross-entropy"
        )
    return records, read_records(sources.evaluation, sources.labels, records.columns)


def _value(name: str, text: Any) -> Any:
    """A setting of the command line as the type that a plan has."""
    if not isinstance(text, str):
        return text
    if name == "freeze":
        return tuple(text.split(","))
    try:
        if name == "betas":
            return tuple(float(part) for part in text.split(","))
        if name in ("warmup", "step_every", "batch", "steps", "rehearsal", "receipt_every"):
            return int(text)
        if name in CHOICES or name in ("loss_output", "nonce", "strict_steps"):
            return text
        return float(text)
    except ValueError as error:
        raise UsageError(f"--{name.replace('_', '-')} is no number", received=text) from error


def _outputs(path: str | None, plan: Plan) -> list[str]:
    """The files of the receipts: numbered, where there are several."""
    if path is None:
        raise UsageError("a run needs a receipt to write", expected="-o FILE")
    if is_stdout(path):
        raise UsageError("receipts of a training run are written to files", received=f"-o {path}")
    count, file = len(plan.parts()), Path(path)
    if count == 1:
        return [path]
    return [
        str(file.with_name(f"{file.stem}-{number:03d}{file.suffix}")) for number in range(count)
    ]


def _report(
    args: argparse.Namespace,
    found: TrainingRun,
    files: tuple[list[str], list[str]],
    seconds: float,
    accuracy: float | None,
    classes: tuple[str, ...],
) -> None:
    losses, (outputs, held) = found.losses, files
    if args.json:
        fields_ = {
            "format": "zktally.train/1",
            "receipts": outputs,
            "model_id": found.model_id.hex(),
            "dataset_root": found.dataset_root.hex(),
            "exported_model_id": found.export().model_id.hex(),
            "steps": len(losses),
            "losses": [float(loss) for loss in losses],
            "accuracy": accuracy,
            "classes": list(classes),
            "saturated": [to_json(each) for each in found.saturated],
            "bytes": sum(len(receipt.data) for receipt in found.receipts),
            "outputs_files": held,
            "seconds": seconds,
        }
        print(json.dumps(fields_, sort_keys=True))
        return
    last = float(np.mean(losses[-20:]))
    total = sum(len(receipt.data) for receipt in found.receipts)
    print(
        f"{len(losses):,} steps in {seconds:.1f} s: loss {losses[0]:.4f} → {last:.4f}"
        + ("" if accuracy is None else f", accuracy {100 * accuracy:.2f} %")
    )
    for each in found.saturated:
        print(
            f"{quoted(each.name)}: {each.outside:,} of {each.values:,} values lie at the ends of "
            f"[{each.low:.6g}, {each.high:.6g}] or beyond, and count as these"
        )
    names = ", ".join(quoted_path(path) for path in outputs)
    print(f"{names}: {size(total)}")
    print(f"model id {found.model_id.hex()}\ndata set {found.dataset_root.hex()}")
    if classes:
        print(f"classes {listed(classes)}")
    print(f"check it with: {command_of_run(found.receipts, outputs)}")
    if held:
        names = ", ".join(quoted_path(path) for path in held)
        print(f"{names}: the outputs, hidden, to be shown with `zktally outputs`")
    if args.work is None and args.data_key_file is None and not args.public_data:
        note(
            "the key of the data set is not kept: nobody can compute its root from the records "
            "again; --data-key-file or --work keep one",
            args.quiet,
        )
    if args.work is not None:
        note(f"export with: zktally export {shell_word(args.work)} -o trained.zkt", args.quiet)
