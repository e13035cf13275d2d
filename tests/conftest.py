"""Fixtures for all tests: folders, and a tiny synthetic SemanticKITTI tree."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from kitti360_tree import write_tree
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from PIL import Image

from htcl.config import load_config
from htcl.datasets.voxel_files import write_voxel_labels, write_voxel_mask
from htcl.ops import gpu_operators

SEQUENCES = ("00", "08")
NUM_FRAMES = 12
VOXEL_FRAMES = (0, 5, 10)
IMAGE_SIZE = (38, 124)

# One tenth of a KITTI camera, and a lidar that looks along its optical axis 0.27 m behind it.
FOCAL, CENTRE_X, CENTRE_Y, BASELINE = 71.9, 60.7, 18.5, 0.54
CAMERA_FROM_LIDAR = np.array([[0, -1, 0, 0], [0, 0, -1, -0.08], [1, 0, 0, -0.27]])


@pytest.fixture(params=["cpu", "gpu"])
def operators(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs a test with the operators of either device, both on the CPU."""
    with gpu_operators() if request.param == "gpu" else nullcontext():
        yield


class _StandardOutput:
    """Standard output as it is when written to: a test may catch it after the logger was made."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Forgets a run's logger, and deterministic operators."""
    # Not in the middle of a test that pretends to be elsewhere: a new one asks for the GPU.
    for handler in MMLogger.get_current_instance().handlers:
        if type(handler) is logging.StreamHandler:
            handler.setStream(_StandardOutput())
    deterministic = torch.are_deterministic_algorithms_enabled()
    yield
    MMLogger._instance_dict.clear()
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(scope="session")
def repo_root() -> Path:
    """Root of the repository."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_dir(repo_root: Path) -> Path:
    """Folder ``../shared`` with real frames and reference texts; skips where it is absent."""
    shared = repo_root.parent / "shared"
    if not (shared / "data").is_dir():
        pytest.skip(f"needs the shared reference folder {shared.name}/ beside the repository")
    return shared


@pytest.fixture(scope="session")
def real_kitti(shared_dir: Path) -> Path:
    """Data root of the real SemanticKITTI frames."""
    return shared_dir / "data" / "semantickitti"


@pytest.fixture(scope="session")
def load_tool(repo_root: Path) -> Callable[[str], ModuleType]:
    """Loads a script of ``tools/`` as a module, so that tests need not start an interpreter."""

    def load(name: str) -> ModuleType:
        path = repo_root / "tools" / name
        # Worker processes find the script's functions under this name.
        module_name = f"htcl_tool_{path.stem}"
        if module_name not in sys.modules:
            spec = importlib.util.spec_from_file_location(module_name, path)
            sys.modules[module_name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[module_name])
        return sys.modules[module_name]

    return load


@pytest.fixture(scope="session")
def kitti_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data root of a synthetic tree that no test may change.

    Sequences 00 and 08 of 12 frames of 124 x 38 pixels; voxels of frames 0, 5 and 10. The scene is
    a road, a car at x 10-13 m, y 2-4 m, and a building at y -12 to -11 m, all fixed to the lidar.
    """
    root = tmp_path_factory.mktemp("kitti")
    for sequence in SEQUENCES:
        _write_sequence(root / "sequences" / sequence, seed=int(sequence))
    return root


