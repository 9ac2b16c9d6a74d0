"""`zktally bench agree`: both verifiers over random receipts and mutants of them.

A trial is one receipt judged by both. They agree if both accept it with the same facts and outputs,
or refuse it with the same code. Everything is drawn from the seed but the masks of proofs, so a
disagreement is kept as a file with all that both were given; `--replay` judges such files again.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from ..native import verify as verify_natively
from ..verifier import plain
from ..verifier.errors import ZktallyError
from ..verifier.facts import Facts
from ..verifier.judge import verify as verify_plainly
from ..verifier.policy import Expectations
from .cells import formats, text_table
from .drawn import draw_program, two_segments
from .mutants import NotProvableError, Subject, Trial, draw_mutant, draw_subject, honest

ACCEPTED = "accepted"

MUTANTS = {"fast": 24, "hybrid": 36, "strict": 30}
"""Modes that are tried, and how many mutants follow each honest receipt: a proof takes longer."""

LARGE_EVERY = 10
"""One round in so many has programs with an op of more gates than numpy's buffers hold."""

TWO_SEGMENTS_EVERY = 60
"""One in so many has a proof of two segments, which takes as long as a hundred others."""

_COLUMNS = formats(("mode", "{}", "mode"), ("verdict", "{}", "verdict"), ("trials", "{}", "trials"))


@dataclass(frozen=True)
class Verdict:
    """What a verifier says: a code or `ACCEPTED`, then with facts and outputs."""

    code: str
    facts: Facts | None = None
    outputs: dict[str, np.ndarray] | None = None

    def agrees(self, other: Verdict) -> bool:
        """Whether two verifiers say the same."""
        if self.code != other.code or self.facts != other.facts:
            return False
        mine, theirs = self.outputs or {}, other.outputs or {}
        return mine.keys() == theirs.keys() and all(
            mine[name].dtype == theirs[name].dtype
            and np.array_equal(mine[name], theirs[name], equal_nan=True)
            for name in mine
        )


def rust(trial: Trial) -> Verdict:
    """The verdict of the Rust verifier; a panic is no verdict."""
    return _verdict(verify_natively, trial)


def python(trial: Trial) -> Verdict:
    """The verdict of the Python verifier; anything but a typed error is no verdict."""
    return _verdict(verify_plainly, trial)


def _verdict(verify: Any, trial: Trial) -> Verdict:
    try:
        return Verdict(ACCEPTED, *verify(trial.receipt, trial.expectations))
    except ZktallyError as error:
        crashed = error.message == "internal check failed"
        return Verdict(f"crash: {error}" if crashed else error.code)
    except Exception as error:
        return Verdict(f"crash: {type(error).__name__}: {error}")


def trials(seed: int) -> Iterator[tuple[str, Trial]]:
    """Mode and trial, without end: an honest receipt, then mutants of it, and on."""
    last: dict[str, Subject] = {}
    for turn in count():
        for place, (mode, mutants) in enumerate(MUTANTS.items()):
            rng = np.random.default_rng([seed, turn, place])
            subject = _subject(rng, mode, turn)
            if subject is None:
                continue
            yield mode, honest(subject)
            for _ in range(mutants):
                others = [*last.values(), subject]
                yield mode, draw_mutant(rng, subject, others[int(rng.integers(len(others)))])
            last[mode] = subject


def _subject(rng: np.random.Generator, mode: str, turn: int) -> Subject | None:
    """The honest receipt of a round, if the mode covers its program."""
    if turn % TWO_SEGMENTS_EVERY == TWO_SEGMENTS_EVERY // 2:
        checked = two_segments(rng)
    else:
        checked = draw_program(rng, large=turn % LARGE_EVERY == 0)
    try:
        return draw_subject(rng, checked, mode)
    except NotProvableError:
        return None


def run(most: int, seed: int, folder: Path) -> tuple[Counter[tuple[str, str]], int]:
    """So many trials: how many agreed by mode and verdict, and how many did not."""
    agreed: Counter[tuple[str, str]] = Counter()
    disagreements = 0
    start = time.monotonic()
    for number, (mode, trial) in enumerate(trials(seed)):
        if number == most:
            break
        first, second = rust(trial), python(trial)
        if first.agrees(second) and not first.code.startswith("crash"):
            agreed[mode, first.code] += 1
        else:
            disagreements += 1
            _report(trial, first, second, folder / f"agree-{seed}-{number}.json")
        if number % 500 == 499:
            print(f"{number + 1} trials, {time.monotonic() - start:.0f} s", file=sys.stderr)
    return agreed, disagreements


def _report(trial: Trial, first: Verdict, second: Verdict, file: Path) -> None:
    """One line on stdout, and a file with everything that both were given."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(to_json(trial)))
    line = {
        "trial": trial.name,
        "rust": first.code,
        "python": second.code,
        "facts": _different(*(v.facts.flat() if v.facts else {} for v in (first, second))),
        "file": str(file),
    }
    print(json.dumps(line), flush=True)


def _different(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    names = sorted(first.keys() | second.keys())
    pairs = {name: [first.get(name), second.get(name)] for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def to_json(trial: Trial) -> dict[str, Any]:
    """A trial as an object that `from_json` reads."""
    given = trial.expectations.inputs
    named = given if isinstance(given, dict) else None if given is None else {"": given}
    return {
        "trial": trial.name,
        "receipt": base64.b64encode(trial.receipt).decode(),
        "expectations": plain.to_json(replace(trial.expectations, inputs=None)),
        "inputs": None if named is None else {name: _of_array(np.asarray(array))
                                              for name, array in named.items()},
    }  # fmt: skip


def from_json(data: dict[str, Any]) -> Trial:
    """The inverse of `to_json`."""
    named = data["inputs"]
    inputs = None if named is None else {name: _to_array(a) for name, a in named.items()}
    expected: Expectations = plain.from_json(Expectations, data["expectations"])
    receipt = base64.b64decode(data["receipt"])
    return Trial(data["trial"], receipt, replace(expected, inputs=inputs))


def _of_array(array: np.ndarray) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "data": data}


def _to_array(found: dict[str, Any]) -> np.ndarray:
    flat = np.frombuffer(base64.b64decode(found["data"]), np.dtype(found["dtype"]))
    return flat.reshape(found["shape"])


def table(agreed: Counter[tuple[str, str]]) -> str:
    """Agreements by mode and verdict."""
    rows = [
        {"mode": mode, "verdict": code, "trials": times}
        for (mode, code), times in sorted(agreed.items())
    ]
    return text_table(_COLUMNS, rows)


def main(args: argparse.Namespace) -> int:
    """Run the trials, or judge kept ones again; 1 if both disagree anywhere."""
    if args.replay:
        return _replay([Path(name) for name in args.replay])
    agreed, disagreements = run(args.trials, args.seed, Path(args.output))
    print(table(agreed))
    print(f"{agreed.total()} agreements, {disagreements} disagreements, seed {args.seed}")
    return int(disagreements > 0)


def _replay(files: list[Path]) -> int:
    failed = 0
    for file in files:
        trial = from_json(json.loads(file.read_text()))
        first, second = rust(trial), python(trial)
        failed += not first.agrees(second)
        print(json.dumps({"trial": trial.name, "rust": first.code, "python": second.code}))
    return int(failed > 0)
