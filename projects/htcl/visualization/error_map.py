"""Where a prediction is wrong: correct, missed, invented, or of the wrong class."""

from __future__ import annotations

import numpy as np

# Row = category of ``error_map``. Correct voxels are pale, so that the errors stand out; the error
# colours differ for colour-blind readers too (Okabe and Ito's set).
ERROR_NAMES = ("", "correct", "missed", "invented", "wrong class")
ERROR_PALETTE = np.array(
    [(0, 0, 0), (190, 205, 195), (0, 114, 178), (213, 94, 0), (240, 200, 50)], dtype=np.uint8
)
ERROR_PALETTE.setflags(write=False)
CORRECT, MISSED, INVENTED, WRONG_CLASS = 1, 2, 3, 4


def error_map(
    prediction: np.ndarray, ground_truth: np.ndarray, empty_class: int = 0, ignore_index: int = 255
) -> np.ndarray:
    """Sorts the voxels of two grids of labels, uint8 (X, Y, Z), into categories.

    Returns:
        uint8 (X, Y, Z): 0 rightly empty or not scored, 1 rightly occupied with the right class, 2
        missed (occupied, predicted empty), 3 invented (empty, predicted occupied), 4 occupied with
        the wrong class.

    Raises:
        ValueError: If the shapes differ.
    """
    shapes = prediction.shape, ground_truth.shape
    if shapes[0] != shapes[1]:
        raise ValueError(f"prediction has shape {shapes[0]}, ground truth {shapes[1]}")
    scored = ground_truth != ignore_index
    predicted = (prediction != empty_class) & (prediction != ignore_index)
    occupied = ground_truth != empty_class
    categories = np.zeros(prediction.shape, dtype=np.uint8)
    categories[scored & occupied & predicted] = WRONG_CLASS
    categories[scored & occupied & (prediction == ground_truth)] = CORRECT
    categories[scored & occupied & ~predicted] = MISSED
    categories[scored & ~occupied & predicted] = INVENTED
    return categories
