"""tools/train.py: trainings of a few steps in this process."""

from __future__ import annotations

import json
import resource
import shutil

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from htcl.checkpoint.loading import load_checkpoint_file
from htcl.config import load_config
from htcl.datasets.occupancy_dataset import OccupancyDataset
from htcl.engine.runner import build_runner
from htcl.models.htcl import HTCL


def tensors(part, place=""):
    """All tensors of a nested container by place."""
    if isinstance(part, torch.Tensor):
        return {place: part}
    items = part.items() if isinstance(part, dict) else enumerate(part)
    found = {}
    for key, value in items:
        if isinstance(value, torch.Tensor | dict | list):
            found |= tensors(value, f"{place}/{key}")
    return found


def assert_same_state(first, second):
    for part in ("state_dict", "ema_state_dict", "optimizer"):
        ours, theirs = tensors(first[part]), tensors(second[part])
        assert ours.keys() == theirs.keys()
        assert len(ours) > 100
        different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
        assert not different, f"{part}: {len(different)} differ, e.g. {different[:3]}"
    assert first["param_schedulers"] == second["param_schedulers"]


def scalars(work_dir):
    """Rows of the log by step."""
    (log,) = sorted(work_dir.glob("*/vis_data/scalars.json"))[-1:]
    return [json.loads(line) for line in log.read_text().splitlines()]


class TestTraining:
    def test_checkpoints(self, trained):
        names = {path.name for path in trained.glob("*.pth")}
        assert {"iter_2.pth", "iter_4.pth"} <= names
        assert any(name.startswith("best_mIoU_iter_") for name in names)
        assert (trained / "last_checkpoint").read_text().endswith("iter_4.pth")

    def test_checkpoint_holds_no_code(self, trained):
        """torch's weights_only loading accepts what mmengine wrote."""
        content = load_checkpoint_file(trained / "iter_4.pth")
        assert content["meta"]["iter"] == 4
        assert content["meta"]["seed"] == 0
        assert {"state_dict", "optimizer", "param_schedulers", "message_hub"} <= set(content)

    def test_moving_average(self, trained):
        content = load_checkpoint_file(trained / "iter_4.pth")
        average = content["state_dict"]["head.classifier.weight"]
        last = content["ema_state_dict"]["module.head.classifier.weight"]
        assert average.shape == last.shape
        assert not torch.equal(average, last)

    def test_log(self, trained):
        rows = scalars(trained)
        training = [row for row in rows if "loss" in row]
        assert [row["step"] for row in training] == [1, 2, 3, 4]
        assert all("grad_norm" in row and "loss_voxel_ce" in row for row in training)
        validation = [row for row in rows if "mIoU" in row]
        assert [row["step"] for row in validation] == [2, 4]
        assert "IoU_car" in validation[0]

    def test_tensorboard(self, trained):
        (file,) = trained.glob("*/vis_data/events.out.tfevents.*")
        events = EventAccumulator(str(file)).Reload()
        tags = events.Tags()
        assert {"loss", "mIoU", "lr"} <= set(tags["scalars"])
        assert tags["images"] == ["prediction_08_000000"]
        assert len(events.Scalars("loss")) == 4

    def test_picture_file(self, trained):
        assert list(trained.glob("*/vis_data/vis_image/prediction_08_000000_3.png"))


