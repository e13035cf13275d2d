"""Predicts the hidden test sequences and packs the archive for the benchmark's server.

A second call goes on where the first one stopped. The archive is written when all frames are there,
and then checked by the server's rules.

Examples:
  python tools/make_submission.py CONFIG CKPT --out submission.zip
  python tools/make_submission.py CONFIG CKPT --out submission.zip --description about.txt
  python tools/make_submission.py --check submission.zip CONFIG       # against the data's frames
  python tools/make_submission.py --check submission.zip              # without the data

docs/submission.md says how to upload it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import DictAction

if TYPE_CHECKING:
    from mmengine.config import Config

    from htcl.evaluation.submission import Frames

MADE_WITH = "made_with.json"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", nargs="?", help="config with a submission_dataloader")
    parser.add_argument("checkpoint", nargs="?", help="checkpoint, ours or a released one")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("submission.zip"),
        help="the archive (default: %(default)s)",
    )
    parser.add_argument(
        "--check", type=Path, metavar="ZIP", help="only check an archive that is there already"
    )
    parser.add_argument(
        "--work-dir",
        type=Path,
        metavar="DIR",
        help="predictions, kept between calls (default: <out without .zip>_predictions)",
    )
    parser.add_argument(
        "--restart", action="store_true", help="delete the predictions of earlier calls first"
    )
    parser.add_argument(
        "--sequences", nargs="+", metavar="XX", help="sequences (default: the config's, else 11-21)"
    )
    parser.add_argument(
        "--description", type=Path, metavar="FILE", help="text file to add as description.txt"
    )
    parser.add_argument("--device", help="such as cpu or cuda:0 (default: a GPU if there is one)")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="overrides of config keys, e.g. submission_dataloader.num_workers=0",
    )
    args = parser.parse_args(argv)
    if args.check is None and (args.config is None or args.checkpoint is None):
        parser.error("CONFIG and CKPT are needed to make a submission (or --check ZIP)")
    if args.out.suffix != ".zip":
        parser.error(f"--out must end in .zip, got {args.out}")
    if args.work_dir is None:
        args.work_dir = args.out.with_name(f"{args.out.stem}_predictions")
    return args


def prepare_config(args: argparse.Namespace) -> Config:
    """Reads the config and sets the sequences in its submission_dataloader."""
    from htcl.engine.runner import load_config
    from htcl.evaluation.submission import SEQUENCES

    cfg = load_config(args.config, args.cfg_options)
    if "submission_dataloader" not in cfg:
        raise ValueError(f"{args.config} has no submission_dataloader, which names the test frames")
    dataset = cfg.submission_dataloader.dataset
    dataset.sequences = tuple(args.sequences or dataset.get("sequences") or SEQUENCES)
    if set(dataset.sequences) != set(SEQUENCES):
        print(
            f"note: sequences {', '.join(dataset.sequences)}; the server wants "
            f"{SEQUENCES[0]}-{SEQUENCES[-1]}"
        )
    return cfg


def find_frames(cfg: Config) -> Frames:
    """Lists the frames that the archive must hold."""
    from htcl.datasets.layout import KittiLayout
    from htcl.evaluation.submission import expected_frames

    dataset = cfg.submission_dataloader.dataset
    return expected_frames(KittiLayout(dataset.get("data_root")), dataset.sequences)


def claim_work_dir(args: argparse.Namespace, cfg: Config) -> None:
    """Makes sure that a work folder holds predictions of one set of weights only.

    Raises:
        FileNotFoundError: If the checkpoint does not exist.
        ValueError: If the folder belongs to other weights or another config.
    """
    if not Path(args.checkpoint).is_file():
        raise FileNotFoundError(f"checkpoint {args.checkpoint!r} does not exist")
    with open(args.checkpoint, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # What a prediction depends on; another number of workers or data root changes nothing.
    network = json.dumps(
        [cfg.model.to_dict(), cfg.submission_dataloader.dataset.to_dict()["pipeline"]], default=str
    )
    made_with = {
        "config": hashlib.sha256(network.encode()).hexdigest(),
        "checkpoint": digest,
    }
    if args.restart and args.work_dir.is_dir():
        if not (args.work_dir / MADE_WITH).is_file():
            raise ValueError(
                f"{args.work_dir} is no work folder of this tool, so it is not deleted"
            )
        shutil.rmtree(args.work_dir)
    note = args.work_dir / MADE_WITH
    if note.is_file():
        before = json.loads(note.read_text())
        differing = [key for key in made_with if before.get(key) != made_with[key]]
        if differing:
            raise ValueError(
                f"{args.work_dir} holds predictions of another {' and '.join(differing)}: choose "
                "another --work-dir, or --restart to predict anew"
            )
    else:
        args.work_dir.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(made_with, indent=2) + "\n")


def predict_missing(args: argparse.Namespace, cfg: Config, frames: Frames) -> int:
    """Predicts the frames that the work folder lacks; returns their number."""
    from htcl.evaluation.submission import unfinished

    todo = set(unfinished(args.work_dir, frames))
    total = sum(len(names) for names in frames.values())
    print(f"{total - len(todo)} of {total} frames are predicted already in {args.work_dir}")
    if todo:
        predict(args, cfg, todo)
    return len(todo)


def predict(args: argparse.Namespace, cfg: Config, todo: set[tuple[str, str]]) -> None:
    """Predicts some frames and writes them, each in one step."""
    import torch
    from mmengine.device import get_device
    from mmengine.runner import Runner
    from tqdm import tqdm

    from htcl.apis.model_loading import load_model
    from htcl.datasets.labels import TRAIN_TO_RAW
    from htcl.datasets.voxel_files import write_voxel_labels
    from htcl.evaluation.submission import label_path

    model = load_model(cfg, args.checkpoint, args.device or get_device())
    loader = build_loader(Runner, cfg, todo)
    with torch.inference_mode(), tqdm(total=len(todo), desc="frames", unit="frame") as bar:
        for batch in loader:
            for sample in model.test_step(batch):
                raw = TRAIN_TO_RAW[sample.pred_voxels.semantics.cpu().numpy()]
                path = label_path(args.work_dir, sample.sequence, sample.frame)
                write_voxel_labels(path, raw)
                bar.update()


def build_loader(runner: Any, cfg: Config, todo: set[tuple[str, str]]) -> Any:
    """Builds the loader of the frames that are still to be predicted."""
    from mmdet3d.registry import DATASETS

    dataset = DATASETS.build(cfg.submission_dataloader.dataset)
    wanted = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        if (info["sequence"], info["frame"]) in todo:
            wanted.append(index)
    dataset.get_subset_(wanted)
    return runner.build_dataloader({**cfg.submission_dataloader, "dataset": dataset})


def check(path: Path, frames: Frames | None, sequences: list[str] | None) -> bool:
    """Checks an archive and says what is wrong with it; returns whether it is sound."""
    from tqdm import tqdm

    from htcl.evaluation.submission import MAX_LISTED, SEQUENCES, check_submission

    with tqdm(desc="checking", unit="frame", total=_total(frames)) as bar:
        problems = check_submission(path, frames, sequences or SEQUENCES, on_frame=bar.update)
        checked = bar.n
    for problem in problems[:MAX_LISTED]:
        print(f"  {problem}", file=sys.stderr)
    if len(problems) > MAX_LISTED:
        print(f"  ... and {len(problems) - MAX_LISTED} more", file=sys.stderr)
    if problems:
        print(f"make_submission: {path} would be refused ({len(problems)})", file=sys.stderr)
    else:
        unsure = "" if frames is not None else "; not compared with the data's frames: no CONFIG"
        print(f"{path} is sound: {checked} frames{unsure}")
    return not problems


def _total(frames: Frames | None) -> int | None:
    return None if frames is None else sum(len(names) for names in frames.values())


def run(args: argparse.Namespace) -> bool:
    """Makes or checks an archive; returns whether it is sound."""
    cfg = frames = None
    if args.config is not None:
        cfg = prepare_config(args)
        frames = find_frames(cfg)
    if args.check is not None:
        return check(args.check, frames, args.sequences)
    description = args.description.read_text() if args.description else None
    claim_work_dir(args, cfg)
    predict_missing(args, cfg, frames)

    from tqdm import tqdm

    from htcl.evaluation.submission import write_submission

    with tqdm(total=_total(frames), desc="zipping", unit="frame") as bar:
        write_submission(args.work_dir, args.out, frames, description, on_frame=bar.update)
    size = args.out.stat().st_size / 2**20
    print(f"wrote {args.out} ({size:.1f} MiB); predictions stay in {args.work_dir}")
    return check(args.out, frames, None)


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    args = parse_args(argv)
    try:
        return 0 if run(args) else 1
    except (FileNotFoundError, KeyError, ValueError, RuntimeError) as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        print(f"make_submission: {message}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
