r"""How far has a training come? Its learning curve, and what limits the network that came out.

Reads the scores that the trainings of one network wrote, stage by stage, over the number of samples
seen. Then scores the checkpoint on streets that it was trained on and on those that it was not, and
beside it predictors that look at no image (all empty, a road plane, and the class prior: at each
voxel what most labels of the training streets have there). Trained and unseen streets apart: data
are what it lacks. Both low and the curve rising: time. Both low and the curve flat: capacity. The
data are synthetic.

Examples:
  python benchmarks/learning.py work_dirs/mini/stereo_plus work_dirs/mini/htcl_plus_streets \
      --page docs/learning.md --plot docs/images/learning.png
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from environment import describe_environment
from logged_tool import run_logged
from page_section import write_section
from trivial_predictors import (
    COLUMNS,
    labels_alone,
    score_all,
    scored_labels,
    table,
    trivial_guesses,
)

from htcl.config import load_config
from htcl.datasets.specification import build_specification

ROOT = Path(__file__).resolve().parents[1]


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stages", nargs="+", type=Path, help="work dirs, in the order of training")
    parser.add_argument(
        "--config", default="projects/configs/occupancy/mini/htcl_plus_streets.py", help="of all"
    )
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "pretrain" / "mini_htcl.pth")
    parser.add_argument(
        "--trained-on",
        nargs="+",
        default=("00", "07", "110", "140"),
        metavar="XX",
        help="training streets to score (default: 00 07 110 140)",
    )
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/learning"))
    parser.add_argument("--page", type=Path, help="write the tables into this page's sections")
    parser.add_argument("--plot", type=Path, help="draw the curve")
    return parser.parse_args(argv)


def curve(stages: list[Path]) -> list[tuple[int, int, dict[str, float]]]:
    """Stage, samples seen by all stages so far, and scores of each evaluation of a training.

    Raises:
        ValueError: If a stage has no score.
    """
    points, seen = [], 0
    for stage, folder in enumerate(stages):
        # Evaluations of an interrupted training lie in several folders, named by their time.
        found = {
            int(path.stem.removeprefix("val_")): json.loads(path.read_text())
            for path in sorted(folder.glob("*/scores/val_*.json"))
            if not path.stem.endswith(".provenance")
        }
        if not found:
            raise ValueError(f"{folder}: no */scores/val_*.json, which tools/train.py writes")
        (config,) = folder.glob("*.py")
        batch = load_config(config).batch_size
        points += [(stage, seen + batch * step, found[step]) for step in sorted(found)]
        seen += batch * max(found)
    return points


def plot(points: list[tuple[int, int, dict[str, float]]], path: Path) -> None:
    """Draws IoU and mIoU over the samples, a colour a stage."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for panel, metric in zip(panels, ("IoU", "mIoU"), strict=True):
        for key, style in (("", "-o"), ("12.8m/", "--s")):
            for stage in sorted({stage for stage, _, _ in points}):
                runs = [
                    (seen, row[f"{key}{metric}"]) for each, seen, row in points if each == stage
                ]
                words = f"stage {stage + 1}, {'to 12.8 m' if key else 'whole scene'}"
                panel.plot(*zip(*runs, strict=True), style, color=f"C{stage}", label=words)
        panel.set_xlabel("samples seen (synthetic)")
        panel.set_ylabel(f"{metric}, %")
        panel.grid(alpha=0.3)
    panels[0].legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def score(args: argparse.Namespace, name: str, options: list[str]) -> dict[str, float]:
    """Scores the checkpoint, unless that is done."""
    path: Path = args.work_dir / f"{name}.json"
    if not path.is_file() or path.stat().st_mtime < args.checkpoint.stat().st_mtime:
        command = ["tools/test.py", args.config, str(args.checkpoint), "--json", str(path)]
        command += ["--work-dir", str(args.work_dir)]
        if problem := run_logged([*command, *options], args.work_dir):
            raise RuntimeError(problem)
    found: dict[str, float] = json.loads(path.read_text())
    return found


def trivial(config: str) -> tuple[dict[str, dict[str, float]], list[float]]:
    """Scores of what looks at no image, and the share of each class in the occupied labels."""
    cfg = load_config(config)
    specification = build_specification(cfg.specification)
    unseen = labels_alone(cfg.val_dataloader)
    guesses = trivial_guesses(labels_alone(cfg.train_dataloader), specification)
    counts = torch.zeros(specification.num_classes, dtype=torch.int64)
    for labels in scored_labels(unseen, specification):
        counts += torch.bincount(labels.flatten().long(), minlength=256)[: len(counts)]
    counts[specification.empty_class] = 0
    return score_all(guesses, unseen, specification), (counts / counts.sum()).tolist()


def class_table(config: str, rows: dict[str, dict[str, float]], shares: list[float]) -> str:
    """IoU of each class, the most frequent first, beside its share of the occupied voxels."""
    names = build_specification(load_config(config).specification).class_names
    lines = [
        f"| class | % of the labels | {' | '.join(rows)} |",
        "| --- |" + " --- |" * (len(rows) + 1),
    ]
    for index in sorted(range(len(names)), key=lambda each: -shares[each]):
        key = f"IoU_{names[index]}"
        if all(key in row for row in rows.values()):
            cells = " | ".join(f"{row[key]:.1f}" for row in rows.values())
            lines.append(f"| {names[index]} | {100 * shares[index]:.2f} | {cells} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Draws and scores all; returns the exit status."""
    args = parse_args(argv)
    args.checkpoint, args.work_dir = args.checkpoint.resolve(), args.work_dir.resolve()
    torch.set_num_threads(1)
    try:
        points = curve(args.stages)
        trained_on = " ".join(args.trained_on)
        chosen = f"val_sequences={','.join(args.trained_on)}"
        rows: dict[str, Any] = {
            "unseen streets": score(args, "unseen", []),
            f"streets {trained_on}, trained on": score(
                args, "trained_on", ["--cfg-options", chosen]
            ),
        }
    except (ValueError, RuntimeError) as error:
        print(f"learning: {error}", file=sys.stderr)
        return 1
    guesses, shares = trivial(args.config)
    by_class = class_table(args.config, {**rows, "class prior": guesses["class prior"]}, shares)
    steps = [{**row, "samples": seen} for _, seen, row in points]
    over_time = table({f"{row['samples']:,} samples": row for row in steps}, COLUMNS)
    source = f"`python benchmarks/learning.py`: {describe_environment()}."
    sections = {
        "scores": f"{table(rows | guesses, COLUMNS)}\n\n{source}\n",
        "classes": f"{by_class}\n",
        "curve": f"{over_time}\n",
    }
    for name, text in sections.items():
        print(text)
        if args.page:
            write_section(args.page, name, text)
    if args.plot:
        plot(points, args.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