class TestResume:
    def test_ends_where_the_whole_run_ends(
        self, run_tool, training_config, trained, stopped, capsys
    ):
        """From the second step, as the checkpoint of the third was cut short."""
        torn = stopped / "iter_3.pth"
        torn.write_bytes((stopped / "iter_2.pth").read_bytes()[:100_000])
        (stopped / "last_checkpoint").write_text(str(torn))
        assert run_tool("train.py", training_config, "--work-dir", stopped, "--resume") == 0
        assert f"{str(torn)!r} is not a readable checkpoint" in "".join(capsys.readouterr())
        whole, resumed = (
            load_checkpoint_file(folder / "iter_4.pth") for folder in (trained, stopped)
        )
        assert_same_state(whole, resumed)
        assert [row["step"] for row in scalars(stopped) if "loss" in row] == [3, 4]

    def test_finished(self, run_tool, training_config, trained, tmp_path, monkeypatch, capsys):
        """No sample is read to be skipped, and nothing is trained or written."""

        def refuse(*_):
            raise AssertionError("a sample was read")

        monkeypatch.setattr(OccupancyDataset, "prepare_data", refuse)
        checkpoint = shutil.copy(trained / "iter_4.pth", tmp_path)
        assert run_tool("train.py", training_config, "--work-dir", tmp_path, "--resume") == 0
        said = "".join(capsys.readouterr())
        assert f"{checkpoint} ends the schedule (4 steps): nothing to train" in said
        assert [path.name for path in tmp_path.glob("*.pth")] == ["iter_4.pth"]

    def test_full_disk(self, run_tool, training_config, stopped, capsys):
        """One line; what was there stays."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
        try:
            status = run_tool("train.py", training_config, "--work-dir", stopped, "--resume")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert status == 1
        said = capsys.readouterr().err
        assert f"train: {stopped / 'iter_4.pth'}: File too large" in said
        assert "Traceback" not in said
        assert [path.name for path in stopped.glob("*.pth")] == ["iter_2.pth"]
        assert not list(stopped.glob(".*"))

    def test_by_time(self, run_tool, tiny_config, tmp_path):
        """A fraction of a second is over at the first step, which is then the last one."""
        status = run_tool(
            "train.py", tiny_config, "--minutes", "0.0001", "--work-dir", tmp_path,
        )  # fmt: skip
        assert status == 0
        assert load_checkpoint_file(tmp_path / "iter_1.pth")["meta"]["iter"] == 1
        (row,) = (row for row in scalars(tmp_path) if "loss" in row)
        # A twentieth of the config's rate.
        assert row["base_lr"] == pytest.approx(0.05 * 3e-3)

    def test_interrupted(self, run_tool, training_config, tmp_path, monkeypatch, capsys):
        train_step, calls = HTCL.train_step, []

        def stop_at_third(self, data, optim_wrapper):
            calls.append(None)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return train_step(self, data, optim_wrapper)

        monkeypatch.setattr(HTCL, "train_step", stop_at_third)
        options = ("--cfg-options", "train_cfg.val_begin=9", "custom_hooks.1.interval=0")
        status = run_tool("train.py", training_config, "--work-dir", tmp_path, *options)
        assert status == 130
        said = capsys.readouterr().err
        assert "stopped at iteration 2" in said
        assert f"newest checkpoint: {tmp_path / 'iter_2.pth'}" in said
        # The same command line, with all its options.
        command = f"tools/train.py {training_config} --work-dir {tmp_path} {' '.join(options)}"
        assert f"{command} --resume" in said

    def test_nothing_to_resume_starts_anew(self, load_tool, training_config, tmp_path):
        tool = load_tool("train.py")
        cfg = load_config(training_config)
        tool.apply_args(cfg, tool.parse_args(["config.py", "--resume"]))
        assert cfg.resume
        assert cfg.load_from is None
        runner = build_runner(cfg, work_dir=tmp_path)
        runner.load_or_resume()
        assert runner.iter == 0


class TestArguments:
    @pytest.fixture
    def apply(self, load_tool, tiny_config):
        def apply(*argv):
            tool = load_tool("train.py")
            args = tool.parse_args([tiny_config, *argv])
            cfg = load_config(args.config, args.cfg_options)
            tool.apply_args(cfg, args)
            return cfg

        return apply

    def test_resume_from_a_file(self, apply):
        cfg = apply("--resume", "some.pth")
        assert cfg.resume
        assert cfg.load_from == "some.pth"

    def test_load_from(self, apply):
        cfg = apply("--load-from", "some.pth")
        assert not cfg.resume
        assert cfg.load_from == "some.pth"

    def test_resume_comes_before_load_from(self, apply, tmp_path):
        arguments = ("--resume", "--load-from", "some.pth", "--work-dir", str(tmp_path))
        cfg = apply(*arguments)
        assert not cfg.resume
        assert cfg.load_from == "some.pth"
        # Which of them is whole the run finds out.
        (tmp_path / "iter_1.pth").touch()
        cfg = apply(*arguments)
        assert cfg.resume
        assert cfg.load_from is None

    def test_resume_without_anything_to_go_on_from(self, apply, tmp_path):
        cfg = apply("--resume", "--work-dir", str(tmp_path))
        assert cfg.resume
        assert cfg.load_from is None

    def test_seed(self, apply):
        assert apply("--seed", "7").randomness == {"seed": 7, "deterministic": False}

    def test_cfg_options(self, apply):
        cfg = apply(
            "--cfg-options", "optim_wrapper.optimizer.lr=5e-5", "model.head.mid_channels=16"
        )
        assert cfg.optim_wrapper.optimizer.lr == 5e-5
        assert cfg.model.head.mid_channels == 16

    def test_bfloat16_is_the_default_precision(self, apply):
        assert apply("--amp").optim_wrapper.type == "BFloat16OptimWrapper"

    def test_float16_on_a_gpu(self, apply, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        cfg = apply("--amp", "float16")
        assert cfg.optim_wrapper.type == "AmpOptimWrapper"
        assert cfg.optim_wrapper.loss_scale == "dynamic"


class TestErrors:
    def test_float16_on_a_cpu(self, run_tool, tiny_config, monkeypatch, capsys):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert run_tool("train.py", tiny_config, "--amp", "float16") == 1
        assert "train: --amp float16 needs a GPU" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--load-from", "/nope.pth"), "load_from '/nope.pth' does not exist"),
            (("--cfg-options", "model.temporal.num_histroy=2"), "did you mean 'model.temporal"),
            (("--work-dir", "/dev/null/work"), "/dev/null/work: Not a directory"),
        ],
    )
    def test_one_line(self, run_tool, tiny_config, tmp_path, arguments, message, capsys):
        work = () if "--work-dir" in arguments else ("--work-dir", tmp_path)
        assert run_tool("train.py", tiny_config, *work, *arguments) == 1
        last = capsys.readouterr().err.splitlines()[-1]
        assert last.startswith("train: ")
        assert message in last

    def test_missing_config(self, run_tool, capsys):
        assert run_tool("train.py", "no/such.py") == 1
        said = capsys.readouterr().err
        assert said.startswith("train: config 'no/such.py' does not exist")
        assert said.count("\n") == 1

    def test_missing_data(self, run_tool, tiny_config, tmp_path, capsys):
        status = run_tool(
            "train.py", tiny_config, "--work-dir", tmp_path / "work",
            "--cfg-options", f"data_root={tmp_path / 'nowhere'}",
        )  # fmt: skip
        assert status == 1
        said = capsys.readouterr().err
        assert "train: " in said
        assert "nowhere" in said
        assert "Traceback" not in said


class TestResumeCommand:
    @pytest.fixture
    def tool(self, load_tool, monkeypatch, repo_root):
        monkeypatch.chdir(repo_root)
        for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE", "NNODES"):
            monkeypatch.delenv(name, raising=False)
        return load_tool("train.py")

    @pytest.mark.parametrize(
        ("argv", "command"),
        [
            (["a b.py"], "'a b.py' --work-dir out --resume"),
            (["c.py", "--resume", "--work-dir=x"], "c.py --work-dir x --resume"),
            (["c.py", "--resume", "x/iter_4.pth"], "c.py --work-dir out --resume"),
            (["c.py", "--res=x/iter_4.pth", "--work", "x"], "c.py --work-dir x --resume"),
            (
                ["c.py", "--amp", "float16", "--cfg", "a=1", "b=2", "--see", "3", "--load=w.pth"],
                "c.py --work-dir out --load-from w.pth --seed 3 --amp float16 "
                "--cfg-options a=1 b=2 --resume",
            ),
        ],
    )  # fmt: skip
    def test_with_a_checkpoint(self, tool, argv, command):
        assert tool.resume_command(argv, "out", "out/iter_8.pth") == (
            f"python tools/train.py {command}"
        )

    def test_without_one_the_run_begins_where_it_began(self, tool):
        argv = ["c.py", "--resume", "x/iter_4.pth"]
        assert tool.resume_command(argv, "out").endswith("--work-dir out --resume x/iter_4.pth")
        assert tool.resume_command(["c.py", "--resume"], "out").endswith("--work-dir out --resume")

    def test_several_processes(self, tool, monkeypatch):
        argv = ["c.py", "--amp", "--launcher", "pytorch"]
        monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
        monkeypatch.setenv("WORLD_SIZE", "8")
        command = "bash run.sh c.py 4 --work-dir out --amp bfloat16 --resume"
        assert tool.resume_command(argv, "out", "x") == command
        for name, value in (("NNODES", "2"), ("NODE_RANK", "1"), ("MASTER_ADDR", "node0")):
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("MASTER_PORT", raising=False)
        assert tool.resume_command(argv, "out", "x") == (
            f"NNODES=2 NODE_RANK=1 MASTER_ADDR=node0 {command}"
        )

    def test_cluster(self, tool, monkeypatch):
        for name, value in (("PARTITION", "gpu"), ("NAME", "my job")):
            monkeypatch.setenv(f"SLURM_JOB_{name}", value)
        monkeypatch.setenv("SLURM_NTASKS", "16")
        assert tool.resume_command(["c.py", "--launcher", "slurm"], "out", "x") == (
            "GPUS=16 bash tools/slurm_train.sh gpu 'my job' c.py --work-dir out --resume"
        )
