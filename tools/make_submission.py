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
from typing import TYPE_CHECKING

from htcl.command_line import add_cfg_options, add_precision, run_tool, tool_parser
from htcl.errors import InvalidValueError, MissingFileError, listed
from htcl.files import atomic_write

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch.utils.data import DataLoader

    from htcl.datasets.specification import DatasetSpecification
    from htcl.evaluation.submission import Frames

MADE_WITH = "made_with.json"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = tool_parser(__doc__)
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
    add_precision(parser)
    add_cfg_options(parser, "submission_dataloader.num_workers=0")
    args = parser.parse_args(argv)
    if args.check is None and (args.config is None or args.checkpoint is None):
        parser.error("CONFIG and CKPT are needed to make a submission (or --check ZIP)")
    if args.out.suffix != ".zip":
        parser.error(f"--out must end in .zip, got {args.out}")
    if args.work_dir is None:
        args.work_dir = args.out.with_name(f"{args.out.stem}_predictions")
    return args


def prepare_config(args: argparse.Namespace) -> tuple[Config, DatasetSpecification]:
    """Reads the config and sets the sequences in its submission_dataloader.

    Raises:
        InvalidValueError: If the config has no such loader, or predicts another grid than the
            server's.
    """
    from htcl.config import load_config
    from htcl.datasets.specification import build_specification

    cfg = load_config(args.config, args.cfg_options)
    if "submission_dataloader" not in cfg:
        raise InvalidValueError(
            f"{args.config} has no submission_dataloader, which names the test frames"
        )
    dataset = cfg.submission_dataloader.dataset
    specification = build_specification(dataset.specification)
    if "test" in specification.label_splits:
        raise InvalidValueError(
            f"{args.config}: {specification.name} has no server, its test labels are public: score "
            "them with tools/test.py"
        )
    if specification.grid != specification.stored_grid:
        raise InvalidValueError(
            f"{args.config} predicts {specification.grid}, but the server wants "
            f"{specification.stored_grid}"
        )
    wanted = specification.splits["test"]
    chosen = args.sequences or dataset.get("sequences")
    dataset.sequences = specification.select_sequences("test", chosen)
    if set(dataset.sequences) != set(wanted):
        print(
            f"note: sequences {', '.join(dataset.sequences)}; the server wants "
            f"{wanted[0]}-{wanted[-1]}"
        )
    return cfg, specification


def find_frames(cfg: Config) -> Frames:
    """Lists the frames that the archive must hold."""
    from htcl.datasets.layout import KittiLayout
    from htcl.evaluation.submission import expected_frames

    dataset = cfg.submission_dataloader.dataset
    return expected_frames(KittiLayout(dataset.get("data_root")), dataset.sequences)


