"""Prints parameters, FLOPs and peak memory of a config's model, part by part.

By default nothing is computed: shapes alone run through the network, so the full-size one takes
seconds on any machine. Two operations count for one multiply-add. Memory is that of the tensors
alive at once in a prediction by the operators of a GPU (weights, inputs, activations; not the
workspace of convolutions); with --device cuda it is what the GPU's allocator really held.

--training also estimates, from shapes too, the memory of a training step: with the checkpointing
of the config and with none, which saves time where it fits (half a minute each at full size).
--device cuda without a GPU prints both, and says that they are estimates.

Examples:
  python tools/model_info.py CONFIG
  python tools/model_info.py CONFIG --size 256 832 --batch-size 2
  python tools/model_info.py CONFIG --training --amp bfloat16    # does it fit in 24 GiB?
  python tools/model_info.py CONFIG --device cuda                # measure on a GPU, with time
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htcl.command_line import add_cfg_options, count, run_tool, tool_parser
from htcl.files import atomic_write

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument("config", help="config file")
    parser.add_argument(
        "--size",
        type=count,
        nargs=2,
        metavar=("H", "W"),
        help="size of the network image (default: the config's)",
    )
    parser.add_argument("--batch-size", type=count, default=1, metavar="N", help="default: 1")
    parser.add_argument(
        "--device",
        default="none",
        help="none (default) runs shapes alone; cpu or cuda run the network with random weights",
    )
    parser.add_argument(
        "--training", action="store_true", help="also estimate the memory of a training step"
    )
    parser.add_argument(
        "--amp", choices=("float16", "bfloat16"), help="in half precision; not with --device cpu"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers to FILE")
    add_cfg_options(parser, "model.temporal=None model.temporal_fusion=None")
    args = parser.parse_args(argv)
    if args.amp and args.device == "cpu":
        parser.error("--amp needs --device cuda or none")
    return args


def report(args: argparse.Namespace) -> None:
    """Measures and prints."""
    import torch

    from htcl.config import load_config
    from htcl.engine.model_statistics import format_statistics, measure
    from htcl.engine.synthetic_input import set_input_size

    cfg = load_config(args.config, args.cfg_options)
    if args.size is not None:
        set_input_size(cfg, tuple(args.size))
    missing = args.device.startswith("cuda") and not torch.cuda.is_available()
    device = "none" if missing else args.device
    machine = machine_versions(device)
    found = measure(cfg, device, args.batch_size, args.amp)
    print(f"config      {args.config}")
    for name, value in machine.items():
        print(f"{name:<11} {value}")
    if missing:
        print("estimated   no GPU here that PyTorch can use: all numbers follow from shapes")
    print(format_statistics(found), flush=True)
    content = {"config": str(args.config), "machine": machine, **dataclasses.asdict(found)}
    if args.training or missing:
        content["training"] = training(cfg, args)
    if args.json:
        with atomic_write(args.json, "w") as file:
            file.write(json.dumps(content, indent=2) + "\n")
        print(f"numbers: {args.json}")


def training(cfg: Config, args: argparse.Namespace) -> dict[str, Any]:
    """Estimates and prints the memory of a training step; returns the numbers for JSON."""
    from htcl.engine.training_memory import estimate_training_memory, format_training

    estimates = {}
    if cfg.model.get("checkpointing"):
        name = "the config's checkpointing"
        estimates[name] = estimate_training_memory(cfg, args.batch_size, args.amp)
        cfg.model.checkpointing = []
    estimates["no checkpointing"] = estimate_training_memory(cfg, args.batch_size, args.amp)
    print(format_training(estimates, args.batch_size, args.amp))
    return {name: dataclasses.asdict(found) for name, found in estimates.items()}


def machine_versions(device: str) -> dict[str, str]:
    """Machine and versions, for a report that another can repeat."""
    import numpy as np
    import torch

    hardware = platform.processor() or platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        hardware = f"{names[0]} ({len(names)} threads)" if names else hardware
    if device.startswith("cuda"):
        hardware = torch.cuda.get_device_name(device)
    if device == "none":
        hardware += ", nothing computed"
    versions = f"Python {platform.python_version()}, PyTorch {torch.__version__}"
    if torch.version.cuda:
        versions += f", CUDA {torch.version.cuda}"
    return {"machine": hardware, "versions": f"{versions}, numpy {np.__version__}"}


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    return run_tool("model_info", report, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
