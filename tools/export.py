"""Writes a network as a program that runs without this package: torch.export or ONNX.

A program of --format torch runs wherever torch is (torch.export.load); one of --format onnx in any
ONNX runtime, without torch. Calibration and motion are inputs, so that one program serves every rig
of as many cameras, images of this size and as long a history. docs/export.md says what goes in and
comes out, and has a script of 30 lines that runs a program with onnxruntime and numpy alone.

It is checked before it is written: on the last sample of the config's test data, program and
network must agree but for rounding. --inputs also keeps that sample, as an .npz that the script
reads. ONNX needs three packages: pip install 'htcl[export]'.

Examples:
  python tools/export.py CONFIG CKPT --format onnx --out net.onnx --inputs sample.npz
  python tools/export.py CONFIG CKPT --format torch --out net.pt2 --cfg-options data_root=/data
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from htcl.command_line import add_cfg_options, run_tool, tool_parser
from htcl.files import atomic_write

if TYPE_CHECKING:
    from htcl.models.htcl import HTCL


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="checkpoint, ours or a released one")
    parser.add_argument("--format", choices=("torch", "onnx"), required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the program")
    parser.add_argument(
        "--inputs", type=Path, metavar="FILE", help="also write the inputs of the check, as .npz"
    )
    add_cfg_options(parser, "data_root=data/mini")
    return parser.parse_args(argv)


def export_network(args: argparse.Namespace) -> None:
    """Exports and says how well it agrees."""
    import numpy as np
    from mmengine.registry import DATASETS

    from htcl.config import load_config
    from htcl.engine.export import ExportableNetwork, export
    from htcl.engine.runner import load_predictor

    cfg = load_config(args.config, args.cfg_options)
    model = cast("HTCL", load_predictor(cfg, args.checkpoint, "cpu", "fp32").module)
    wanted = {"inputs": sorted(model.required_inputs), "labels": False}
    # The last one has a history; before the first frame of a sequence its own image stands in.
    sample = DATASETS.build({**cfg.test_dataloader.dataset, **wanted})[-1]["inputs"]
    network = ExportableNetwork(model, sample)
    inputs = network.inputs(sample)
    deviation = export(network, inputs, args.out, args.format)
    print(
        f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB. On one sample it differs from the "
        f"network in {100 * deviation.voxels:.4f} % of the voxels, by at most "
        f"{deviation.score:.2g} in their logits and {deviation.depth:.2g} m in depth"
    )
    for name, value in inputs.items():
        print(f"  {name} {tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}")
    if args.inputs:
        with atomic_write(args.inputs) as file:
            arrays: dict[str, Any] = {name: value.numpy() for name, value in inputs.items()}
            np.savez_compressed(file, **arrays)
        print(f"{args.inputs}: these inputs")


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    return run_tool("export", export_network, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
