r"""Measures the program: speed, memory, operators, data loading, growth, against a revision.

  forward  prediction: time, peak memory, FLOPs, operators, host synchronisations (on a GPU)
  train    one optimisation step (forward, losses, backward, optimiser): the same columns
  stages   time of each part of the network
  data     time of a training sample on one core, samples/s against the number of workers
  growth   time and memory of a prediction against history, image size, depth bins and cameras

Networks have random weights and see noise of the config's size with KITTI's geometry, unless --data
names a SemanticKITTI folder. Every measurement is a process of its own. The first pass is counted,
not timed; more passes warm up (--warmup), then --repeats are timed. FLOPs are those of convolutions
and matrix products, two for a multiply-add. Memory is that of the GPU's allocator, or of the whole
process on a CPU. --against REV measures that revision in turn with this one, A B A B; the ratio is
of this one's fastest pass to that one's. Results are written after each measurement; --resume goes
on.

Examples:
  python benchmarks/run.py                                     # prediction of the mini network
  python benchmarks/run.py --what forward train stages --threads 1 --against HEAD~10
  python benchmarks/run.py --device cuda --precision fp32 tf32 fp16 bf16 --what forward train
  python benchmarks/run.py --what train --data /datasets/semantickitti --frame 000005 \
      --config projects/configs/occupancy/semantickitti/temporal_baseline.py --repeats 0
  python benchmarks/run.py --what growth --axes history --out work_dirs/growth
  python benchmarks/run.py --what data --workers 1 2 4
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

# Each revision sets its own variables; those of this one are not for the others.
ENVIRONMENT = dict(os.environ)

from other_revision import other_tree  # noqa: E402

from htcl.command_line import (  # noqa: E402
    add_cfg_options,
    count,
    positive,
    run_tool,
    tool_parser,
)

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CONFIGS = "projects/configs/occupancy"
MINI, FULL = f"{CONFIGS}/mini/htcl_plus.py", f"{CONFIGS}/semantickitti/htcl_plus.py"
KINDS = ("forward", "train", "stages", "data", "growth")
PRECISIONS = ("fp32", "tf32", "fp16", "bf16")
AXES = ("history", "image", "depth", "cameras")


def number(word: str) -> int:
    """Argument type: a whole number from 0 on."""
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 on, got {word!r}")
    return int(word)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    add = parser.add_argument
    add("--what", nargs="+", choices=KINDS, default=["forward"], help="default: forward")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="default: cpu")
    add("--config", nargs="+", help=f"default: {MINI} on a CPU and for growth, else {FULL}")
    add("--precision", nargs="+", choices=PRECISIONS, default=["fp32"], help="default: fp32")
    add("--against", metavar="REV", help="a git revision to measure in turn with this one")
    add("--rounds", type=count, help="processes a measurement (default: 1; 3 with --against)")
    add("--repeats", type=number, default=5, help="timed passes (default: 5); 0: the first one")
    add("--warmup", type=number, help="more passes before (default: 0, on a GPU 3)")
    add("--batch-size", type=count, default=1, help="samples of a pass (default: 1)")
    add("--threads", type=count, help="threads of each process (default: PyTorch's choice)")
    add("--out", type=Path, help="folder of results (default: a new one in work_dirs/benchmarks)")
    add("--resume", action="store_true", help="go on with the results in --out")
    add("--data", type=Path, metavar="ROOT", help="SemanticKITTI folder: real samples, not noise")
    add("--sequence", default="00", help="its sequence (default: 00)")
    add("--frame", help="its labelled frame (default: the first; for data: all in turn)")
    add("--history-stride", nargs="+", type=count, default=[1], help="images between frames, or a "
        "distance for each history frame (default: 1)")  # fmt: skip
    add("--history-metres", type=positive, help="metres between frames, in place of images")
    add("--workers", nargs="+", type=count, help="for data (default: 1, 2, 4 .. number of cores)")
    add("--axes", nargs="+", choices=AXES, default=list(AXES), help="for growth (default: all)")
    add_cfg_options(parser, "num_history=1 (of every config and revision)")
    args = parser.parse_args(argv)
    if args.resume and args.out is None:
        parser.error("--resume needs --out")
    if args.device == "cpu" and "tf32" in args.precision:
        parser.error("tf32 needs --device cuda")
    if args.device == "cpu" and "fp16" in args.precision and "train" in args.what:
        parser.error("training in fp16 needs --device cuda")
    return args


def measurements(args: argparse.Namespace) -> list[dict[str, Any]]:
    """What is to be measured, in order: specifications for benchmarks/bench_child.py."""
    threads = args.threads or int(os.environ.get("OMP_NUM_THREADS", "0")) or _default_threads()
    stride = args.history_stride
    warmup = (3 if args.device == "cuda" else 0) if args.warmup is None else args.warmup
    common = {
        "device": args.device,
        "threads": threads,
        "repeats": args.repeats,
        "warmup": warmup,
        "data": str(args.data.resolve()) if args.data else "",
        "sequence": args.sequence,
        "frame": args.frame or "",
        "history_stride": stride[0] if len(stride) == 1 else stride,
        "history_metres": args.history_metres,
        "workers": args.workers or _default_workers(),
        "sample": f"{args.sequence}/{args.frame or 'first'}" if args.data else "noise",
        "cameras": 1,
        "batch_size": args.batch_size,
        "case": {},
        "options": _options(args),
    }
    found: list[dict[str, Any]] = []
    for what in args.what:
        small = args.device == "cpu" or what == "growth"
        for config in args.config or [MINI if small else FULL]:
            for precision in ["-"] if what == "data" else args.precision:
                spec = {**common, "what": what, "config": config, "precision": precision}
                if what == "data":
                    spec["sample"] = "real streets" if args.data else "synthetic streets"
                found += _growth_cases(spec, args.axes) if what == "growth" else [spec]
    # As they come back from a file: without tuples.
    return [json.loads(json.dumps(spec)) for spec in found]


def _options(args: argparse.Namespace) -> dict[str, Any]:
    from htcl.config import parse_options

    return dict(parse_options(args.cfg_options))


def _growth_cases(spec: dict[str, Any], axes: list[str]) -> Iterator[dict[str, Any]]:
    """Predictions that differ from the config in one size."""
    from htcl.config import load_config

    cfg = load_config(ROOT / spec["config"], spec["options"])
    spec = {**spec, "data": "", "sample": "noise"}

    def case(axis: str, value: int, **changes: Any) -> dict[str, Any]:
        options = {**spec["options"], **changes.pop("options", {})}
        return {**spec, "case": {axis: value}, "options": options, **changes}

    if "history" in axes and cfg.model.get("temporal"):
        without = {"num_history": 0, "model.temporal": None, "model.temporal_fusion": None}
        yield case("history", 0, options=without)
        for frames in range(1, 6):
            yield case("history", frames, options={"num_history": frames})
    if "image" in axes:
        # The stereo branch has a size of its own.
        for scale in (0.5, 0.75, 1, 1.5):
            height, width = (32 * max(1, round(scale * side / 32)) for side in cfg.input_size)
            yield case("image", height * width, options={"input_size": [height, width]})
    if "depth" in axes:
        bins = cfg.depth_bins
        for factor in (2, 1, 0.5):
            step = bins.step * factor
            number_of_bins = round((bins.stop - bins.start) / step)
            yield case("depth", number_of_bins, options={"depth_bins.step": step})
    if "cameras" in axes:
        for cameras in (1, 2, 3):
            yield case("cameras", cameras, cameras=cameras)


def _default_threads() -> int:
    import torch

    return torch.get_num_threads()


def _default_workers() -> list[int]:
    cores = len(os.sched_getaffinity(0))
    return sorted({1, cores, *(n for n in (2, 4, 8, 16, 32) if n < cores)})


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Runs one measurement in a process of its own.

    Args:
        spec: What, and of which tree.

    Returns:
        The child's result, or ``problem``.

    Raises:
        InvalidValueError: If the tree lacks what this file uses.
    """
    from htcl.errors import InvalidValueError

    with tempfile.TemporaryDirectory(prefix="htcl_benchmark_") as folder:
        asked, found = Path(folder) / "spec.json", Path(folder) / "result.json"
        asked.write_text(json.dumps(spec))
        path = [str(Path(spec["tree"]) / "projects"), ENVIRONMENT.get("PYTHONPATH", "")]
        environment = {
            **ENVIRONMENT,
            "PYTHONPATH": os.pathsep.join(filter(None, path)),
            "OMP_NUM_THREADS": str(spec["threads"]),
        }
        command = [sys.executable, str(HERE / "bench_child.py"), str(asked), str(found)]
        done = subprocess.run(
            command, cwd=spec["tree"], env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode or not found.is_file():
            print(done.stderr, file=sys.stderr)
            killed = " (was it too large for the memory?)" if done.returncode == -9 else ""
            return {"problem": f"the process ended with status {done.returncode}{killed}"}
        result: dict[str, Any] = json.loads(found.read_text())
    if "lacking" in result:
        raise InvalidValueError(
            f"--against: revision {spec['revision']} lacks what this benchmark uses "
            f"({result['lacking']}); choose a later one"
        )
    return result


def _sides(args: argparse.Namespace, stack: contextlib.ExitStack) -> list[tuple[str, Path, str]]:
    """This tree and perhaps another: side, folder, revision."""
    from htcl.provenance import revision_of

    sides = [("this", ROOT, revision_of(ROOT))]
    if args.against:
        sides.append(("against", *stack.enter_context(other_tree(args.against))))
    return sides


def _synthetic_streets(spec: dict[str, Any]) -> dict[str, Any]:
    """A data measurement with streets of the size that the config reads, made if needed."""
    from htcl.config import load_config
    from mini_kitti import MiniKittiSettings, make_mini_kitti

    large = load_config(ROOT / spec["config"], spec["options"]).input_size[0] > 200
    settings = MiniKittiSettings(frames=11)
    if large:
        settings = MiniKittiSettings(frames=11, image_size=(376, 1241), lidar_azimuths=1800)
    root = Path("work_dirs/benchmarks") / ("streets_full" if large else "streets_mini")
    print(f"synthetic streets: {root}", flush=True)
    make_mini_kitti(root, settings, ("00",), jobs=len(os.sched_getaffinity(0)))
    return {**spec, "data": str(root.resolve()), "sequence": "00", "frame": ""}


def work(args: argparse.Namespace) -> int:
    """Measures what is missing and reports; returns the exit status."""
    import torch
    from bench_results import ResultStore, plot_growth, rows_of
    from environment import describe_environment

    from htcl.errors import InvalidValueError, MissingFileError

    if args.device == "cuda" and not torch.cuda.is_available():
        raise InvalidValueError("--device cuda: this machine has no GPU that PyTorch can use")
    if args.data and not args.data.is_dir():
        raise MissingFileError(f"--data {args.data}: there is no such folder")
    folder = args.out or Path("work_dirs/benchmarks") / f"{datetime.now():%Y-%m-%d_%H%M%S}"
    store = ResultStore(folder, args.resume)
    print(describe_environment(), flush=True)
    specs = [
        _synthetic_streets(spec) if spec["what"] == "data" and not spec["data"] else spec
        for spec in measurements(args)
    ]
    problems, command = [], shlex.join(["python", "benchmarks/run.py", *args.words])
    rounds = args.rounds or (3 if args.against else 1)
    with contextlib.ExitStack() as stack:
        sides = _sides(args, stack)
        runs = [
            {**spec, "side": side, "tree": str(tree), "revision": revision, "round": turn}
            for spec in specs
            for turn in range(rounds)
            for side, tree, revision in sides
        ]
        for index, spec in enumerate(runs, 1):
            key = {name: value for name, value in spec.items() if name != "tree"}
            case = "".join(f" {name} {value}" for name, value in spec["case"].items())
            title = f"{spec['what']}{case} {Path(spec['config']).stem} {spec['precision']}"
            title = f"[{index}/{len(runs)}] {title} {spec['revision']}"
            if store.has(key):
                print(f"{title}: stands", flush=True)
                continue
            print(f"{title} ...", end=" ", flush=True)
            config = Path(spec["tree"]) / spec["config"]
            result = measure({**spec, "config": str(config)})
            if "problem" in result:
                print("failed", flush=True)
                problems.append(f"{title}: {result['problem']}")
                continue
            store.add({**key, **result}, command)
            print(f"{1000 * min(result['seconds']):,.1f} ms at best", flush=True)
    if store.runs:
        plotted = plot_growth(rows_of(store.runs), folder / "growth.png")
        files = ["benchmarks.json", "benchmarks.md", *(["growth.png"] if plotted else [])]
        print(f"\n{store.report(command)}\n\nresults: {folder}: {', '.join(files)}")
    for problem in problems:
        print(f"run: {problem}", file=sys.stderr)
    return 1 if problems else 0


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    args = parse_args(words)
    args.words = words
    return run_tool("run", work, args)


if __name__ == "__main__":
    # A time limit ends this like Ctrl-C does: child and worktree go too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
