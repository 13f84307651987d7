"""The documentation site: Sphinx with MyST, and the lessons as a gallery. `nox -s docs` builds it.

The source is the whole repository, so a link between two pages is the same here as on the code host.
"""

import os
import re
import runpy
import zipfile
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

import scratchnet

ROOT = Path(__file__).parent.parent

project = "scratchnet"
author = "The scratchnet authors"
version = release = scratchnet.__version__
html_title = f"scratchnet {version}"
html_theme = "furo"
html_copy_source = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
highlight_language = "text"
templates_path = ["templates"]
html_additional_pages = {"index": "to_front_page.html"}

root_doc = "docs/site/index"
include_patterns = [
    "docs/*.md", "docs/*/*.md", "docs/lessons/*.rst", "*.md", "benchmarks/*.md", "examples/README.md",
    "scratchnet/pretrained/*.md",
]  # fmt: skip
exclude_patterns = ["build", "dist", ".*"]
suppress_warnings = ["config.cache", "toc.not_included"]  # pages that only links lead to

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinx_gallery.gen_gallery"]
myst_heading_anchors = 3
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say shapes, which say more than Array

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "docs/lessons",
    "filename_pattern": r"/\d\d_",
    "ignore_pattern": r"(skeletons|__init__)\.py",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
}


def plain_text(_app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Docstrings are plain text: what is indented stays as it stands, and no character of the rest is markup."""
    converted, block, item = [], False, False
    for line in lines:
        item = bool(re.match(r"- |\d+\. ", line)) or (item and line.startswith("  "))  # goes on below its first word
        indented = not item and (line.startswith("    ") or (block and not line.strip()))
        if indented and not block:
            converted += ["", "::", ""]
        elif block and not indented:
            converted.append("")
        block = indented
        converted.append(line if indented else escaped(line if item else line.strip()))
    lines[:] = converted


def escaped(line: str) -> str:
    """A line without markup, but for `code` in backticks."""
    parts = re.split(r"`([^`]+)`", line)
    for k, part in enumerate(parts):
        parts[k] = f"``{part}``" if k % 2 else re.sub(r"([*|_\\`])", r"\\\1", part)
    return "".join(parts)


def site_links(app: Sphinx, docname: str, content: list[str]) -> None:
    """Links that differ from those on the code host: a lesson's file has a page, a folder its README at most."""
    here = Path(app.env.doc2path(docname)).parent

    def resolved(link: re.Match[str]) -> str:
        text, target = link["text"], link["target"]
        place = (here / target).resolve()
        if re.search(r"/examples/\d\d_\w+\.py$", str(place)):
            page = os.path.relpath(ROOT / "docs" / "lessons" / place.with_suffix(".rst").name, here)
            return f"[{text}]({page})"
        if "://" in target or not place.is_dir():
            return link[0]
        readme = target.rstrip("/") + "/README.md"
        return f"[{text}]({readme})" if (here / readme).exists() else text

    content[0] = re.sub(r"\[(?P<text>[^]]*)\]\((?P<target>[^)#\s]+)\)", resolved, content[0])


def without_fields(_app: Sphinx, _what: str, _name: str, member: Any, _skip: bool, _options: Any) -> bool | None:
    """The fields of a NamedTuple have no docstrings of their own, but "Alias for field number 0"."""
    return True if (getattr(member, "__doc__", None) or "").startswith("Alias for field") else None


def write_sheets(_app: Sphinx) -> None:
    """The lessons without their answers, to download."""
    sheets = runpy.run_path(str(ROOT / "examples" / "skeletons.py"))
    (ROOT / "build").mkdir(exist_ok=True)
    with zipfile.ZipFile(ROOT / "build" / "exercise_sheets.zip", "w") as archive:
        for lesson in sheets["lessons"]():
            archive.writestr(lesson.name, sheets["skeleton"](lesson.read_text(encoding="utf-8")))


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", write_sheets, priority=100)  # before the gallery
    app.connect("autodoc-skip-member", without_fields)
    app.connect("autodoc-process-docstring", plain_text)
    app.connect("source-read", site_links)
