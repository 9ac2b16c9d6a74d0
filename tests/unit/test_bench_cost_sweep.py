"""Which cells a sweep measures, skips and measures again, and how their processes end."""

from __future__ import annotations

import io
import json
import signal
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from zktally.bench import models, process
from zktally.bench.cost import cell, measure, subject, sweep
from zktally.bench.cost.cell import Axes, Cell, key_of, suite_cells, suite_models
from zktally.bench.cost.narrator import Narrator
from zktally.bench.cost.store import Store, read_rows
from zktally.bench.cost.subject import Subject, subjects
from zktally.bench.cost.sweep import Setting, Sweep
from zktally.bench.process import Limits, Outcome, run_module
from zktally.circuits.compile import compile
from zktally.errors import ZktallyError
from zktally.verifier.errors import UsageError

Row = dict[str, Any]
KNOWN = {"parameters": 1_012, "macs": 960, "compile_s": 0.1, "program_batch": 1}


class Processes:
    """In the place of processes: what they are asked, and an answer by mode."""

    def __init__(self) -> None:
        self.asked: list[Row] = []
        self.answers: dict[str, Outcome] = {}
        self.estimates: dict[str, Row] = {}

    def __call__(self, module: str, asked: Row, limits: Limits, **_: Any) -> Outcome:
        if module.endswith("prepare"):
            cells = [Cell(*each) for each in asked["cells"]]
            Path(asked["output"]).write_bytes(b"a model")
            usual = {"run_s": 0.1, "stark_s": 0.0, "peak_mb": 100.0}
            found = {str(each): usual | self.estimates.get(each.mode, {}) for each in cells}
            return Outcome("done", None, 0.1, KNOWN | {"estimates": found})
        self.asked.append(asked)
        measured = {"prove_s": 0.5, "peak_mb": 100.0, "receipt_bytes": 1_000, "versions": {}}
        return self.answers.get(asked["cell"][1], Outcome("done", None, 0.2, measured))

    @property
    def cells(self) -> list[str]:
        return [str(Cell(*asked["cell"])) for asked in self.asked]


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    made = Processes()
    monkeypatch.setattr(sweep, "run_module", made)
    return made


AXES = Axes(("fast", "strict"), deltas=(0.1, 0.05), steps=(1, 4))


def go(folder: Path, axes: Axes = AXES, *, retry: bool = False, **setting: Any) -> str:
    """One call of a sweep of one network; what it said."""
    found, said = subjects(["perceptron1k"]), io.StringIO()
    cells = axes.cells(found, "standard")
    Sweep(Store(folder), found, cells, Setting(**setting), Narrator(said), retry=retry).run()
    return said.getvalue()


def ended(folder: Path) -> dict[str, str]:
    """How each cell ended, by the last row of it."""
    store = Store(folder)
    return {str(sweep._cell(row)): row["ended"] for row in store.rows.values()}


def test_strict_has_no_delta_and_ezkl_one_step() -> None:
    found = subjects(["perceptron1k"])
    axes = Axes(cell.MODES, deltas=(0.1, 0.05), batches=(1, 2), steps=(1, 4))
    cells = axes.cells(found, "standard")
    assert len(cells) == len(set(cells)) == 8 + 8 + 4 + 2
    assert {c.delta for c in cells if c.mode in ("strict", "ezkl")} == {None}
    assert {c.steps for c in cells if c.mode == "ezkl"} == {1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"modes": ("slow",)},
        {"modes": ()},
        {"deltas": (0.9,)},
        {"deltas": ()},
        {"batches": (0,)},
        {"steps": (1, -1)},
    ],
)
def test_axes_that_are_refused(wrong: Row) -> None:
    with pytest.raises(UsageError):
        Axes(**wrong)


@pytest.mark.parametrize("wrong", [{"threads": -1}, {"repeat": 0}, {"time_limit": -1.0}])
def test_settings_that_are_refused(wrong: Row) -> None:
    with pytest.raises(UsageError):
        Setting(**wrong)


def test_a_limit_of_memory_needs_a_system_that_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_STATM", Path("/nowhere"))
    assert Limits(seconds=3).memory is None
    with pytest.raises(UsageError, match="/proc"):
        Setting(memory_limit=10**9)


