"""Is one network better than another on the same frames? Confidence intervals by the bootstrap.

Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), percentile intervals: frames are
drawn with replacement, the same ones for both networks, and the scores of the draw follow from its
summed confusion matrices, as the benchmark's do. Shape letters: F frame, R region, K class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from htcl.array_files import read_npz
from htcl.datasets.specification import DatasetSpecification
from htcl.errors import InvalidValueError
from htcl.evaluation.ssc_confusion import ssc_scores
from htcl.files import atomic_write

_WHAT = "scores by frame"
_REMEDY = "write it anew with tools/test.py --frames"
_KEYS = ("frames", "regions", "confusions", "empty_class", "absent_classes", "class_names")


@dataclass(frozen=True)
class FrameScores:
    """Confusion matrices of each frame.

    Attributes:
        frames: F names, sequence and frame.
        regions: R names.
        confusions: (F, R, K, K) int64, rows predicted, columns true.
        class_names: K names.
        empty_class: The class of free space.
        absent_classes: How a class without a true voxel counts, see :func:`ssc_scores`.
    """

    frames: tuple[str, ...]
    regions: tuple[str, ...]
    confusions: np.ndarray
    class_names: tuple[str, ...]
    empty_class: int
    absent_classes: str

    @classmethod
    def of(
        cls,
        by_frame: Mapping[str, Mapping[str, np.ndarray]],
        specification: DatasetSpecification,
    ) -> FrameScores:
        """From the matrices (K, K) of each frame by region; all frames have the same regions."""
        regions = tuple(next(iter(by_frame.values()), {}))
        matrices = [[found[region] for region in regions] for found in by_frame.values()]
        return cls(
            tuple(by_frame),
            regions,
            np.array(matrices, dtype=np.int64),
            specification.class_names,
            specification.empty_class,
            specification.absent_classes,
        )

    def write(self, path: str | Path) -> None:
        """Writes a ``.npz`` file."""
        arrays: dict[str, Any] = {key: np.array(getattr(self, key)) for key in _KEYS}
        with atomic_write(path) as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def read(cls, path: str | Path) -> FrameScores:
        """Reads what :meth:`write` wrote.

        Raises:
            MissingFileError: If there is no file.
            InvalidValueError: If it is damaged or another kind of file.
        """
        arrays = read_npz(path, _WHAT, _REMEDY)
        missing = [key for key in _KEYS if key not in arrays]
        shape = () if missing else arrays["confusions"].shape
        sizes = [len(np.atleast_1d(arrays[key])) for key in ("frames", "regions") if not missing]
        classes = 0 if missing else len(np.atleast_1d(arrays["class_names"]))
        if missing or shape != (*sizes, classes, classes) or not sizes[0]:
            raise InvalidValueError(
                f"{path}: holds {sorted(arrays)}, confusions {shape}; expected {list(_KEYS)} and "
                f"confusions (frames, regions, classes, classes); {_REMEDY}"
            )
        return cls(
            tuple(arrays["frames"].tolist()),
            tuple(arrays["regions"].tolist()),
            arrays["confusions"],
            tuple(arrays["class_names"].tolist()),
            int(arrays["empty_class"]),
            str(arrays["absent_classes"]),
        )


@dataclass(frozen=True)
class PairedScore:
    """One score of two networks, in per cent.

    Attributes:
        first: Of the first network, over all frames.
        second: Of the second.
        low: Lower end of the interval of ``second - first``.
        high: Upper end.
    """

    first: float
    second: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        return self.low > 0 or self.high < 0


def compare_frames(
    first: FrameScores,
    second: FrameScores,
    draws: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, dict[str, PairedScore]]:
    """Compares two networks on the same frames.

    Args:
        first: Scores of one network.
        second: Scores of the other.
        draws: Samples of frames.
        confidence: Share of the draws inside of an interval.
        seed: Of the draws.

    Returns:
        Region -> ``'IoU'`` and ``'mIoU'`` -> scores; regions that both have.

    Raises:
        InvalidValueError: If the frames or the classes are not the same.
    """
    for key in ("frames", "class_names", "empty_class", "absent_classes"):
        one, other = getattr(first, key), getattr(second, key)
        if one != other:
            raise InvalidValueError(
                f"the two files differ in {key}: {_short(one)} and {_short(other)}; score both "
                "networks on the same frames with the same classes"
            )
    rng = np.random.default_rng(seed)
    count = len(first.frames)
    chosen = rng.multinomial(count, np.full(count, 1 / count), size=draws)
    edges = 50 * (1 - confidence), 50 * (1 + confidence)
    compared: dict[str, dict[str, PairedScore]] = {}
    for region in first.regions:
        if region not in second.regions:
            continue
        drawn = []
        for scores in (first, second):
            matrices = scores.confusions[:, scores.regions.index(region)]
            # The first row of weights is all frames once.
            weights = np.concatenate([np.ones((1, count), dtype=chosen.dtype), chosen])
            drawn.append(_percentages(np.tensordot(weights, matrices, 1), scores))
        difference = drawn[1][1:] - drawn[0][1:]
        low, high = np.percentile(difference, edges, axis=0)
        compared[region] = {
            name: PairedScore(
                float(drawn[0][0, column]),
                float(drawn[1][0, column]),
                float(low[column]),
                float(high[column]),
            )
            for column, name in enumerate(("IoU", "mIoU"))
        }
    return compared


def _percentages(confusions: np.ndarray, scores: FrameScores) -> np.ndarray:
    """Completion IoU and mIoU of each matrix of (N, K, K), (N, 2)."""
    found = [ssc_scores(m, scores.empty_class, scores.absent_classes) for m in confusions]
    return 100 * np.array([(score.completion_iou, score.mean_iou) for score in found])


def _short(value: object) -> str:
    text = f"{len(value)} {value[:2]}..." if isinstance(value, tuple) else repr(value)
    return text[:120]
