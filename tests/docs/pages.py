"""Finds the commands and code in the documentation."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

_FENCED = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
_SCRIPT = re.compile(
    r"python (?:-m benchmarks\.(?P<benchmark>\w+(?:\.\w+)?)|(?P<example>examples/\w+\.py))(?P<arguments>[^\n`|]*)",
)
_INLINE = re.compile(r"`([^`\n]+)`")


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command of the project's own on a page, in code blocks and within sentences."""
    text = page.read_text(encoding="utf-8")
    lines = [line.strip().removeprefix("$ ") for line in text.splitlines() if line.startswith(("    ", "\t"))]
    for block in _FENCED.finditer(text):
        lines += [line.strip().removeprefix("$ ") for line in block["text"].splitlines()]
    lines += [" ".join(inline.split()) for inline in _INLINE.findall(_FENCED.sub("", text))]
    for line in lines:
        if re.match(r"(hpa|python -m (training|export)|make) [a-z-]+", line):
            # A backslash is a Windows path here, not an escape.
            words = shlex.split(line.replace("\\", "/"), comments=True)
            yield words[: next((at for at, word in enumerate(words) if word in {"|", ">", "&&"}), None)]


def scripts(page: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield each benchmark and example that a page names, with the options that it is given there."""
    for found in _SCRIPT.finditer(page.read_text(encoding="utf-8").replace("\\\n", " ")):
        yield (
            ROOT / (found["example"] or _module_file(found["benchmark"])),
            re.findall(r"--[a-z][a-z0-9-]*", found["arguments"]),
        )


def _module_file(benchmark: str) -> str:
    place = f"benchmarks/{benchmark.replace('.', '/')}"
    return f"{place}/__main__.py" if (ROOT / place).is_dir() else f"{place}.py"


def snippets(page: Path) -> list[str]:
    """Return the Python code on a page, in order."""
    found = _FENCED.finditer(page.read_text(encoding="utf-8"))
    return [block["text"] for block in found if block["language"] == "python"]