def claim_work_dir(args: argparse.Namespace, cfg: Config) -> None:
    """Makes sure that a work folder holds predictions of one set of weights only.

    Raises:
        MissingFileError: If the checkpoint does not exist.
        InvalidValueError: If the folder belongs to other weights or another config.
    """
    if not Path(args.checkpoint).is_file():
        raise MissingFileError(f"checkpoint {args.checkpoint!r} does not exist")
    with open(args.checkpoint, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    # What a prediction depends on; another number of workers or data root changes nothing.
    dataset = cfg.submission_dataloader.dataset.to_dict()
    keys = ("num_history", "history_stride", "history_metres", "history_max_frames")
    history = [dataset.get(key) for key in keys]
    network = json.dumps([cfg.model.to_dict(), dataset["pipeline"], history], default=str)
    made_with = {
        "config": hashlib.sha256(network.encode()).hexdigest(),
        "checkpoint": digest,
    }
    if args.restart and args.work_dir.is_dir():
        if not (args.work_dir / MADE_WITH).is_file():
            raise InvalidValueError(
                f"{args.work_dir} is no work folder of this tool, so it is not deleted"
            )
        shutil.rmtree(args.work_dir)
    note = args.work_dir / MADE_WITH
    if note.is_file():
        before = json.loads(note.read_text())
        differing = [key for key in made_with if before.get(key) != made_with[key]]
        if differing:
            raise InvalidValueError(
                f"{args.work_dir} holds predictions of another {' and '.join(differing)}: choose "
                "another --work-dir, or --restart to predict anew"
            )
    else:
        args.work_dir.mkdir(parents=True, exist_ok=True)
        with atomic_write(note, "w") as file:
            file.write(json.dumps(made_with, indent=2) + "\n")


def predict_missing(
    args: argparse.Namespace, cfg: Config, frames: Frames, specification: DatasetSpecification
) -> None:
    """Predicts the frames that the work folder lacks."""
    from htcl.evaluation.submission import unfinished

    todo = set(unfinished(args.work_dir, frames, specification))
    total = sum(len(names) for names in frames.values())
    print(f"{total - len(todo)} of {total} frames are predicted already in {args.work_dir}")
    if todo:
        predict(args, cfg, todo)


def predict(args: argparse.Namespace, cfg: Config, todo: set[tuple[str, str]]) -> None:
    """Predicts some frames and writes them, each in one step."""
    import torch
    from mmengine.device import get_device
    from tqdm import tqdm

    from htcl.datasets.voxel_files import write_voxel_labels
    from htcl.engine.runner import load_predictor
    from htcl.evaluation.submission import label_path
    from htcl.models.interfaces import required_inputs

    device = args.device or get_device()
    model = load_predictor(cfg, args.checkpoint, device, args.precision)
    loader = build_loader(cfg, todo, required_inputs(model))
    with torch.inference_mode(), tqdm(total=len(todo), desc="frames", unit="frame") as bar:
        for batch in loader:
            for sample in model.test_step(batch):
                labels = sample.pred_voxels.semantics.cpu().numpy()
                path = label_path(args.work_dir, sample.sequence, sample.frame)
                write_voxel_labels(path, sample.specification.raw_from_voxels(labels))
                bar.update()


def build_loader(cfg: Config, todo: set[tuple[str, str]], inputs: frozenset[str]) -> DataLoader:
    """Builds the loader of the frames that are still to be predicted."""
    from mmengine.registry import DATASETS
    from mmengine.runner import Runner

    from htcl.engine.loaders import prepare_loader

    loader = prepare_loader(cfg.submission_dataloader, inputs)
    dataset = DATASETS.build(loader["dataset"])
    infos = enumerate(dataset.get_data_info(index) for index in range(len(dataset)))
    dataset.get_subset_([i for i, info in infos if (info["sequence"], info["frame"]) in todo])
    return Runner.build_dataloader({**loader, "dataset": dataset})


def check(
    path: Path,
    frames: Frames | None,
    specification: DatasetSpecification,
    sequences: tuple[str, ...] = (),
) -> bool:
    """Checks an archive and says what is wrong with it; returns whether it is sound."""
    from tqdm import tqdm

    from htcl.evaluation.submission import check_submission

    with tqdm(desc="checking", unit="frame", total=_total(frames)) as bar:
        problems = check_submission(path, specification, frames, sequences, on_frame=bar.update)
        checked = bar.n
    if problems:
        print(listed(problems).removeprefix("\n"), file=sys.stderr)
        print(f"make_submission: {path} would be refused ({len(problems)})", file=sys.stderr)
    else:
        unsure = "" if frames is not None else "; not compared with the data's frames: no CONFIG"
        print(f"{path} is sound: {checked} frames{unsure}")
    return not problems


def _total(frames: Frames | None) -> int | None:
    return None if frames is None else sum(len(names) for names in frames.values())


def run(args: argparse.Namespace) -> int:
    """Makes or checks an archive; returns the exit status."""
    from tqdm import tqdm

    from htcl.datasets.semantickitti_specification import SEMANTICKITTI
    from htcl.evaluation.submission import write_submission

    cfg, specification, frames = None, SEMANTICKITTI, None
    if args.config is not None:
        cfg, specification = prepare_config(args)
        frames = find_frames(cfg)
    if args.check is not None:
        sequences = specification.select_sequences("test", args.sequences)
        return 0 if check(args.check, frames, specification, sequences) else 1
    assert cfg is not None and frames is not None  # the parser sees to it
    description = args.description.read_text() if args.description else None
    claim_work_dir(args, cfg)
    predict_missing(args, cfg, frames, specification)
    with tqdm(total=_total(frames), desc="zipping", unit="frame") as bar:
        write_submission(
            args.work_dir, args.out, frames, specification, description, on_frame=bar.update
        )
    size = args.out.stat().st_size / 2**20
    print(f"wrote {args.out} ({size:.1f} MiB); predictions stay in {args.work_dir}")
    return 0 if check(args.out, frames, specification) else 1


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return run_tool("make_submission", run, parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
