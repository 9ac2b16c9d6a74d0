"""What a verification leaves behind where it is asked to: the outputs, and the report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .arguments import command_of
from .chain import VerifiedRun
from .errors import UsageError, ZktallyError
from .files import write_atomically
from .policy import Policy
from .quoting import quoted_path

if TYPE_CHECKING:
    from .report import Evidence


def refuse_files(args: argparse.Namespace) -> None:
    """Refuse files to write, before anything is judged: that exist, or that the command reads.

    Raises:
        UsageError: `usage.file-exists` without --force; a file that is read is never overwritten;
            `usage.unwritable`, there is no such folder.
    """
    if args.outputs is not None:
        from .values import refuse_name

        refuse_name(args.outputs)
    if args.even_refused and args.report is None:
        raise UsageError("--even-refused is about a report", hint="name one with --report")
    files = [path for path in (args.outputs, args.report) if path is not None]
    reads = [*args.follows, *args.receipt, args.input, args.policy]
    for path in files:
        _refuse(path, [each for each in reads if each not in (None, "-")], force=args.force)
    if len(files) == 2 and Path(files[0]).absolute() == Path(files[1]).absolute():
        raise UsageError("outputs and report are one file", expected="two names")


def _refuse(path: str, reads: Sequence[str], *, force: bool) -> None:
    target = Path(path)
    if not target.parent.is_dir():
        raise UsageError(
            f"cannot write {quoted_path(path)}: there is no such folder", code="usage.unwritable"
        )
    if not target.exists():
        return
    if not force:
        raise UsageError(
            f"{quoted_path(path)} exists",
            code="usage.file-exists",
            hint="choose another name, or pass --force",
        )
    if any(Path(each).exists() and Path(each).samefile(target) for each in reads):
        raise UsageError(
            f"{quoted_path(path)} is an input of this command", hint="write to another file"
        )


@dataclass(frozen=True)
class Written:
    """The files that a command line asks for.

    Attributes:
        args: the command line.
        paths: of the receipts, in their order.
        receipts: their bytes.
        policy: that they were judged by.
        backend: that judged them, "rust" or "python".
    """

    args: argparse.Namespace
    paths: Sequence[str]
    receipts: Sequence[bytes]
    policy: Policy
    backend: str

    def verified(self, found: VerifiedRun) -> None:
        """Write the outputs and the report of receipts that were found good.

        Raises:
            UsageError: a file cannot be written, or has come into being since.
        """
        if self.args.outputs is not None:
            from .values import encoded, outputs_of

            first = found.receipts[0]
            names = ("model_id", "srs" if first.mode == "snark" else "program_id")
            about = {name: getattr(first, name) for name in names}
            outputs = outputs_of(self.receipts, found.receipts)
            self._write(self.args.outputs, encoded(self.args.outputs, outputs, about))
        if self.args.report is not None:
            from .report import report

            self._write(self.args.report, report(self._evidence(), found).encode())

    def refused(self, error: ZktallyError) -> None:
        """Write the report of receipts that were refused, where it is asked for.

        Raises:
            UsageError: it cannot be written.
        """
        if self.args.even_refused and not isinstance(error, UsageError):
            from .report import refusal

            self._write(self.args.report, refusal(self._evidence(), error).encode())

    def _evidence(self) -> Evidence:
        from .report import Evidence

        return Evidence(
            names=tuple(self.paths),
            receipts=tuple(self.receipts),
            policy=self.policy,
            command=command_of(self.args),
            version=__version__,
            backend=self.backend,
            when=datetime.now(UTC),
        )

    def _write(self, path: str, data: bytes) -> None:
        write_atomically(path, data, force=self.args.force)
