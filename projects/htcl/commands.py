"""The command ``htcl``: every tool of ``tools/`` from any folder.

Examples:
  htcl train projects/configs/occupancy/mini/htcl_plus.py
  htcl test CONFIG CKPT
  htcl COMMAND --help
"""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

# Name of the command and of the tool's file; in the order of a user's day.
COMMANDS = {
    "demo": "demo",
    "check-data": "check_data",
    "make-labels": "data_converter.make_labels",
    "voxelize-scans": "data_converter.voxelize_scans",
    "complete-kitti360": "data_converter.complete_kitti360",
    "make-streets": "make_mini_kitti",
    "make-surround-streets": "make_mini_nuscenes",
    "pack-streets": "pack_streets",
    "browse": "browse_dataset",
    "train": "train",
    "test": "test",
    "infer": "infer",
    "save-vis": "save_vis",
    "visualize": "visualization",
    "evaluate": "evaluate_predictions",
    "compare-scores": "compare_scores",
    "make-submission": "make_submission",
    "info": "model_info",
    "export": "export",
    "convert-checkpoint": "convert_checkpoint",
    "publish-checkpoint": "publish_checkpoint",
}
_TOOLS = "htcl.tools"


def usage() -> str:
    """The commands, each with the first line of its tool's documentation."""
    lines = ["usage: htcl COMMAND ...; htcl COMMAND --help says what a command takes", ""]
    for name, module in COMMANDS.items():
        # Read, not imported: the list has to come at once.
        spec = find_spec(f"{_TOOLS}.{module}")
        assert spec is not None and spec.origin is not None
        text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
        lines.append(f"  {name:<20}{text.splitlines()[0]}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Runs a command; returns the exit status: that of its tool, 2 if there is no such command."""
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return 0 if words else 2
    name, *rest = words
    if name == "--version":
        from htcl import __version__

        print(f"htcl {__version__}")
        return 0
    if name not in COMMANDS:
        print(f"htcl: there is no command {name!r}\n\n{usage()}", file=sys.stderr)
        return 2
    tool = import_module(f"{_TOOLS}.{COMMANDS[name]}")
    # What the tool's own help and errors call it.
    sys.argv[0] = f"htcl {name}"
    return int(tool.main(rest))


if __name__ == "__main__":
    sys.exit(main())
