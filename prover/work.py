"""The folder of a hybrid proof in progress: interrupted, it goes on where it was.

    job               the program, the statement, the openings (secret) and the profile
    segment-00000     the proof of a segment, once it is finished
    segment-00000.lock   held by the process that is proving it; the system frees it when
                      the process ends, however it ends
    node-00000        of a succinct receipt: the proof of a node, once it is finished
    receipt           the receipt, once it is finished; everything else is then removed

Folder and files are for their owner only. Every file appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from .. import _core
from ..circuits.files import read_limited, write_atomically
from ..verifier.errors import UsageError, ZktallyError
from ..verifier.journal import FAST, MODES, Journal
from ..verifier.kinds import what_is_at
from ..verifier.profiles import of_segments
from ..verifier.quoting import quoted, quoted_path
from ..verifier.receipt import MAGIC as RECEIPT
from ..verifier.receipt import MAX_RECEIPT, split_receipt
from .locks import acquire, opened
from .receipt import encode_receipt
from .workers.task import Task

MAGIC = b"ZKTWORK"
VERSION = 2
"""Of the folder. Others may hold segments of receipts that nobody takes any more."""
HEAD_MAX = 512
SEGMENT_MAX = 1 << 30
OWNER_ONLY = 0o700


@dataclass(frozen=True)
class Job:
    """What a receipt is made from.

    Attributes:
        program: its bytes.
        journal: the statement.
        openings: the proof section of a fast receipt of the same claims; in other modes, secret.
        profile: of the proofs, 0 standard, 1 small, 2 foldable or 4 succinct (docs/stark.md
            section 8).
    """

    program: bytes
    journal: bytes
    openings: bytes = field(repr=False)
    profile: int

    @property
    def segment_profile(self) -> int:
        """Of the proofs of segments, which a succinct receipt is folded from."""
        return of_segments(self.profile)

    @property
    def task(self) -> Task:
        """What workers are told who prove its segments."""
        return Task(self.program, self.journal, self.segment_profile)

    def shown(self) -> bytes:
        """The fast receipt, which shows the openings.

        Raises:
            UsageError: the statement is of a mode that hides them.
        """
        mode = Journal.decode(self.journal).mode
        if mode != FAST:
            raise UsageError(
                "only a fast receipt shows openings", expected=MODES[FAST], received=MODES[mode]
            )
        return encode_receipt(self.program, self.journal, self.openings)

    def to_bytes(self) -> bytes:
        """The bytes of the file `job`: who wrote it, the profile, the rest in an envelope."""
        parts = encode_receipt(self.program, self.journal, self.openings)
        release = _release().encode()
        return MAGIC + bytes([VERSION, len(release)]) + release + bytes([self.profile]) + parts

    @classmethod
    def from_bytes(cls, data: bytes) -> Job:
        """The inverse of `to_bytes`.

        Raises:
            UsageError: the bytes are not what it writes, or another release wrote them.
        """
        head = _judge_head(data)
        try:
            parts = split_receipt(data[head:])
        except ZktallyError as error:
            raise UsageError(f"the job is damaged: {error}", code="usage.unreadable") from error
        program, journal, openings = map(bytes, (parts.program, parts.journal, parts.proof))
        return cls(program, journal, openings, profile=data[head - 1])


def _release() -> str:
    return _core.build_info()["version"]


def _judge_head(data: bytes) -> int:
    """Where the envelope of a job begins, in bytes that this release wrote.

    Raises:
        UsageError: they are no job, or another release wrote them: its proofs may be of tables that
            are no more, and would make a receipt that everybody refuses.
    """
    at = len(MAGIC) + 2
    if not data.startswith(MAGIC) or len(data) < at:
        raise UsageError("this is not the job of a proof", code="usage.unreadable")
    version, length = data[at - 2], data[at - 1]
    release = data[at : at + length].decode(errors="replace")
    if version != VERSION or release != _release():
        raise UsageError(
            "the proof was begun by another release of zktally",
            code="usage.unreadable",
            expected=f"one of release {_release()}",
            received=f"release {quoted(release)}" if version == VERSION else f"format {version}",
            hint="go on with the release that began it, or begin again in a new folder",
        )
    if len(data) <= at + length:
        raise UsageError("the job is damaged: it ends too soon", code="usage.unreadable")
    return at + length + 1


class Work:
    """A folder with the proof of one job. Several processes may work on it at once.

    Args:
        folder: where.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def create(cls, folder: str | Path) -> Work:
        """A new folder, or an empty one, for its owner only.

        Raises:
            UsageError: there is something in it, or it cannot be made.
        """
        work = cls(folder)
        try:
            work.folder.mkdir(mode=OWNER_ONLY, exist_ok=True)
            work.folder.chmod(OWNER_ONLY)
            if any(work.folder.iterdir()):
                raise UsageError(
                    f"{quoted_path(folder)} is not empty",
                    code="usage.file-exists",
                    hint="go on with what it holds (zktally resume DIR), or choose another",
                )
        except OSError as error:
            raise UsageError(
                f"cannot make {quoted_path(folder)}: {error.strerror or error}",
                code="usage.unwritable",
            ) from error
        return work

    def start(self, job: Job) -> None:
        """Write the job: from here on the proof can be resumed."""
        write_atomically(self._job, job.to_bytes(), private=True)

    def job(self) -> Job:
        """The job of this folder.

        Raises:
            UsageError: there is none, or it cannot be read.
        """
        if not self._job.exists():
            raise UsageError(
                f"there is no unfinished proof in {quoted_path(self.folder)}",
                code="usage.unreadable",
                expected="the folder of a proof that was begun",
                received=what_is_at(self.folder),
                hint="zktally prove or wrap with --work starts one",
            )
        return Job.from_bytes(read_limited(self._job, MAX_RECEIPT + HEAD_MAX))

    def receipt(self) -> bytes | None:
        """The receipt, once it is finished; then nothing else is left in the folder.

        Raises:
            UsageError: `usage.unreadable`, the file of that name is another: nothing is removed.
        """
        if not self._receipt.exists():
            return None
        receipt = read_limited(self._receipt, MAX_RECEIPT)
        if not receipt.startswith(RECEIPT):
            raise UsageError(
                f"{quoted_path(self._receipt)} is no receipt: this is no folder of a proof",
                code="usage.unreadable",
            )
        self._clean()
        return receipt

    def done(self, segments: int) -> int:
        """How many of so many segments are finished."""
        if self._receipt.exists():
            return segments
        return sum(self._segment(number).exists() for number in range(segments))

    def left(self, segments: int) -> list[int]:
        """The numbers of so many segments that are not finished."""
        return [number for number in range(segments) if not self._finished(number)]

    @contextmanager
    def claim(self, segment: int, *, wait: bool) -> Iterator[bool]:
        """Whether this process is the one to prove a segment, for as long as the context lasts.

        It is not where the segment is finished, or another process holds it: with `wait`, that
        process is waited for first.
        """
        if self._finished(segment):
            yield False
            return
        with opened(self._lock(segment)) as lock:
            mine = acquire(lock, wait=wait)
            yield mine and not self._finished(segment)

    def write(self, segment: int, proof: bytes) -> None:
        """Keep the proof of a segment."""
        write_atomically(self._segment(segment), proof, private=True)

    def node(self, number: int) -> bytes | None:
        """The proof of a node, if it is finished."""
        file = self._node(number)
        return read_limited(file, SEGMENT_MAX) if file.exists() else None

    def write_node(self, number: int, proof: bytes) -> None:
        """Keep the proof of a node."""
        write_atomically(self._node(number), proof, force=True, private=True)

    def finish(self, join: Callable[[list[bytes]], bytes], segments: int) -> bytes:
        """Join all segments to the receipt, keep that, and remove everything else.

        Joining can take long, so one process does it, and the others wait for its receipt.
        """
        try:
            files = (self._segment(number) for number in range(segments))
            proofs = [read_limited(file, SEGMENT_MAX) for file in files]
        except UsageError:
            if (receipt_of_another := self.receipt()) is None:
                raise
            return receipt_of_another
        with opened(self.folder / "segment-all.lock") as lock:
            acquire(lock, wait=True)
            if not self._receipt.exists():
                write_atomically(self._receipt, join(proofs), force=True)
        receipt = self.receipt()
        assert receipt is not None, "written by this process or another"
        return receipt

    def _clean(self) -> None:
        """Remove everything but the receipt; also what a run that died at this point left."""
        for pattern in ("job", ".job.*", "segment-*", ".segment-*", "node-*", ".node-*"):
            for file in self.folder.glob(pattern):
                file.unlink(missing_ok=True)

    def _finished(self, segment: int) -> bool:
        return self._receipt.exists() or self._segment(segment).exists()

    @property
    def _job(self) -> Path:
        return self.folder / "job"

    @property
    def _receipt(self) -> Path:
        return self.folder / "receipt"

    def _segment(self, segment: int) -> Path:
        return self.folder / f"segment-{segment:05}"

    def _node(self, number: int) -> Path:
        return self.folder / f"node-{number:05}"

    def _lock(self, segment: int) -> Path:
        return self.folder / f"segment-{segment:05}.lock"
