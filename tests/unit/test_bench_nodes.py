"""onnx's own backend tests, counted as they should be."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from zktally.bench import nodes
from zktally.bench.cells import LINE
from zktally.circuits.errors import CompileError, UnsupportedOp
from zktally.cli.main import parser


def options(*words: str) -> argparse.Namespace:
    return parser().parse_args(["bench", "nodes", *words])


def made(op: str, expected: np.ndarray, **attributes: object) -> nodes.Case:
    """A test of an operator of two inputs; its second one is an axis or a float operand."""
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    second = np.array([1]) if op == "Unsqueeze" else np.ones((2, 3), np.float32)
    kind = helper.np_dtype_to_tensor_dtype(second.dtype)
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "z"], ["y"], **attributes)],
        "made",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape),
            helper.make_tensor_value_info("z", kind, second.shape),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, expected.shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 99)])
    return nodes.Case("made", "node", model, {"x": x, "z": second}, [expected], None)


X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> nodes.Row:
    """The row of a test about which a program errs, as the runtime does not."""
    monkeypatch.setattr(nodes, "runtime_outputs", lambda model, feeds: [X + 2])
    return nodes.measure(made("Add", X + 2))


def test_a_right_test_and_a_wrong_one(wrong: nodes.Row) -> None:
    assert nodes.measure(made("Add", X + 1))["verdict"] == "right"
    assert wrong["verdict"] == "wrong"
    assert "quanta" in wrong["faults"][0]


def test_a_test_with_other_values_than_the_runtime() -> None:
    row = nodes.measure(made("Add", X + 2))
    assert (row["verdict"], row["elsewhere"]) == ("right", True)
    assert nodes.counted([row])[0]["elsewhere"] == 1
    assert nodes.measure(made("Add", (X + 1)[None]))["faults"] == ["shape [2, 3], not [1, 2, 3]"]


def test_a_jump_is_judged_on_the_grid() -> None:
    x = np.array([[-8.0, 1.99, 7.9375]], np.float32)  # of which the middle is not on the grid
    graph = helper.make_graph(
        [helper.make_node("Floor", ["x"], ["y"])],
        "made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, x.shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    row = nodes.measure(nodes.Case("made", "node", model, {"x": x}, [np.floor(x)], None))
    assert (row["verdict"], row["grid"]) == ("right", True)
    assert row["faults"]
    assert nodes.counted([row])[0]["grid"] == 1


def test_the_page_has_every_refused_test_under_its_reason() -> None:
    refusal = {"form": "as it is", "reasons": [["Gru", "because " + "of this " * 40]]}
    refused = {"verdict": "refused", "refusals": [refusal], "name": "test_gru_long"}
    rows = [nodes.measure(made("Add", X + 1)), nodes.measure(made("Add", X + 1)) | refused]
    page = nodes.page(rows)
    assert "*gru_long*" in page
    assert "| Add | 1, 6, 7, 13, 14 | 2 | 1 | 1 |" in page
    assert all(len(line) <= LINE for line in page.splitlines())


def test_integer_inputs_become_constants() -> None:
    row = nodes.measure(made("Unsqueeze", X[:, None]))
    assert (row["verdict"], row["form"]) == ("right", "integers constant")
    assert [refusal["form"] for refusal in row["refusals"]] == ["as it is"]


def test_a_refusal_has_a_reason_for_each_form() -> None:
    row = nodes.measure(made("BitwiseAnd", X))
    assert row["verdict"] == "refused"
    assert len(row["refusals"]) == 3


def test_what_is_not_about_numbers_is_skipped() -> None:
    found = {case.name: case.skipped for case in nodes.cases(["node"])}
    assert found["test_relu"] is None
    assert found["test_loop11"] is not None
    assert found["test_training_dropout_default"] == "training"
    assert found["test_bernoulli"] == "random"


def test_integers_must_be_equal_and_floats_close() -> None:
    expected = np.array([1.0, 2.0])
    assert nodes.judge([(np.array([1, 2]), 0.0)], [expected]) == []
    assert nodes.judge([(np.array([1, 3]), 0.0)], [expected]) == ["1 of 2 integers differ"]
    assert nodes.judge([(np.array([1.0, 2.5]), 0.1)], [expected]) == ["an error of 5.0 quanta"]
    assert nodes.judge([(np.array([1.0, 2.5]), 0.2)], [expected]) == []
    assert nodes.judge([], [expected]) == ["0 outputs, not 1"]


def test_reasons_leave_names_out() -> None:
    error = UnsupportedOp("no:\n  node 'a' (Gru): bad 'x'\n  input 'y': it has the type T")
    assert nodes.reasons(error) == [["Gru", "bad …"], ["input", "it has the type T"]]
    shape = CompileError("input 'x': no shape", code="compile.dynamic-shape")
    assert nodes.reasons(shape) == [["compile.dynamic-shape", "input …: no shape"]]


def test_the_command_prints_tables_and_keeps_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    assert nodes.main(options("--only", "test_transpose_all", "-o", str(file))) == 0
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert {row["verdict"] for row in rows} == {"right"}
    assert "applicable" in capsys.readouterr().out
    assert nodes.main(options("--rows", str(file), "--markdown")) == 0
    section = capsys.readouterr().out
    assert section.startswith("## Node tests")
    assert all(len(line) <= LINE for line in section.splitlines())


def test_long_reasons_fit_a_line() -> None:
    refusal = {"form": "as it is", "reasons": [["Gru", "because | " + "of this " * 40]]}
    row = nodes.measure(made("Add", X + 1)) | {"verdict": "refused", "refusals": [refusal]}
    lines = nodes.markdown([row] * nodes.OFTEN).splitlines()
    assert lines[-1].startswith(f"| {nodes.OFTEN} | Gru | because / of this")
    assert all(len(line) <= LINE for line in lines)


def test_a_wrong_test_fails_the_command(
    wrong: nodes.Row, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(wrong))
    assert nodes.main(options("--rows", str(file))) == 1
    assert "wrong: made" in capsys.readouterr().out
