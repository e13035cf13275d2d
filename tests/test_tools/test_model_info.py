from __future__ import annotations

import json

import pytest
import torch


@pytest.fixture
def tool(load_tool):
    return load_tool("model_info.py")


def test_prints_and_saves(tool, repo_root, tmp_path, capsys):
    config = repo_root / "projects/configs/occupancy/mini/htcl_mono.py"
    assert tool.main([str(config), "--size", "64", "160", "--json", str(tmp_path / "n.json")]) == 0
    printed = capsys.readouterr().out
    assert "img_backbone" in printed and "GFLOP" in printed and "PyTorch" in printed
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert numbers["input_shapes"]["images"] == [1, 1, 3, 64, 160]
    assert numbers["total"]["flops"] == sum(part["flops"] for part in numbers["parts"])


def test_training(tool, repo_root, tmp_path, capsys):
    config = repo_root / "projects/configs/occupancy/mini/htcl_mono.py"
    words = [str(config), "--size", "64", "160", "--training", "--json", str(tmp_path / "n.json")]
    words += ["--cfg-options", "model.checkpointing=['voxel_encoder']"]
    assert tool.main(words) == 0
    printed = capsys.readouterr().out
    assert "fits in 24 GiB" in printed and "no GPU here" not in printed
    with_checkpointing, without = json.loads((tmp_path / "n.json").read_text())["training"].values()
    assert with_checkpointing["peak_bytes"] <= without["peak_bytes"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_estimates_without_a_gpu(tool, repo_root, capsys):
    config = repo_root / "projects/configs/occupancy/mini/htcl_mono.py"
    words = [str(config), "--size", "64", "160", "--device", "cuda", "--amp", "bfloat16"]
    assert tool.main(words) == 0
    printed = capsys.readouterr().out
    assert "no GPU here" in printed and "nothing computed" in printed
    assert "bfloat16; estimated from shapes" in printed and "no checkpointing" in printed


def test_errors(tool, repo_root, capsys):
    config = str(repo_root / "projects/configs/occupancy/mini/htcl_mono.py")
    assert tool.main(["none.py"]) == 1
    assert tool.main([config, "--size", "60", "160"]) == 1
    assert "multiples of 32" in capsys.readouterr().err
    for arguments in (["--batch-size", "0"], ["--device", "cpu", "--amp", "bfloat16"]):
        with pytest.raises(SystemExit):
            tool.parse_args([config, *arguments])
