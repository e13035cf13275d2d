r"""Makes a small checkpoint to hand on (weights in float16), scores it, and writes its card.

Example:
  python tools/publish_checkpoint.py projects/configs/occupancy/mini/htcl_plus.py \
      work_dirs/mini/htcl_plus/iter_1000.pth pretrain/mini_htcl.pth
"""

from __future__ import annotations

import argparse
import functools
import shlex
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from htcl.command_line import add_cfg_options, run_tool, tool_parser
from htcl.files import atomic_write

if TYPE_CHECKING:
    from mmengine.config import Config

    from htcl.datasets.rig_range import Ranges


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
    parser.add_argument("config", help="config of the training")
    parser.add_argument("source", metavar="CKPT", type=Path, help="checkpoint of tools/train.py")
    parser.add_argument(
        "target", type=Path, metavar="OUT.pth", help="file to write; the card is OUT.md"
    )
    parser.add_argument("--command", help="what the card names as the way to make it again")
    parser.add_argument("--intro", default="", help="text at the top of the card")
    parser.add_argument("--force", action="store_true", help="overwrite OUT.pth and OUT.md")
    add_cfg_options(parser, "test_dataloader.num_workers=0")
    args = parser.parse_args(argv)
    for file in (args.target, args.target.with_suffix(".md")):
        if file.exists() and not args.force:
            parser.error(f"{file} exists; give --force to overwrite it")
    return args


def publish(args: argparse.Namespace, argv: list[str]) -> None:
    """Makes the small file, scores it, and writes it together with its card."""
    from htcl.checkpoint import publishing
    from htcl.config import load_config
    from htcl.engine.runner import build_runner, config_errors

    cfg = load_config(args.config, args.cfg_options)
    publishing.check_not_trained_on(cfg)
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / args.target.name
        meta = publishing.publish(args.source, small, lambda: training_rigs(cfg))
        runner = build_runner(cfg, work_dir=args.source.parent / "published", checkpoint=small)
        with config_errors(cfg):
            # The property builds the data set, which looks for its files.
            _ = runner.test_loop
        metrics = runner.test()
        command = args.command or shlex.join(["python", "tools/publish_checkpoint.py", *argv])
        facts = publishing.card(cfg, meta, metrics, small, command)
        intro = f"{args.intro}\n\n" if args.intro else ""
        card = args.target.with_suffix(".md")
        # Both or neither: a file without a card says nothing about itself.
        with atomic_write(args.target) as weights, atomic_write(card, "w") as text:
            text.write(f"# {args.target.name}\n\n{intro}{facts}")
            with small.open("rb") as file:
                shutil.copyfileobj(file, weights)
    print(f"{args.target}, {card}")


def training_rigs(cfg: Config) -> Ranges:
    """The ranges of the training's cameras, from at most 200 samples of its data."""
    from mmengine.registry import DATASETS, init_default_scope

    import htcl.plugin  # noqa: F401  Registers the data sets.
    from htcl.datasets.rig_range import joined, rig_of, road_height

    init_default_scope(cfg.get("default_scope", "mmengine"))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    ranges: Ranges = {}
    for index in range(0, len(dataset), max(len(dataset) // 200, 1)):
        sample = dataset[index]
        labels = sample["data_samples"].gt_voxels.semantics
        road = road_height(labels, dataset.specification)
        ranges = joined(ranges, rig_of(sample["inputs"], road))
    return ranges


def main(argv: list[str] | None = None) -> int:
    """Runs the tool; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    return run_tool("publish_checkpoint", functools.partial(publish, argv=argv), parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
