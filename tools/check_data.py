"""Examines all files of a data set before a training: everything that is wrong, at once.

Each file is read as a training reads it, in parallel. A second call goes on where the first one
stopped, and reads again only what changed. The exit status is 1 if something is wrong.

Examples:
  python tools/check_data.py data/kitti
  python tools/check_data.py data/kitti --split val --jobs 8 --json problems.json
  python tools/check_data.py data/mine --sequences 00 --inputs images history
  python tools/check_data.py data/garage --config my_config.py     # any registered data set

docs/data.md says what counts as wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from htcl.command_line import count, run_tool, tool_parser
from htcl.errors import InvalidValueError, listed
from htcl.files import atomic_write

if TYPE_CHECKING:
    from htcl.datasets.file_checks import FileCheck
    from htcl.datasets.frame_jobs import JobResult
    from htcl.datasets.occupancy_dataset import OccupancyDataset

_SPLITS = ("train", "val")
_LISTED = 20
# Where the results of earlier calls are kept, below the working directory as all outputs.
_STATES = Path("outputs/check_data")


class Problem(NamedTuple):
    """What is wrong with a file, or with a sequence as a whole (then without a frame)."""

    sequence: str
    frame: str | None
    kind: str
    message: str


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument("root", metavar="ROOT", help="root of the data")
    parser.add_argument(
        "--split", nargs="+", metavar="S", help="splits to examine (default: train val)"
    )
    parser.add_argument(
        "--sequences", nargs="+", metavar="XX", help="these sequences in place of those of splits"
    )
    parser.add_argument(
        "--inputs",
        nargs="+",
        metavar="NAME",
        help="inputs of the network, such as images history: a network without the input "
        "current_from_history needs no poses (default: all; depth_prior if there are files)",
    )
    parser.add_argument(
        "--config",
        metavar="CONFIG",
        help="config whose data sets are examined (default: SemanticKITTI in one folder)",
    )
    parser.add_argument(
        "--jobs", type=count, default=os.cpu_count() or 1, help="processes (default: all cores)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all problems here")
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help=f"results of earlier calls (default: a file of the root's own in {_STATES}/)",
    )
    parser.add_argument(
        "--restart", action="store_true", help="forget the results of earlier calls"
    )
    return parser.parse_args(argv)


def build_datasets(args: argparse.Namespace) -> list[OccupancyDataset]:
    """Builds the data sets to examine without reading anything.

    Raises:
        InvalidValueError: If a split is unknown, or the config has no data set of it.
        MissingFileError: If the root does not exist.
    """
    from mmengine.registry import DATASETS, init_default_scope

    import htcl.datasets.semantic_kitti  # noqa: F401  (registers the default)

    init_default_scope("mmdet3d")
    datasets = []
    for split in args.split or (_SPLITS[:1] if args.sequences else _SPLITS):
        dataset = {"type": "SemanticKITTISSC"}
        if args.config:
            dataset = _dataset_of_config(args.config, split)
        changes = {
            "data_root": args.root,
            "split": split,
            "sequences": args.sequences or dataset.get("sequences"),
            "inputs": args.inputs,
            "augmentations": (),
            "pipeline": [],
            "lazy_init": True,
        }
        datasets.append(DATASETS.build({**dataset, **changes}))
    return datasets


def _dataset_of_config(config: str, split: str) -> dict[str, Any]:
    from htcl.config import load_config

    cfg = load_config(config)
    loader = cfg.get(f"{split}_dataloader")
    if loader is None:
        raise InvalidValueError(
            f"{config} has no {split}_dataloader, whose data set says what to examine; choose "
            "another --split"
        )
    return loader.dataset.to_dict()


class State:
    """What earlier calls found, a line of JSON for each check, written as results come.

    Args:
        path: The file; a line that was cut short counts as not written.
        restart: Whether to begin anew.
    """

    def __init__(self, path: Path, restart: bool) -> None:
        self._known: dict[str, list[str]] = {}
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and not restart:
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    key, problems = json.loads(line)
                    self._known[str(key)] = [str(problem) for problem in problems]
                except (ValueError, TypeError):
                    continue
        self._file = path.open("w" if restart else "a", encoding="utf-8")
        # Ends a line that was cut short.
        self._file.write("\n")

    def problems(self, check: FileCheck) -> list[str] | None:
        """What was found before, if the files are still the same."""
        return self._known.get(_key(check))

    def add(self, result: JobResult) -> None:
        """Notes a result; faults of the program are not kept."""
        if result.error is None:
            self._file.write(json.dumps([_key(result.job), result.value]) + "\n")
            self._file.flush()


def _key(check: FileCheck) -> str:
    """Stands for the check, the code's version, and size and time of change of its files."""
    from htcl import __version__

    stamps = []
    for path in check.paths:
        try:
            status = os.stat(path)
            stamps.append([path, status.st_size, status.st_mtime_ns, status.st_mode])
        except (OSError, ValueError):
            stamps.append([path])
    settings = [part for part in check.problems.args if isinstance(part, str | int | tuple)]
    text = json.dumps([__version__, check.sequence, check.frame, check.kind, stamps, settings])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def run_check(check: FileCheck) -> list[str]:
    """Lists what is wrong; in a process of its own."""
    return check.problems()