def test_the_suite_has_eight_models_from_a_thousand_to_seventy_million() -> None:
    names = suite_models("sizes")
    assert len(names) == 8
    with pytest.raises(UsageError, match="no such suite"):
        suite_models("none")
    made = [Subject(name, "named", "", name, "") for name in names]
    cells = suite_cells("sizes", made, "standard")
    assert len(cells) == len(set(cells))
    assert {c.mode for c in cells if c.model == "dense4096"} == {"fast", "hybrid", "strict", "ezkl"}
    assert len({c.delta for c in cells if c.model == "cnn264k"} - {None}) >= 3
    small = onnx.numpy_helper.to_array
    sizes = [small(t).size for t in models.perceptron1k().graph.initializer]
    assert sum(sizes) == 1_012


def test_another_model_setting_or_version_is_another_measurement(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = subjects(["perceptron1k", "mlp"])
    point = Cell("m", "fast", 1, 1, 0.05, None)
    key = key_of(point, one, {"threads": 0})
    assert key == key_of(point, one, {"threads": 0})
    keys = {
        key,
        key_of(point._replace(delta=0.1), one, {"threads": 0}),
        key_of(point, other, {"threads": 0}),
        key_of(point, one, {"threads": 1}),
    }
    monkeypatch.setattr(cell, "__version__", "9")
    assert len({*keys, key_of(point, one, {"threads": 0})}) == 5


def test_small_cells_come_first_and_a_second_call_measures_nothing(
    tmp_path: Path, processes: Processes
) -> None:
    processes.estimates["fast"] = {"run_s": 0.01}
    said = go(tmp_path / "costs")
    assert [name.split(", ")[1] for name in processes.cells] == ["fast"] * 4 + ["strict"] * 2
    assert "6 cells to measure: about" in said
    assert not (tmp_path / "costs" / "programs").exists()
    processes.asked.clear()
    assert "6 of them measured before" in go(tmp_path / "costs")
    assert processes.asked == []


def test_a_changed_parameter_makes_other_cells(tmp_path: Path, processes: Processes) -> None:
    go(tmp_path)
    processes.asked.clear()
    go(tmp_path, Axes(("fast",), deltas=(0.05, 0.01), steps=(1,)))
    assert processes.cells == ["perceptron1k, fast, batch 1, 1 step, δ 1 %"]
    processes.asked.clear()
    go(tmp_path, threads=1)
    assert len(processes.asked) == 6


def test_what_fails_is_a_row_and_the_others_go_on(tmp_path: Path, processes: Processes) -> None:
    processes.answers["fast"] = Outcome("failed", "ValueError: no (exit code 1)", 0.1)
    go(tmp_path)
    assert list(ended(tmp_path).values()).count("failed") == 4
    assert list(ended(tmp_path).values()).count("done") == 2
    assert read_rows(tmp_path)[0]["why"] == "ValueError: no (exit code 1)"
    processes.asked.clear()
    go(tmp_path)
    assert processes.asked == []
    del processes.answers["fast"]
    go(tmp_path, retry=True)
    assert set(ended(tmp_path).values()) == {"done"}


def test_beyond_a_cell_that_ran_out_nothing_is_begun(tmp_path: Path, processes: Processes) -> None:
    processes.answers["strict"] = Outcome("memory", "more than 1 GB after 3 s", 3.0)
    go(tmp_path, memory_limit=10**9)
    found = ended(tmp_path)
    assert found["perceptron1k, strict, batch 1, 1 step"] == "memory"
    assert found["perceptron1k, strict, batch 1, 4 steps"] == "skipped"
    why = [row["why"] for row in read_rows(tmp_path) if row["ended"] == "skipped"]
    assert why == ["a smaller one ran out of memory: perceptron1k, strict, batch 1, 1 step"]
    processes.asked.clear()
    go(tmp_path, memory_limit=10**9)
    assert processes.asked == []
    del processes.answers["strict"]
    go(tmp_path, memory_limit=2 * 10**9)  # more room: both again
    assert len(processes.asked) == 2
    assert set(ended(tmp_path).values()) == {"done"}


def test_ezkl_takes_what_does_not_compile(
    tmp_path: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(module: str, asked: Row, limits: Limits, **others: Any) -> Outcome:
        if module.endswith("prepare"):
            return Outcome("done", None, 0.1, {"refused": "no such operator"})
        return processes(module, asked, limits, **others)

    monkeypatch.setattr(sweep, "run_module", refused)
    said = go(tmp_path, Axes(("fast", "ezkl")))
    assert processes.cells == ["perceptron1k, ezkl, batch 1, 1 step"]
    why = {row["mode"]: row["why"] for row in read_rows(tmp_path)}
    assert why["fast"] == "compiling: no such operator"
    assert "1 cell of unknown length" in said


def test_what_is_estimated_far_beyond_the_limit_is_not_begun(
    tmp_path: Path, processes: Processes
) -> None:
    processes.estimates["strict"] = {"peak_mb": 2_100.0}
    go(tmp_path, memory_limit=10**9)
    why = {row["why"] for row in read_rows(tmp_path) if row["ended"] == "skipped"}
    assert why == {"estimated at 2.1 GB, beyond the limit of 1 GB"}
    assert all(name.split(", ")[1] == "fast" for name in processes.cells)


def test_larger_is_more_to_do_in_some_way_and_less_in_none() -> None:
    one = Cell("m", "hybrid", 2, 4, 0.05, "standard")
    assert one._replace(steps=8).exceeds(one)
    assert one._replace(delta=0.01).exceeds(one)
    assert not one.exceeds(one)
    assert not one._replace(steps=8, batch=1).exceeds(one)
    assert not one._replace(delta=0.1).exceeds(one)
    for name, value in (("model", "n"), ("mode", "fast"), ("profile", "small")):
        assert not one._replace(**{name: value}, steps=8).exceeds(one)


def test_an_interrupted_sweep_keeps_its_rows_and_goes_on(
    tmp_path: Path, processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(module: str, asked: Row, limits: Limits, **_: Any) -> Outcome:
        if len(processes.asked) == 3 and not module.endswith("prepare"):
            raise KeyboardInterrupt
        return processes(module, asked, limits)

    monkeypatch.setattr(sweep, "run_module", interrupted)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path)
    assert len(read_rows(tmp_path)) == 3
    with (tmp_path / "cells.jsonl").open("a") as file:
        file.write('{"format": "zktally.bench.cost/1", "ke')  # what a kill may leave
    assert len(read_rows(tmp_path)) == 3
    monkeypatch.setattr(sweep, "run_module", processes)
    assert "3 of them measured before" in go(tmp_path)
    assert len(read_rows(tmp_path)) == len(processes.asked) == 6


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("\\end")
    with pytest.raises(UsageError) as refused:
        Store(tmp_path)
    assert refused.value.code == "usage.file-exists"
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as unwritable:
        Store(tmp_path / "file")
    assert unwritable.value.code == "usage.unwritable"


def test_two_sweeps_do_not_write_to_one_folder(tmp_path: Path) -> None:
    store, other = Store(tmp_path), Store(tmp_path)
    with store.held(), pytest.raises(UsageError, match="another sweep"), other.held():
        pass


class TestProcess:
    """Real processes: modules that end in every way."""

    @pytest.fixture
    def module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))

        def made(text: str) -> str:
            (tmp_path / "cell_of_a_test.py").write_text(text)
            return "cell_of_a_test"

        return made

    def test_its_last_line_is_the_row(self, module: Any) -> None:
        name = module("import sys\nprint('words')\nprint(sys.argv[1])")
        found = run_module(name, {"a": 1})
        assert (found.ended, found.why, found.row) == ("done", None, {"a": 1})

    def test_memory_is_limited(self, module: Any) -> None:
        name = module(
            "import time\nkept = []\nfor _ in range(100):\n"
            "    kept.append(b'x' * 10_000_000)\n    time.sleep(0.02)"
        )
        found = run_module(name, {}, Limits(memory=100_000_000))
        assert found.ended == "memory"
        assert (found.why or "").startswith("more than 0.1 GB after")

    def test_its_peak_is_its_own(self, module: Any) -> None:
        held = np.ones(40_000_000)  # 320 MB of this process are none of that one
        name = module(
            "from zktally.bench.machine import forget_peak, peak_memory\n"
            "import json\nbefore = peak_memory()\nlarge = b'x' * 100_000_000\n"
            "most = peak_memory()\ndel large\nforget_peak()\n"
            "print(json.dumps({'before': before, 'most': most, 'after': peak_memory()}))"
        )
        row = run_module(name, {}).row
        del held
        assert row["before"] < 200_000_000
        assert row["most"] - row["before"] > 90_000_000
        assert row["most"] - row["after"] > 90_000_000

    def test_time_is_limited_and_children_end_too(self, module: Any, tmp_path: Path) -> None:
        name = module(
            "import subprocess, sys, time\nfrom pathlib import Path\n"
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
            f"Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\ntime.sleep(60)"
        )
        found = run_module(name, {}, Limits(seconds=5))
        assert (found.ended, found.why) == ("time", "longer than 5 s")
        pid = int((tmp_path / "pid").read_text())
        state = Path(f"/proc/{pid}/stat")
        assert not state.exists() or state.read_text().split()[2] == "Z"

    @pytest.mark.parametrize(
        ("text", "ended", "why"),
        [
            ("raise ValueError('no')", "failed", "ValueError: no (exit code 1)"),
            ("raise MemoryError('all of it')", "memory", "MemoryError: all of it"),
            ("import os; os.kill(os.getpid(), 9)", "memory", "signal 9"),
            ("import os; os.kill(os.getpid(), 11)", "failed", "signal 11"),
        ],
    )
    def test_other_ends(self, module: Any, text: str, ended: str, why: str) -> None:
        found = run_module(module(text), {})
        assert found.ended == ended
        assert why in (found.why or "")

    def test_whoever_is_interrupted_leaves_no_process(self, module: Any) -> None:
        name = module("import time\ntime.sleep(60)")
        seen: list[int | None] = []

        def tick(seconds: float, used: int | None) -> None:
            seen.append(used)
            signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            run_module(name, {}, tick=tick)
        assert len(seen) == 1


