"""What benchmarks/run.py keeps and shows: JSON of every measurement, tables, the plot of growth."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from environment import describe_environment, environment_facts

from htcl.errors import InvalidValueError
from htcl.files import atomic_write

# What makes two measurements the same one; rounds of it are united in one row.
_ROW = ("what", "config", "case", "precision", "device", "threads", "sample", "batch_size", "side")
_FIXED_FACTS = ("processor", "cores", "memory_gib", "gpu", "python", "torch", "cuda")
_MIB = 2**20
AXES = {
    "history": "history frames",
    "image": "image size, 1000 pixels",
    "depth": "depth bins",
    "cameras": "cameras",
}


class ResultStore:
    """The measurements of one folder, written anew after each.

    Args:
        folder: Holds ``benchmarks.json``, ``benchmarks.md`` and the plot.
        resume: Go on with what is there.

    Attributes:
        runs: The measurements, one a process, in order.

    Raises:
        InvalidValueError: If there are results that nothing was said about, or they come from
            another machine.
    """

    def __init__(self, folder: Path, resume: bool) -> None:
        self.folder = folder
        self.runs: list[dict[str, Any]] = []
        self._machine = environment_facts()
        path = folder / "benchmarks.json"
        if not path.is_file():
            return
        if not resume:
            raise InvalidValueError(
                f"{path} exists: go on with --resume, or give another folder as --out"
            )
        try:
            content = json.loads(path.read_text())
            self.runs, machine = content["runs"], content["machine"]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidValueError(f"{path}: no results of this tool; remove it") from error
        changed = [name for name in _FIXED_FACTS if machine.get(name) != self._machine[name]]
        if changed:
            raise InvalidValueError(
                f"{path}: measured with {describe_environment(machine)}, which differs in "
                f"{', '.join(changed)}; give another folder as --out"
            )

    def has(self, key: dict[str, Any]) -> bool:
        """Whether a measurement stands, by all that was asked of it."""
        return any(all(run.get(name) == value for name, value in key.items()) for run in self.runs)

    def add(self, run: dict[str, Any], command: str) -> None:
        """Keeps a measurement."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.runs.append({**run, "date": now})
        content = {"command": command, "machine": self._machine, "runs": self.runs}
        with atomic_write(self.folder / "benchmarks.json", "w") as file:
            file.write(json.dumps(content, indent=1) + "\n")
        with atomic_write(self.folder / "benchmarks.md", "w") as file:
            file.write(self.report(command) + "\n")

    def report(self, command: str) -> str:
        """All tables as Markdown."""
        trees = {(run["side"], run["revision"]) for run in self.runs}
        dates = sorted(run["date"] for run in self.runs)
        threads = sorted({run["threads"] for run in self.runs})
        facts = {**self._machine, "threads": "/".join(map(str, threads))}
        lines = [describe_environment(facts), f"CUDA {facts['cuda']}"]
        lines += [f"command: {command}", f"measured: {dates[0]} to {dates[-1]}"]
        lines += [f"package ({side}): htcl of {revision}" for side, revision in sorted(trees)]
        blocks = ["\n".join(f"* {line}" for line in lines)]
        rows = rows_of(self.runs)
        blocks += [_speed_table(rows), _stage_table(rows), _data_table(rows), _growth_lines(rows)]
        return "\n\n".join(block for block in blocks if block)


