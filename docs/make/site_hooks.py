"""What mkdocs does besides: notebooks become pages, and Python's reference finds all packages."""

from __future__ import annotations

import json
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
TREE = ROOT / "build/docs-tree/zktally"
PACKAGES = ("bench", "circuits", "hybrid", "prover", "verifier")
NOTEBOOK = ".ipynb"
CODE = re.compile(r"(^```.*?^```$|`[^`\n]+`|^#[^\n]*$|\]\([^)\n]*\))", re.DOTALL | re.MULTILINE)
COMMANDS = re.compile(r"(?<=^```sh\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)
MARKS = re.compile(r"[#'\"\\]")
POWER = re.compile(r"(?<=[\w)])\^(?:\(([^()\n]+)\)|([−-]?\w+(?:\.\d+)?))")

# What a command has room for between the two lists of a page, less what continues it.
WRAP = textwrap.TextWrapper(
    78, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
)


def on_startup(**_: Any) -> None:
    """Lay out the package as it is installed, so that all of its names are found."""
    shutil.rmtree(TREE, ignore_errors=True)
    TREE.mkdir(parents=True)
    for path in [*(ROOT / "src/zktally").iterdir(), *(ROOT / name for name in PACKAGES)]:
        (TREE / path.name).symlink_to(path)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Notebooks are named by the pages that they become."""
    config.nav = _renamed(config.nav)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Beside each notebook, a page of its cells; the notebook itself stays, to be taken away."""
    for file in [file for file in files if file.src_uri.endswith(NOTEBOOK)]:
        page = file.src_uri.removesuffix(NOTEBOOK) + ".md"
        text = cells(json.loads(file.content_string), Path(file.src_uri).name)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links to a notebook lead to its page, but for the one there; powers stand above the line.

    Long commands are continued on a line of their own.
    """
    linked = re.sub(r"\]\((notebooks/\w+)\.ipynb\)", r"](\1.md)", markdown)
    parts = CODE.split(COMMANDS.sub(lambda block: continued(block[0]), linked))
    parts[::2] = [raised(part) for part in parts[::2]]
    return "".join(parts)


def raised(text: str) -> str:
    """The text with `2^−λ` and `2^(w−1)` as people write them, but for headings."""
    return POWER.sub(lambda power: f"<sup>{power[1] or power[2]}</sup>", text)


def continued(block: str) -> str:
    """Commands, the long ones cut at blanks; those stay in which a blank may mean something."""
    lines = [[line] if MARKS.search(line) else WRAP.wrap(line) for line in block.splitlines()]
    return "".join(" \\\n".join(parts) + "\n" for parts in lines)


def cells(book: dict[str, Any], name: str) -> str:
    """The cells of a notebook as Markdown, its outputs left out."""
    parts = []
    for cell in book["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    title, *rest = parts
    return "\n\n".join([title, f"[{name}]({name}) has the cells of this page.", *rest])


def _renamed(nav: Any) -> Any:
    if isinstance(nav, str):
        return re.sub(r"\.ipynb$", ".md", nav)
    if isinstance(nav, dict):
        return {title: _renamed(entry) for title, entry in nav.items()}
    return [_renamed(entry) for entry in nav]