class TestSubjects:
    """What the words of a command line mean."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        onnx.save(models.perceptron1k(), tmp_path / "own.onnx")
        return tmp_path / "own.onnx"

    def test_files_and_names(self, file: Path) -> None:
        own, named = subjects([file, "lenet5"])
        assert (own.name, own.kind, own.data) == ("own", "onnx", subject.RANDOM)
        assert (named.name, named.kind) == ("lenet5", "named")
        assert own.options == {"precision": "auto", "force": True}
        assert named.options == models.INT8

    def test_files_of_one_name_keep_their_paths(self, file: Path, tmp_path: Path) -> None:
        (tmp_path / "other").mkdir()
        twin = tmp_path / "other" / "own.onnx"
        onnx.save(models.mlp(), twin)
        assert [each.name for each in subjects([file, twin, file])] == [str(file), str(twin)]

    def test_data_of_all_and_of_one(self, file: Path, tmp_path: Path) -> None:
        np.savez(tmp_path / "x.npz", input=np.zeros((4, 16), np.float32))
        own, named = subjects([file, "perceptron1k"], [f"own={tmp_path / 'x.npz'}"])
        assert (own.data, named.data) == ("inputs of x.npz", subject.RANDOM)
        assert all(s.calibrate for s in subjects([file, "mlp"], [str(tmp_path / "x.npz")]))

    def test_the_data_of_digits_come_from_a_file(self, tmp_path: Path) -> None:
        pytest.importorskip("sklearn")
        (digits,) = subjects(["digits"])
        path = subject.data_file(digits, tmp_path)
        given = subject.given_arrays(replace(digits, calibrate=path), ["image"])
        assert given is not None
        assert given["image"].shape == (1_437, 1, 8, 8)
        assert subject.data_file(subjects(["mlp"])[0], tmp_path) == ""

    def test_words_that_mean_nothing(self, file: Path, tmp_path: Path) -> None:
        (tmp_path / "no.onnx").write_text("words")
        wrong = {
            (): "usage",
            ("nothing",): "usage.unreadable",
            ("dense",): "usage.unreadable",
            (str(tmp_path),): "usage.unreadable",
            (str(tmp_path / "no.onnx"),): "compile.bad-model",
        }
        for words, code in wrong.items():
            with pytest.raises(ZktallyError) as refused:
                subjects(words)
            assert refused.value.code == code
        assert "no.onnx" in str(refused.value)
        with pytest.raises(UsageError, match="data for no model"):
            subjects([file], ["another=x.npz"])
        with pytest.raises(UsageError, match="no model has an axis"):
            subjects([file], dims={"time": 3})

    def test_integers_need_data(self, tmp_path: Path) -> None:
        value = onnx.helper.make_tensor_value_info
        node = onnx.helper.make_node("Cast", ["ids"], ["y"], to=onnx.TensorProto.FLOAT)
        graph = onnx.helper.make_graph(
            [node], "ids", [value("ids", onnx.TensorProto.INT64, [1, 4])],
            [value("y", onnx.TensorProto.FLOAT, [1, 4])],
        )  # fmt: skip
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
        onnx.save(model, tmp_path / "ids.onnx")
        with pytest.raises(UsageError, match="reads integers") as refused:
            subjects([tmp_path / "ids.onnx"])
        assert "--calibrate" in str(refused.value.hint)

    def test_inputs_of_a_chain_are_those_of_the_other_suites(self) -> None:
        (own,) = subjects(["perceptron1k"])
        graph = models.perceptron1k()
        model = compile(graph, models.calibration(graph, 64, 0), batch=2, **models.INT8)
        drawn = subject.chain_inputs(own, model.checked.program, 3)
        expected = models.calibration(graph, 6, 1)
        assert np.array_equal(drawn["input"], expected)
        again = subject.random_feeds(graph, {}, 64)
        assert np.array_equal(again["input"], models.calibration(graph, 64, 0))


class Double:
    """In the place of ezkl's measurements."""

    def __init__(self, **changed: Any) -> None:
        self.found = {
            "ended": "done", "why": None, "version": "23.0.5", "logrows": 17, "setup_s": 4.0,
            "witness_s": 0.5, "prove_s": 5.0, "verify_s": 0.02, "peak_mb": 690.0,
            "proof_bytes": 20_000, "pk_bytes": 10**8, "vk_bytes": 10**4, "srs_bytes": 10**7,
            "max_abs_error": 0.01, "sqnr_db": 40.0, "adapted": ["fixed batch"],
        } | changed  # fmt: skip
        self.asked: Row = {}

    def measure(self, model: Path, inputs: Any, **asked: Any) -> Double:
        self.asked = {"model": model, "inputs": inputs, **asked}
        return self

    def as_dict(self) -> Row:
        return self.found