def rows_of(runs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Unites the rounds of each measurement; the last round's counts stand.

    Returns:
        Rows in order, with all ``seconds`` and, where another revision was measured in turn, the
        ``ratio`` of this one's fastest pass to its: what else a machine does only adds.
    """
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for run in runs:
        key = (*(str(run[name]) for name in _ROW), run["revision"])
        before = rows.get(key, {"seconds": []})
        rows[key] = {**run, "seconds": before["seconds"] + run["seconds"]}
        if "stages" in run:
            earlier = before.get("stages", {})
            rows[key]["stages"] = {
                part: min(seconds, earlier.get(part, seconds))
                for part, seconds in run["stages"].items()
            }
    others = {key[: len(_ROW) - 1]: row for key, row in rows.items() if key[-2] == "against"}
    for key, row in rows.items():
        other = others.get(key[: len(_ROW) - 1])
        if other is not None and key[-2] == "this":
            row["ratio"] = min(row["seconds"]) / min(other["seconds"])
            row["other_stages"] = other.get("stages", {})
    return list(rows.values())


def _table(header: list[str], rows: list[list[str]]) -> str:
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _name(row: dict[str, Any]) -> str:
    """A config in few letters, such as mini/htcl_plus."""
    return "/".join(Path(row["config"]).with_suffix("").parts[-2:])


def _first_columns(row: dict[str, Any]) -> list[str]:
    case = "".join(f", {name} {value}" for name, value in row["case"].items())
    size = "" if "input_size" not in row else " x ".join(map(str, row["input_size"]))
    where = f"{row['device']}, {row['precision']}"
    return [row["what"] + case, _name(row), size, where, row["revision"]]


_FIRST = ["what", "config", "image", "device", "revision"]


def _milliseconds(row: dict[str, Any]) -> list[str]:
    times = [1000 * value for value in row["seconds"]]
    return [f"{value:,.1f}" for value in (median(times), min(times), max(times))]


def _speed_table(rows: list[dict[str, Any]]) -> str:
    header = [
        *_FIRST,
        "median ms",
        "min",
        "max",
        "CPU ms",
        "passes",
        "peak MiB",
        "GFLOP",
        "operators",
    ]
    compared = any("ratio" in row for row in rows)
    header += ["host waits", *(["ratio"] if compared else [])]
    lines = []
    for row in rows:
        if "operators" not in row:
            continue
        waits = row["synchronisations"]
        processor = row["processor_seconds"]
        line = [*_first_columns(row), *_milliseconds(row)]
        line.append("" if processor is None else f"{1000 * processor:,.1f}")
        line.append(str(len(row["seconds"])))
        line += [f"{row['peak_bytes'] / _MIB:,.0f}", f"{row['flops'] / 1e9:,.1f}"]
        line += [f"{row['operators']:,}", "not measured" if waits is None else str(waits)]
        if compared:
            line.append(f"{row['ratio']:.2f}" if "ratio" in row else "")
        lines.append(line)
    notes = [
        f"{_name(row)} ({row['precision']}, {row['device']}): losses "
        + ", ".join(f"{name} {value:.4g}" for name, value in row["losses"].items())
        + f"; parameters without a gradient: {row['parameters_without_gradient']}"
        for row in rows
        if "losses" in row
    ]
    return "\n\n".join(filter(None, [_table(header, lines), *notes]))


def _in_order(stages: dict[str, float]) -> list[tuple[str, float]]:
    """Parts in the order of the pass, each before what is inside it."""
    outer = list(dict.fromkeys(name.partition(".")[0] for name in stages))
    return sorted(
        stages.items(), key=lambda item: (outer.index(item[0].partition(".")[0]), "." in item[0])
    )


def _stage_table(rows: list[dict[str, Any]]) -> str:
    lines = []
    compared = any("ratio" in row for row in rows if "stages" in row)
    for row in rows:
        if "stages" not in row:
            continue
        whole = min(row["seconds"])
        other, ratios = row.get("other_stages", {}), {"whole": row.get("ratio")}
        for name, seconds in [*_in_order(row["stages"]), ("whole", whole)]:
            if other.get(name):
                ratios[name] = seconds / other[name]
            line = [name, _name(row), f"{row['device']}, {row['precision']}"]
            line += [row["revision"], f"{1000 * seconds:,.1f}", f"{seconds / whole:.1%}"]
            if compared:
                ratio = ratios.get(name)
                line.append("" if ratio is None else f"{ratio:.2f}")
            lines.append(line)
    header = ["part", "config", "device", "revision", "ms", "share"]
    header += ["ratio"] if compared else []
    table = _table(header, lines)
    return (
        f"Time by part, of the fastest round; one inside another counts in both.\n\n{table}"
        if table
        else ""
    )


def _data_table(rows: list[dict[str, Any]]) -> str:
    found = [row for row in rows if "samples_per_second" in row]
    workers = list(dict.fromkeys(n for row in found for n in row["samples_per_second"]))
    header = ["data", "config", "revision", "median ms a sample, one core", "min", "max"]
    header += [f"samples/s, {n} worker{'s' * (n != '1')}" for n in workers]
    header += ["ratio"] if any("ratio" in row for row in found) else []
    lines = []
    for row in found:
        rates = [row["samples_per_second"].get(n) for n in workers]
        line = [row["sample"], _name(row), row["revision"], *_milliseconds(row)]
        line += ["" if rate is None else f"{rate:.2f}" for rate in rates]
        line += [f"{row['ratio']:.2f}"] if "ratio" in row else [""] * ("ratio" in header)
        lines.append(line)
    return _table(header, lines)


class GrowthPoint(NamedTuple):
    """What a prediction costs at one size.

    Attributes:
        size: History frames, pixels, bins or cameras.
        seconds: Processor time of one thread, which no other process lengthens; of more threads or
            a GPU the fastest pass.
        memory: Peak beyond the libraries', bytes.
        operations: Those of :class:`bench_meters.OperatorCounter`.
    """

    size: float
    seconds: float
    memory: float
    operations: float


def growth_points(rows: list[dict[str, Any]], axis: str) -> dict[str, list[GrowthPoint]]:
    """Points of one axis in order of size, by network and revision."""
    curves: dict[str, list[GrowthPoint]] = {}
    for row in rows:
        if row["what"] == "growth" and axis in row["case"]:
            seconds = min(row["seconds"])
            if row["device"] == "cpu" and row["threads"] == 1:
                seconds = row["processor_seconds"] or seconds
            memory = row["peak_bytes"] - row["libraries_bytes"]
            point = GrowthPoint(float(row["case"][axis]), seconds, memory, row["flops"])
            name = f"{_name(row)} {row['precision']} {row['revision']}"
            curves.setdefault(name, []).append(point)
    return {name: sorted(points) for name, points in curves.items()}


def fit_history(points: list[tuple[float, float]]) -> tuple[float, float] | None:
    """Fits ``fixed + each * (frames - 1)`` to the points with history.

    Args:
        points: (history frames, cost).

    Returns:
        ``fixed``, the cost with one history frame, and ``each`` as a share of it; None with fewer
        than two points.
    """
    kept = np.array([point for point in points if point[0] >= 1])
    if len(np.unique(kept[:, 0] if len(kept) else kept)) < 2:
        return None
    each, fixed = np.polyfit(kept[:, 0] - 1, kept[:, 1], 1)
    return float(fixed), float(each / fixed)


def _growth_lines(rows: list[dict[str, Any]]) -> str:
    lines = []
    for name, points in growth_points(rows, "history").items():
        costs = {
            "time": ([point.seconds for point in points], 1e-3, "ms"),
            "memory beyond the libraries'": ([point.memory for point in points], _MIB, "MiB"),
            "operations": ([point.operations for point in points], 1e9, "GFLOP"),
        }
        parts = []
        for what, (values, unit, unit_name) in costs.items():
            fit = fit_history([(point.size, v) for point, v in zip(points, values, strict=True)])
            if fit is not None:
                parts.append(f"{fit[1]:.1%} of the {what} ({fit[0] / unit:,.1f} {unit_name})")
        if parts:
            lines.append(
                f"{name}: each history frame after the first costs {', '.join(parts)} of a "
                "prediction with one (lines fitted to the points with history)"
            )
    return "\n\n".join(lines)


def plot_growth(rows: list[dict[str, Any]], path: Path) -> bool:
    """Draws time and memory against each axis; returns whether there was anything to draw."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    axes = [axis for axis in AXES if growth_points(rows, axis)]
    if not axes:
        return False
    figure, panels = pyplot.subplots(
        2, len(axes), figsize=(3.4 * len(axes), 5.5), squeeze=False, layout="constrained"
    )
    for column, axis in enumerate(axes):
        for name, points in growth_points(rows, axis).items():
            sizes = [point.size / (1000 if axis == "image" else 1) for point in points]
            for panel, values in (
                (panels[0, column], [1000 * point.seconds for point in points]),
                (panels[1, column], [point.memory / _MIB for point in points]),
            ):
                panel.plot(sizes, values, "o-", label=name)
                panel.set_ylim(0, 1.1 * panel.dataLim.y1)
                panel.grid(alpha=0.3)
        panels[1, column].set_xlabel(AXES[axis])
    panels[0, 0].set_ylabel("time of a prediction, ms")
    panels[1, 0].set_ylabel("peak memory beyond libraries, MiB")
    panels[0, 0].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return True
