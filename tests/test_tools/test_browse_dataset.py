from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def tool(load_tool):
    return load_tool("browse_dataset.py")


@pytest.fixture
def command(repo_root, kitti_tree, tmp_path):
    config = repo_root / "projects/configs/occupancy/mini/htcl_egopose.py"
    options = {
        "train_dataloader.dataset.sequences": "'00'",
        "train_dataloader.dataset.data_root": kitti_tree,
        "val_dataloader.dataset.sequences": "'08'",
        "val_dataloader.dataset.data_root": kitti_tree,
    }
    return [
        str(config), "--out", str(tmp_path), "--row-height", "80",
        "--cfg-options", *(f"{key}={value}" for key, value in options.items()),
    ]  # fmt: skip


@pytest.fixture
def labelled(tool, monkeypatch):
    """The synthetic tree has official labels only, which training at full scale reads too."""
    build = tool.build_dataset

    def with_full_labels(cfg, split, augment):
        for step in cfg[f"{split}_dataloader"].dataset.pipeline:
            if step["type"] == "LoadVoxelLabels":
                step["scale"] = "1_1"
        # One name would be taken for a list of letters.
        dataset = cfg[f"{split}_dataloader"].dataset
        dataset.sequences = [dataset.sequences]
        return build(cfg, split, augment)

    monkeypatch.setattr(tool, "build_dataset", with_full_labels)


def test_a_picture_a_sample(tool, command, labelled, tmp_path, capsys):
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


def test_augmentation_changes_images_and_voxels(tool, command, labelled, tmp_path):
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


def test_validation_has_no_lidar(tool, command, labelled, tmp_path):
    assert tool.main([*command[:1], "--split", "val", "--max-frames", "1", *command[1:]]) == 0
    assert (tmp_path / "08/000000.png").is_file()


def test_augmentations_go_before_packing(tool):
    pipeline = [{"type": "LoadVoxelLabels", "scale": "1_2"}, {"type": "PackSSCInputs"}]
    steps = tool.add_augmentations(pipeline, ["bev", "photo"])
    assert [step["type"] for step in steps] == [
        "LoadVoxelLabels", "BEVAugmentation", "PhotometricJitter", "PackSSCInputs",
    ]  # fmt: skip
    assert steps[1]["grid"] == {"voxel_size": 0.4, "size": (128, 128, 16)}
    # Those of the config stay as they are.
    assert tool.add_augmentations(steps, ["bev", "photo"]) == steps


def test_errors(tool, command, labelled, tmp_path, capsys):
    assert tool.main(["none.py"]) == 1
    assert "none.py" in capsys.readouterr().err
    assert tool.main([*command[:1], "--start", "99", *command[1:]]) == 1
    assert "3 samples only" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tool.parse_args(["c.py", "--every", "0"])
