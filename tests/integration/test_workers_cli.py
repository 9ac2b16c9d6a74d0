"""Receipts proven by several workers, as a user calls for them."""

from __future__ import annotations

import importlib.util
import time

import numpy as np
import pytest

from support import wide_jobs
from zktally.hybrid.chain import run_chain
from zktally.prover import Claims, Work
from zktally.prover.workers.task import NODES

HAS_RAY = importlib.util.find_spec("ray") is not None


@pytest.fixture(scope="module")
def model():
    return wide_jobs.compiled()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    folder = tmp_path_factory.mktemp("workers")
    np.savez(folder / "x.npz", **wide_jobs.rows())
    model.save(folder / "model.zkt")
    return folder


@pytest.fixture
def prove(folder, zktally):
    words = ("prove", "model.zkt", "--input", "x.npz", "--mode", "strict")
    return lambda name, *options: zktally(*words, "-o", name, *options, cwd=folder)


@pytest.fixture
def accepted(folder, model, zktally):
    words = ("--model-id", model.model_id.hex(), "--modes", "strict")
    return lambda name: zktally("verify", name, *words, cwd=folder).code == 0


def test_two_processes_prove_a_receipt(prove, accepted):
    made = prove("two.receipt", "--processes", 2)
    assert made.code == 0, made.err
    assert accepted("two.receipt")


def test_processes_go_on_with_a_folder(folder, model, zktally, accepted):
    run, count = run_chain(model, wide_jobs.rows())
    Work.create(folder / "begun").start(run.job(Claims("strict"), count))
    made = zktally("resume", "begun", "--processes", 2, "-o", "resumed.receipt", cwd=folder)
    assert made.code == 0, made.err
    assert accepted("resumed.receipt")
    assert [file.name for file in (folder / "begun").iterdir()] == ["receipt"]


@pytest.mark.parametrize("options", [("--processes", "0"), ("--processes", "two"), ("--ray", "")])
def test_workers_that_are_none(folder, prove, options):
    prove("none.receipt", *options).refused(2, options[0] if options[1] == "two" else "[usage]")
    assert not (folder / "none.receipt").exists()


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray(prove):
    prove("none.receipt", "--ray", "auto").refused(2, "usage.no-cluster")


@pytest.mark.nightly
@pytest.mark.skipif(not HAS_RAY, reason="the extra scale is absent")
def test_a_ray_cluster_proves_a_receipt(prove, accepted):
    made = prove("ray.receipt", "--ray", "local", "--processes", 2)
    assert made.code == 0, made.err
    assert accepted("ray.receipt")


@pytest.mark.nightly
@pytest.mark.skipif(not HAS_RAY, reason="the extra scale is absent")
def test_a_ray_cluster_proves_a_succinct_receipt(prove, accepted):
    """Two segments by its actors; over two there is one node, which is proven here."""
    made = prove("succinct.receipt", "--succinct", "--ray", "local", "--processes", 2)
    assert made.code == 0, made.err
    assert "fold proofs: 2/2" in made.err
    assert accepted("succinct.receipt")


@pytest.mark.nightly
@pytest.mark.skipif(not HAS_RAY, reason="the extra scale is absent")
def test_an_actor_that_hangs_is_replaced(monkeypatch):
    """It sleeps over its share; the cluster is asked beside that what it does."""
    from zktally.prover.errors import ProveError
    from zktally.prover.workers import prove_shares
    from zktally.prover.workers.cluster import Cluster, ShareActor

    class Sleeper(ShareActor):
        def __init__(self, *_):
            pass

        def prove(self, number, share):
            time.sleep(600)

    class Dealer:
        def share(self, number):
            return b"share"

        def check(self, number, proof):
            raise AssertionError("there is none")

    monkeypatch.setattr("zktally.prover.workers.cluster.ShareActor", Sleeper)
    fleet = Cluster(NODES, "local", 1, 1, patience=3.0)
    with pytest.raises(ProveError, match="a worker of the cluster hung") as found:
        prove_shares(Dealer(), [0], fleet, lambda *_: None, lambda _: None)
    assert found.value.code == "prove.workers-lost"


@pytest.mark.nightly
@pytest.mark.skipif(not HAS_RAY, reason="the extra scale is absent")
def test_no_cluster_at_an_address(prove):
    prove("none.receipt", "--ray", "127.0.0.1:1").refused(2, "usage.no-cluster")