@pytest.fixture(scope="session")
def surround_streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two streets of two key frames each in nuScenes' layout, of six images of 64 x 36 pixels.

    No test may change it.
    """
    from mini_kitti import MiniKittiSettings, make_mini_kitti

    root = tmp_path_factory.mktemp("surround")
    settings = MiniKittiSettings(
        frames=6, image_size=(36, 64), lidar_azimuths=60, traffic=0.0, layout="nuscenes"
    )
    make_mini_kitti(root, settings, ["00", "08"])
    return root


@pytest.fixture
def writable_kitti_tree(kitti_tree: Path, tmp_path: Path) -> Path:
    """Copy of :func:`kitti_tree` for tests that change files."""
    return Path(shutil.copytree(kitti_tree, tmp_path / "kitti"))


def _write_sequence(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for name in ("image_2", "image_3", "velodyne", "labels", "voxels"):
        (folder / name).mkdir(parents=True)
    (folder / "calib.txt").write_text(_calibration_text())
    poses = []
    for frame in range(NUM_FRAMES):
        name = f"{frame:06d}"
        picture = rng.integers(0, 256, (*IMAGE_SIZE, 3), dtype=np.uint8)
        Image.fromarray(picture).save(folder / "image_2" / f"{name}.png")
        Image.fromarray(np.roll(picture, -3, axis=1)).save(folder / "image_3" / f"{name}.png")
        points, labels = _scan(rng)
        points.tofile(folder / "velodyne" / f"{name}.bin")
        labels.tofile(folder / "labels" / f"{name}.label")
        angle = 0.01 * frame
        cos, sin = np.cos(angle), np.sin(angle)
        poses.append([cos, 0, sin, 0.1 * frame, 0, 1, 0, 0, -sin, 0, cos, 1.0 * frame])
    np.savetxt(folder / "poses.txt", poses, fmt="%.9e")
    np.savetxt(folder / "times.txt", 0.1 * np.arange(NUM_FRAMES), fmt="%.6e")
    raw, invalid = _voxels()
    for frame in VOXEL_FRAMES:
        stem = folder / "voxels" / f"{frame:06d}"
        write_voxel_labels(stem.with_suffix(".label"), raw)
        write_voxel_mask(stem.with_suffix(".bin"), raw > 0)
        write_voxel_mask(stem.with_suffix(".invalid"), invalid)
        write_voxel_mask(stem.with_suffix(".occluded"), invalid | (raw > 0))


def _calibration_text() -> str:
    lines = []
    for camera, offset in enumerate((0.0, -FOCAL * BASELINE, 4.5, 4.5 - FOCAL * BASELINE)):
        rows = [FOCAL, 0, CENTRE_X, offset, 0, FOCAL, CENTRE_Y, 0, 0, 0, 1, 0]
        lines.append(f"P{camera}: " + " ".join(f"{value:.12e}" for value in rows))
    lines.append("Tr: " + " ".join(f"{value:.12e}" for value in CAMERA_FROM_LIDAR.ravel()))
    return "\n".join(lines) + "\n"


def _scan(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 4) float32 and raw labels (N,) uint32 of the scene; the car has an instance id."""
    boxes = (
        (40, 0, (3, 55), (-8, 8), (-1.75, -1.70), 1500),
        (10, 7, (10, 13), (2, 4), (-1.6, -0.3), 400),
        (50, 0, (5, 40), (-12, -11.9), (-1.6, 2), 600),
        (0, 0, (3, 40), (9, 12), (-1.75, -1.70), 100),
    )
    points, labels = [], []
    for raw, instance, *limits, count in boxes:
        low, high = np.array(limits, dtype=float).T
        points.append(np.column_stack([rng.uniform(low, high, (count, 3)), rng.random(count)]))
        labels.append(np.full(count, (instance << 16) | raw, dtype=np.uint32))
    return np.concatenate(points).astype(np.float32), np.concatenate(labels)


def _voxels() -> tuple[np.ndarray, np.ndarray]:
    """Raw labels (256, 256, 32) uint16 and the invalid mask of the scene."""
    raw = np.zeros((256, 256, 32), dtype=np.uint16)
    raw[:, 88:168, 1] = 40
    raw[:, 100:102, 1] = 60
    raw[50:65, 138:148, 2:9] = 10
    raw[:, 68:73, 2:20] = 50
    raw[:4, 200:210, 1] = 52
    invalid = np.zeros(raw.shape, dtype=bool)
    invalid[:, :68] = True
    invalid[:, :, 0] = True
    return raw, invalid


@pytest.fixture(scope="session")
def load_tiny_config(repo_root: Path, kitti_tree: Path) -> Callable[[], Config]:
    """Loads the toy network's config, whose data is the tiny tree; a new one each time."""

    def load() -> Config:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MINI_KITTI_ROOT", str(kitti_tree))
            cfg = load_config(repo_root / "tests" / "data" / "tiny_htcl.py")
        init_default_scope(cfg.default_scope)
        return cfg

    return load


@pytest.fixture(scope="session")
def kitti360_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data root of a synthetic tree of SSCBench-KITTI-360 that no test may change."""
    return write_tree(tmp_path_factory.mktemp("kitti360"))


@pytest.fixture
def writable_kitti360_tree(kitti360_tree: Path, tmp_path: Path) -> Path:
    """Copy of drive 00 of :func:`kitti360_tree` for tests that change files."""
    others = shutil.ignore_patterns("*_0006_*", "*_0009_*")
    return Path(shutil.copytree(kitti360_tree, tmp_path / "kitti360", ignore=others))
