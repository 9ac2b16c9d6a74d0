"""Many receipts under one proof as a user meets them: made, judged, listed, refused."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import zktally as api
from support import programs
from support.aggregates import Parts
from support.cli import Zktally
from zktally.cli.acceptance import arguments_of_all
from zktally.verifier import cli as verifier_line
from zktally.verifier import inspect, verify_aggregate
from zktally.verifier.errors import ZktallyError
from zktally.verifier.journal import HYBRID
from zktally.verifier.profiles import SUCCINCT
from zktally.verifier.program.checked import load
from zktally.verifier.receipt import split_receipt
from zktally.verifier.sampling import Counts

PROFILE = 32
"""Where the proof section of a receipt has its profile."""

BACKENDS = ("rust", "python")
HAS_RAY = importlib.util.find_spec("ray") is not None


@dataclass(frozen=True)
class Project:
    """Two models, three foldable receipts about them and one that is left out, the aggregate."""

    folder: Path
    average: api.CompiledModel
    dense: api.CompiledModel
    receipts: tuple[api.Receipt, ...]
    beside: api.Receipt
    made: api.Aggregate
    said: str
    told: str

    @property
    def models(self) -> tuple[str, str]:
        return self.average.model_id.hex(), self.dense.model_id.hex()

    @property
    def named(self) -> list[str]:
        return [word for model in self.models for word in ("--model-id", model)]

    @property
    def file(self) -> Path:
        return self.folder / "all.receipt"


def average(model: api.CompiledModel, seed: int, **how: object) -> api.Receipt:
    x = np.random.default_rng(seed).integers(-40, 40, (2, 5))
    return api.prove(model, {"x": x}, **{"foldable": True, **how})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, zktally: Zktally) -> Project:
    """The aggregate is made by the command line, where nothing but the receipts is."""
    folder = tmp_path_factory.mktemp("aggregate")
    models = [api.assemble(*programs.EVERY[name]()) for name in ("running_average", "dense")]
    x = np.random.default_rng(7).normal(size=(3, 6))
    made = [average(models[0], 0), api.prove(models[1], {"x": x}, foldable=True)]
    made += [average(models[0], seed) for seed in (1, 2)]
    for number, receipt in enumerate(made[:3]):
        receipt.save(folder / f"{number}.receipt")
    done = zktally(
        "aggregate", "0.receipt", "1.receipt", "-", "-o", "all.receipt",
        stdin=made[2].data, cwd=folder,
    )  # fmt: skip
    assert done.code == 0, done.err
    loaded = api.Aggregate.load(folder / "all.receipt")
    return Project(folder, *models, tuple(made[:3]), made[3], loaded, done.out, done.err)


def verdicts(project: Project, data: bytes, models: object = None, **expected: object) -> str:
    """What both verifiers say, which is the same: a code, or "accepted"."""
    found = []
    for backend in BACKENDS:
        try:
            api.verify_aggregate(
                data,
                project.models if models is None else models,  # type: ignore[arg-type]
                backend=backend,  # type: ignore[arg-type]
                **expected,  # type: ignore[arg-type]
            )
            found.append("accepted")
        except ZktallyError as error:
            found.append(error.code)
    assert found[0] == found[1]
    return found[0]


# What is made.


def test_what_is_said_of_it(project: Project, zktally: Zktally) -> None:
    for words in ("judge receipts: 3/3", "4 proofs of proofs to make", "fold proofs: 4/4"):
        assert words in project.told, project.told
    made, check = project.said.splitlines()
    assert '"all.receipt": 3 receipts of 2 models' in made
    words = check.removeprefix("check it with: zktally ").split()
    done = zktally(*words, cwd=project.folder)
    assert done.code == 0, done.err


WORKERS = [
    ("--processes", "2"),
    pytest.param(
        ("--ray", "local", "--processes", "2"),
        marks=[
            pytest.mark.nightly,
            pytest.mark.skipif(not HAS_RAY, reason="the extra scale is absent"),
        ],
    ),
]


@pytest.mark.parametrize("options", WORKERS)
def test_workers_prove_the_nodes_of_one(
    project: Project, zktally: Zktally, options: tuple[str, ...], tmp_path: Path
) -> None:
    """Two nodes, over two proofs and over one."""
    names = [f"{number}.receipt" for number in range(2)]
    project.receipts[2].save(tmp_path / "2.receipt")
    made = tmp_path / "made.receipt"
    done = zktally(
        *("aggregate", *names, tmp_path / "2.receipt", *options, "-o", made), cwd=project.folder
    )
    assert done.code == 0, done.err
    assert "fold proofs: 4/4" in done.err
    assert verdicts(project, made.read_bytes()) == "accepted"


@pytest.mark.parametrize("options", [("--processes", "0"), ("--patience", "1"), ("--ray", "")])
def test_workers_that_are_none(
    project: Project, zktally: Zktally, options: tuple[str, ...]
) -> None:
    for verb in (("aggregate", "0.receipt", "1.receipt"), ("compress", "0.receipt")):
        done = zktally(*verb, *options, "-o", "none.receipt", cwd=project.folder)
        done.refused(2, "[usage]")
    assert not (project.folder / "none.receipt").exists()


def test_one_command_is_enough_for_all(project: Project) -> None:
    """The largest δ, what any needs to be accepted, and labels; only statements are looked at."""
    deltas = {"audience": "me", "foldable": False, "mode": "fast", "reveal": True}
    made = [average(project.average, 0, delta=delta, **deltas) for delta in (0.06, 0.2, 0.01, 0.1)]
    counts = [Counts(load(bytes(split_receipt(each.data).program)), each.journal) for each in made]
    found = arguments_of_all(counts)
    assert (found["--max-delta"], found["--audience"]) == (("0.2",), ("me",))
    assert "--max-delta" not in arguments_of_all(counts[2:3])
    assert not any("dataset" in option for option in found)


def test_statements_stay_and_proofs_go(project: Project) -> None:
    parts = Parts.of(project.made.data)
    for (program, journal), receipt in zip(parts.receipts, project.receipts, strict=True):
        own = split_receipt(receipt.data)
        assert (program, journal) == (bytes(own.program), bytes(own.journal))
    assert parts.join() == project.made.data
    assert len(project.made.data) < min(len(receipt.data) for receipt in project.receipts)


def test_the_object(project: Project, tmp_path: Path) -> None:
    made = project.made
    assert [each.model_id for each in made.receipts] == [
        each.journal.model_id for each in project.receipts
    ]
    assert len(made) == 3
    assert f"2 receipts of 4 steps, hybrid, model {project.models[0]}" in repr(made)
    assert "unverified" in made._repr_html_()
    made.save(tmp_path / "copy")
    assert api.Aggregate.load(tmp_path / "copy") == made
    with pytest.raises(api.UsageError):
        made.save(tmp_path / "copy")
    assert "not readable" in repr(api.Aggregate(b"something else"))


# What is judged.


def test_both_verifiers_see_what_the_receipts_show(project: Project) -> None:
    rust, python = (project.made.verify(project.models, backend=b) for b in BACKENDS)
    assert [each.facts for each in rust] == [each.facts for each in python]
    for one, other, receipt in zip(rust, python, project.receipts, strict=True):
        alone = receipt.verify(receipt.journal.model_id)
        for each in (one, other):
            assert each.outputs.keys() == alone.outputs.keys()
            for name, array in alone.outputs.items():
                np.testing.assert_array_equal(each.outputs[name], array)
        assert one.facts.journal == alone.facts.journal
        assert (one.profile, one.segments) == ("succinct", alone.segments)
        assert one.receipt_bytes == len(project.made.data)
        assert "one proof for the 3 receipts of the file" in one.guarantee.text()


def test_the_verdict_in_words(project: Project, zktally: Zktally) -> None:
    for backend in BACKENDS:
        done = zktally("verify", project.file, *project.named, "--backend", backend)
        assert done.code == 0, done.err
        first, *rest = done.out.splitlines()
        assert "3 receipts of 2 models under one proof" in first
        for number, model in ((1, 0), (2, 1), (3, 0)):
            line = rest[number - 1]
            assert line.startswith(
                f"OK receipt {number}: 2 steps" if model == 0 else "OK receipt 2"
            )
            for word in (project.models[model][:8], "hybrid", "bits"):
                assert word in line
        assert "of         receipts 1, 3:" in rest
        assert "of         receipt 2:" in rest


def test_the_verdict_as_json(project: Project, zktally: Zktally) -> None:
    done = zktally("verify", project.file, *project.named, "--json")
    shown = json.loads(done.out)
    assert (shown["format"], shown["verified"]) == ("zktally.verify-aggregate/1", True)
    assert [each["model_id"] for each in shown["receipts"]] == [
        project.models[number] for number in (0, 1, 0)
    ]
    least = min(each["headline_bits"] for each in shown["receipts"])
    assert least - 2 <= shown["bits"] < least


def test_the_verifier_alone(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert verifier_line.main([str(project.file), *project.named]) == 0
    assert "3 receipts of 2 models" in capsys.readouterr().out
    assert verifier_line.main([str(project.file), "--inspect"]) == 0
    assert "UNVERIFIED" in capsys.readouterr().out
    assert verifier_line.main([str(project.file), "--model-id", project.models[0]]) == 1
    assert "receipt 2 of 3" in capsys.readouterr().err
    found = verify_aggregate(project.file, project.models)
    assert [each.model_id for each in found] == [project.models[n] for n in (0, 1, 0)]


def test_every_receipt_is_about_a_model_that_is_named(project: Project) -> None:
    first, second = project.models
    none = "00" * 32
    assert verdicts(project, project.made.data, [second, first]) == "accepted"
    # The last one: each model that is expected has a receipt.
    for models in ([first], second, [none], [none, first], [second, first, none]):
        assert verdicts(project, project.made.data, models) == "verify.model-mismatch"
    with pytest.raises(api.VerificationFailed, match="receipt 2 of 3") as refused:
        api.verify_aggregate(project.made, [first, none])
    assert none in str(refused.value.expected)
    assert second == refused.value.received
    with pytest.raises(api.UsageError):
        api.verify_aggregate(project.made, [])


def test_what_is_demanded_is_demanded_of_each(project: Project) -> None:
    data = project.made.data
    assert verdicts(project, data, audience="me") == "verify.audience-mismatch"
    assert verdicts(project, data, nonce=b"1") == "verify.nonce-mismatch"
    assert verdicts(project, data, policy=api.Policy(modes=("strict",))) == "policy.mode"
    assert verdicts(project, data, policy=api.Policy(min_bits=120)) == "policy.bits"


# What is refused.


def dropped(parts: Parts, _: Project) -> Parts:
    return replace(parts, receipts=parts.receipts[:2])


def first_dropped(parts: Parts, _: Project) -> Parts:
    return replace(parts, receipts=parts.receipts[1:])


def repeated(parts: Parts, _: Project) -> Parts:
    return replace(parts, receipts=(*parts.receipts, parts.receipts[2]))


def twice_in_place(parts: Parts, _: Project) -> Parts:
    first, second, _third = parts.receipts
    return replace(parts, receipts=(first, second, first))


def reordered(parts: Parts, _: Project) -> Parts:
    first, second, third = parts.receipts
    return replace(parts, receipts=(third, second, first))


def swapped(parts: Parts, project: Project) -> Parts:
    other = split_receipt(project.beside.data)
    another = (bytes(other.program), bytes(other.journal))
    return replace(parts, receipts=(*parts.receipts[:2], another))


def bit(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def without_points(parts: Parts, _: Project) -> Parts:
    return replace(parts, proof=parts.proof[60:])


@pytest.mark.parametrize(
    "change",
    [dropped, first_dropped, repeated, twice_in_place, reordered, swapped, without_points],
)
def test_the_proof_is_of_these_receipts_in_this_order(
    change: Callable[[Parts, Project], Parts], project: Project
) -> None:
    changed = change(Parts.of(project.made.data), project).join()
    found = verdicts(project, changed)
    assert found in ("verify.stark", "receipt.non-canonical", "receipt.truncated"), found


def test_no_bit_of_a_statement_can_be_another(project: Project) -> None:
    parts = Parts.of(project.made.data)
    program, journal = parts.receipts[0]
    for at in range(0, len(journal), len(journal) // 12):
        receipts = ((program, bit(journal, at)), *parts.receipts[1:])
        assert verdicts(project, replace(parts, receipts=receipts).join()) != "accepted", at


def test_no_bit_of_the_proof_can_be_another(project: Project) -> None:
    data, length = project.made.data, len(Parts.of(project.made.data).proof)
    start = len(data) - length
    for at in (0, 60, 120, 180, 240, 300, 1000, length // 2, length - 1):
        assert verdicts(project, bit(data, start + at)) in ("verify.stark", "receipt.non-canonical")


def test_what_is_no_aggregate(project: Project) -> None:
    data = project.made.data
    assert verdicts(project, data + b"\0") == "receipt.trailing-bytes"
    assert verdicts(project, data[:-1]) == "receipt.truncated"
    assert verdicts(project, b"") == "receipt.bad-magic"
    assert verdicts(project, project.receipts[0].data) == "receipt.bad-magic"
    parts = Parts.of(data)
    longer = replace(parts, proof=parts.proof + b"\0").join()
    assert verdicts(project, longer) == "receipt.trailing-bytes"
    assert verdicts(project, bit(data, 7)) == "receipt.unsupported-version"


def test_one_receipt_is_no_list_and_a_list_no_receipt(project: Project, zktally: Zktally) -> None:
    with pytest.raises(api.MalformedReceipt, match="an aggregate of several") as refused:
        api.verify(project.made.data, project.models[0])
    assert "verify_aggregate" in str(refused.value.hint)
    first = project.folder / "0.receipt"
    done = zktally("verify", first, *project.named)
    done.refused(2, "several models are named")
    done = zktally("verify", project.file, first, "--model-id", project.models[0])
    done.refused(2, "judged by itself")
    for verb in ("compress", "wrap"):
        done = zktally(verb, project.file, "-o", project.folder / "new")
        done.refused(3, "an aggregate of several receipts")


OF_ONE = ["--outputs", "--report", "--input-root", "--follows", "--shown"]


@pytest.mark.parametrize("option", OF_ONE)
def test_options_of_single_receipts(option: str, project: Project, zktally: Zktally) -> None:
    value = {"--input-root": "00" * 32, "--follows": project.folder / "0.receipt"}
    new = project.folder / ("new.html" if option == "--report" else "new.npz")
    done = zktally("verify", project.file, *project.named, option, value.get(option, new))
    done.refused(2, option)
    assert not new.exists()
    done = zktally("report", project.file, *project.named, "-o", new)
    done.refused(2, "--report")


def test_inspect(project: Project, zktally: Zktally) -> None:
    done = zktally("inspect", project.file)
    assert done.code == 0, done.err
    assert done.out.startswith("UNVERIFIED")
    assert "one proof that the proofs of 3 segments verify" in done.out
    assert "receipt 3\n" in done.out
    shown = json.loads(zktally("inspect", project.file, "--json").out)
    assert (shown["kind"], shown["verified"]) == ("aggregate", False)
    assert [each["mode"] for each in shown["receipts"]] == ["hybrid"] * 3
    assert shown == inspect(project.file)  # which counts segments in Python
    assert all(each.mode == HYBRID for each in project.made.receipts)


# What cannot be aggregated.


def test_only_foldable_receipts_are_aggregated(
    project: Project, zktally: Zktally, tmp_path: Path
) -> None:
    folded = bytearray(project.receipts[0].data)
    folded[len(folded) - len(split_receipt(bytes(folded)).proof) + PROFILE] = SUCCINCT
    fast = average(project.average, 3, foldable=False, mode="fast", reveal=True)
    bad = {
        "a standard one": (average(project.average, 3, foldable=False).data, "--foldable"),
        "a small one": (average(project.average, 3, foldable=False, small=True).data, "--foldable"),
        "a fast one": (fast.data, "wrap it with --foldable"),
        "a succinct one": (bytes(folded), "that it was compressed from"),
        "an aggregate of several receipts": (project.made.data, "that it was made of"),
    }
    for words, (data, hint) in bad.items():
        (tmp_path / "bad").write_bytes(data)
        call = ("aggregate", project.folder / "0.receipt", tmp_path / "bad", "-o", tmp_path / "r")
        done = zktally(*call)
        done.refused(2, f"received: {words}")
        assert hint in done.err
        assert 'bad": only foldable' in done.err
    assert not (tmp_path / "r").exists()


def test_other_receipts_that_do_not_go_together(
    project: Project, zktally: Zktally, tmp_path: Path
) -> None:
    mine = project.folder / "0.receipt"
    out = ("-o", tmp_path / "r")
    zktally("aggregate", mine, mine, *out).refused(2, "there twice")
    zktally("aggregate", "-", mine, "-", *out, stdin=b"").refused(2, "stdin is one receipt")
    labelled = average(project.average, 3, audience="you")
    done = zktally("aggregate", mine, "-", *out, stdin=labelled.data)
    done.refused(2, "another audience")
    done = zktally("aggregate", mine, "-", *out, stdin=bit(project.receipts[1].data, -8))
    done.refused(1, "verify.stark")
    assert '"-"' in done.err
    zktally("aggregate", "-", mine, *out, stdin=b"no").refused(3, "receipt.bad-magic")
    zktally("aggregate", mine, "-o", mine, "--force").refused(2, "usage")
    zktally("aggregate", mine, "-o", project.file).refused(2, "usage.file-exists")
    done = zktally("aggregate", mine, "-o", "-", "--json")
    assert (done.code, "both go to stdout" in done.out) == (2, True)
    with pytest.raises(api.UsageError, match="no receipts"):
        api.aggregate([])
    with pytest.raises(api.UsageError, match="no list"):
        api.aggregate(project.receipts[0])  # type: ignore[arg-type]
    with pytest.raises(api.UsageError, match="a path is no receipt"):
        api.aggregate([mine])  # type: ignore[list-item]
    with pytest.raises(api.UsageError, match="a path is no aggregate"):
        api.verify_aggregate(project.file, project.models)  # type: ignore[arg-type]
    assert not (tmp_path / "r").exists()


def test_one_receipt_with_a_label_by_itself(project: Project) -> None:
    seen: list[tuple[str, int, int]] = []
    labelled = average(project.average, 4, nonce=b"mine")
    made = api.aggregate([labelled], progress=lambda *told: seen.append(told))
    assert seen == [
        ("judge receipts", 0, 1),
        ("judge receipts", 1, 1),
        *(("fold proofs", done, 2) for done in range(3)),
    ]
    first = project.models[0]
    assert verdicts(project, made.data, first, nonce=b"mine") == "accepted"
    assert verdicts(project, made.data, first) == "verify.nonce-mismatch"


def test_segments_are_counted_before_anything_is_proven(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zktally.prover.aggregating.MAX_SEGMENTS", 2)
    with pytest.raises(api.UsageError, match="too many segments") as refused:
        api.aggregate(project.receipts)
    assert refused.value.received == 3


@pytest.mark.nightly
def test_a_day_of_receipts(project: Project) -> None:
    """Nodes in three layers; one receipt of another is found out, wherever it stands."""
    day = [average(project.average, seed) for seed in range(32)]
    made = api.aggregate(day)
    first = project.models[0]
    assert verdicts(project, made.data, first) == "accepted"
    assert len(made.data) < 2 * len(project.made.data)
    parts = Parts.of(made.data)
    other = split_receipt(project.beside.data)
    for place in (0, 13, 31):
        receipts = list(parts.receipts)
        receipts[place] = (bytes(other.program), bytes(other.journal))
        changed = replace(parts, receipts=tuple(receipts)).join()
        assert verdicts(project, changed, first) == "verify.stark"
