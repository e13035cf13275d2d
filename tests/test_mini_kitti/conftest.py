from __future__ import annotations

from pathlib import Path

import pytest

from mini_kitti import MiniKittiSettings, make_mini_kitti


@pytest.fixture(scope="session")
def settings() -> MiniKittiSettings:
    return MiniKittiSettings(
        seed=3, frames=3, image_size=(96, 312), lidar_azimuths=180, label_every=2
    )


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory, settings: MiniKittiSettings) -> Path:
    """A data set with a labelled and a test sequence."""
    folder = tmp_path_factory.mktemp("mini")
    assert make_mini_kitti(folder, settings, ["08", "11"], jobs=1) == ["08", "11"]
    return folder
