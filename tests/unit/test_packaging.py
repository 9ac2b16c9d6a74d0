"""One version everywhere, and a section of the change log about it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import zktally

ROOT = Path(__file__).parents[2]


def toml(name: str) -> dict:
    return tomllib.loads((ROOT / name).read_text())


def test_all_parts_have_the_same_version() -> None:
    locked = {each["name"]: each["version"] for each in toml("Cargo.lock")["package"]}
    assert {
        toml("pyproject.toml")["project"]["version"],
        toml("verifier/pyproject.toml")["project"]["version"],
        toml("Cargo.toml")["workspace"]["package"]["version"],
        locked["zktally-core"],
        locked["zktally-py"],
    } == {zktally.__version__}


def test_the_change_log_begins_with_this_version() -> None:
    first = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None
    assert first[1] == zktally.__version__


def packages(root: str, package: str) -> set[str]:
    """The packages below a folder, by where modules lie."""
    folders = {file.parent.relative_to(ROOT / root) for file in (ROOT / root).rglob("*.py")}
    return {".".join([package, *folder.parts]) for folder in folders}


def test_wheels_have_every_package() -> None:
    setup = toml("pyproject.toml")["tool"]["setuptools"]
    found = [
        packages(folder, package)
        for package, folder in {"zktally": "src/zktally", **setup["package-dir"]}.items()
    ]
    assert set(setup["packages"]) == set().union(*found)
    alone = toml("verifier/pyproject.toml")["tool"]["setuptools"]
    beside = {f"zktally_verifier.{name}" for name in ("build", "tests")}
    assert set(alone["packages"]) == {
        name
        for name in packages("verifier", "zktally_verifier")
        if not any(name == other or name.startswith(f"{other}.") for other in beside)
    }
