"""Nodes of a tree of proofs: proven by workers, checked before they are built on, kept in a folder.

The tree stands over three proofs of one segment: layers of two nodes, of one, and the outer proof.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from zktally import _core
from zktally.errors import ProveError, ZktallyError
from zktally.prover import Job, Work
from zktally.prover.folding import Folding, fold, prove_nodes
from zktally.prover.workers import Workers
from zktally.prover.workers.process import Processes
from zktally.prover.workers.task import NODES
from zktally.verifier.profiles import SUCCINCT
from zktally.verifier.receipt import split_receipt

RECEIPT = (Path(__file__).parents[1] / "vectors" / "foldable-dense.receipt").read_bytes()


def tree() -> _core.Folder:
    return _core.Folder.of_receipts([RECEIPT] * 3)


@pytest.fixture(scope="module")
def shares() -> list[bytes]:
    """Of the two nodes of the first layer."""
    folder = tree()
    return [folder.share(node) for node in range(2)]


@pytest.fixture(scope="module")
def proofs(shares: list[bytes]) -> list[bytes]:
    """Of the same nodes."""
    prover = _core.NodeProver()
    return [prover.prove(node, share) for node, share in enumerate(shares)]


class Scripted:
    """Workers that hand out proofs which are there already, after what a list says."""

    size = 2

    def __init__(self, proofs: list[bytes], script: list[str] | None = None) -> None:
        self.proofs, self.script, self.seen = proofs, script or [], []  # type: ignore[var-annotated]

    def fleet(self, task: object) -> Scripted:
        assert task is NODES
        return self

    def start(self) -> Scripted:
        return self

    def prove(self, node: int, share: bytes) -> bytes:
        self.seen.append(node)
        act = self.script.pop(0) if self.script else "prove"
        if act == "another":
            return self.proofs[1 - node]
        if act == "spoilt":
            return self.proofs[node][:-1] + bytes([self.proofs[node][-1] ^ 1])
        return self.proofs[node] + (b"\0" if act == "longer" else b"")

    def end(self) -> None:
        pass

    close = end


class Kept(dict[int, bytes]):
    """Proofs of nodes in memory."""

    node = dict.get
    write_node = dict.__setitem__


class Enough(Exception):
    """What ends a run in the middle."""


def until(number: int) -> Folding:
    """How nodes are proven until so many are there, and kept."""

    def stop(_phase: str, done: int, _total: int) -> None:
        if done == number:
            raise Enough

    return Folding(stop, kept=Kept())


def test_layers_and_what_they_need() -> None:
    folder = tree()
    assert folder.layers == [2, 1, 1]
    assert [folder.needs(node) for node in range(4)] == [[], [], [0, 1], [2]]
    for call in (folder.share, folder.prove, lambda node: folder.take(node, b"")):
        with pytest.raises(ZktallyError) as refused:
            call(2)
        assert refused.value.code == "usage"
    with pytest.raises(ZktallyError, match="not there yet"):
        folder.finish()


def test_shares_hold_proofs_and_nothing_of_the_receipt(shares: list[bytes]) -> None:
    """What a worker sees: the statement and the program have no part in it."""
    parts = split_receipt(RECEIPT)
    proof = bytes(parts.proof)[33:]
    assert shares[0].count(proof) == 2
    assert shares[1].count(proof) == 1
    for secret in (parts.program, parts.journal):
        assert bytes(secret) not in shares[0]
    assert len(shares[0]) < 2 * len(proof) + 100_000


def test_what_is_no_share_is_refused(shares: list[bytes]) -> None:
    prover = _core.NodeProver()
    for node, share, code in (
        (0, b"", "receipt.truncated"),
        (0, shares[0][:-1], "receipt.truncated"),
        (0, shares[0] + b"\0", "receipt.trailing-bytes"),
        (1, shares[0], "receipt.trailing-bytes"),
        (4, shares[0], "usage"),
        (0, shares[0][:-1] + bytes([shares[0][-1] ^ 1]), "prove.witness"),
    ):
        with pytest.raises(ZktallyError) as refused:
            prover.prove(node, share)
        assert refused.value.code == code


@pytest.mark.parametrize("script", [["another"], ["spoilt", "prove", "longer"]])
def test_wrong_proofs_of_nodes_are_refused_and_made_again(
    proofs: list[bytes], script: list[str]
) -> None:
    fleet = Scripted(proofs, list(script))
    fleet.size = 1
    how = until(2)
    how = Folding(how.progress, workers=fleet, kept=how.kept)  # type: ignore[arg-type]
    with pytest.raises(Enough):
        prove_nodes(tree(), how)
    assert how.kept == dict(enumerate(proofs))
    assert len(fleet.seen) == 2 + len(script) - script.count("prove")


def test_wrong_proofs_end_the_run(proofs: list[bytes]) -> None:
    fleet = Scripted(proofs, ["another"] * 6)
    with pytest.raises(ProveError, match="a wrong proof") as found:
        prove_nodes(tree(), Folding(workers=fleet))  # type: ignore[arg-type]
    assert found.value.code == "prove.workers-lost"


def test_processes_prove_nodes_and_one_that_is_killed_is_replaced() -> None:
    """The first process is killed in the middle of a node; the others prove all."""
    killed: list[int] = []

    class Fleet(Processes):
        def start(self):  # type: ignore[no-untyped-def]
            worker = super().start()
            if not killed:
                killed.append(worker.pid)  # type: ignore[attr-defined]
                end = (lambda: os.kill(killed[0], signal.SIGKILL),)
                threading.Timer(1.5, *end).start()
            return worker

    class Killing(Workers):
        def fleet(self, task):  # type: ignore[no-untyped-def]
            return Fleet(task, 2, 1)

    how = until(2)
    how = Folding(how.progress, workers=Killing(), kept=how.kept)
    with pytest.raises(Enough):
        prove_nodes(tree(), how)
    assert killed
    found = tree()
    for node, proof in how.kept.items():  # type: ignore[union-attr]
        found.take(node, proof)
    found.share(2)


def test_finished_nodes_are_not_proven_again(tmp_path: Path, proofs: list[bytes]) -> None:
    """A run that was ended goes on, with what passes: a damaged node is made again."""
    work = Work.create(tmp_path / "work")
    work.start(Job(b"program", b"statement", b"openings", SUCCINCT))
    work.write_node(0, proofs[0])
    work.write_node(1, proofs[1][:-1])
    seen: list[int] = []

    def stop(_phase: str, done: int, _total: int) -> None:
        seen.append(done)
        if done == 2:
            raise Enough

    fleet = Scripted(proofs)
    with pytest.raises(Enough):
        prove_nodes(tree(), Folding(stop, workers=fleet, kept=work))  # type: ignore[arg-type]
    assert fleet.seen == [1]
    assert seen == [1, 2]
    assert [work.node(node) for node in range(2)] == proofs


def test_all_of_it_in_a_folder(tmp_path: Path) -> None:
    """One segment: a node, the outer proof, both kept."""
    parts = split_receipt(RECEIPT)
    program, journal, section = map(bytes, (parts.program, parts.journal, parts.proof))
    work = Work.create(tmp_path / "work")
    made = fold(program, journal, section, 1, Folding(kept=work))
    kept = [work.node(node) for node in range(3)]
    assert kept[0] is not None
    assert kept[1] is not None
    assert kept[2] is None
    assert made.endswith(kept[1])
    seen: list[int] = []
    how = Folding(lambda _phase, done, _total: seen.append(done), kept=work)
    assert fold(program, journal, section, 1, how) == made
    assert seen == [0, 2]