def asked_of_ezkl(tmp_path: Path) -> Row:
    (own,) = subjects(["perceptron1k"])
    point = Cell("perceptron1k", "ezkl", 2, 1, None, None)
    return {
        "cell": point, "subject": own.to_json(), "work": str(tmp_path), "memory_limit": 10**9,
        "onnx": str(subject.float_model(own, tmp_path)), "time_limit": 240.0,
    }  # fmt: skip


def install(monkeypatch: pytest.MonkeyPatch, double: Double) -> None:
    monkeypatch.setitem(sys.modules, "ezkl", types.ModuleType("ezkl"))
    peer = types.ModuleType(measure.PEER)
    peer.measure = double.measure  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, measure.PEER, peer)


def test_ezkl_is_measured_in_the_same_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = Double()
    install(monkeypatch, double)
    row = measure.measure_ezkl(asked_of_ezkl(tmp_path))
    assert double.asked["inputs"]["input"].shape == (2, 16)
    assert (double.asked["memory_limit"], double.asked["time_limit"]) == (10**9, 240.0)
    assert row["prove_s"] == pytest.approx(5.5)
    assert (row["setup_s"], row["verify_ms"], row["receipt_bytes"]) == (4.0, 20.0, 20_000)
    assert row["versions"]["ezkl"] == "23.0.5"
    json.dumps(row)


