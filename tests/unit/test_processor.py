"""A core that this processor cannot run is refused in words, before anything of it runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from zktally import _core, processor

CPUINFO = "processor : 0\nflags\t\t: fpu sse4_2 avx avx2 fma bmi1 abm avx512_vbmi2\n"


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A processor with AVX2 and without AVX-512."""
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor.sys, "platform", "linux")
    processor.features.cache_clear()
    yield
    processor.features.cache_clear()


def test_the_core_says_what_it_needs() -> None:
    file = processor.core()
    assert file is not None
    assert list(processor.needs(file)) == _core.build_info()["needs"]
    assert not processor.missing(file)
    processor.check()


def test_other_libraries_need_nothing_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "none.so").write_bytes(b"no library")
    assert processor.needs(tmp_path / "none.so") == ()


@pytest.mark.usefixtures("old")
def test_what_is_lacking_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("sse4.2", "avx2", "lzcnt", "fma", "avx512vbmi2", "avx512f", "gfni")
    monkeypatch.setattr(processor, "needs", lambda file: asked)
    monkeypatch.setattr(processor, "core", lambda: Path("core"))
    assert processor.missing(Path("core")) == ["avx512f", "gfni"]
    with pytest.raises(ImportError, match=r"for processors with avx512f, gfni.*zktally-verifier"):
        processor.check()


@pytest.mark.usefixtures("old")
def test_where_nothing_is_known_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "CPUINFO", Path("/none"))
    monkeypatch.setattr(processor, "needs", lambda file: ("avx512f",))
    assert processor.missing(Path("core")) == []


def test_numpy_tells_where_linux_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    processor.features.cache_clear()
    here = processor.features()
    processor.features.cache_clear()
    monkeypatch.setattr(processor.sys, "platform", "darwin")
    found = processor.features()
    processor.features.cache_clear()
    for name in ("avx2", "fma", "avx512f", "bmi2"):
        assert found.get(name, False) == bool(here.get(name))
