"""Fits, crossovers, tables and the page of `zktally bench cost`, on rows of known laws."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from support.costs import SIZES, Row, made_up, stopped, sweep
from zktally.bench import cost
from zktally.bench.cells import LINE
from zktally.bench.cost import CostReport, analysis
from zktally.bench.cost.analysis import crossovers, growths, told
from zktally.bench.cost.store import Store
from zktally.bench.power_law import Fit
from zktally.errors import ZktallyError
from zktally.verifier.errors import UsageError


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [*sweep(), stopped("huge", "ezkl", "memory", "more than 14 GB after 61 s")]


@pytest.fixture(scope="module")
def report(rows: list[Row]) -> CostReport:
    return CostReport.of(rows)


def write(folder: Path, rows: list[Row]) -> None:
    store = Store(folder)
    for row in rows:
        store.add(row)


def growth(rows: list[Row], axis: str, mode: str) -> dict[str, Fit]:
    (found,) = (
        dict(each.fits)
        for each in growths(rows)
        if (each.series.axis, each.series.mode) == (axis, mode)
    )
    return found


def test_a_power_law_is_found_with_its_r2() -> None:
    fit = Fit.of([1, 10, 100], [3, 30, 300])
    assert (fit.exponent, fit.factor, fit.r2) == pytest.approx((1, 3, 1))
    assert fit.points == 3
    bent = Fit.of([1, 10, 100], [1, 1, 100])
    assert bent.exponent == pytest.approx(1)
    assert bent.r2 == pytest.approx(0.75)
    assert Fit.of([1, 2, 4], [5, 5, 5]).r2 == 1.0


def test_exponents_along_every_axis(rows: list[Row]) -> None:
    assert growth(rows, "parameters", "hybrid δ 5 %")["prove_s"].exponent == pytest.approx(0.5)
    assert growth(rows, "macs", "strict")["prove_s"].exponent == pytest.approx(1)
    assert growth(rows, "steps", "hybrid δ 5 %")["prove_s"].exponent == pytest.approx(0.5)
    bounds = [made_up("small", 1_000, delta=delta) for delta in (0.1, 0.05, 0.01)]
    assert growth(bounds, "1/δ", "hybrid")["prove_s"].exponent == pytest.approx(0.5)
    assert growth(rows, "parameters", "strict")["prove_s"].points == 3


def test_nothing_is_fitted_to_two_places(rows: list[Row]) -> None:
    two = [row for row in rows if row["model"] != "large" and row["steps"] == 1]
    assert growths(two) == []
    same = [made_up(name, 1_000) for name in ("a", "b", "c")]
    assert growths(same) == []
    with pytest.raises(ValueError, match="two places"):
        Fit.of([1, 1], [2, 3])


def test_a_cell_that_was_stopped_is_no_point(rows: list[Row]) -> None:
    assert all(row["ended"] == "done" for each in growths(rows) for row in each.series.rows)


def test_machines_threads_and_versions_are_never_mixed() -> None:
    rows = [
        made_up("small", 1_000),
        made_up("middle", 30_000, machine_name="b"),
        made_up("large", 1_000_000, threads=1),
        made_up("larger", 2_000_000, versions={"zktally": "9"}),
    ]
    assert growths(rows) == []
    assert crossovers(rows) == []
    both = [*sweep(), *sweep(machine_name="b")]
    assert {each.series.place[0] for each in growths(both)} == {"a", "b"}
    assert all(len({analysis.where(r) for r in g.series.rows}) == 1 for g in growths(both))


def test_where_strict_becomes_dearer_than_hybrid(rows: list[Row]) -> None:
    (found,) = (
        each
        for each in crossovers(rows)
        if each.axis == "parameters" and each.measure == "prove_s" and each.first == "strict"
    )
    ((at, low, high),) = found.crossings
    assert at == pytest.approx(10_000)  # 1e-4·x = 1e-2·√x
    assert (low["model"], high["model"]) == ("small", "middle")
    assert found.second == "hybrid δ 5 %"
    assert "strict is cheaper to prove than hybrid δ 5 % below 10 k parameters" in found.text
    assert "between small and middle" in found.text


def test_curves_that_do_not_cross_say_so_and_no_more(rows: list[Row]) -> None:
    fast = [each for each in told(crossovers(rows)) if each.first.startswith("fast")]
    assert len(fast) == 2
    assert all(not each.crossings and "at all 3 models measured" in each.text for each in fast)
    assert all(each.axis == "parameters" for each in fast)


def test_costs_within_noise_do_not_cross() -> None:
    rows = []
    for (name, size), factor in zip(SIZES.items(), (1.02, 0.98, 1.02), strict=True):
        rows += [made_up(name, size, "hybrid", prove_s=1.0)]
        rows += [made_up(name, size, "strict", prove_s=factor)]
    assert [each for each in crossovers(rows) if each.measure == "prove_s"] == []


def test_a_bound_at_which_strict_is_no_dearer() -> None:
    rows = [made_up("middle", 30_000, delta=delta) for delta in (0.1, 0.05, 0.01, 0.001)]
    rows.append(made_up("middle", 30_000, "strict"))
    (found,) = (e for e in crossovers(rows) if e.axis == "1/δ" and e.measure == "prove_s")
    ((at, *_),) = found.crossings
    assert at == pytest.approx(60)  # 1e-2·√(30,000·x/20) = 3
    assert "for a δ above 1.7 % (measured at 5 % and 1 %)" in found.text


def test_curves_may_cross_twice() -> None:
    rows = []
    for (name, size), seconds in zip(SIZES.items(), (2.0, 0.5, 2.0), strict=True):
        rows += [made_up(name, size, "hybrid", prove_s=1.0)]
        rows += [made_up(name, size, "strict", prove_s=seconds)]
    (found,) = (e for e in crossovers(rows) if e.axis == "parameters" and e.measure == "prove_s")
    assert len(found.crossings) == 2
    assert "and again above" in found.text


def test_the_csv_has_all_rows_and_all_that_they_say(report: CostReport) -> None:
    from zktally.bench.cost.columns import csv_text

    lines = list(csv.DictReader(io.StringIO(csv_text(report.rows))))
    assert len(lines) == len(report.rows)
    first = lines[0]
    assert (first["model"], first["prove_s"]) == ("small", str(report.rows[0]["prove_s"]))
    assert first["guarantee.delta_op"] == "0.1"
    assert first["machine.cpu"] == "a processor"
    gone = next(line for line in lines if line["ended"] == "memory")
    assert gone["why"] == "more than 14 GB after 61 s"
    assert gone["prove_s"] == ""


def test_markdown_tables_are_rectangular_and_fit(report: CostReport) -> None:
    for text in (report.markdown(), report.section()):
        for block in text.split("\n\n"):
            if block.startswith("|"):
                assert len({line.count("|") for line in block.splitlines()}) == 1
    section = report.section()
    assert max(map(len, section.splitlines())) <= LINE
    assert section.startswith("## Costs by size: `zktally bench cost`")
    assert "huge, ezkl, not measured: more than 14 GB after 61 s" in section


class Outline(HTMLParser):
    """The tags that are open at the end, and every attribute."""

    VOID = ("meta", "br", "path", "use", "circle", "rect", "line")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_stands_alone(report: CostReport) -> None:
    text = report.html()
    assert "//" not in re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    assert "default-src 'none'" in text
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    for name, value in outline.attributes:
        assert name not in ("src", "srcset", "action", "data"), (name, value)
        assert name != "href" or (value or "").startswith("#")
    ids = [value for name, value in outline.attributes if name == "id"]
    links = {(value or "")[1:] for name, value in outline.attributes if name == "href"}
    assert links <= set(ids)
    assert "&lt;b&gt;outputs&lt;/b&gt;" in text
    assert "strict is cheaper to prove than hybrid" in text
    assert "more than 14 GB after 61 s" in text


def test_names_from_outside_are_text(rows: list[Row]) -> None:
    evil = "<script>alert(1)</script>"
    report = CostReport.of(row | {"model": evil} for row in rows[:1])
    for text in (report.html(), report._repr_html_()):
        assert evil not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_plots_are_small_and_of_every_axis(report: CostReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    paths = report.plot(tmp_path / "plots", "cost-")
    assert sorted(path.name for path in paths if path.suffix == ".png") == [
        "cost-macs.png",
        "cost-parameters.png",
        "cost-steps.png",
    ]
    for path in paths:
        data = path.read_bytes()
        assert len(data) < (60_000 if path.suffix == ".png" else 200_000)
        assert data.startswith((b"\x89PNG", b"<?xml"))


def test_tick_labels_keep_their_places(report: CostReport) -> None:
    pytest.importorskip("matplotlib")
    assert report.figures is not None
    labels = re.findall(r"<text[^>]*>([^<]+)</text>", report.figures[0].inline())
    assert "0.001" in labels or "0.0001" in labels


def test_without_matplotlib_everything_else_is_written(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    report = CostReport.of(rows)
    paths = report.save(tmp_path / "costs")
    assert [path.name for path in paths] == ["cells.jsonl", "cells.csv", "table.md", "report.html"]
    assert report.remark is not None
    assert "matplotlib is not installed" in report.remark
    assert "matplotlib is not installed" in (tmp_path / "costs" / "report.html").read_text()


def test_folders_of_several_machines_become_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, sweep(machine_name=name))
    merged = cost.merge([tmp_path / "a", tmp_path / "b"], "Two machines")
    assert merged.title == "Two machines"
    assert len(merged.rows) == 2 * len(sweep())
    pytest.importorskip("matplotlib")
    assert "fast δ 5 %, batch 1, 1 step [b]" in merged.html()
    assert {place[0] for place in merged.places} == {"a", "b"}
    again = cost.merge([tmp_path / "a", tmp_path / "a"])
    assert len(again.rows) == len(sweep())


def test_two_machines_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "one", sweep())
    other = [row | {"key": row["key"] + "x"} for row in sweep(cpu="another processor")]
    write(tmp_path / "other", other)
    with pytest.raises(UsageError, match="two machines are called") as refused:
        cost.merge([tmp_path / "one", tmp_path / "other"])
    assert "--machine-name" in str(refused.value.hint)


def test_folders_that_hold_no_rows(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "cells.jsonl").write_text(json.dumps({"format": "another"}) + "\n")
    for name in ("nowhere", "empty", "other"):
        with pytest.raises(ZktallyError) as refused:
            cost.merge([tmp_path / name])
        assert refused.value.code == "usage.unreadable"
    write(tmp_path / "taken", sweep())
    with pytest.raises(UsageError) as taken:
        CostReport.of(sweep()).save(tmp_path / "taken")
    assert taken.value.code == "usage.file-exists"


def test_a_notebook_sees_a_table(report: CostReport) -> None:
    assert "prove s" in repr(report)
    html = report._repr_html_()
    assert html.startswith('<div class="zktally-cost"><style>.zktally-cost { ')
    assert "body {" not in html
    assert "@page" not in html
    assert "<script" not in html
