"""Puts the output and the picture of the demo into the README, as they are now.

python -m benchmarks.readme
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from PIL import Image

README = Path("README.md")
PICTURE = Path("docs/pictures/demo.jpg")
OUT = Path("runs/demo")
_BLOCK = re.compile(r"(?<=<!-- demo: begin -->\n).*(?=<!-- demo: end -->)", re.DOTALL)


def main() -> None:
    """Run the demo, and replace the block between the two markers."""
    command = [sys.executable, "examples/demo.py", "--out", str(OUT)]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout  # noqa: S603
    table = printed[printed.index("field ") : printed.index("\n\nThe answers are in")]
    block = "".join(f"    {line}".rstrip() + "\n" for line in table.splitlines())
    text, replaced = _BLOCK.subn(lambda _: f"\n{block}\n", README.read_text(encoding="utf-8"))
    if replaced != 1:
        sys.exit(f"{README}: the markers of the demo are missing")
    README.write_text(text, encoding="utf-8", newline="\n")
    with Image.open(OUT / "fields.png") as picture:
        picture.convert("RGB").save(PICTURE, quality=85)  # a fifth of the PNG


if __name__ == "__main__":
    main()
