"""Where the files of a SemanticKITTI tree lie on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from htcl.errors import InvalidValueError, MissingFileError
from htcl.files import plain_name

ROOT_VARIABLE = "SEMANTICKITTI_ROOT"

# Folder of each kind of per-frame file inside a sequence folder, and the suffixes that the files
# may have, the official one first.
FRAME_FILES = {
    "image_2": ("image_2", (".png", ".jpg", ".jpeg")),
    "image_3": ("image_3", (".png", ".jpg", ".jpeg")),
    "depth_2": ("depth_2", (".npz",)),
    "velodyne": ("velodyne", (".bin",)),
    "point_labels": ("labels", (".label",)),
    "voxel_bin": ("voxels", (".bin",)),
    "voxel_labels": ("voxels", (".label",)),
    "voxel_invalid": ("voxels", (".invalid",)),
    "voxel_occluded": ("voxels", (".occluded",)),
}

# Below a root, the folder that holds the sequences is the first of these that exists.
_SEQUENCE_PARENTS = ("dataset/sequences", "sequences", ".")

# The lidar folders beside the image folder in the layout of the project's first README.
_README_TAIL = ("occupancy", "semanticKITTI", "RGB")
_README_SIBLINGS = {"velodyne_root": "lidar/velodyne", "lidarseg_root": "lidar/lidarseg"}


class KittiLayout:
    """Finds the files of SemanticKITTI in one folder or in several.

    Two arrangements work without further settings:

    * One root that holds
      ``sequences/XX/{image_2,image_3,velodyne,labels,voxels,calib.txt,poses.txt}``, directly, below
      ``dataset/``, or being the ``sequences`` folder itself.
    * Three roots, what the KITTI and SemanticKITTI archives unpack to:
      ``data/occupancy/semanticKITTI/RGB`` (colour images, calibration, poses, voxels),
      ``data/lidar/velodyne`` and ``data/lidar/lidarseg`` (point labels), each with
      ``dataset/sequences/XX/...`` inside. ``data_root`` names the first one; the other two are
      found beside it, or named.

    Every file is looked up in all roots, the one meant for its kind first, so mixtures work too.
    So do files of external depth (``sequences/XX/depth_2/NNNNNN.npz``, see
    :mod:`htcl.datasets.depth_files`), which may have a root of their own.

    Training labels made by ``process_kitti.sh`` lie in ``label_root/XX/NNNNNN_1_1.npy``.

    Args:
        data_root: The main root. None takes the environment variable ``SEMANTICKITTI_ROOT``.
        velodyne_root: Root of the scans, if elsewhere.
        lidarseg_root: Root of the point labels, if elsewhere.
        label_root: Folder of the training labels; None: ``labels`` beside the main root's
            ``sequences`` folder.
        depth_root: Root of the external depth, if elsewhere.

    Raises:
        InvalidValueError: If neither ``data_root`` nor the environment variable is given.
        MissingFileError: If a root does not exist, or the main one holds no sequences.
    """

    def __init__(
        self,
        data_root: str | Path | None = None,
        velodyne_root: str | Path | None = None,
        lidarseg_root: str | Path | None = None,
        label_root: str | Path | None = None,
        depth_root: str | Path | None = None,
    ) -> None:
        source = "data_root"
        if not data_root:
            data_root = os.environ.get(ROOT_VARIABLE)
            source = f"environment variable {ROOT_VARIABLE}"
        if not data_root:
            raise InvalidValueError(
                f"no data root: set the config key data_root or the environment variable "
                f"{ROOT_VARIABLE} to the folder that holds the SemanticKITTI sequences"
            )
        self.data_root = Path(data_root)
        self._main = main = _sequence_parent(self.data_root, source)
        self._velodyne = self._optional_root(velodyne_root, "velodyne_root") or main
        self._lidarseg = self._optional_root(lidarseg_root, "lidarseg_root") or main
        self._depth = _sequence_parent(Path(depth_root), "depth_root") if depth_root else main
        self.label_root = Path(label_root) if label_root else main.parent / "labels"

    def _optional_root(self, root: str | Path | None, key: str) -> Path | None:
        if root:
            return _sequence_parent(Path(root), key)
        parts = self.data_root.absolute().parts
        if parts[-len(_README_TAIL) :] == _README_TAIL:
            sibling = Path(*parts[: -len(_README_TAIL)]) / _README_SIBLINGS[key]
            # Without sequences it is no error yet (evaluation needs no lidar), only searched.
            if sibling.is_dir():
                return _find_parent(sibling) or sibling / _SEQUENCE_PARENTS[0]
        return None

    def _parents(self, kind: str) -> list[Path]:
        """Lists the sequence parents to search for a kind of file, best first, without repeats."""
        own = {
            "velodyne": self._velodyne, "point_labels": self._lidarseg, "depth_2": self._depth,
        }  # fmt: skip
        first = own.get(kind, self._main)
        return list(dict.fromkeys([first, self._main, *own.values()]))

    def sequences(self) -> list[str]:
        """Names all sequences of the main root, sorted."""
        return sorted(entry.name for entry in self._main.iterdir() if _is_sequence(entry))

    def folder(self, sequence: str, kind: str) -> Path:
        """Finds the folder of one kind of per-frame file (a key of ``FRAME_FILES``).

        Raises:
            KeyError: If the kind is unknown.
            MissingFileError: If no root has the folder; lists what was searched.
        """
        searched = self._folders(sequence, kind)
        return _first(searched, Path.is_dir, f"sequence {sequence}: no folder {searched[0].name!r}")

    def default_folder(self, sequence: str, kind: str) -> Path:
        """Builds the path where a folder would be written: in the root meant for its kind."""
        return self._folders(sequence, kind)[0]

    def frames(self, sequence: str, kind: str) -> dict[str, Path]:
        """Lists the files of :meth:`folder` by frame, such as ``"000005"``, in their order."""
        return list_frames(self.folder(sequence, kind), FRAME_FILES[kind][1])

    def files(self, sequence: str, kind: str, frames: Iterable[str]) -> dict[str, Path]:
        """Builds the path of a file for each frame; it may be missing, as may the folder."""
        folders = self._folders(sequence, kind)
        folder = next(filter(Path.is_dir, folders), folders[0])
        return frame_files(folder, FRAME_FILES[kind][1], frames)

    def _folders(self, sequence: str, kind: str) -> list[Path]:
        """Lists where the folder of a kind may be, best first."""
        if kind not in FRAME_FILES:
            raise KeyError(f"unknown kind of file {kind!r}, expected one of {sorted(FRAME_FILES)}")
        name = plain_name(sequence, "sequence")
        return [parent / name / FRAME_FILES[kind][0] for parent in self._parents(kind)]

    def calibration_path(self, sequence: str) -> Path:
        """Builds the path of ``calib.txt`` in the main root; it may be missing."""
        return self._main / plain_name(sequence, "sequence") / "calib.txt"

    def calibration(self, sequence: str) -> Path:
        """Finds ``calib.txt`` of a sequence."""
        searched = [parent / sequence / "calib.txt" for parent in self._parents("image_2")]
        return _first(searched, os.path.lexists, f"sequence {sequence}: no calib.txt")

    def poses(self, sequence: str) -> Path:
        """Finds the poses: ``XX/poses.txt``, or KITTI's ``poses/XX.txt`` beside ``sequences``."""
        parents = self._parents("image_2")
        searched = [parent / sequence / "poses.txt" for parent in parents]
        searched += [parent.parent / "poses" / f"{sequence}.txt" for parent in parents]
        return _first(searched, os.path.lexists, f"sequence {sequence}: no poses.txt")

    def times(self, sequence: str) -> Path | None:
        """Finds ``times.txt`` of a sequence; None if there is none, which nobody has to have."""
        searched = (parent / sequence / "times.txt" for parent in self._parents("image_2"))
        return next(filter(os.path.lexists, searched), None)

    def training_label(self, sequence: str, frame: str, scale: str) -> Path:
        """Builds the path of a training label of scale 1_1, 1_2 or 1_8; it may be missing."""
        return self.label_root / sequence / f"{frame}_{scale}.npy"


