"""Tables that benchmarks write into pages of the documentation."""

from __future__ import annotations

import re
from pathlib import Path

from htcl.files import atomic_write


def write_section(page: Path, name: str, text: str) -> None:
    """Puts a text between ``<!-- name -->`` and ``<!-- /name -->`` of a page.

    Raises:
        ValueError: If the page does not have these marks once each.
    """
    marks = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    content = page.read_text(encoding="utf-8")
    if [content.count(mark) for mark in marks] != [1, 1]:
        raise ValueError(f"{page}: expected the marks {marks} once each")
    section = re.compile(f"({marks[0]}).*?({marks[1]})", re.DOTALL)
    with atomic_write(page, "w") as file:
        file.write(section.sub(lambda found: f"{found[1]}{text}{found[2]}", content))