def test_where_ezkl_stops_the_row_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Double(ended="memory", why="more than 14 GB in set-up", prove_s=None))
    row = measure.measure_ezkl(asked_of_ezkl(tmp_path))
    assert (row["ended"], row["why"]) == ("memory", "more than 14 GB in set-up")
    assert "prove_s" not in row


def test_without_ezkl_the_row_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ezkl", None)
    row = measure.measure_ezkl(asked_of_ezkl(tmp_path))
    assert row["ended"] == "skipped"
    assert row["why"] == "ezkl is not installed: pip install 'zktally[peers]'"


def test_a_larger_model_is_not_tried_where_a_smaller_one_took_all_memory(
    tmp_path: Path, processes: Processes
) -> None:
    processes.answers["ezkl"] = Outcome("done", None, 9.0, {"ended": "memory", "why": "14 GB"})
    found = subjects(["perceptron1k", "mlp"])
    cells = Axes(("ezkl",)).cells(found, "standard")
    Sweep(Store(tmp_path), found, cells, Setting(), Narrator(None)).run()
    first, second = read_rows(tmp_path)
    assert (first["ended"], second["ended"]) == ("memory", "skipped")
    assert "a smaller one ran out of memory: perceptron1k, ezkl" in second["why"]
    assert len(processes.asked) == 1