def examine(args: argparse.Namespace) -> tuple[list[Problem], int, int]:
    """Runs all checks; returns the problems, and how many checks ran and were known."""
    from htcl.datasets.frame_jobs import run_jobs

    problems: list[Problem] = []
    checks: list[FileCheck] = []
    for dataset in build_datasets(args):
        for sequence in dataset.sequences:
            found, more = dataset.examine(sequence)
            problems += [Problem(sequence, None, "sequence", message) for message in found]
            checks += more
    digest = hashlib.sha256(str(Path(args.root).resolve()).encode()).hexdigest()[:12]
    state = State(args.state or _STATES / f"{digest}.jsonl", args.restart)
    todo = [check for check in checks if state.problems(check) is None]
    results = run_jobs(run_check, todo, args.jobs, "checks", state.add) if todo else []
    # In the order of the jobs, which other processes give back as copies.
    fresh = {id(check): result for check, result in zip(todo, results, strict=True)}
    for check in checks:
        result = fresh.get(id(check))
        if result is None:
            messages = state.problems(check) or []
        else:
            messages = result.value if result.error is None else [f"{check.paths}: {result.error}"]
        where = (check.sequence, check.frame, check.kind)
        problems += [Problem(*where, message) for message in messages]
    return problems, len(todo), len(checks) - len(todo)


def run(args: argparse.Namespace) -> int:
    """Examines the files and reports; returns the exit status."""
    problems, ran, known = examine(args)
    # A file that several checks read is told of once.
    problems = list({problem.message: problem for problem in reversed(problems)}.values())[::-1]
    if args.json:
        report = {
            "root": str(args.root),
            "checks": ran + known,
            "from_earlier_calls": known,
            "problems": [problem._asdict() for problem in problems],
        }
        with atomic_write(args.json, "w") as file:
            file.write(json.dumps(report, indent=2) + "\n")
    by_sequence = defaultdict(list)
    for problem in problems:
        by_sequence[problem.sequence].append(problem.message)
    for sequence, messages in sorted(by_sequence.items()):
        print(f"sequence {sequence}: {len(messages)} problems{listed(messages, _LISTED)}")
    more = f", {known} known from earlier calls" if known else ""
    print(f"{ran} checks of {args.root} run{more}: {len(problems) or 'no'} problems")
    if args.json:
        print(f"all problems: {args.json}")
    elif any(len(messages) > _LISTED for messages in by_sequence.values()):
        print("--json FILE writes all of them")
    return 1 if problems else 0


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    return run_tool("check_data", run, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
