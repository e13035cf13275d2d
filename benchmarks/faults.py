"""Kills trainings at random moments and looks whether they end as if nothing had happened.

A tiny network (one image, 6 steps with augmentation, a checkpoint after every second step, two
evaluations) trains once in one go. Then it is started again and again in a folder of its own,
killed by SIGKILL with all its processes, in turn in a step, while it writes a checkpoint and in
an evaluation, and resumed by the same command. A resumed run must end by itself, with weights,
optimiser, schedule, scores, names of the checkpoints and rows of the log that are the same to the
bit as those of the run in one go, on a CPU.

Finished trials are kept: the same command goes on where it was stopped.

Examples:
  python benchmarks/faults.py --kills 6
  python benchmarks/faults.py --kills 30 --page docs/reliability.md     # its table too
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from environment import describe_environment
from page_section import write_section

from htcl.checkpoint.loading import load_checkpoint_file
from htcl.files import atomic_write

ROOT = Path(__file__).resolve().parents[1]
MOMENTS = ("in a step", "while writing a checkpoint", "in an evaluation")
STEPS = 6
CONFIG = """\
_base_ = [{base!r}]
model = dict(stereo=None, depth_fusion=None, temporal=None, temporal_fusion=None)
augmentations = [dict(type="PhotometricJitter", prob=1.0)]
batch_size = 1
num_workers = 1
train_cfg = dict(max_iters={steps}, val_begin=1, val_interval=3)
param_scheduler = [dict(type="LinearLR", by_epoch=False, begin=0, end={steps}, start_factor=0.1)]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2, save_best="IoU"))
custom_hooks = [dict(type="LossTransferHook")]
visualizer = dict(vis_backends=[dict(type="LocalVisBackend")])
"""
# How long a run may take before it counts as stuck, seconds.
_PATIENCE = 1800


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30, help="runs to kill (default: 30)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/faults"))
    parser.add_argument("--data", help="root of the streets (default: MINI_KITTI_ROOT, data/mini)")
    parser.add_argument("--page", type=Path, help="write the table into this page's section")
    return parser.parse_args(argv)


def start(config: Path, folder: Path, data: str | None) -> subprocess.Popen[bytes]:
    """Starts a training in a folder, or goes on with it; its output goes to ``folder/said.txt``."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "tools/train.py", str(config.resolve())]
    command += ["--work-dir", str(folder.resolve()), "--resume"]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    if data:
        env["MINI_KITTI_ROOT"] = str(Path(data).resolve())
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=said, stderr=said, start_new_session=True
        )


def finish(run: subprocess.Popen[bytes]) -> int:
    """Waits for a run; returns its exit status, or ends it and returns -1 if it is stuck."""
    try:
        return run.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        kill(run)
        return -1


def kill(run: subprocess.Popen[bytes]) -> None:
    """Ends a run and its loaders at once, without a chance to tidy up."""
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def kill_when(run: subprocess.Popen[bytes], due: Callable[[], bool]) -> bool:
    """Kills a run as soon as it is due; False if it ended before."""
    deadline = time.monotonic() + _PATIENCE
    while run.poll() is None and time.monotonic() < deadline:
        if due():
            kill(run)
            return True
        time.sleep(0.002)
    return False


def moment(kind: str, folder: Path, draw: random.Random) -> Callable[[], bool]:
    """When to kill: a condition on what a run has written so far, at a random place."""
    said = folder / "said.txt"
    begun = said.stat().st_size if said.is_file() else 0
    after: list[float] = []
    delay = draw.uniform(0, 1)

    def lines(pattern: bytes) -> int:
        if not said.is_file():
            return 0
        with said.open("rb") as file:
            file.seek(begun)
            return len(re.findall(pattern, file.read()))

    def later(reached: bool) -> bool:
        if reached and not after:
            after.append(time.monotonic())
        return bool(after) and time.monotonic() - after[0] >= delay

    if kind == MOMENTS[0]:
        step = draw.randrange(1, STEPS)
        return lambda: later(lines(rb"Iter\(train\)") >= step)
    if kind == MOMENTS[1]:
        files = draw.randrange(1, 6)
        seen: set[str] = set()

        def writing() -> bool:
            parts = {path.name for path in folder.glob(".*.pth.*.part")}
            seen.update(parts)
            return bool(parts) and len(seen) >= files

        return writing
    frames = draw.randrange(1, 9)
    return lambda: later(lines(rb"Iter\(val\) +\[\d+/\d+\] +eta") >= frames)


