"""Writes the files that docs/own_data.md starts from: made up, to try its commands with.

python docs/examples/make_garage.py data/garage
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

LEVELS, FRAMES = ("level1", "level2", "level3"), ("000000", "000001")


def make_garage(root: Path) -> None:
    """A front and a rear camera of 124 x 38 pixels, and labels that are noise as the images are."""
    rng = np.random.default_rng(0)
    intrinsics = np.eye(4)
    intrinsics[:2, :3] = [[60, 0, 61.5], [0, 60, 18.5]]
    # Camera x right, y down, z front; the grid's x front, y left, z up, its origin 1 m behind.
    front = np.array([[0, 0, 1, 1], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    rear = np.diag([-1, -1, 1, 1]) @ front
    rig = {
        name: {"intrinsics": intrinsics.tolist(), "reference_from_camera": pose.tolist()}
        for name, pose in (("front", front), ("rear", rear))
    }
    for level in LEVELS:
        for kind in (*rig, "labels"):
            (root / level / kind).mkdir(parents=True)
        for frame in FRAMES:
            for name in rig:
                image = rng.integers(0, 256, (38, 124, 3), dtype=np.uint8)
                Image.fromarray(image).save(root / level / name / f"{frame}.png")
            labels = rng.choice([0, 1, 2, 3, 255], (128, 128, 16)).astype(np.uint8)
            np.save(root / level / "labels" / f"{frame}.npy", labels)
    (root / "rig.json").write_text(json.dumps(rig))


if __name__ == "__main__":
    make_garage(Path(sys.argv[1]))
