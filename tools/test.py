"""Evaluates a checkpoint: prints the metric table, on one or many GPUs or CPU processes alike.

Examples:
  python tools/test.py CONFIG CKPT
  python tools/test.py CONFIG CKPT --out outputs/predictions      # also save official .label files
  bash tools/dist_test.sh CONFIG CKPT 8
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from htcl.command_line import add_cfg_options, add_precision, run_tool, tool_parser

if TYPE_CHECKING:
    from mmengine.runner import BaseLoop


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="checkpoint, ours or a released one")
    parser.add_argument("--work-dir", help="logs (default: work_dirs/<folder>/<config>)")
    parser.add_argument(
        "--out", metavar="DIR", help="save predictions as DIR/sequences/XX/predictions/*.label"
    )
    parser.add_argument(
        "--json",
        metavar="FILE",
        type=Path,
        help="also write the metrics to FILE, and to FILE.provenance.json where they come from",
    )
    parser.add_argument(
        "--frames",
        metavar="FILE.npz",
        type=Path,
        help="also write the confusion matrices of each frame, for tools/compare_scores.py",
    )
    parser.add_argument("--eval", help="accepted for the release's commands and ignored")
    add_precision(parser)
    add_cfg_options(parser, "test_dataloader.num_workers=0")
    parser.add_argument("--launcher", choices=("none", "pytorch", "slurm", "mpi"), default="none")
    return parser.parse_args(argv)


def evaluate(args: argparse.Namespace) -> None:
    """Runs the evaluation."""
    from mmengine.dist import is_main_process

    from htcl.config import load_config
    from htcl.engine.hooks.scores_file import scores_provenance
    from htcl.engine.runner import build_runner, config_errors
    from htcl.provenance import write_scores

    cfg = load_config(args.config, args.cfg_options)
    if args.out:
        hook = {"type": "PredictionWriterHook", "out_dir": args.out}
        cfg.custom_hooks = [*cfg.get("custom_hooks", []), hook]
    runner = build_runner(
        cfg,
        work_dir=args.work_dir,
        launcher=args.launcher,
        checkpoint=args.checkpoint,
        precision=args.precision,
    )
    with config_errors(cfg):
        # The property builds the data set, which looks for its files.
        _ = runner.test_loop
    metrics = runner.test()
    if args.json and is_main_process():
        write_scores(args.json, metrics, scores_provenance(runner, runner.test_loop))
    if args.frames and is_main_process():
        _write_frames(runner.test_loop, args.frames)


def _write_frames(loop: BaseLoop, path: Path) -> None:
    from htcl.errors import InvalidValueError
    from htcl.evaluation.paired import FrameScores
    from htcl.evaluation.ssc_metric import SSCMetric

    dataset = loop.dataloader.dataset
    if not any(getattr(metric, "by_sample", None) for metric in loop.evaluator.metrics):
        raise InvalidValueError(f"no frame has ground truth, so {path} was not written")
    (metric,) = (each for each in loop.evaluator.metrics if isinstance(each, SSCMetric))
    infos = {number: dataset.get_data_info(number) for number in metric.by_sample}
    by_frame = {
        f"{infos[number]['sequence']}/{infos[number]['frame']}": matrices
        for number, matrices in metric.by_sample.items()
    }
    FrameScores.of(by_frame, dataset.specification).write(path)


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    return run_tool("test", evaluate, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
