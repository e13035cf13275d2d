r"""Trains a config.

Examples:
  python tools/train.py projects/configs/occupancy/semantickitti/temporal_baseline.py
  python tools/train.py CONFIG --resume                     # go on from the newest checkpoint
  python tools/train.py CONFIG --cfg-options optim_wrapper.optimizer.lr=5e-5 \
    train_dataloader.batch_size=1
  bash run.sh CONFIG 8                                      # 8 GPUs (or 8 CPU processes)
"""

from __future__ import annotations

import argparse
import shlex
import sys

from mmengine.config import Config, DictAction


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file")
    parser.add_argument(
        "--work-dir", help="logs and checkpoints (default: work_dirs/<folder>/<config>)"
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="CKPT",
        help="go on from CKPT, or from the newest checkpoint of the work dir",
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
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="overrides of config keys, e.g. model.temporal.num_history=2",
    )
    parser.add_argument("--launcher", choices=("none", "pytorch", "slurm", "mpi"), default="none")
    return parser.parse_args(argv)


def apply_args(cfg: Config, args: argparse.Namespace) -> None:
    """Writes the command line's choices into ``cfg``.

    Raises:
        RuntimeError: If float16 is asked for without a GPU.
    """
    if args.resume == "auto":
        from mmengine.runner import find_latest_checkpoint

        from htcl.engine.runner import choose_work_dir

        found = find_latest_checkpoint(choose_work_dir(cfg, args.work_dir))
        cfg.resume = found is not None or args.load_from is None
        cfg.load_from = None if cfg.resume else args.load_from
    elif args.resume:
        cfg.resume, cfg.load_from = True, args.resume
    elif args.load_from:
        cfg.resume, cfg.load_from = False, args.load_from
    if args.seed is not None:
        cfg.randomness = {**cfg.get("randomness", {}), "seed": args.seed}
    if args.amp == "bfloat16":
        cfg.optim_wrapper.type = "BFloat16OptimWrapper"
    elif args.amp == "float16":
        import torch

        if not torch.cuda.is_available():
            raise RuntimeError("--amp float16 needs a GPU; on a CPU choose --amp bfloat16")
        cfg.optim_wrapper.type = "AmpOptimWrapper"
        cfg.optim_wrapper.dtype = "float16"
        cfg.optim_wrapper.loss_scale = "dynamic"


def resume_command(argv: list[str], work_dir: str) -> str:
    """The command that goes on with an interrupted run."""
    args = [arg for arg in argv if arg != "--resume"]
    if not any(arg.startswith("--work-dir") for arg in args):
        args += ["--work-dir", work_dir]
    return shlex.join(["python", "tools/train.py", *args, "--resume"])


def main(argv: list[str] | None = None) -> int:
    """Runs the training; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    args = parse_args(argv)
    from mmengine.runner import find_latest_checkpoint

    from htcl.engine.runner import build_runner, load_config

    try:
        cfg = load_config(args.config, args.cfg_options)
        apply_args(cfg, args)
        runner = build_runner(cfg, work_dir=args.work_dir, launcher=args.launcher)
        # The property builds the data set, which looks for its files.
        _ = runner.train_loop
    except (FileNotFoundError, ValueError, RuntimeError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    try:
        runner.train()
    except KeyboardInterrupt:
        latest = find_latest_checkpoint(runner.work_dir)
        print(
            f"\ntrain: stopped at iteration {runner.iter}; "
            f"newest checkpoint: {latest or 'none yet'}"
            f"\ngo on with: {resume_command(argv, runner.work_dir)}",
            file=sys.stderr,
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
