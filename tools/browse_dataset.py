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

from mmengine.config import DictAction

if TYPE_CHECKING:
    import numpy as np
    from mmengine.config import Config

LABEL_FACTORS = {"1_1": 1, "1_2": 2}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
        "--every", type=int, default=1, metavar="N", help="show every N-th sample only"
    )
    parser.add_argument(
        "--augment",
        nargs="+",
        choices=("bev", "photo"),
        default=[],
        help="add augmentations that the config does not have: flip, turn and scale seen from "
        "above; brightness, contrast, colour",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the augmentation (default: 0)")
    parser.add_argument(
        "--row-height", type=int, default=240, metavar="PX", help="size (default: 240)"
    )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="overrides of config keys, e.g. data_root=...",
    )
    args = parser.parse_args(argv)
    if args.max_frames < 0 or args.start < 0 or args.every < 1 or args.row_height < 60:
        parser.error("--max-frames and --start are 0 or more, --every 1, --row-height 60 or more")
    args.out = args.out or Path("outputs/browse") / Path(args.config).stem / args.split
    return args


def build_dataset(cfg: Config, split: str, augment: list[str]) -> Any:
    """Builds the data set of a split, with added augmentations."""
    from mmdet3d.registry import DATASETS
    from mmengine.registry import init_default_scope

    init_default_scope(cfg.get("default_scope", "mmdet3d"))
    key = "submission_dataloader" if split == "test" else f"{split}_dataloader"
    if key not in cfg:
        raise ValueError(f"the config has no {key}, which --split {split} shows")
    dataset = cfg[key].dataset
    if augment:
        dataset.pipeline = add_augmentations(list(dataset.pipeline), augment)
    return DATASETS.build(dataset)


def add_augmentations(pipeline: list[dict], augment: list[str]) -> list[dict]:
    """Puts augmentations before the last step, unless the pipeline has them."""
    scale = next((s.get("scale", "1_1") for s in pipeline if s["type"] == "LoadVoxelLabels"), "1_1")
    factor = LABEL_FACTORS.get(scale)
    if factor is None:
        raise ValueError(f"--augment bev cannot resample labels of scale {scale}")
    grid = {"voxel_size": 0.2 * factor, "size": tuple(n // factor for n in (256, 256, 32))}
    steps = {
        "bev": {
            "type": "BEVAugmentation",
            "flip_x_prob": 0.5,
            "flip_y_prob": 0.5,
            "rotation": (-22.5, 22.5),
            "scale": (0.95, 1.05),
            "grid": grid,
        },
        "photo": {"type": "PhotometricJitter", "prob": 1.0},
    }
    present = {step["type"] for step in pipeline}
    added = [steps[name] for name in augment if steps[name]["type"] not in present]
    return [*pipeline[:-1], *added, pipeline[-1]]


def depth_target(cfg: Config, inputs: dict[str, Any]) -> np.ndarray | None:
    """Depth in metres that the config's depth loss asks of each feature cell, 0 = none, (h, w)."""
    loss = cfg.model.get("loss_depth")
    if loss is None or "depth_map" not in inputs:
        return None
    from mmdet3d.registry import MODELS

    supervision = MODELS.build(loss)
    bins = supervision.target(inputs["depth_map"][None])[0].numpy()
    # A bin stands for the depth of its middle.
    middle = supervision.first_edge + (bins + 0.5) * supervision.depth_bins.step
    return (middle * (bins >= 0)).astype("float32")


def browse(args: argparse.Namespace) -> int:
    """Writes the pictures; returns their number."""
    from mmengine.runner import set_random_seed
    from PIL import Image
    from tqdm import tqdm

    from htcl.engine.runner import load_config
    from htcl.visualization.training_sample import render_training_sample

    cfg = load_config(args.config, args.cfg_options)
    dataset = build_dataset(cfg, args.split, args.augment)
    set_random_seed(args.seed)
    indices = range(args.start, len(dataset), args.every)
    indices = indices[: args.max_frames] if args.max_frames else indices
    if not indices:
        raise ValueError(f"--start {args.start}: the split has {len(dataset)} samples only")
    for index in tqdm(indices, desc="pictures", unit="sample"):
        sample = dataset[index]
        inputs, data_sample = sample["inputs"], sample["data_samples"]
        picture = render_training_sample(
            inputs, data_sample, depth_target(cfg, inputs), args.row_height
        )
        target = args.out / data_sample.sequence / f"{data_sample.frame}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(target)
    return len(indices)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    try:
        written = browse(args)
    except (FileNotFoundError, KeyError, ValueError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"browse_dataset: {message}", file=sys.stderr)
        return 1
    print(f"{written} pictures in {args.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
