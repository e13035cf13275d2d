r"""Makes a small checkpoint to hand on (weights in float16), scores it, and writes its card.

Example:
  python tools/publish_checkpoint.py projects/configs/occupancy/mini/htcl_egopose.py \
      work_dirs/mini_htcl/iter_1000.pth pretrain/mini_htcl.pth
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from pathlib import Path

from mmengine.config import DictAction


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config of the training")
    parser.add_argument("source", metavar="CKPT", help="checkpoint of tools/train.py")
    parser.add_argument(
        "target", type=Path, metavar="OUT.pth", help="file to write; the card is OUT.md"
    )
    parser.add_argument("--command", help="what the card names as the way to make it again")
    parser.add_argument("--intro", default="", help="text at the top of the card")
    parser.add_argument("--force", action="store_true", help="overwrite OUT.pth and OUT.md")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="overrides of config keys, e.g. test_dataloader.num_workers=0",
    )
    args = parser.parse_args(argv)
    if args.target.exists() and not args.force:
        parser.error(f"{args.target} exists; give --force to overwrite it")
    return args


def main(argv: list[str] | None = None) -> int:
    """Publishes; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    args = parse_args(argv)
    from htcl.checkpoint.publishing import card, publish
    from htcl.engine.runner import build_runner, load_config

    try:
        cfg = load_config(args.config, args.cfg_options)
        work_dir = Path(args.source).parent / "published"
        small = work_dir / args.target.name
        meta = publish(args.source, small)
        runner = build_runner(cfg, work_dir=work_dir, checkpoint=small)
        # The property builds the data set, which looks for its files.
        _ = runner.test_loop
    except (FileNotFoundError, ValueError, RuntimeError) as error:
        print(f"publish_checkpoint: {error}", file=sys.stderr)
        return 1
    metrics = runner.test()
    # Only now: a file without a card says nothing about itself.
    args.target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(small, args.target)
    command = args.command or shlex.join(["python", "tools/publish_checkpoint.py", *argv])
    text = card(cfg, meta, metrics, args.target.stat().st_size, command)
    title = f"# {args.target.name}\n\n"
    intro = f"{args.intro}\n\n" if args.intro else ""
    args.target.with_suffix(".md").write_text(title + intro + text)
    print(f"{args.target}, {args.target.with_suffix('.md')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
