"""Every command and link that the documentation prints must exist."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
PAGES += [ROOT / name for name in ("data/README.md", "pretrain/README.md", "benchmarks/README.md")]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
SCRIPT = re.compile(r"(?:python|bash)\s+([\w./-]+\.(?:py|sh))")
# Options that reach another program through a shell script.
PASSED_ON = {
    "run.sh": "tools/train.py",
    "run_eval_kitti.sh": "tools/test.py",
    "tools/dist_test.sh": "tools/test.py",
    "tools/slurm_train.sh": "tools/train.py",
    "tools/slurm_test.sh": "tools/test.py",
    "process_kitti.sh": "tools/data_converter/make_labels.py",
}


def _commands(page: Path) -> list[str]:
    """Command lines of the page's bash blocks and of its table cells."""
    text = page.read_text()
    lines = []
    for block in re.findall(r"```(?:bash|shell)\n(.*?)```", text, flags=re.DOTALL):
        lines += block.replace("\\\n", " ").splitlines()
    lines += [cell for cell in re.findall(r"`([^`\n]+)`", text) if SCRIPT.search(cell)]
    return [re.sub(r"\s+#.*$", "", line).strip() for line in lines if SCRIPT.search(line)]


def _page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_page_id)
def test_commands_exist_with_their_options(page):
    problems = []
    for line in _commands(page):
        for command in re.split(r"&&|\|", line):
            match = SCRIPT.search(command)
            if not match:
                continue
            script = match.group(1)
            if not (ROOT / script).is_file():
                problems.append(f"{script} does not exist: {line}")
                continue
            sources = (ROOT / script).read_text()
            if script in PASSED_ON:
                sources += (ROOT / PASSED_ON[script]).read_text()
            if "add_cfg_options(" in sources:
                sources += '"--cfg-options"'
            words = shlex.split(command, comments=True)
            for word in words:
                option = word.split("=")[0]
                if re.fullmatch(r"--[a-z][\w-]*", option) and f'"{option}"' not in sources:
                    problems.append(f"{script} has no option {option}: {line}")
                if word.startswith("projects/configs/") and not (ROOT / word).is_file():
                    problems.append(f"config {word} does not exist: {line}")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("page", PAGES, ids=_page_id)
def test_links_lead_somewhere(page):
    broken = []
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not re.match(r"[a-z]+://", target) and not (page.parent / target).exists():
            broken.append(target)
    assert not broken, f"{page.name}: {broken}"


@pytest.mark.parametrize("page", PAGES, ids=_page_id)
def test_pages_are_short(page):
    """One page answers one question."""
    assert len(page.read_text().splitlines()) <= 250


def _navigation(entries: list) -> Iterator[str]:
    for entry in entries:
        for value in entry.values():
            if isinstance(value, str):
                yield value
            else:
                yield from _navigation(value)


def test_navigation_names_every_page():
    named = list(_navigation(SITE["nav"]))
    assert len(named) == len(set(named))
    written = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert written <= set(named), f"add to mkdocs.yml: {sorted(written - set(named))}"


def test_site_builds_strictly(tmp_path):
    """No link of the site leads nowhere, and every docstring can be read."""
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed (requirements/docs.in): the site is not built")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "-q", "-d", tmp_path],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "projects"), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    model = (tmp_path / "reference/config_model.html").read_text()
    assert "model.depth_net" in model and "CameraAwareDepthNet" in model
    assert "HTCLInferencer" in (tmp_path / "reference/htcl.apis.html").read_text()


def test_other_backbone_of_the_documentation_predicts():
    """The config of docs/how_to/backbone.md, by shapes alone: all that its neck is told fits."""
    from mmengine.registry import MODELS, init_default_scope

    from htcl.config import load_config

    cfg = load_config(ROOT / "docs/examples/resnet_config.py")
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    maps = model.img_backbone(torch.zeros(1, 3, *cfg.input_size))
    (found,) = model.img_neck(maps)
    height, width = cfg.input_size
    assert found.shape == (1, cfg.image_channels, height // 8, width // 8)


def test_make_targets_of_the_documentation_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set()
    for page in PAGES:
        named |= set(re.findall(r"`make ([a-z-]+)`", page.read_text()))
        named |= set(re.findall(r"^make ([a-z-]+)", page.read_text(), flags=re.MULTILINE))
    assert named <= targets, named - targets


def test_external_depth_of_the_documentation_is_read(tmp_path):
    """The example writes what the data set reads: 10 pixels of 100 are 40 of 400."""
    from htcl.datasets.depth_files import read_depth_file
    from htcl.datasets.layout import KittiLayout

    page = (ROOT / "docs/external_depth.md").read_text()
    (code,) = (x for x in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "savez" in x)
    names: dict = {}
    exec(code, names)
    names["save_disparity"](tmp_path, "00", "000007", np.full((30, 100), 10.0), 400)
    path = KittiLayout(tmp_path).files("00", "depth_2", ["000007"])["000007"]
    found = read_depth_file(path)
    assert found.unit == "disparity" and (found.values == np.full((30, 100), 40.0)).all()


def test_label_reader_of_the_documentation_equals_the_loader(kitti_tree):
    from htcl.datasets.semantickitti_specification import SEMANTICKITTI
    from htcl.datasets.training_labels import make_training_label
    from htcl.datasets.voxel_files import read_voxel_labels, read_voxel_mask

    (code,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/label_formats.md").read_text(), re.DOTALL
    )
    names: dict = {}
    exec(code, names)
    path = kitti_tree / "sequences/00/voxels/000005.label"
    found = names["read_voxels"](str(path), SEMANTICKITTI.voxel_map)
    invalid = read_voxel_mask(path.with_suffix(".invalid"))
    expected = make_training_label(read_voxel_labels(path), invalid, SEMANTICKITTI)
    assert (found == expected).all()
    assert {0, 255} < set(np.unique(found))


def test_config_keys_of_the_documentation_exist():
    """Every key in docs/configs.md and in the list of differences may be given to a config."""
    from htcl.config import load_config
    from htcl.config_keys import check_new_key, find

    folder = ROOT / "projects/configs/occupancy/semantickitti"
    names = ("htcl_egopose", "htcl_points", "temporal_baseline")
    cfgs = [load_config(folder / f"{name}.py") for name in names]
    text = "".join(
        (ROOT / f"docs/{name}.md").read_text()
        for name in (
            "configs",
            "differences_from_release",
            "train_and_eval",
            "how_to/ablate",
            "how_to/memory",
        )
    )
    keys = set(re.findall(r"`((?:model|train_dataloader|optim_wrapper)(?:\.\w+)+)", text))
    facts = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs/configs.md").read_text(), re.M))
    assert len(keys) > 20
    for key in sorted(keys):
        parents = [find(cfg, key.rpartition(".")[0]) for cfg in cfgs]
        known = [cfg for cfg, (_, left) in zip(cfgs, parents, strict=True) if not left]
        for cfg in known or cfgs:
            if find(cfg, key.rpartition(".")[0])[0] is not None:
                check_new_key(cfg, key)
    assert facts <= set(cfgs[0]), facts - set(cfgs[0])
