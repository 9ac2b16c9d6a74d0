"""The site of docs/: its navigation, its links, and, where mkdocs is installed, its build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from support.site import (
    DOCS,
    ROOT,
    anchors,
    links,
    navigation,
    pages,
    prose,
    slug,
)

PYTHON = ROOT / "build/docs-env/bin/python"
OF_NAVIGATION = {page for page in pages() if not page.startswith("adr/0")}
PROSE = [page for page in pages() if page.endswith(".md")]


def test_the_navigation_has_each_page_once() -> None:
    listed = navigation()
    assert len(listed) == len({*listed})
    assert {*listed} == OF_NAVIGATION


@pytest.mark.parametrize("page", PROSE)
def test_links_lead_somewhere(page: str) -> None:
    for link in links(page):
        url = urlsplit(link)
        if url.scheme:
            assert url.scheme == "https", link
            continue
        target = (DOCS / page).parent / unquote(url.path) if url.path else DOCS / page
        if target.is_dir():
            target /= "README.md"
        name = target.resolve().relative_to(DOCS).as_posix()
        assert target.is_file(), f"{page}: {link}"
        if url.fragment:
            assert url.fragment in anchors(name), f"{page}: {link}"


def test_links_are_found_and_followed() -> None:
    assert "diagrams/flow.svg" in list(links("index.md"))
    assert "what-is-public-and-what-is-hidden" in anchors("how-it-works.md")
    assert slug("Choose: δ, λ") == "choose"
    assert "```" not in prose("start.md")


@pytest.mark.parametrize("page", PROSE)
def test_a_page_has_one_title(page: str) -> None:
    text = re.sub(r"^```.*?^```", "", (DOCS / page).read_text("utf-8"), flags=re.S | re.M)
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


def test_what_builds_the_site_is_locked_apart() -> None:
    lock = (ROOT / "requirements-docs.lock").read_text("utf-8")
    assert "mkdocs-material==" in lock
    assert not re.search(r"^(torch|numpy|onnx)\b", lock, re.MULTILINE)


class Loaded(HTMLParser):
    """What a page loads by itself, and where its links lead."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.leads: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.names |= {given[name] for name in ("id", "name") if name in given}
        (self.leads if tag == "a" else self.loads).extend(
            given[name] for name in ("href", "src", "data", "action") if given.get(name)
        )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built strictly."""
    if not PYTHON.exists():
        pytest.skip("mkdocs is not installed: `make docs` does so, and builds the site")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [PYTHON, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return folder


def parsed(folder: Path) -> dict[Path, Loaded]:
    found = {}
    for path in sorted(folder.rglob("*.html")):
        found[path] = Loaded()
        found[path].feed(path.read_text("utf-8"))
    return found


def test_the_built_site_loads_nothing_from_elsewhere(built: Path) -> None:
    for path, page in parsed(built).items():
        for link in page.loads:
            url = urlsplit(link)
            assert url.scheme in ("", "data"), f"{path.name} loads {link}"
            assert not url.netloc, f"{path.name} loads {link}"
            if path.name != "404.html" and url.path:
                assert (path.parent / unquote(url.path)).exists(), f"{path.name} loads {link}"
    for path in [*built.rglob("*.css"), *built.rglob("main*.css")]:
        assert not re.search(r"url\([\"']?(https?:)?//", path.read_text("utf-8")), path.name


def test_links_of_the_built_site_lead_somewhere(built: Path) -> None:
    found = parsed(built)
    for path, page in found.items():
        if path.name == "404.html":
            continue
        for link in page.leads:
            url = urlsplit(link)
            if url.scheme:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            assert target.exists(), f"{path.name}: {link}"
            if url.fragment and target.suffix == ".html":
                assert unquote(url.fragment) in found[target].names, f"{path.name}: {link}"


def test_the_built_site_has_what_the_pages_promise(built: Path) -> None:
    api = (built / "api.html").read_text("utf-8")
    for name in ("zktally.prove", "zktally.Policy", "zktally.train", "zktally.ZktallyError"):
        assert f'id="{name}"' in api
    notebook = (built / "notebooks/training.html").read_text("utf-8")
    assert "zktally" in notebook
    assert (built / "notebooks/training.ipynb").is_file()
    assert (built / "search/search_index.js").is_file()
    assert "2<sup>−λ</sup>" in (built / "choosing.html").read_text("utf-8")
    bench = (built / "bench.html").read_text("utf-8")
    assert "parameters<sup>0.5</sup>" in bench
    assert "16G \\\n    --time-limit 600" in re.sub(r"<[^>]*>", "", bench)


def test_the_search_works_from_a_folder(built: Path, tmp_path: Path) -> None:
    """In a real browser, without a network or a server, and without workers."""
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        pytest.skip("chromium is not installed")
    page = f"{(built / 'index.html').as_uri()}?q=glossary"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    flags += ["--virtual-time-budget=20000", "--dump-dom", "--host-resolver-rules=MAP * ~NOTFOUND"]
    done = subprocess.run([browser, *flags, page], capture_output=True, text=True, timeout=300)
    assert re.search(r"\d+ matching documents?<", done.stdout)
    assert f'href="{(built / "glossary.html").as_uri()}"' in done.stdout
