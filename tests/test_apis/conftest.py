from __future__ import annotations

from pathlib import Path

import pytest
import torch

from htcl.apis import load_model
from htcl.config import load_config

CONFIGS = Path(__file__).resolve().parents[2] / "projects/configs/occupancy/mini"


@pytest.fixture(scope="session")
def mini_weights(tmp_path_factory):
    """Config path and a checkpoint of random weights."""
    folder = tmp_path_factory.mktemp("weights")

    def make(name: str) -> tuple[str, str]:
        config, checkpoint = CONFIGS / f"{name}.py", folder / f"{name}.pth"
        if not checkpoint.is_file():
            torch.manual_seed(0)
            state = load_model(load_config(config), None).state_dict()
            torch.save({"state_dict": state}, checkpoint)
        return str(config), str(checkpoint)

    return make
