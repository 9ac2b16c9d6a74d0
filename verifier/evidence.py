"""What a verification leaves behind where it is asked to: the outputs, and the report."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__
from .arguments import command_of, files_read, names_of
from .chain import VerifiedRun
from .errors import UsageError, ZktallyError
from .policy import Policy
from .targets import is_stdout, refuse_outputs, write_output

if TYPE_CHECKING:
    from .report import Evidence


def refuse_files(args: argparse.Namespace) -> None:
    """Refuse files to write, before anything is judged: that exist, or that the command reads.

    Raises:
        UsageError: see `targets.refuse_outputs`; two things would go to stdout.
    """
    if args.outputs is not None:
        from .values import refuse_name

        refuse_name(args.outputs)
    if args.even_refused and args.report is None:
        raise UsageError("--even-refused is about a report", hint="name one with --report")
    paths = written_to(args)
    read = (args.input, args.policy, args.shown)
    reads = [*args.follows, *args.receipt, *read, *args.also_read]
    refuse_outputs(paths, [each for each in reads if each != "-"], force=args.force)
    on_stdout = [path for path in paths if is_stdout(path)]
    if args.json and on_stdout:
        raise UsageError(f"--json and {on_stdout[0]} would both go to stdout")


def written_to(args: argparse.Namespace) -> list[str]:
    """The files, or streams, that the command line asks for."""
    return [path for path in (args.outputs, args.report) if path is not None]


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
            if not outputs and not all(each.guarantee.outputs_public for each in found.receipts):
                raise UsageError(
                    "the receipt publishes no outputs to write",
                    expected="--shown FILE",
                    hint="ask whoever made it for a showing of the steps that matter",
                )
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

        names = names_of(files_read(self.args))
        return Evidence(
            names=tuple(names[path] for path in self.paths),
            receipts=tuple(self.receipts),
            others=self._others(names),
            policy=self.policy,
            command=command_of(self.args, names),
            version=__version__,
            backend=self.backend,
            when=datetime.now(UTC),
        )

    def _others(self, names: Mapping[str, str]) -> dict[str, bytes]:
        """What stands in the other files; nothing of pipes, which are read once."""
        paths = files_read(self.args)[len(self.paths) :]
        return {names[path]: Path(path).read_bytes() for path in paths if Path(path).is_file()}

    def _write(self, path: str, data: bytes) -> None:
        write_output(path, data, force=self.args.force)
