from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from htcl.config import load_config


@pytest.fixture
def tool(load_tool):
    return load_tool("browse_dataset.py")


@pytest.fixture
def command(repo_root, kitti_tree, tmp_path):
    config = repo_root / "projects/configs/occupancy/mini/htcl_egopose.py"
    options = {"data_root": kitti_tree, "train_sequences": "00", "val_sequences": "08"}
    return [
        str(config), "--out", str(tmp_path), "--row-height", "80",
        "--cfg-options", *(f"{key}={value}" for key, value in options.items()),
    ]  # fmt: skip


def test_a_picture_a_sample(tool, command, tmp_path, capsys):
    assert tool.main([*command[:1], "--max-frames", "2", *command[1:]]) == 0
    assert "2 pictures in" in capsys.readouterr().out
    files = sorted(tmp_path.glob("00/*.png"))
    assert [file.stem for file in files] == ["000000", "000005"]
    picture = np.asarray(Image.open(files[1]))
    # Images, history, lidar, target and labels one below the other, two columns of 80 x 320 / 96.
    assert picture.shape[1] == 2 * 24 + 2 * round(80 * 320 / 96) + 12
    assert picture.shape[0] > 8 * 80
    # The legend's and the voxels' colours: road is magenta.
    assert (picture == (255, 0, 255)).all(axis=-1).sum() > 50


def test_augmentation_changes_images_and_voxels(tool, command, tmp_path):
    assert tool.main([*command[:1], "--max-frames", "1", *command[1:]]) == 0
    plain = np.asarray(Image.open(tmp_path / "00/000000.png")).astype(int)
    augmented = [*command[:1], "--max-frames", "1", "--augment", "bev", "photo", *command[1:]]
    assert tool.main(augmented) == 0
    first = np.asarray(Image.open(tmp_path / "00/000000.png")).astype(int)
    assert np.abs(first - plain)[60:140, 30:280].mean() > 1
    assert np.abs(first - plain)[-160:, 30:280].mean() > 1
    assert tool.main(augmented) == 0
    again = np.asarray(Image.open(tmp_path / "00/000000.png")).astype(int)
    np.testing.assert_array_equal(first, again)


def test_validation_has_no_lidar(tool, command, tmp_path):
    assert tool.main([*command[:1], "--split", "val", "--max-frames", "1", *command[1:]]) == 0
    assert (tmp_path / "08/000000.png").is_file()


def test_augmentations_go_before_packing(tool, command, kitti_tree):
    def steps(augment, own=()):
        facts = {"data_root": str(kitti_tree), "train_sequences": "00", "augmentations": list(own)}
        dataset = tool.build_dataset(load_config(command[0], facts), "train", augment)
        return dataset.pipeline.transforms

    loading = ["LoadImages", "LoadDepthPrior", "LoadVoxelLabels", "LoadLidarPoints"]
    augmenting = ["BEVAugmentation", "PhotometricJitter"]
    added = [type(step).__name__ for step in steps(["bev", "photo"])]
    assert added == [*loading, *augmenting, "PackInputs"]
    # Those of the config stay as they are.
    kept = steps(["photo"], [{"type": "PhotometricJitter", "prob": 0.25}])
    assert len(kept) == 6 and kept[4].prob == 0.25


def test_the_data_root_of_the_command_line_is_used(tool, command, capsys):
    """Also where it leads nowhere, and a misspelt key is named."""
    wrong = ["data_root=nowhere" if word.startswith("data_root=") else word for word in command]
    assert tool.main(wrong) == 1
    assert "nowhere" in capsys.readouterr().err
    assert tool.main([*command, "data_rot=nowhere"]) == 1
    assert "data_rot" in capsys.readouterr().err


def test_errors(tool, command, tmp_path, capsys):
    assert tool.main(["none.py"]) == 1
    assert "none.py" in capsys.readouterr().err
    assert tool.main([*command[:1], "--start", "99", *command[1:]]) == 1
    assert "3 samples only" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.parse_args(["c.py", "--every", "0"])
