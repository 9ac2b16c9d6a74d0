"""The folder of a training run: interrupted, it goes on where it was, bit for bit.

    lock              held by the process that works on the run, whose number stands in it
    plan.json         what the run was asked to do, and of which model and data
    steps             the training program (circuits/training/file.py)
    data-key          salts the data set's leaves; in hex, as `zktally dataset-root` reads it
    rehearsal.json    the losses of the float steps that scales were found by
    part-00000/       of each receipt:
        key           of the part's salts: begun again, it is the same part
        losses.npy    of its steps
        state.zks     in which it ended
        outputs       what it takes to show the outputs of its steps, where they are hidden
        proof/        the proof in progress (prover/work.py)
        receipt       once it is finished

Folder and files are for their owner only. Every file appears whole or not at all.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...circuits.files import read_limited, write_atomically
from ...circuits.graph import Array
from ...circuits.keys import OF_DATA, is_key, key_in, key_text, new_key
from ...circuits.training.file import MAGIC, decode, encode
from ...circuits.training.program import TrainingProgram
from ...prover import HeldOutputs, RunState, Work
from ...prover.locks import held_alone
from ...verifier.errors import UsageError
from ...verifier.kinds import what_is_at
from ...verifier.quoting import listed, quoted_path
from ...verifier.receipt import MAX_RECEIPT

PLAN, LOCK, STEPS = "plan.json", "lock", "steps"
OWNER_ONLY = 0o700
FILE_MAX = 1 << 33
TEXT_MAX = 1 << 26


class Part:
    """What a run keeps of one receipt.

    Args:
        folder: of the part; it is made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def proof(self) -> Path:
        """The folder of the proof in progress."""
        return self.folder / "proof"

    def key(self) -> bytes:
        """Of the part's salts: made once, and kept."""
        return _kept_key(self._at("key"))

    def receipt(self) -> bytes | None:
        """The receipt, once it is finished."""
        path = self._at("receipt")
        return read_limited(path, MAX_RECEIPT) if path.exists() else None

    def state(self) -> RunState | None:
        """The state in which the part ended, once it has."""
        path = self._at("state.zks")
        return RunState.load(path) if path.exists() else None

    def outputs(self) -> HeldOutputs | None:
        """What it takes to show the outputs of its steps, where they are hidden."""
        path = self._at("outputs")
        return HeldOutputs.load(path) if path.exists() else None

    def hold(self, outputs: HeldOutputs) -> None:
        """Keep it, before anything is proven."""
        outputs.save(self._at("outputs"), force=True)

    def losses(self) -> Array:
        """Of its steps, float64."""
        return _array(read_limited(self._at("losses.npy"), FILE_MAX))

    def ended(self, losses: Array, state: RunState) -> None:
        """Keep what the steps gave, before anything is proven."""
        held = io.BytesIO()
        np.save(held, losses)
        write_atomically(self._at("losses.npy"), held.getvalue(), force=True, private=True)
        state.save(self._at("state.zks"), force=True)

    def proven(self, receipt: bytes) -> None:
        """Keep the receipt."""
        write_atomically(self._at("receipt"), receipt, force=True, private=True)

    def _at(self, name: str) -> Path:
        self.folder.mkdir(mode=OWNER_ONLY, exist_ok=True)
        return self.folder / name

    def new_proof(self) -> Work:
        """The folder of a proof that is not begun; what a run left that died there is removed."""
        for file in self.proof.glob(".job.*"):
            file.unlink(missing_ok=True)
        return Work.create(self.proof)


