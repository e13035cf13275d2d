r"""Trains a config.

Examples:
  python tools/train.py projects/configs/occupancy/semantickitti/temporal_baseline.py
  python tools/train.py CONFIG --resume                     # go on from the newest checkpoint
  python tools/train.py CONFIG --cfg-options optim_wrapper.optimizer.lr=5e-5 \
    train_dataloader.batch_size=1
  python tools/train.py CONFIG --minutes 12 --amp           # what 12 minutes of a GPU can do
  bash run.sh CONFIG 8                                      # 8 GPUs (or 8 CPU processes)
"""

from __future__ import annotations

import argparse
import functools
import os
import shlex
import sys
from typing import TYPE_CHECKING

from htcl.command_line import add_cfg_options, positive, run_tool, tool_parser

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument("config", help="config file")
    parser.add_argument(
        "--work-dir", help="logs and checkpoints (default: work_dirs/<folder>/<config>)"
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CKPT",
        help="go on from CKPT, or from the newest checkpoint of the work dir that is whole; "
        "without any, begin",
    )
    parser.add_argument(
        "--load-from",
        metavar="CKPT",
        help="start from these weights; with --resume, unless there is something to go on from",
    )
    parser.add_argument("--seed", type=int, help="random seed (default: the config's)")
    parser.add_argument(
        "--amp",
        nargs="?",
        const="bfloat16",
        choices=("bfloat16", "float16"),
        help="automatic mixed precision; float16 needs a GPU (default type: bfloat16)",
    )
    parser.add_argument(
        "--minutes",
        type=positive,
        metavar="M",
        help="train for M minutes, evaluations included, in place of the config's number of steps; "
        "the learning rate follows the time (configs that go by steps)",
    )
    add_cfg_options(parser, "model.temporal.num_history=2")
    parser.add_argument("--launcher", choices=("none", "pytorch", "slurm", "mpi"), default="none")
    return parser.parse_args(argv)


def apply_args(cfg: Config, args: argparse.Namespace) -> None:
    """Writes the command line's choices into ``cfg``.

    Raises:
        InvalidValueError: If float16 is asked for without a GPU.
    """
    if args.resume == "auto":
        from htcl.checkpoint.resuming import checkpoints_of
        from htcl.engine.runner import choose_work_dir

        found = checkpoints_of(choose_work_dir(cfg, args.work_dir))
        cfg.resume = bool(found) or args.load_from is None
        cfg.load_from = None if cfg.resume else args.load_from
    elif args.resume:
        cfg.resume, cfg.load_from = True, args.resume
    elif args.load_from:
        cfg.resume, cfg.load_from = False, args.load_from
    if args.minutes:
        from htcl.engine.hooks.time_budget import train_for

        train_for(cfg, args.minutes)
    if args.seed is not None:
        cfg.randomness = {**cfg.get("randomness", {}), "seed": args.seed}
    if args.amp == "bfloat16":
        cfg.optim_wrapper.type = "BFloat16OptimWrapper"
    elif args.amp == "float16":
        import torch

        from htcl.errors import InvalidValueError

        if not torch.cuda.is_available():
            raise InvalidValueError("--amp float16 needs a GPU; on a CPU choose --amp bfloat16")
        cfg.optim_wrapper.type = "AmpOptimWrapper"
        cfg.optim_wrapper.dtype = "float16"
        cfg.optim_wrapper.loss_scale = "dynamic"


def resume_command(argv: list[str], work_dir: str, newest: str | None = None) -> str:
    """The command that goes on with an interrupted run.

    Args:
        argv: The run's arguments.
        work_dir: Its work dir.
        newest: The newest checkpoint in there; None if there is none.

    Returns:
        A command line, through the launching script if the run has several processes.
    """
    args = parse_args(argv)
    words = [args.config, "--work-dir", args.work_dir or work_dir]
    for option in ("load_from", "seed", "amp", "minutes"):
        value = getattr(args, option)
        if value is not None:
            words += [f"--{option.replace('_', '-')}", str(value)]
    if args.cfg_options:
        words += ["--cfg-options", *args.cfg_options]
    # Without a checkpoint of its own the run begins again where it began.
    begun_from = args.resume if newest is None and args.resume not in (None, "auto") else None
    words += ["--resume", *([begun_from] if begun_from else [])]
    return _start_command(args.launcher, words)


def _start_command(launcher: str, words: list[str]) -> str:
    """The command that gives ``words`` to this tool under a launcher."""
    given = os.environ.get
    if launcher == "pytorch":
        processes = given("LOCAL_WORLD_SIZE", given("WORLD_SIZE", "1"))
        places = [
            f"{name}={shlex.quote(os.environ[name])} "
            for name in ("NNODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT")
            if given("NNODES", "1") != "1" and name in os.environ
        ]
        return "".join(places) + shlex.join(["bash", "run.sh", words[0], processes, *words[1:]])
    if launcher == "slurm":
        job = [given("SLURM_JOB_PARTITION", "PARTITION"), given("SLURM_JOB_NAME", "htcl")]
        command = shlex.join(["bash", "tools/slurm_train.sh", *job, *words])
        return f"GPUS={given('SLURM_NTASKS', '1')} {command}"
    if launcher == "mpi":
        start = ["mpirun", "-n", given("OMPI_COMM_WORLD_SIZE", "1")]
        return shlex.join([*start, "python", "tools/train.py", *words, "--launcher", "mpi"])
    return shlex.join(["python", os.path.relpath(__file__), *words])


def train(args: argparse.Namespace, argv: list[str]) -> int:
    """Runs the training; returns the exit status."""
    from htcl.checkpoint.resuming import checkpoints_of
    from htcl.config import load_config
    from htcl.engine.runner import build_runner, config_errors

    cfg = load_config(args.config, args.cfg_options)
    apply_args(cfg, args)
    runner = build_runner(cfg, work_dir=args.work_dir, launcher=args.launcher)
    with config_errors(cfg):
        # The property builds the data set, which looks for its files.
        _ = runner.train_loop
    try:
        runner.train()
    except KeyboardInterrupt:
        latest = next(map(str, checkpoints_of(runner.work_dir)), None)
        print(
            f"\ntrain: stopped at iteration {runner.iter}; "
            f"newest checkpoint: {latest or 'none yet'}"
            f"\ngo on with: {resume_command(argv, runner.work_dir, latest)}",
            file=sys.stderr,
        )
        return 130
    return 0


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    return run_tool("train", functools.partial(train, argv=argv), parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
