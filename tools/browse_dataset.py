"""Shows what the training sees: a picture a sample of all that the pipeline makes.

Left, right and history images, lidar by depth and by class on the image, the depth target at the
resolution of the features, and the voxel labels. What a config augments is shown augmented.

Examples:
  python tools/browse_dataset.py CONFIG
  python tools/browse_dataset.py CONFIG --split val --max-frames 3 --out outputs/look
  python tools/browse_dataset.py CONFIG --augment bev photo --seed 1
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from htcl.command_line import add_cfg_options, count, run_tool, tool_parser

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config

    from htcl.datasets.occupancy_dataset import OccupancyDataset

AUGMENTATIONS = {
    "bev": {
        "type": "BEVAugmentation",
        "flip_x_prob": 0.5,
        "flip_y_prob": 0.5,
        "rotation": (-22.5, 22.5),
        "scale": (0.95, 1.05),
    },
    "photo": {"type": "PhotometricJitter", "prob": 1.0},
}
# Image pixels that a feature cell is wide, in the shipped networks.
FEATURE_STRIDE = 8


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument("config", help="config file")
    parser.add_argument(
        "--split", choices=("train", "val", "test"), default="train", help="default: train"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="output (default: outputs/browse/<config>/<split>)"
    )
    parser.add_argument(
        "--max-frames", type=int, default=8, metavar="N", help="samples (default: 8; 0 for all)"
    )
    parser.add_argument(
        "--start", type=int, default=0, metavar="N", help="skip the first N samples"
    )
    parser.add_argument(
        "--every", type=count, default=1, metavar="N", help="show every N-th sample only"
    )
    parser.add_argument(
        "--augment",
        nargs="+",
        choices=tuple(AUGMENTATIONS),
        default=[],
        help="add augmentations that the config does not have: flip, turn and scale seen from "
        "above; brightness, contrast, colour",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the augmentation (default: 0)")
    parser.add_argument(
        "--row-height", type=int, default=240, metavar="PX", help="size (default: 240)"
    )
    add_cfg_options(parser, "data_root=...")
    args = parser.parse_args(argv)
    if args.max_frames < 0 or args.start < 0 or args.row_height < 60:
        parser.error("--max-frames and --start are 0 or more, --row-height 60 or more")
    args.out = args.out or Path("outputs/browse") / Path(args.config).stem / args.split
    return args


def build_dataset(cfg: Config, split: str, augment: list[str]) -> OccupancyDataset:
    """Builds the data set of a split, with added augmentations.

    Raises:
        InvalidValueError: If the config has no such data set.
    """
    from mmengine.registry import DATASETS, init_default_scope

    from htcl.errors import InvalidValueError
    from htcl.models.interfaces import required_inputs

    init_default_scope(cfg.get("default_scope", "mmengine"))
    key = "submission_dataloader" if split == "test" else f"{split}_dataloader"
    if key not in cfg:
        raise InvalidValueError(f"the config has no {key}, which --split {split} shows")
    dataset = cfg[key].dataset
    present = list(dataset.get("augmentations", []))
    types = {step["type"] for step in present}
    added = [AUGMENTATIONS[name] for name in augment if AUGMENTATIONS[name]["type"] not in types]
    changes = {
        "augmentations": [*present, *added],
        # Augmentation is for training, whatever the split.
        "test_mode": bool(dataset.get("test_mode")) and not added,
        "inputs": required_inputs(cfg.model, training=split == "train"),
    }
    return DATASETS.build({**dataset, **changes})


def depth_target(cfg: Config, inputs: dict[str, Any]) -> np.ndarray | None:
    """Depth that the config's depth loss asks of the feature cells, metres, 0 = none, (N, h, w)."""
    from mmengine.registry import MODELS

    losses = [loss for loss in cfg.model.losses if loss["type"] == "DepthSupervision"]
    if not losses or "depth_maps" not in inputs:
        return None
    loss = MODELS.build({**losses[0], "depth_bins": cfg.model.depth_bins})
    height, width = (side // FEATURE_STRIDE for side in inputs["cameras"].size)
    bins = loss.target(inputs["depth_maps"], (height, width)).numpy()
    # A bin stands for the depth of its middle.
    middle = loss.first_edge + (bins + 0.5) * loss.depth_bins.step
    return (middle * (bins >= 0)).astype("float32")


def browse(args: argparse.Namespace) -> None:
    """Writes the pictures."""
    from mmengine.runner import set_random_seed
    from tqdm import tqdm

    from htcl.config import load_config
    from htcl.engine.runner import config_errors
    from htcl.errors import InvalidValueError
    from htcl.visualization.saving import save_picture
    from htcl.visualization.training_sample import render_training_sample

    cfg = load_config(args.config, args.cfg_options)
    with config_errors(cfg):
        dataset = build_dataset(cfg, args.split, args.augment)
    set_random_seed(args.seed)
    indices = range(args.start, len(dataset), args.every)
    indices = indices[: args.max_frames] if args.max_frames else indices
    if not indices:
        raise InvalidValueError(f"--start {args.start}: the split has {len(dataset)} samples only")
    for index in tqdm(indices, desc="pictures", unit="sample"):
        sample = dataset[index]
        inputs, data_sample = sample["inputs"], sample["data_samples"]
        picture = render_training_sample(
            inputs, data_sample, depth_target(cfg, inputs), args.row_height
        )
        save_picture(picture, args.out / data_sample.sequence / f"{data_sample.frame}.png")
    print(f"{len(indices)} pictures in {args.out}")


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    return run_tool("browse_dataset", browse, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
