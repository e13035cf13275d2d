"""A pack of streets keeps what a training reads, in a fraction of the bytes."""

from __future__ import annotations

import io
import subprocess
import tarfile

import numpy as np
import pytest
from PIL import Image

from htcl.datasets.image_files import read_image
from mini_kitti import MiniKittiSettings, make_mini_kitti
from mini_kitti.writer.street_pack import pack_streets, unpack_streets


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streets")
    settings = MiniKittiSettings(
        frames=2, image_size=(64, 208), lidar_azimuths=90, lean=True, traffic=0
    )
    make_mini_kitti(folder, settings, ["00", "08"])
    return folder


@pytest.fixture(scope="module")
def unpacked(streets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack")
    assert pack_streets(streets, folder / "pack.tar.xz", ["00", "08"], 2) == ["00", "08"]
    assert unpack_streets(folder / "pack.tar.xz", folder / "data") == ["00", "08"]
    return folder / "data"


def _files(root):
    return {path.relative_to(root) for path in root.rglob("*.*") if path.name != "README.md"}


def test_the_same_files(streets, unpacked):
    assert _files(unpacked) == _files(streets)
    size = sum((streets / path).stat().st_size for path in _files(streets))
    assert (unpacked.parent / "pack.tar.xz").stat().st_size < size / 4


def test_every_second_point_within_half_precision(streets, unpacked):
    for name in ("00", "08"):
        scan, packed = (
            np.fromfile(root / f"sequences/{name}/velodyne/000000.bin", np.float32).reshape(-1, 4)
            for root in (streets, unpacked)
        )
        # Numbers of 11 bits, up to some 70 m: half a unit of the last place.
        np.testing.assert_allclose(packed[:, :3], scan[::2, :3], rtol=2**-11, atol=1e-7)
        assert not packed[:, 3].any()
        labels, kept = (
            np.fromfile(root / f"sequences/{name}/labels/000000.label", np.uint32)
            for root in (streets, unpacked)
        )
        np.testing.assert_array_equal(kept, labels[::2] & 0xFFFF)


def test_images_and_training_labels(streets, unpacked):
    def image(root):
        return read_image(root / "sequences/08/image_3/000001.png").astype(float)

    assert np.abs(image(streets) - image(unpacked)).mean() < 8

    for path in streets.rglob("*.npy"):
        np.testing.assert_array_equal(np.load(unpacked / path.relative_to(streets)), np.load(path))


def test_nothing_lands_outside(tmp_path):
    with tarfile.open(tmp_path / "evil.tar.xz", "w:xz") as pack:
        entry = tarfile.TarInfo("../outside.txt")
        entry.size = 1
        pack.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(tarfile.OutsideDestinationError):
        unpack_streets(tmp_path / "evil.tar.xz", tmp_path / "in")
    assert not (tmp_path / "outside.txt").exists()


class TestTool:
    @pytest.fixture
    def tool(self, load_tool):
        return load_tool("pack_streets.py")

    def test_both_ways(self, tool, streets, tmp_path, capsys):
        assert tool.main(["pack", str(streets), str(tmp_path / "a.tar.xz")]) == 0
        assert tool.main(["unpack", str(tmp_path / "a.tar.xz"), str(tmp_path / "data")]) == 0
        first, second = capsys.readouterr().out.splitlines()
        assert first == second and first.startswith("2 streets, ") and first.endswith(" MB: 00,08")
        with Image.open(tmp_path / "data/sequences/00/image_2/000000.png") as image:
            assert image.format == "JPEG" and image.size == (208, 64)

    @pytest.mark.parametrize("content", (b"", b"no archive"))
    def test_not_a_pack(self, tool, tmp_path, capsys, content):
        (tmp_path / "a.tar.xz").write_bytes(content)
        assert tool.main(["unpack", str(tmp_path / "a.tar.xz"), str(tmp_path / "data")]) == 1
        assert capsys.readouterr().err.startswith("pack_streets: ")

    def test_no_such_street(self, tool, streets, tmp_path, capsys):
        options = ["--sequences", "55"]
        assert tool.main(["pack", str(streets), str(tmp_path / "a.tar.xz"), *options]) == 1
        assert "sequences/55 does not exist: no such street" in capsys.readouterr().err
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected PACK and MINUTES"),
        (["absent.tar.xz", "1"], "absent.tar.xz does not exist"),
        ([__file__, "long"], "MINUTES is 'long'"),
        ([__file__, "1", "out", "--cfg-options", "a=1"], "keys of the config are set here"),
    ],
)
def test_misuse_of_the_training_script(repo_root, tmp_path, arguments, message):
    command = ["bash", str(repo_root / "benchmarks/gpu_train.sh"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"gpu_train: {message}") and "usage:" in done.stderr
    assert not list(tmp_path.iterdir())
