"""The whole job on a machine without GPU or data: `make demo`.

Makes the synthetic mini data set and its labels, trains the mini network a little further, from
pretrain/mini_htcl.pth on, evaluates it on streets that it did not train on, and draws what it
predicts. Each step is a command that a user would type; it is printed before it runs.

Examples:
  python tools/demo.py
  python tools/demo.py --from-scratch --iters 200
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from htcl.command_line import count, run_tool, tool_parser
from htcl.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "projects/configs/occupancy/mini/htcl_plus.py"
CHECKPOINT = "pretrain/mini_htcl.pth"
FINE_TUNING_LR = 2e-5
# Enough to see a training at work; from scratch, enough to see its first results.
ITERS, ITERS_FROM_SCRATCH = 20, 60
# The mini configs take their data from here.
DATA, DATA_VARIABLE = "data/mini", "MINI_KITTI_ROOT"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument("--data", default=DATA, help="mini data set (default: %(default)s)")
    parser.add_argument("--out", default="outputs/demo", help="results (default: %(default)s)")
    parser.add_argument(
        "--iters",
        type=count,
        help=f"training steps (default: {ITERS}, from scratch {ITERS_FROM_SCRATCH})",
    )
    parser.add_argument(
        "--from-scratch", action="store_true", help=f"do not start from {CHECKPOINT}"
    )
    return parser.parse_args(argv)


def run(title: str, command: list[str], data: str, quiet: bool = False) -> None:
    """Prints and runs one step.

    Args:
        title: What the step does.
        command: The command line.
        data: Where the mini configs find their data.
        quiet: Show no more of the step's output than its progress and errors.

    Raises:
        UserError: If the command fails; its own output says why.
    """
    place = f"{DATA_VARIABLE}={shlex.quote(data)} " if data != DATA else ""
    print(f"== {title}\n$ {place}{shlex.join(command)}", flush=True)
    program = [sys.executable, *command[1:]] if command[0] == "python" else command
    environment = {**os.environ, DATA_VARIABLE: data}
    if not sys.stderr.isatty():
        # A file keeps every state of a progress bar: one in ten seconds is enough there.
        environment.setdefault("TQDM_MININTERVAL", "10")
    shown = subprocess.DEVNULL if quiet else None
    status = subprocess.run(
        program, cwd=ROOT, check=False, env=environment, stdout=shown
    ).returncode
    if status != 0:
        raise UserError(f"step '{title}' failed with status {status}")


def demo(args: argparse.Namespace) -> None:
    """Runs all steps."""
    work_dir = f"{args.out}/training"
    if not args.from_scratch and (ROOT / CHECKPOINT).is_file():
        iters, start = args.iters or ITERS, ["--load-from", CHECKPOINT]
        # Small steps: a trained network would be thrown back by those of a beginning.
        options = [f"optim_wrapper.optimizer.lr={FINE_TUNING_LR}"]
    else:
        iters, start = args.iters or ITERS_FROM_SCRATCH, []
        # With the weight of the config so few steps only learn that most voxels are empty.
        options = ["voxel_ce_weight=1.0"]
    trained = f"{work_dir}/iter_{iters}.pth"
    run("synthetic data set", ["python", "tools/make_mini_kitti.py", "--out", args.data], args.data)
    run(
        f"training, {iters} steps",
        [
            "python", "tools/train.py", CONFIG, "--work-dir", work_dir, *start,
            "--cfg-options", f"train_cfg.max_iters={iters}", "batch_size=1",
            "default_hooks.logger.interval=20",
            # The next step evaluates; no need to do so twice.
            "val_cfg=None", "val_dataloader=None", "val_evaluator=None", *options,
        ],
        args.data,
    )  # fmt: skip
    run(
        "evaluation on streets that were not trained on",
        [
            "python", "tools/test.py", CONFIG, trained, "--work-dir", work_dir,
            "--out", f"{args.out}/predictions",
        ],
        args.data,
    )  # fmt: skip
    run(
        "predictions for pictures",
        [
            "python", "tools/save_vis.py", CONFIG, trained, "--out", f"{args.out}/results",
            "--max-frames", "4",
        ],
        args.data,
        quiet=True,
    )  # fmt: skip
    run(
        "pictures",
        [
            "python", "tools/visualization.py", f"{args.out}/results",
            "--out", f"{args.out}/pictures",
        ],
        args.data,
        quiet=True,
    )  # fmt: skip
    print(
        f"""The data are synthetic: they show the machinery; for KITTI see docs/data.md.
{args.out} has pictures/, predictions/ (official .label files), training/. Next, with .venv:
  python tools/visualization.py {args.out}/results --html    # turn the scene in a browser
  python tools/train.py {CONFIG}    # train on"""
    )


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    return run_tool("demo", demo, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
