"""Pages of the documentation site that are no file of docs/: mkdocs calls the functions by name.

Pages elsewhere in the repository (README, CONTRIBUTING, ...) come in as they are; a link between
two pages works in the repository and on the site. The reference is made from docstrings, and its
pages on config keys from a shipped config and the docstrings of the classes that it names.
"""

from __future__ import annotations

import inspect
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
# Page of the site: its file in the repository.
ELSEWHERE = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "benchmarks.md": "benchmarks/README.md",
    "pretrain.md": "pretrain/README.md",
    "mini_htcl.md": "pretrain/mini_htcl.md",
    "data_folder.md": "data/README.md",
    "requirements.md": "requirements/README.md",
}
PACKAGES = (
    "apis", "geometry", "ops", "datasets", "losses", "models", "engine", "evaluation",
    "visualization", "checkpoint",
)  # fmt: skip
# Keys of a config by page; a key that no page names is a fact at the top, beside the model.
CONFIG = "projects/configs/occupancy/semantickitti/htcl_points.py"
KEYS = {
    "config_data": ("_dataloader", "_evaluator"),
    "config_runs": (
        "_cfg", "_hooks", "optim_wrapper", "param_scheduler", "visualizer", "log_processor",
        "env_cfg", "randomness",
    ),
}  # fmt: skip
TITLES = {
    "config_model": "Config keys: facts and model",
    "config_data": "Config keys: data and scores",
    "config_runs": "Config keys: trainings",
}
_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages."""
    for name, source in ELSEWHERE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    for package in PACKAGES:
        text = _package_page(package)
        files.append(File.generated(config, f"reference/htcl.{package}.md", content=text))
    for name, text in config_pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links of the repository into links of the site."""
    name = page.file.src_uri
    here = posixpath.dirname(ELSEWHERE.get(name, f"docs/{name}"))
    pages = {source: page_name for page_name, source in ELSEWHERE.items()}

    def link(match: re.Match) -> str:
        start, target, anchor, end = match.groups()
        if re.match(r"[a-z]+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(here, target))
        on_site = pages.get(path, path.removeprefix("docs/"))
        if path not in pages and not path.startswith("docs/"):
            raise ValueError(f"{name}: {target} is neither a page nor below docs/")
        relative = posixpath.relpath(on_site, posixpath.dirname(name) or ".")
        return f"{start}{relative}{anchor or ''}{end}"

    # What stands in a block of code is no link.
    parts = re.split(r"(```.*?```)", markdown, flags=re.DOTALL)
    return "".join(part if part.startswith("```") else _LINK.sub(link, part) for part in parts)


def _package_page(package: str) -> str:
    """One heading and docstrings for each public module of a package."""
    folder = ROOT / "projects" / "htcl" / package
    lines = [f"# htcl.{package}", ""]
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(ROOT / "projects").with_suffix("").parts
        if parts[-1] == "__init__":
            continue
        lines += [f"::: {'.'.join(parts)}", "    options:", "      heading_level: 2", ""]
    return "\n".join(lines)


def config_pages() -> dict[str, str]:
    """The pages of reference/ on config keys, by name."""
    import htcl.plugin  # noqa: F401  Registers the classes.
    from htcl.config import load_config

    cfg = load_config(ROOT / CONFIG).to_dict()
    pages = {
        name: [
            f"# {title}",
            "",
            f"Values are those of `{CONFIG}`. `--cfg-options KEY=VALUE` changes any; what a class "
            "takes beyond these keys may be given too.",
            "",
        ]
        for name, title in TITLES.items()
    }
    facts = []
    for key, value in cfg.items():
        name = next(
            (name for name, ends in KEYS.items() if any(key.endswith(end) for end in ends)),
            "config_model",
        )
        if isinstance(value, dict) or (isinstance(value, list) and any(map(_typed, value))):
            pages[name] += _sections(key, value)
        else:
            facts.append((key, value))
    table = ["## Facts", "", "| key | value |", "| --- | --- |"]
    table += [f"| `{key}` | {_code(value)} |" for key, value in facts]
    pages["config_model"][4:4] = [*table, ""]
    return {name: "\n".join(lines) + "\n" for name, lines in pages.items()}


def _typed(value: Any) -> bool:
    return isinstance(value, dict) and "type" in value


def _sections(path: str, value: Any) -> Iterator[str]:
    """A section with a table for each dict below ``path`` that has keys of its own."""
    if isinstance(value, list):
        for index, entry in enumerate(value):
            if _typed(entry):
                yield from _sections(f"{path}.{index}", entry)
        return
    title = f"`{path}`" + (f": {value['type']}" if "type" in value else "")
    meanings, summary = _documentation(value.get("type"), path)
    yield from (f"## {title}", "", summary, "") if summary else (f"## {title}", "")
    rows, below = [], []
    for key, entry in value.items():
        if isinstance(entry, dict) or (isinstance(entry, list) and any(map(_typed, entry))):
            below.append((f"{path}.{key}", entry))
        elif key != "type":
            rows.append(f"| `{key}` | {_code(entry)} | {meanings.get(key, '')} |")
    given = set(value)
    more = [(key, text) for key, text in meanings.items() if key not in given]
    rows += [f"| `{key}` | (default) | {text} |" for key, text in more]
    if rows:
        yield from ("| key | value | meaning |", "| --- | --- | --- |", *rows, "")
    for name, entry in below:
        yield from _sections(name, entry)


def _documentation(name: Any, path: str) -> tuple[dict[str, str], str]:
    """What the docstring of a registered class says of its arguments, and its first paragraph."""
    from griffe import Docstring

    from htcl.config_keys import constructors

    if not isinstance(name, str):
        return {}, ""
    found = next((entry for _, entry in constructors(name, path)), None)
    if found is None:
        return {}, ""
    sections = Docstring(inspect.getdoc(found) or "").parse("google", warnings=False)
    meanings = {
        # One text may be of several: "weight, name: See the base class."
        argument: _cell(entry.description)
        for section in sections
        if section.kind.value == "parameters"
        for entry in section.value
        for argument in entry.name.split(", ")
    }
    first = next((s.value for s in sections if s.kind.value == "text"), "")
    return meanings, _cell(first.split("\n\n")[0])


def _cell(text: str) -> str:
    """Text of a docstring for one line of Markdown: no roles of Sphinx, no table borders."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return re.sub(r"\s+", " ", text).replace("``", "`").replace("|", "\\|").replace("<", "&lt;")


def _code(value: Any) -> str:
    text = repr(value).replace("|", "\\|")
    return f"`{text if len(text) < 100 else text[:96] + ' ...'}`"