def _sequence_parent(root: Path, source: str) -> Path:
    if not root.is_dir():
        raise MissingFileError(f"{root}: folder not found (from {source})")
    parent = _find_parent(root)
    if parent is None:
        searched = ", ".join(str(root / name) for name in _SEQUENCE_PARENTS)
        raise MissingFileError(
            f"{root}: no sequence folder such as 00 or 08 found (from {source}); "
            f"searched {searched}"
        )
    return parent


def _find_parent(root: Path) -> Path | None:
    """Finds the folder below a root that holds the sequences."""
    for candidate in (root / name for name in _SEQUENCE_PARENTS):
        if candidate.is_dir() and any(_is_sequence(entry) for entry in candidate.iterdir()):
            return candidate
    return None


def list_frames(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Lists the files of a folder by frame, in order; of several suffixes the first one wins.

    Raises:
        InvalidValueError: If the folder may not be listed.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise InvalidValueError(
            f"{folder}: folder cannot be listed: {error.strerror}; check its rights (`ls -ld`)"
        ) from None
    found: dict[str, Path] = {}
    # The official suffix comes last and wins.
    for suffix in reversed(suffixes):
        found |= {n.removesuffix(suffix): folder / n for n in names if n.endswith(suffix)}
    return {frame: found[frame] for frame in sorted(found) if frame.isdigit()}


def frame_files(folder: Path, suffixes: Sequence[str], frames: Iterable[str]) -> dict[str, Path]:
    """Builds the path of a file for each frame; it may be missing, as may the folder."""
    found = list_frames(folder, suffixes) if folder.is_dir() else {}
    suffix = next(iter(found.values())).suffix if found else suffixes[0]
    return {frame: found.get(frame, folder / f"{frame}{suffix}") for frame in frames}


def _is_sequence(path: Path) -> bool:
    return path.name.isdigit() and path.is_dir()


def _first(searched: list[Path], test: Callable[[Path], bool], message: str) -> Path:
    for path in searched:
        if test(path):
            return path
    raise MissingFileError(f"{message}; searched {', '.join(str(path) for path in searched)}")