def digest(part: Any) -> str:
    """SHA-256 over all tensors' bytes and the text of everything else, with their places."""
    sha = hashlib.sha256()

    def add(place: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                add(f"{place}/{key}", item)
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                add(f"{place}/{index}", item)
        elif isinstance(value, torch.Tensor):
            sha.update(f"{place} {value.dtype} {tuple(value.shape)} ".encode())
            sha.update(value.contiguous().numpy().tobytes())
        else:
            sha.update(f"{place} {value!r} ".encode())

    add("", part)
    return sha.hexdigest()


def outcome(folder: Path) -> dict[str, Any]:
    """What a finished training leaves, without hours and durations."""
    found: dict[str, Any] = {"files": sorted(path.name for path in folder.glob("*.pth"))}
    for path in sorted(folder.glob("*.pth")):
        content = load_checkpoint_file(path)
        for part in ("state_dict", "optimizer", "param_schedulers"):
            found[f"{path.name} {part}"] = digest(content.get(part))
        info = content["message_hub"]["runtime_info"]
        found[f"{path.name} best"] = repr(info.get("best_score"))
    rows: dict[str, Any] = {}
    for log in sorted(folder.glob("*/vis_data/scalars.json")):
        for line in log.read_text().splitlines():
            # A line that the kill cut short is written again by the resumed run.
            if line.endswith("}"):
                row = {k: v for k, v in json.loads(line).items() if "time" not in k}
                rows[f"{'train' if 'loss' in row else 'val'} {row['step']}"] = row
    return {**found, "log": rows}


def differences(whole: dict[str, Any], resumed: dict[str, Any]) -> list[str]:
    """Names of what differs between two outcomes."""
    names = dict.fromkeys([*whole, *resumed])
    return [name for name in names if whole.get(name) != resumed.get(name)]


def trial(number: int, config: Path, args: argparse.Namespace, whole: dict[str, Any]) -> dict:
    """Kills one run, resumes it and compares."""
    draw = random.Random(f"{args.seed} {number}")
    kind = MOMENTS[number % len(MOMENTS)]
    folder = args.work_dir / f"trial_{number}"
    shutil.rmtree(folder, ignore_errors=True)
    killed = kill_when(start(config, folder, args.data), moment(kind, folder, draw))
    left = sorted(path.name for path in folder.glob("*.pth"))
    status = finish(start(config, folder, args.data))
    different = differences(whole, outcome(folder)) if status == 0 else []
    if killed and status == 0 and not different:
        # Else it stays to be looked at.
        shutil.rmtree(folder)
    return {
        "moment": kind, "killed": killed, "files": left, "status": status, "differs": different
    }  # fmt: skip


def table(trials: list[dict[str, Any]], command: str) -> str:
    """Markdown table of what happened, by moment of the kill."""
    lines = ["| killed | tried | ended as the run in one go | ended otherwise | did not end well |"]
    lines.append("| --- | --- | --- | --- | --- |")
    counted = [done for done in trials if done["killed"]]
    for kind in (*MOMENTS, "all"):
        of_kind = [done for done in counted if kind in (done["moment"], "all")]
        failed = sum(done["status"] != 0 for done in of_kind)
        wrong = sum(bool(done["differs"]) for done in of_kind)
        same = len(of_kind) - failed - wrong
        lines.append(f"| {kind} | {len(of_kind)} | {same} | {wrong} | {failed} |")
    missed = len(trials) - len(counted)
    if missed:
        lines += ["", f"{missed} more runs ended before their moment came and count for nothing."]
    return "\n".join([*lines, "", f"`{command}`: {describe_environment()}."]) + "\n"


def run_trials(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Makes the trials that are not there yet; returns all."""
    args.work_dir.mkdir(parents=True, exist_ok=True)
    config = args.work_dir / "config.py"
    base = str(ROOT / "tests" / "data" / "tiny_htcl.py")
    config.write_text(CONFIG.format(base=base, steps=STEPS))
    results = args.work_dir / "faults.json"
    kept = json.loads(results.read_text()) if results.is_file() else {"trials": []}
    if "whole" not in kept:
        folder = args.work_dir / "whole"
        shutil.rmtree(folder, ignore_errors=True)
        if finish(start(config, folder, args.data)):
            raise RuntimeError(f"the run in one go failed: see {folder / 'said.txt'}")
        kept["whole"] = outcome(folder)
    trials = kept["trials"]
    while len(trials) < args.kills:
        begun = time.monotonic()
        trials.append(trial(len(trials), config, args, kept["whole"]))
        with atomic_write(results, "w") as file:
            file.write(json.dumps(kept, indent=1) + "\n")
        last = trials[-1]
        said = f"differs in {', '.join(last['differs'][:3])}" if last["differs"] else "same"
        said = said if last["status"] == 0 else f"exit status {last['status']}"
        said = said if last["killed"] else f"ended before its moment; {said}"
        seconds = time.monotonic() - begun
        print(f"{len(trials)}/{args.kills} {last['moment']}: {said} ({seconds:.0f} s)", flush=True)
    return list(trials)


def main(argv: list[str] | None = None) -> int:
    """Runs the check; returns 1 if a resumed run failed or ended otherwise."""
    args = parse_args(argv)
    trials = run_trials(args)
    text = table(trials, f"python benchmarks/faults.py --kills {args.kills}")
    print(text)
    if args.page:
        write_section(args.page, "faults", text)
    return int(any(done["status"] != 0 or done["differs"] for done in trials))


if __name__ == "__main__":
    sys.exit(main())
