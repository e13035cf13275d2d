"""The examination of a data root, and that a training refuses what it finds."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from damage import WHOLE_FILE
from PIL import Image

from htcl.datasets.semantic_kitti import SemanticKITTISSC
from htcl.errors import UserError

S = "sequences/00"
# A file of every kind that a training reads.
FILES = {
    "image": f"{S}/image_2/000005.png",
    "right image": f"{S}/image_3/000005.png",
    "calibration": f"{S}/calib.txt",
    "poses": f"{S}/poses.txt",
    "scan": f"{S}/velodyne/000005.bin",
    "point labels": f"{S}/labels/000005.label",
    "voxels": f"{S}/voxels/000005.label",
    "invalid": f"{S}/voxels/000005.invalid",
}


@pytest.fixture
def tree(kitti_tree: Path, tmp_path: Path) -> Path:
    """Sequence 00 of the synthetic tree as links, frame 5 its one sample; see :func:`own`."""
    root = tmp_path / "kitti"
    for path in (kitti_tree / S).rglob("*"):
        if path.is_file() and (path.parent.name != "voxels" or path.stem == "000005"):
            link = root / path.relative_to(kitti_tree)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    return root


def own(path: Path) -> Path:
    """Puts a copy of a file of the tree, which may change, in the place of its link."""
    if path.is_symlink():
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    return path


@pytest.fixture
def check(run_tool, tmp_path: Path, capsys: pytest.CaptureFixture):
    """Runs the tool on sequence 00 of a root; returns exit status, problems and output."""
    number = 0

    def call(root: Path, *arguments: object) -> tuple[int, list[dict], str]:
        nonlocal number
        number += 1
        target = tmp_path / f"problems_{number}.json"
        state = ("--state", tmp_path / f"state_{number}.jsonl")
        named = () if "--state" in arguments else state
        status = run_tool(
            "check_data.py", root, "--sequences", "00", "--jobs", 1, "--json", target, *named,
            *arguments,
        )  # fmt: skip
        return status, json.loads(target.read_text())["problems"], capsys.readouterr().out

    return call


def read_all(root: Path) -> None:
    """Builds the data set of a training and reads all of its samples."""
    from mmengine.registry import init_default_scope

    init_default_scope("mmdet3d")
    dataset = SemanticKITTISSC(
        str(root),
        sequences=["00"],
        num_history=1,
        # Serialising collects garbage, which takes longer than everything else here.
        serialize_data=False,
        inputs=[*["images", "right", "history", "current_from_history", "depth_maps", "points"]],
        pipeline=[
            {"type": "LoadImages", "input_size": (32, 128)},
            {"type": "LoadVoxelLabels"},
            {"type": "LoadLidarPoints"},
            {"type": "PackInputs"},
        ],
    )
    for index in range(len(dataset)):
        dataset.prepare_data(index)


def test_a_sound_tree(check, kitti_tree: Path, tree: Path):
    status, problems, out = check(kitti_tree)
    assert (status, problems) == (0, [])
    # 11 frames, up to the last sample, of two images; 3 of them with scan, voxels, two masks.
    assert "34 checks" in out and "no problems" in out
    # 6 frames of two images, and one sample.
    assert "16 checks" in check(tree)[2]
    read_all(tree)


@pytest.mark.parametrize("damage", WHOLE_FILE)
@pytest.mark.parametrize("kind", FILES)
def test_unreadable_files(check, tree: Path, kind: str, damage: str):
    """Each is one problem that names the file, and one error of the training."""
    path = own(tree / FILES[kind])
    WHOLE_FILE[damage](path)
    status, problems, out = check(tree)
    assert status == 1
    named = [problem for problem in problems if str(path) in problem["message"]]
    assert len(named) == len(problems) == 1, problems
    assert "Traceback" not in out and str(path) in out
    with pytest.raises(UserError, match=path.name) as error:
        read_all(tree)
    assert len(str(error.value)) < 1500


def _pixels(path: Path, make) -> None:
    make(np.asarray(Image.open(path))).save(own(path))


def _png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises so many pixels, and which has none."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def _scale(path: Path, factor: float) -> None:
    points = np.fromfile(path, dtype="<f4").reshape(-1, 4)
    points[:, :3] *= factor
    points.tofile(path)


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    own(path).write_text(text.replace(old, new))


def _fill(path: Path, value: int) -> None:
    own(path).write_bytes(bytes([value]) * path.stat().st_size)


def _flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(bytes(content))


def _ready(path: Path, write) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        write(file)


def _lying_header(file) -> None:
    np.lib.format.write_array_header_1_0(
        file, {"descr": "|u1", "fortran_order": False, "shape": (1 << 20, 1 << 20, 1 << 20)}
    )


LABEL = "labels/00/000005_1_1"
CONTENT = {
    "other size": ("image", lambda p: _pixels(p, lambda a: Image.fromarray(a[:-2])), "124 x 36"),
    "16 bit": (
        "image",
        lambda p: _pixels(p, lambda a: Image.fromarray(a[..., 0].astype(np.uint16) * 257)),
        "mode I;16",
    ),
    "bit flipped image": ("image", _flip_bit, "cannot be decoded"),
    "bomb": ("image", lambda p: p.write_bytes(_png_of_size(60_000, 60_000)), "too many pixels"),
    "P2 and P3": (
        "calibration",
        lambda p: _replace(p, "P2", "P9") or _replace(p, "P3", "P2") or _replace(p, "P9", "P3"),
        "to the left of the left one",
    ),
    "no Tr": ("calibration", lambda p: _replace(p, "Tr", "Td"), "lacks Tr"),
    "comma": ("calibration", lambda p: _replace(p, ".", ","), "not a number"),
    "of another size": (
        "calibration",
        lambda p: _replace(p, "6.070000000000e+01", "1.214000000000e+02"),
        "principal point",
    ),
    "a jump": ("poses", lambda p: _replace(p, "5.000000000e+00\n", "1e6\n"), "jumps by"),
    "a line missing": (
        "poses",
        lambda p: p.write_text("".join(p.read_text().splitlines(keepends=True)[:-1])),
        "11 poses",
    ),
    "NaN": ("scan", lambda p: _scale(p, np.nan), "not finite"),
    "1e30": ("scan", lambda p: _scale(p, 1e30), "expected 1000 m"),
    "zero scan": ("scan", lambda p: _fill(p, 0), "all 0 0 0"),
    "behind": ("scan", lambda p: _scale(p, -1), "falls into an image"),
    "too many points": ("scan", lambda p: p.write_bytes(p.read_bytes() + bytes(16)), "10400 bytes"),
    "zero labels": ("point labels", lambda p: _fill(p, 0), "point labels are 0"),
    "unknown ids": ("point labels", lambda p: _fill(p, 77), "unknown raw label"),
    "zero voxels": ("voxels", lambda p: _fill(p, 0), "every voxel of the frame is empty"),
    "unknown voxels": ("voxels", lambda p: _fill(p, 77), "unknown raw label"),
    "too long": ("voxels", lambda p: p.write_bytes(p.read_bytes() + b"00"), "4194306 bytes"),
    "all invalid": ("invalid", lambda p: _fill(p, 255), "not scored"),
    "pickle": (
        f"{LABEL}.npy",
        lambda p: _ready(p, lambda f: np.save(f, np.array([{}]), allow_pickle=True)),
        "not a readable",
    ),
    "lying header": (f"{LABEL}.npy", lambda p: _ready(p, _lying_header), "as its head says"),
    "zip as npy": (
        f"{LABEL}.npy",
        lambda p: _ready(p, lambda f: np.savez(f, labels=np.zeros(3))),
        "not a readable",
    ),
    "other grid": (
        f"{LABEL}.npz",
        lambda p: _ready(p, lambda f: np.savez(f, labels=np.ones((2, 2, 2), np.uint8))),
        "expected uint8",
    ),
    "all empty": (
        f"{LABEL}.npz",
        lambda p: _ready(p, lambda f: np.savez(f, labels=np.zeros((256, 256, 32), np.uint8))),
        "every voxel",
    ),
    "no class": (
        f"{LABEL}.npz",
        lambda p: _ready(p, lambda f: np.savez(f, labels=np.full((256, 256, 32), 77, np.uint8))),
        "unknown training label",
    ),
}


@pytest.mark.parametrize("name", CONTENT)
def test_wrong_content(check, tree: Path, name: str):
    kind, damage, message = CONTENT[name]
    path = own(tree / FILES.get(kind, kind))
    damage(path)
    status, problems, _ = check(tree)
    assert status == 1 and len(problems) == 1, problems
    assert message in problems[0]["message"]
    with pytest.raises(UserError, match=path.stem) as error:
        read_all(tree)
    assert message in str(error.value)


def test_what_works_by_a_rule(check, tree: Path):
    """Grey and RGBA images, text of any editor, a single frame."""
    folder = tree / S
    _pixels(folder / "image_2/000005.png", lambda a: Image.fromarray(a).convert("L"))
    _pixels(folder / "image_3/000005.png", lambda a: Image.fromarray(a).convert("RGBA"))
    for name in ("calib.txt", "poses.txt", "times.txt"):
        content = (folder / name).read_bytes().replace(b"\n", b"\r\n")
        own(folder / name).write_bytes(b"\xef\xbb\xbf" + content)
    assert check(tree)[:2] == (0, [])
    read_all(tree)
    for kind in ("image_2", "image_3", "velodyne", "labels", "voxels"):
        for path in (folder / kind).iterdir():
            if not path.name.startswith("000005"):
                path.unlink()
    assert check(tree)[:2] == (0, [])
    read_all(tree)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs to change user")
def test_no_permission(tree: Path):
    """Root reads everything: the test becomes nobody while it reads."""
    from htcl.files import read_bytes

    path = tree / FILES["scan"]
    outside = Path(shutil.copy(path, "/tmp/htcl_test_no_permission.bin"))
    try:
        outside.chmod(0)
        os.seteuid(65534)
        try:
            with pytest.raises(UserError, match=r"no_permission\.bin: lidar scan file canno"):
                read_bytes(outside, "lidar scan")
        finally:
            os.seteuid(0)
    finally:
        outside.unlink()


def test_everything_at_once(check, tree: Path):
    """Six faults are six problems, that of the calibration once and not for each frame."""
    root = tree
    _replace(root / S / "calib.txt", "Tr", "Td")
    (root / S / "poses.txt").unlink()
    (root / S / "image_2/000003.png").unlink()
    _fill(root / S / "velodyne/000005.bin", 0)
    _fill(root / S / "voxels/000005.label", 0)
    own(root / S / "voxels/000005.bin").write_bytes(b"")
    status, problems, out = check(root)
    assert status == 1 and len(problems) == 6
    kinds = sorted(problem["kind"] for problem in problems)
    assert kinds == ["image", "lidar", "mask", "sequence", "sequence", "voxels"]
    assert "sequence 00: 6 problems" in out


def test_a_second_call_goes_on(check, tree: Path, tmp_path: Path):
    state = ("--state", tmp_path / "state.jsonl")
    _fill(tree / FILES["scan"], 0)
    first, second = check(tree, *state), check(tree, *state)
    assert first[1] == second[1] and second[0] == 1
    assert "0 checks" in second[2] and "16 known from earlier calls" in second[2]
    # As if killed in the middle of a line: what is whole counts.
    lines = state[1].read_text().splitlines(keepends=True)
    state[1].write_text("".join(lines[:9]) + lines[9][:9])
    third = check(tree, *state)
    assert "8 checks" in third[2] and third[1] == first[1]
    # What was mended is read again.
    shutil.copy(tree / S / "velodyne/000000.bin", tree / FILES["scan"])
    status, problems, out = check(tree, *state)
    assert status == 0 and problems == [] and "1 checks" in out
    assert "16 checks" in check(tree, *state, "--restart")[2]


def test_two_processes_find_the_same(check, tree: Path):
    _fill(tree / FILES["scan"], 0)
    one, two = check(tree), check(tree, "--jobs", 2)
    assert one[:2] == two[:2]


def test_inputs_say_what_is_needed(check, tree: Path):
    (tree / FILES["poses"]).unlink()
    assert check(tree)[0] == 1
    shutil.rmtree(tree / S / "image_3")
    shutil.rmtree(tree / S / "velodyne")
    # 6 images, voxels and two masks.
    status, problems, out = check(tree, "--inputs", "images", "history")
    assert (status, problems) == (0, []) and "9 checks" in out
    status, problems, _ = check(tree, "--inputs", "images", "right", "depth_maps")
    assert status == 1 and [p["kind"] for p in problems] == [*["image"] * 6, "lidar"]


def test_depth_files(check, tree: Path):
    folder = tree / S / "depth_2"
    folder.mkdir()
    np.savez(folder / "000005.npz", depth=np.ones((4, 5), dtype=np.float32))
    assert check(tree)[:2] == (0, [])
    np.savez(folder / "000005.npz", depth=-np.ones((4, 5), dtype=np.float32))
    status, problems, _ = check(tree)
    assert status == 1 and "000005.npz: depth is -1.0" in problems[0]["message"]


def test_misuse(run_tool, tmp_path: Path, kitti_tree: Path, capsys):
    assert run_tool("check_data.py", tmp_path / "nowhere") == 1
    assert "nowhere: folder not found" in capsys.readouterr().err
    assert run_tool("check_data.py", kitti_tree, "--split", "tset") == 1
    assert "split='tset' is unknown" in capsys.readouterr().err
    assert run_tool("check_data.py", kitti_tree, "--sequences", "../../etc") == 1
    assert "cannot be the name" in capsys.readouterr().err


def test_any_data_set_plugs_in(run_tool, repo_root: Path, tmp_path: Path, capsys, monkeypatch):
    """The garage of docs/examples has no line about examinations."""
    monkeypatch.syspath_prepend(repo_root)
    root, rng = tmp_path / "garage", np.random.default_rng(0)
    intrinsics = np.eye(4)
    intrinsics[:2, :3] = [[60, 0, 61.5], [0, 60, 18.5]]
    pose = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    rig = {"intrinsics": intrinsics.tolist(), "reference_from_camera": pose.tolist()}
    for frame in range(2):
        for camera in ("front", "back"):
            path = root / "level1" / camera / f"{frame:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (38, 124, 3), dtype=np.uint8)).save(path)
        labels = root / "level1/labels" / f"{frame:06d}.npy"
        labels.parent.mkdir(exist_ok=True)
        np.save(labels, rng.integers(0, 4, (128, 128, 16), dtype=np.uint8))
    (root / "rig.json").write_text(json.dumps({"front": rig, "back": rig}))
    config = repo_root / "docs/examples/garage_config.py"
    arguments = (root, "--config", config, "--sequences", "level1", "--jobs", 1)
    state = ("--state", tmp_path / "state.jsonl")
    assert run_tool("check_data.py", *arguments, *state) == 0
    assert "6 checks" in capsys.readouterr().out
    np.save(root / "level1/labels/000001.npy", np.full((128, 128, 16), 9, dtype=np.uint8))
    (root / "level1/back/000000.png").write_bytes(b"")
    assert run_tool("check_data.py", *arguments, *state) == 1
    out = capsys.readouterr().out
    assert "000001.npy: 1 unknown training label" in out and "back/000000.png: image cannot" in out
