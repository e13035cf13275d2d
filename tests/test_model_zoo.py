"""docs/model_zoo.md and the metafile: every config is there, with the numbers of its network."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from htcl.config import load_config
from htcl.engine.runner import load_model

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "projects/configs/occupancy"
METAFILE = yaml.safe_load((FOLDER / "metafile.yml").read_text())
MODELS = {model["Config"]: model for model in METAFILE["Models"]}


def test_every_config_is_listed_once():
    written = {path.relative_to(ROOT).as_posix() for path in FOLDER.glob("*/*.py")}
    assert set(MODELS) == written
    assert len(MODELS) == len(METAFILE["Models"])
    for model in MODELS.values():
        assert model["In Collection"] == METAFILE["Collections"][0]["Name"]
        assert "Weights" not in model or (ROOT / model["Weights"]).is_file()


def test_page_has_the_numbers_of_the_metafile():
    page = (ROOT / "docs/model_zoo.md").read_text()
    for config, model in MODELS.items():
        facts = model["Metadata"]
        name = Path(config).relative_to("projects/configs/occupancy").as_posix()
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        assert f"| {facts['Parameters'] / 1e6:.2f} |" in row
        digits = 1 if name.startswith("mini/") else 0
        assert f"| {facts['FLOPs'] / 1e9:,.{digits}f} |" in row
        assert f"| {facts['Inference Memory (GiB, estimated)']:.2f} |" in row
        for result in model.get("Results", ()):
            assert all(f"{value}" in page for value in result["Metrics"].values())


def test_shipped_weights_have_the_scores_of_their_card():
    shipped = [model for model in MODELS.values() if {"Weights", "Results"} <= model.keys()]
    assert shipped
    for model in shipped:
        card = (ROOT / model["Weights"]).with_suffix(".md").read_text()
        for result in model["Results"]:
            assert f"| completion IoU | {result['Metrics']['IoU']:.2f} |" in card
            assert f"| mIoU | {result['Metrics']['mIoU']:.2f} |" in card


@pytest.mark.parametrize("config", [name for name in MODELS if "/mini/" in name])
def test_parameters(config):
    model = load_model(load_config(ROOT / config), None)
    found = sum(parameter.numel() for parameter in model.parameters())
    assert found == MODELS[config]["Metadata"]["Parameters"]
