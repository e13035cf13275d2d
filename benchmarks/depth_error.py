"""How well does each part of a trained network know the depth? Lidar of unseen streets tells.

For each distribution, of one image, of stereo, of both (current, if the history corrects it) and
the one that lifts the features (fused): the median error of the most probable bin and the mean of
-ln p(true bin), by distance. Cells without a lidar return do not count. A network of one image has
a single distribution, which stands as the fused one.

Examples:
  python benchmarks/depth_error.py projects/configs/occupancy/mini/stereoscene.py CKPT
  python benchmarks/depth_error.py CONFIG CKPT --frames 20 --json depth.json
  python benchmarks/depth_error.py CONFIG CKPT --cfg-options model.temporal.affinity=None
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from environment import describe_environment
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS
from tqdm import tqdm

from htcl.command_line import add_cfg_options, count, tool_parser
from htcl.config import load_config
from htcl.engine.runner import build_runner
from htcl.files import atomic_write
from htcl.models.interfaces import required_inputs

RANGES = ((2.0, 8.0), (8.0, 16.0), (16.0, 30.0), (30.0, 60.0))


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="its checkpoint")
    parser.add_argument("--frames", type=count, default=10, help="validation frames (default: 10)")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the mean of -ln p over all cells there"
    )
    add_cfg_options(parser, "num_history=1")
    return parser.parse_args(argv)


@torch.no_grad()
def errors(model: torch.nn.Module, sample: dict) -> dict[tuple[str, tuple], tuple]:
    """Errors in one frame.

    Args:
        model: The network, in eval mode.
        sample: A sample with ``depth_maps``.

    Returns:
        (distribution, range) -> (absolute errors in metres, values of -ln p), one for each cell.
    """
    batch = model.data_preprocessor(pseudo_collate([sample]), False)["inputs"]
    depth = model.extract_feat(batch).depth
    loss = next(loss for loss in model.losses if loss.on == "depth")
    bins = loss.target(batch["depth_maps"].flatten(0, 1), tuple(depth.prob.shape[-2:]))
    known = bins >= 0
    depths = loss.depth_bins.values()
    truth = depths[bins[known]]
    result = {}
    for name, prob in {**depth.unfused, "fused": depth.prob}.items():
        error = (depths[prob.argmax(dim=1)[known]] - truth).abs()
        chance = prob.gather(1, bins.clamp(min=0)[:, None])[:, 0][known]
        for near, far in RANGES:
            cells = (truth >= near) & (truth < far)
            surprise = -chance[cells].clamp(min=1e-6).log()
            result[name, (near, far)] = (error[cells].numpy(), surprise.numpy())
    return result


def main(argv: list[str] | None = None) -> int:
    """Measures and prints a table; returns the exit status."""
    args = parse_args(argv)
    print(describe_environment())
    cfg = load_config(args.config, args.cfg_options)
    model = build_runner(cfg, checkpoint=args.checkpoint).model.eval()
    # Validation frames with lidar, which only a training reads otherwise.
    inputs = required_inputs(model, training=True)
    dataset = DATASETS.build({**cfg.val_dataloader.dataset, "inputs": inputs})
    chosen = np.unique(np.linspace(0, len(dataset) - 1, args.frames).round().astype(int))
    found = defaultdict(list)
    for index in tqdm(chosen, unit="frame"):
        for key, values in errors(model, dataset[index]).items():
            found[key].append(values)
    print("| distribution | distance | median error | mean -ln p |\n| --- | --- | --- | --- |")
    for (name, (near, far)), values in found.items():
        error, surprise = (np.concatenate(parts) for parts in zip(*values, strict=True))
        if len(error):
            row = f"{np.median(error):.2f} m | {surprise.mean():.2f}"
            print(f"| {name} | {near:.0f} to {far:.0f} m | {row} |")
    if args.json:
        surprise = defaultdict(list)
        for (name, _), values in found.items():
            surprise[name] += [part for _, part in values]
        means = {name: float(np.concatenate(parts).mean()) for name, parts in surprise.items()}
        with atomic_write(args.json, "w") as file:
            file.write(json.dumps(means, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