class Folder:
    """The folder of a run.

    Args:
        path: where; it is made where it does not exist.

    Raises:
        UsageError: `usage.unwritable`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(mode=OWNER_ONLY, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot make {quoted_path(path)}: {error.strerror or error}",
                code="usage.unwritable",
            ) from error

    @classmethod
    def existing(cls, path: str | Path) -> Folder:
        """The folder of a run that was begun.

        Raises:
            UsageError: `usage.unreadable`, there is none.
        """
        if not (Path(path) / PLAN).exists():
            raise UsageError(
                f"{quoted_path(path)} holds no training run",
                code="usage.unreadable",
                expected="the folder of a run",
                received=what_is_at(path),
                hint="zktally train --work DIR keeps one",
            )
        return cls(path)

    def facts(self) -> dict[str, Any]:
        """Which run it is.

        Raises:
            UsageError: `usage.unreadable`.
        """
        try:
            # Folders of an earlier release do not say how outputs are published.
            return {"outputs": "published", **json.loads(read_limited(self.path / PLAN, TEXT_MAX))}
        except (ValueError, TypeError) as error:
            raise UsageError(
                f"{quoted_path(self.path / PLAN)} is damaged: {error}", code="usage.unreadable"
            ) from error

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Work on the run, and keep other processes from it meanwhile.

        Raises:
            UsageError: `usage.busy`, one is at it; `usage.file-exists`, it is no folder of a run.
        """
        if not (self.path / PLAN).exists() and any(self._others()):
            raise UsageError(
                f"{quoted_path(self.path)} is not empty, and holds no training run",
                code="usage.file-exists",
                hint="use a new folder",
            )
        with held_alone(self.path / LOCK, f"trains in {quoted_path(self.path)}"):
            yield

    def begin(self, facts: Mapping[str, Any]) -> None:
        """See that the folder holds this very run, or none yet: then this is the one.

        A run that was prepared without a nonce takes the first one that comes, before a step is
        taken.

        Raises:
            UsageError: `usage.file-exists`, it holds another run.
        """
        path, text = self.path / PLAN, json.dumps(facts, sort_keys=True, indent=1)
        if path.exists() and not self._past_its_plan():
            write_atomically(path, text.encode(), force=True, private=True)
            return
        if path.exists():
            held = self.facts()
            unlike = sorted(key for key in {*held, *facts} if held.get(key) != facts.get(key))
            if unlike == ["nonce"] and held["nonce"] is None and not self._has_steps():
                write_atomically(path, text.encode(), force=True, private=True)
                return
            if unlike:
                raise UsageError(
                    f"{quoted_path(self.path)} holds another run",
                    code="usage.file-exists",
                    expected=f"the same {listed(unlike)}",
                    hint="go on with the arguments that it was begun with, or use a new folder",
                )
            return
        self._close()
        write_atomically(path, text.encode(), private=True)

    def _past_its_plan(self) -> bool:
        """Whether there is more than a plan, which may have come to nothing."""
        return any(each != PLAN for each in self._others())

    def _others(self) -> Iterator[str]:
        """What lies in the folder beside the lock."""
        return (each.name for each in self.path.iterdir() if each.name != LOCK)

    def _has_steps(self) -> bool:
        """Whether the keys of a part are drawn: from then on its nonce is settled."""
        return any(self.path.glob("part-*/key"))

    def _close(self) -> None:
        """To all but its owner: only now is it known to be a folder of ours."""
        try:
            self.path.chmod(OWNER_ONLY)
        except OSError as error:
            raise UsageError(
                f"cannot write to {quoted_path(self.path)}: {error.strerror or error}",
                code="usage.unwritable",
            ) from error

    def program(self) -> TrainingProgram | None:
        """The training program, once it is made."""
        path = self.path / STEPS
        return decode(read_limited(path, FILE_MAX)) if path.exists() else None

    def keep(self, program: TrainingProgram, rehearsal: tuple[float, ...]) -> None:
        """Keep the training program, and the losses of its rehearsal."""
        text = json.dumps(list(rehearsal)).encode()
        write_atomically(self.path / "rehearsal.json", text, force=True, private=True)
        write_atomically(self.path / STEPS, encode(program), private=True)

    def rehearsal(self) -> tuple[float, ...]:
        """The losses of the rehearsal."""
        return tuple(json.loads(read_limited(self.path / "rehearsal.json", TEXT_MAX)))

    def data_key(self) -> bytes:
        """Of the data set's salts: made once, and kept for whoever computes the root again."""
        path = self.path / "data-key"
        if not path.exists():
            write_atomically(path, key_text(new_key(), OF_DATA), private=True)
        key, _ = key_in(read_limited(path, 256))
        return _judged_key(path, key or b"")

    def part(self, number: int) -> Part:
        """What belongs to a receipt, by its number from 0."""
        return Part(self.path / f"part-{number:05d}")


def is_training_program(path: str | Path) -> bool:
    """Whether a path leads to the program of a training run, or to a folder that holds one."""
    try:
        with _steps_file(path).open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def training_program(path: str | Path) -> TrainingProgram:
    """The program of a training run, from its file or the run's folder.

    Raises:
        UsageError: `usage.unreadable`.
    """
    return decode(read_limited(_steps_file(path), FILE_MAX))


def _steps_file(path: str | Path) -> Path:
    return Path(path) / STEPS if Path(path).is_dir() else Path(path)


def _kept_key(path: Path) -> bytes:
    if not path.exists():
        write_atomically(path, new_key(), private=True)
    return _judged_key(path, read_limited(path, 64))


def _judged_key(path: Path, key: bytes) -> bytes:
    if not is_key(key):
        raise UsageError(f"{quoted_path(path)} is no key", code="usage.unreadable")
    return key


def _array(data: bytes) -> Array:
    held: Array = np.load(io.BytesIO(data), allow_pickle=False)
    return held
