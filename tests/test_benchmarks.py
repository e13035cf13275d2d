"""The benchmark command: its instruments, its bookkeeping; and the long checks on real frames."""

from __future__ import annotations

import importlib
import json
import math
import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from htcl.errors import InvalidValueError

ROOT = Path(__file__).resolve().parents[1]
MONO = "projects/configs/occupancy/mini/htcl_mono.py"


@pytest.fixture
def bench(monkeypatch):
    """Imports a file of benchmarks/."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


@pytest.fixture
def run(bench):
    return bench("run")


def test_counts_operators_and_flops_of_both_passes(bench):
    counter = bench("bench_meters").OperatorCounter()
    a, b = torch.ones(2, 3), torch.ones(3, 5)
    with counter:
        (a @ b + 1).view(-1).add_(torch.empty(10))
    # A view and an empty tensor are no work.
    assert (counter.operators, counter.launches) == (5, 3)
    assert counter.flops == 2 * 2 * 3 * 5
    net, image = nn.Conv2d(3, 4, 3), torch.ones(1, 3, 8, 8)
    ours, theirs = bench("bench_meters").OperatorCounter(), FlopCounterMode(display=False)
    for mode in (ours, theirs):
        with mode:
            net(image).sum().backward()
    assert ours.flops == theirs.get_total_flops() > 2 * 4 * 27 * 36


def test_stage_clock_sees_parts_methods_and_what_is_inside(bench):
    class Lift(nn.Module):
        def splat(self, x):
            return x + 1

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.lift = Lift()
            self.temporal = nn.Sequential(nn.Identity())

        def forward(self, x):
            return self.lift.splat(self.temporal(x))

    network = Network()
    clock = bench("bench_meters").StageClock(network, torch.device("cpu"))
    network(torch.zeros(1))
    seconds, outermost = clock.take()
    assert set(seconds) == {"temporal", "temporal.0", "lift.splat"}
    assert seconds["temporal"] >= seconds["temporal.0"]
    assert outermost == pytest.approx(seconds["temporal"] + seconds["lift.splat"])
    clock.close()
    network(torch.zeros(1))
    assert clock.take() == ({}, 0.0)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_peak_memory_on_a_cpu(bench):
    meters, cpu = bench("bench_meters"), torch.device("cpu")
    meters.reset_peak(cpu)
    before = meters.peak_bytes(cpu)
    # A mapping of its own: malloc may have as much to give without asking the kernel.
    block = np.frombuffer(mmap.mmap(-1, 64 * 2**20), dtype=np.uint8)
    block[:] = 1
    assert meters.peak_bytes(cpu) - before == pytest.approx(64 * 2**20, rel=0.2)


def _spec(**changes):
    return {
        "what": "forward", "config": MONO, "precision": "fp32", "device": "cpu", "side": "this",
        "threads": torch.get_num_threads(), "repeats": 0, "warmup": 0, "data": "", "case": {},
        "sequence": "00", "frame": "", "history_stride": 1, "history_metres": None,
        "workers": [1], "cameras": 1, "batch_size": 1,
        "options": {"input_size": [64, 160]}, "tree": str(ROOT), "revision": "r", "round": 0,
        "sample": "noise", **changes,
    }  # fmt: skip


@pytest.fixture
def measured(bench, tmp_path, repo_root, monkeypatch):
    """Measures in this process."""
    monkeypatch.chdir(repo_root)
    threads = torch.get_num_threads()

    def measure(**changes):
        asked, found = tmp_path / "spec.json", tmp_path / "result.json"
        asked.write_text(json.dumps(_spec(**changes)))
        assert bench("bench_child").main([str(asked), str(found)]) == 0
        return json.loads(found.read_text())

    yield measure
    torch.set_num_threads(threads)


def test_training_step(measured):
    found = measured(what="train", batch_size=2)
    assert found["input_size"] == [2, 64, 160]
    assert found["parameters_without_gradient"] == 0
    assert all(math.isfinite(value) for value in found["losses"].values())
    assert {"loss", "loss_depth", "loss_point_ce"} <= set(found["losses"])
    assert found["synchronisations"] is None and len(found["seconds"]) == 1
    assert found["flops"] > 0 and found["operators"] > 1000


def test_training_step_of_six_cameras(measured):
    """Its losses see what the cameras see: the noise has a mask too."""
    config = "projects/configs/occupancy/mini/occ3d.py"
    found = measured(what="train", config=config, cameras=6, options={"input_size": [32, 64]})
    assert found["parameters_without_gradient"] == 0
    assert all(math.isfinite(value) for value in found["losses"].values())


def test_stages(measured):
    found = measured(what="stages")
    assert {"img_backbone", "depth_net", "view_transformer.splat", "head"} <= set(found["stages"])


def test_data_of_a_small_tree(measured, kitti_tree):
    found = measured(what="data", data=str(kitti_tree), repeats=2)
    assert len(found["seconds"]) == 2 and found["samples"] == 3
    assert found["samples_per_second"]["1"] > 0


def test_a_mistake_is_part_of_the_result(measured, kitti_tree):
    found = measured(data=str(kitti_tree), frame="000003", options={})
    assert "000003" in found["problem"] and "000005" in found["problem"]


def test_another_tree_is_really_the_one_that_is_imported(run, tmp_path):
    """A tree with an empty package lacks everything: one line, no traceback."""
    package = tmp_path / "projects" / "htcl"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    with pytest.raises(InvalidValueError, match=r"revision abc lacks .*'htcl\.\w+'"):
        run.measure(_spec(side="against", tree=str(tmp_path), revision="abc"))


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the git repository")
def test_other_tree_is_there_and_goes_away(bench):
    other_tree = bench("other_revision").other_tree
    with other_tree("HEAD") as (tree, revision):
        assert (tree / "projects/htcl/__init__.py").is_file()
        assert len(revision) >= 7
    assert not tree.exists()
    with pytest.raises(InvalidValueError, match="no such revision"), other_tree("nothing"):
        pass


def _result(seconds):
    return {
        "seconds": seconds, "processor_seconds": seconds[0],
        "peak_bytes": 3 * 2**20, "libraries_bytes": 2**20,
        "flops": 2e9, "operators": 7, "synchronisations": None,
    }  # fmt: skip


def _run(seconds, **changes):
    return {**_spec(), **_result(seconds), "date": "2026-01-01", **changes}


def test_revisions_take_turns_and_resume_skips(run, monkeypatch, tmp_path, capsys):
    """This one takes 1 s and the other 2 s: a ratio of 0.50."""
    turns = []

    def measure(spec):
        turns.append(spec["side"])
        return _result([2.0 if spec["side"] == "against" else 1.0])

    monkeypatch.setattr(run, "measure", measure)
    sides = [("this", ROOT, "new"), ("against", tmp_path, "old")]
    monkeypatch.setattr(run, "_sides", lambda args, stack: sides)
    words = ["--config", MONO, "--against", "old", "--rounds", "2", "--out", str(tmp_path / "out")]
    assert run.main(words) == 0
    assert turns == ["this", "against"] * 2
    assert "| 0.50 |" in (tmp_path / "out/benchmarks.md").read_text()
    assert run.main(words) == 1
    assert "--resume" in capsys.readouterr().err
    assert run.main([*words, "--resume"]) == 0
    assert len(turns) == 4
    assert run.main([*words, "--resume", "--repeats", "9"]) == 0
    assert len(turns) == 8


def test_parts_are_compared_by_their_fastest_round(bench, tmp_path):
    """5 of 10 s against 4 of 20 s; the first round of the other was slower."""
    results = bench("bench_results")
    store = results.ResultStore(tmp_path, resume=False)
    for side, whole, part in (("this", 10.0, 5.0), ("against", 30.0, 9.0), ("against", 20.0, 4.0)):
        stages = {"temporal.pose": part / 4, "temporal": part, "rest": whole - part}
        run = {**_spec(what="stages", side=side), "seconds": [whole], "stages": stages}
        store.runs.append({**run, "date": "2026-01-01"})
    lines = [line.split(" | ") for line in store.report("c").splitlines() if " | cpu" in line]
    assert [line[0] for line in lines[:4]] == ["| temporal", "| temporal.pose", "| rest", "| whole"]
    assert [line[-1] for line in lines[:4]] == ["1.25 |", "1.25 |", "0.31 |", "0.50 |"]


def test_a_failure_keeps_the_rest(run, monkeypatch, tmp_path, capsys):
    answers = iter([{"problem": "too large"}, _result([1.0])])
    monkeypatch.setattr(run, "measure", lambda spec: next(answers))
    out = ["--out", str(tmp_path / "out")]
    assert run.main(["--what", "train", "forward", "--config", MONO, *out]) == 1
    assert "too large" in capsys.readouterr().err
    runs = json.loads((tmp_path / "out/benchmarks.json").read_text())["runs"]
    assert [each["what"] for each in runs] == ["forward"]


def test_results_of_another_machine_are_refused(bench, tmp_path):
    results = bench("bench_results")
    store = results.ResultStore(tmp_path, resume=False)
    store.add(_run([1.0]), "command")
    path = tmp_path / "benchmarks.json"
    content = json.loads(path.read_text())
    content["machine"]["processor"] = "abacus"
    path.write_text(json.dumps(content))
    with pytest.raises(InvalidValueError, match=r"abacus.*processor"):
        results.ResultStore(tmp_path, resume=True)


def test_fit_of_the_history(bench):
    """10 for the first frame and 2 for each after; what no history costs is not on the line."""
    fixed, share = bench("bench_results").fit_history([(0, 1), (1, 10), (2, 12), (4, 16)])
    assert fixed == pytest.approx(10)
    assert share == pytest.approx(0.2)
    assert bench("bench_results").fit_history([(0, 1), (1, 10)]) is None


def test_growth_is_fitted_and_drawn(bench, tmp_path):
    results = bench("bench_results")
    runs = [
        _run([float(1 + n)], what="growth", case={"history": n}, peak_bytes=(5 + n) * 2**20)
        for n in range(4)
    ]
    rows = results.rows_of(runs)
    store = results.ResultStore(tmp_path, resume=False)
    store.runs = runs
    # 1 s of 2 s; 1 MiB of 6 MiB less that of the libraries.
    report = store.report("command")
    assert "50.0% of the time (2,000.0 ms), 20.0% of the memory beyond" in report
    assert "(5.0 MiB), 0.0% of the operations (2.0 GFLOP)" in report
    assert results.plot_growth(rows, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000


def test_growth_changes_one_size_at_a_time(run):
    args = run.parse_args(["--what", "growth"])
    cases = [spec["case"] for spec in run.measurements(args)]
    assert [case["history"] for case in cases if "history" in case] == [0, 1, 2, 3, 4, 5]
    assert [case["depth"] for case in cases if "depth" in case] == [24, 48, 96]
    assert all(len(case) == 1 for case in cases)


@pytest.mark.parametrize("words", [["--resume"], ["--precision", "tf32"], ["--repeats", "-1"]])
def test_misuse(run, words):
    with pytest.raises(SystemExit) as error:
        run.parse_args(words)
    assert error.value.code == 2


class TestGpuCheck:
    """benchmarks/gpu_check.py and the script around it."""

    @pytest.fixture
    def tool(self, bench, repo_root, monkeypatch):
        monkeypatch.chdir(repo_root)
        return bench("gpu_check")

    def test_parity_of_a_cpu_with_itself(self, tool, capsys):
        words = ["--config", MONO, "--device", "cpu", "--size", "64", "160"]
        assert tool.main(["parity", *words]) == 0
        # What predicts has its batch norms folded, which rounds.
        row = capsys.readouterr().out.splitlines()[-1].split(" | ")
        assert row[0] == "| fp32" and float(row[1].removesuffix("%")) > 99.9
        assert 0 < float(row[2]) < 1e-4

    def test_kernels(self, tool, capsys):
        words = ["--config", MONO, "--device", "cpu", "--size", "64", "160", "--top", "2"]
        assert tool.main(["kernels", *words]) == 0
        assert len([x for x in capsys.readouterr().out.splitlines() if x.startswith("| aten")]) == 2

    def _bash(self, *words):
        command = ["bash", "benchmarks/gpu_check.sh", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    def test_misuse(self):
        for words in (["--nothing"], ["a", "b"]):
            done = self._bash(*words)
            assert done.returncode == 2
            assert "usage:" in done.stderr

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
    def test_no_gpu(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PYTHON", sys.executable)
        done = self._bash(str(tmp_path / "out"))
        assert done.returncode == 1
        assert "no GPU" in done.stderr
        assert not (tmp_path / "out").exists()

    @pytest.mark.slow
    def test_rehearsal(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PYTHON", sys.executable)
        done = self._bash("--cpu-rehearsal", str(tmp_path))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        summary = done.stdout.split("== summary ==")[1]
        for step in ("parity", "forward", "train", "kernels", "tests"):
            assert any(line.split()[:2] == [step, "ok"] for line in summary.splitlines())


class TestRealFrames:
    """The long checks, on the real frames beside the repository."""

    pytestmark = pytest.mark.slow

    @pytest.fixture
    def real_root(self, shared_dir: Path) -> Path:
        return shared_dir / "data" / "semantickitti" / "dataset"

    def _run(self, *command: str) -> None:
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]

    def test_full_size_step_on_a_real_clip_fits_in_20_gib(self, real_root, tmp_path):
        """A training step of the released network: finite losses, every gradient, the memory."""
        self._run(
            "benchmarks/run.py", "--what", "train", "--repeats", "0", "--data", str(real_root),
            "--config", "projects/configs/occupancy/semantickitti/temporal_baseline.py",
            "--out", str(tmp_path),
        )  # fmt: skip
        (found,) = json.loads((tmp_path / "benchmarks.json").read_text())["runs"]
        assert math.isfinite(found["losses"]["loss"])
        assert found["parameters_without_gradient"] == 0
        assert found["peak_bytes"] < 20 * 2**30

    def test_the_mini_network_learns_two_real_frames(self, real_root, tmp_path):
        self._run(
            "benchmarks/real_frames.py", "--data", str(real_root), "--work-dir", str(tmp_path)
        )
        scores = json.loads((tmp_path / "scores.json").read_text())
        assert scores["0.4 m"]["mIoU_present"] > 50
