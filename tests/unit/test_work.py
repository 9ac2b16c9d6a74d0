"""The folder of a hybrid proof in progress: whole files, one prover a segment, no secrets left."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from support.receipts import Prover
from zktally.prover import Job, Work
from zktally.verifier.errors import UsageError
from zktally.verifier.journal import HYBRID

JOB = Job(b"program", b"statement", b"openings", 1)


def begun(folder: Path) -> Work:
    work = Work.create(folder / "work")
    work.start(JOB)
    return work


def names(work: Work) -> list[str]:
    return sorted(path.name for path in work.folder.iterdir())


def joined(proofs: list[bytes]) -> bytes:
    return b"ZKTALLY" + b"".join(proofs)


def refused(call, *args) -> str:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError) as error:
        call(*args)
    return error.value.code


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_job_is_kept_as_it_is_and_for_its_owner_only(tmp_path: Path) -> None:
    work = begun(tmp_path)
    work.write(0, b"proof")
    assert Work(work.folder).job() == JOB
    assert mode(work.folder) == 0o700
    assert {mode(path) for path in work.folder.iterdir()} == {0o600}


def test_openings_that_are_to_be_hidden_are_not_shown() -> None:
    made = Prover("dense").commit()
    secret = replace(made.journal, mode=HYBRID).encode()
    fast = Job(b"program", made.journal.encode(), b"openings", 0)
    assert fast.shown().endswith(b"openings")
    with pytest.raises(UsageError, match="only a fast receipt"):
        replace(fast, journal=secret).shown()
    assert "openings" not in repr(fast)


def test_only_a_new_or_an_empty_folder_is_taken(tmp_path: Path) -> None:
    assert refused(Work.create, begun(tmp_path).folder) == "usage.file-exists"
    assert refused(Work.create, tmp_path / "no" / "folder") == "usage.unwritable"
    (tmp_path / "empty").mkdir(mode=0o755)
    assert mode(Work.create(tmp_path / "empty").folder) == 0o700


def test_a_folder_without_a_whole_job_is_refused(tmp_path: Path) -> None:
    work = Work.create(tmp_path / "work")
    assert refused(work.job) == "usage.unreadable"
    assert refused(Work(tmp_path / "absent").job) == "usage.unreadable"
    data = JOB.to_bytes()
    for damaged in (b"", data[:8], data[:9], data[:-1], data + b"x", b"x" + data[1:]):
        (work.folder / "job").write_bytes(damaged)
        assert refused(work.job) == "usage.unreadable"


@pytest.mark.parametrize(
    ("head", "received"),
    [
        (b"ZKTWORK\1", "format 1"),
        (b"ZKTWORK\2\x050.0.1", 'release "0.0.1"'),
        (b"ZKTWORK\2\x04a\nb\xff", 'release "'),
        (b"ZKTWORK\2\0", 'release ""'),
        (b"ZKTWORK\3\0", "format 3"),
    ],
)
def test_a_folder_of_another_release_is_not_gone_on_with(
    tmp_path: Path, head: bytes, received: str
) -> None:
    """Its segments may be of tables that are no more; they would make a receipt that is refused."""
    work = begun(tmp_path)
    work.write(0, b"proof")
    data = (work.folder / "job").read_bytes()
    rest = data[data.index(b"ZKTALLY") - 1 :]
    (work.folder / "job").write_bytes(head + rest)
    with pytest.raises(UsageError, match="begun by another release") as refused:
        work.job()
    assert refused.value.code == "usage.unreadable"
    assert str(refused.value.received).startswith(received)
    assert "\n" not in str(refused.value.received)
    assert work.done(1) == 1, "what it holds is left alone"


def test_nodes_are_kept_and_removed_with_the_rest(tmp_path: Path) -> None:
    work = begun(tmp_path)
    work.write(0, b"proof")
    assert work.node(0) is None
    for proof in (b"damaged", b"node"):
        work.write_node(0, proof)
    assert Work(work.folder).node(0) == b"node"
    assert {mode(path) for path in work.folder.iterdir()} == {0o600}
    work.finish(joined, 1)
    assert names(work) == ["receipt"]


def test_a_finished_segment_is_nobodys(tmp_path: Path) -> None:
    work = begun(tmp_path)
    with work.claim(3, wait=False) as mine:
        assert mine
        work.write(3, b"proof")
    with work.claim(3, wait=False) as mine:
        assert not mine
    assert work.done(5) == 1


HOLD = """
import sys
from zktally.prover import Work
with Work(sys.argv[1]).claim(0, wait=False) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


def test_a_segment_has_one_prover_and_is_free_when_that_dies(tmp_path: Path) -> None:
    work = begun(tmp_path)
    command = [sys.executable, "-c", HOLD, str(work.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"True\n"
        with work.claim(0, wait=False) as mine:
            assert not mine
        with work.claim(1, wait=False) as mine:
            assert mine
        other.kill()
        with work.claim(0, wait=True) as mine:
            assert mine


def test_the_receipt_replaces_everything(tmp_path: Path) -> None:
    work = begun(tmp_path)
    for segment in (1, 0):
        with work.claim(segment, wait=False):
            work.write(segment, bytes([segment]))
    (work.folder / ".job.half-written").touch()
    assert work.receipt() is None
    assert work.finish(joined, 2) == b"ZKTALLY\x00\x01"
    assert names(work) == ["receipt"]
    assert work.receipt() == b"ZKTALLY\x00\x01"
    assert work.done(2) == 2
    with work.claim(0, wait=True) as mine:
        assert not mine


def test_who_comes_late_gets_the_same_receipt(tmp_path: Path) -> None:
    work = begun(tmp_path)
    work.write(0, b"proof")
    work.finish(joined, 1)
    assert work.finish(joined, 1) == b"ZKTALLYproof"


def test_a_folder_of_something_else_keeps_what_it_has(tmp_path: Path) -> None:
    for name in ("receipt", "job", "segment-1"):
        (tmp_path / name).write_text("from a shop")
    assert refused(Work(tmp_path).receipt) == "usage.unreadable"
    assert names(Work(tmp_path)) == ["job", "receipt", "segment-1"]


def test_a_missing_segment_is_no_receipt(tmp_path: Path) -> None:
    work = begun(tmp_path)
    assert refused(work.finish, joined, 1) == "usage.unreadable"
    assert names(work) == ["job"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    work = begun(tmp_path)
    work.folder.chmod(0o500)
    with pytest.raises(UsageError), work.claim(0, wait=False):
        pass
