"""Writes a report as one HTML file that can't send any request."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TextIO

from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.prediction import Failure
from hpa_sdk.report.pictures import Picture

_TITLE, _POLICY, _STYLE, _SCRIPT = "<!--TITLE-->", "<!--POLICY-->", "<!--STYLE-->", "<!--PROGRAM-->"
_CONTENT, _PICTURES = "<!--CONTENT-->", "<!--PICTURES-->"
_PROGRAM = (
    *("report/page.js", "live/static/outlines.js", "report/summary.js", "report/cells.js"),
    *("report/grid.js", "report/large.js", "report/review.js"),
)


def write_document(content: Mapping[str, Any], pictures: Sequence[Picture | Failure], path: Path) -> None:
    """Write the file, complete or not at all.

    Pictures follow the page's own program, as text that a browser neither runs nor reads before it is needed.

    Parameters
    ----------
    content : mapping
        As `hpa_sdk.report.content.page_content` gives it.
    pictures : sequence of Picture or Failure
        Of the fields, in their order.
    path : pathlib.Path
        The file.

    Raises
    ------
    OutputError
        No file can be written there.
    """
    style = _read("report/page.css")
    # In one script, nothing is exported.
    program = re.sub("^export ", "", "".join(map(_read, _PROGRAM)), flags=re.MULTILINE)
    page = _read("report/page.html")
    for marker, text in (
        (_TITLE, html.escape(content["title"])),
        (_POLICY, _policy(style, program)),
        (_STYLE, style),
        (_SCRIPT, program),
    ):
        page = page.replace(marker, text)
    head, rest = page.split(_CONTENT)
    middle, tail = rest.split(_PICTURES)
    with (
        atomic_write(path) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.write(head)
        # A name with "</script>" in it must not end the block.
        file.write(json.dumps(content, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"))
        file.write(middle)
        for at, picture in enumerate(pictures):
            if isinstance(picture, Picture):
                _write_block(file, f"small{at}", picture.thumbnail)
        for at, picture in enumerate(pictures):
            if isinstance(picture, Picture):
                _write_block(file, f"large{at}", picture.planes)
        file.write(tail)


def _write_block(file: TextIO, name: str, picture: bytes) -> None:
    file.write(f'<script type="text/plain" id="{name}">{base64.b64encode(picture).decode()}</script>\n')


def _read(name: str) -> str:
    return resources.files("hpa_sdk").joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, program: str) -> str:
    """Allow the page's own style and program by their hashes, pictures inside the file, and nothing else."""
    style_hash, program_hash = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, program)
    )
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{style_hash}'; script-src 'sha256-{program_hash}';"
        " base-uri 'none'; form-action 'none'"
    )
