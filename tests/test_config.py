"""Reading of configs, on files of a few lines and classes without a network."""

from __future__ import annotations

import pytest
from mmengine.registry import HOOKS, MODELS

from htcl.config import load_config, parse_options
from htcl.config_keys import arguments
from htcl.errors import InvalidValueError, MissingFileError


class Base:
    def __init__(self, init_cfg=None):
        self.init_cfg = init_cfg


@MODELS.register_module(name="ConfigTestPart", force=True)
class Part(Base):
    def __init__(self, width=1, depth=2, **kwargs):
        super().__init__(**kwargs)


@HOOKS.register_module(name="ConfigTestHook", force=True)
class Hook:
    def __init__(self, interval):
        pass


CONFIG = """
size = (4, 8)
near = dict(start=1.0, stop=5.0)
pipeline = [dict(type="Load", size="${size}"), dict(type="Pack")]
specification = "Toy"
load_from = None
model = dict(
    type="ConfigTestPart", width="${size.1}", part=dict(type="ConfigTestPart", near="${near}"),
    absent=None, net=dict(type="mmdet.NoSuchClassAnywhere"),
)
train_dataloader = dict(batch_size=1, dataset=dict(steps="${pipeline}", stop="${near.stop}"))
test_dataloader = dict(batch_size=1, dataset=dict(steps="${pipeline}", first="${pipeline.0.size}"))
default_hooks = dict(some=dict(type="ConfigTestHook", interval=1))
env_cfg = dict(cudnn_benchmark=True)
"""


@pytest.fixture
def write(tmp_path):
    """Writes a config; returns its path."""

    def write(text, name="config.py"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def load(write):
    """Loads ``CONFIG`` with overrides."""
    path = write(CONFIG)
    return lambda *options: load_config(path, options)


class TestReferences:
    def test_values_take_their_place(self, load):
        cfg = load()
        assert cfg.model.width == 8
        assert cfg.model.part.near == {"start": 1.0, "stop": 5.0}
        assert cfg.test_dataloader.dataset.steps[0].size == (4, 8)
        assert cfg.test_dataloader.dataset.first == (4, 8)
        assert cfg.train_dataloader.dataset.stop == 5.0

    def test_a_leaf_changes_the_fact(self, write):
        write(CONFIG, "base.py")
        cfg = load_config(write('_base_ = ["base.py"]\nsize = (2, 3)\nnear = dict(stop=9.0)\n'))
        assert cfg.model.width == 3
        assert cfg.test_dataloader.dataset.steps[0].size == (2, 3)
        assert cfg.train_dataloader.dataset.stop == 9.0
        assert cfg.model.part.near.start == 1.0

    def test_an_option_changes_the_fact(self, load):
        cfg = load("size=(6,7)", "near.stop=8.5", "pipeline.1.type=Other")
        assert cfg.model.width == 7
        assert cfg.train_dataloader.dataset.stop == 8.5
        assert [step.type for step in cfg.test_dataloader.dataset.steps] == ["Load", "Other"]

    def test_an_option_changes_one_use(self, load):
        cfg = load("train_dataloader.dataset.steps.0.size=(1,1)", "model.part.near.stop=7.0")
        assert cfg.train_dataloader.dataset.steps[0].size == (1, 1)
        assert cfg.test_dataloader.dataset.steps[0].size == (4, 8)
        assert cfg.model.part.near == {"start": 1.0, "stop": 7.0}
        assert cfg.near.stop == 5.0

    def test_an_option_may_refer(self, load):
        assert load("model.width=${near.start}").model.width == 1.0

    def test_the_resolved_config_is_what_is_saved(self, load, tmp_path):
        load().dump(tmp_path / "dumped.py")
        assert "${" not in (tmp_path / "dumped.py").read_text()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("near = 1\na = '${naer}'", r"\$\{naer\} leads nowhere; did you mean \$\{near\}"),
            ("a = dict(b=1)\nc = '${a.x}'", r"\$\{a\.x\} leads nowhere"),
            ("a = '${b}'\nb = dict(c='${a}')", r"circular reference (a -> b -> a|b -> a -> b)"),
            ("a = '${a}'", "circular reference a -> a"),
            ("a = 1\nb = '${a}/x'", "text around a reference"),
        ],
    )
    def test_errors(self, write, text, message):
        with pytest.raises(InvalidValueError, match=r"config\.py.*" + message):
            load_config(write(text))


class TestUnknownKeys:
    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ("test_dataloder.batch_size=2", "'test_dataloder.batch_size' does not exist.*"
             "did you mean 'test_dataloader'"),
            ("model.widht=2", r"ConfigTestPart\) has no 'widht'; did you mean 'model.width'"),
            ("model.part.depht=2", "did you mean 'model.part.depth'"),
            ("model.part.num_classes=12", "num_classes.*follows from the key 'specification'"),
            ("train_dataloader.dataset.stops=2", "did you mean 'train_dataloader.dataset.stop'"),
            ("train_dataloader.dataset.xyz=2", "has no 'xyz'; there are steps, stop"),
            ("pipeline.2.type=Load", "pipeline is a list with the indices 0 to 1"),
            ("size.0=3", "size is a tuple; give it as a whole"),
            ("size.x=3", "size is a tuple with the indices 0 to 1"),
            ("model.width.x=3", "model.width is the value 8 and has no keys"),
            ("model.absent.width=3", r"model.absent is None; give model.absent.type first"),
            ("model.part.init_cfg.checkpoint=a", r"give model.part.init_cfg.type first"),
            ("env_cfg.cudnn_bench=False", "has no 'cudnn_bench'.*'env_cfg.cudnn_benchmark'"),
            ("default_hooks.some.intervall=1", "did you mean 'default_hooks.some.interval'"),
        ],
    )  # fmt: skip
    def test_are_refused(self, load, option, message):
        with pytest.raises(InvalidValueError, match=message):
            load(option)

    def test_are_refused_in_the_python_interface_too(self, write):
        with pytest.raises(InvalidValueError, match=r"'model\.widht' does not exist"):
            load_config(write(CONFIG), {"model.widht": 2})


class TestNewKeys:
    def test_arguments_of_the_class(self, load):
        assert load("model.depth=5").model.depth == 5

    def test_arguments_of_its_base_class(self, load):
        options = ("model.part.init_cfg.checkpoint=a", "model.part.init_cfg.type=Pretrained")
        assert load(*options).model.part.init_cfg == {"type": "Pretrained", "checkpoint": "a"}

    def test_in_the_place_of_none(self, load):
        cfg = load("model.absent.type=ConfigTestPart", "model.absent.width=4")
        assert cfg.model.absent == {"type": "ConfigTestPart", "width": 4}

    def test_arguments_of_a_loader_and_of_the_runner(self, load):
        cfg = load("train_dataloader.pin_memory=True", "resume=True", "find_unused_parameters=True")
        assert cfg.train_dataloader.pin_memory and cfg.resume and cfg.find_unused_parameters

    def test_where_the_names_are_the_users(self, load):
        cfg = load("default_hooks.mine.type=ConfigTestHook", "default_hooks.mine.priority=LOW")
        assert cfg.default_hooks.mine.priority == "LOW"

    def test_classes_that_are_not_registered(self, load):
        """The registry names them when they are built."""
        assert load("model.net.anything=1").model.net.anything == 1


def test_values():
    words = ["a=1", "b=2.5", "c=None", "d=[x,y]", "e=(1,(2,3))", "f=true", "g=08", "h=x=y"]
    assert parse_options(words) == {
        "a": 1, "b": 2.5, "c": None, "d": ["x", "y"], "e": (1, (2, 3)), "f": True, "g": 8,
        "h": "x=y",
    }  # fmt: skip
    with pytest.raises(InvalidValueError, match="brackets"):
        parse_options(["a=(1,[2,3)"])


def test_none_hides_what_was_there(load):
    assert load("model.part=None").model.part is None


class TestFiles:
    def test_missing(self):
        with pytest.raises(MissingFileError, match=r"config 'no/such\.py' does not exist.*project"):
            load_config("no/such.py")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a = 1\nb = = 1", "line 2: syntax error"),
            ("\nx = undefined_name", "line 2: name 'undefined_name' is not defined"),
            ("x = 1 / 0", "line 1: ZeroDivisionError: division by zero"),
            ("_base_ = ['nix.py']", r"base '.*/nix\.py': the file does not exist"),
            ("_base_ = ['config.py']", r"the bases lead back to .*config\.py"),
        ],
    )
    def test_errors_name_file_and_line(self, write, text, message):
        path = write(text)
        with pytest.raises(InvalidValueError, match=f"config '{path}'.*{message}") as error:
            load_config(path)
        assert "\n" not in str(error.value)

    def test_error_in_a_base(self, write):
        base = write("a = 1\nb = nothing", "base.py")
        with pytest.raises(InvalidValueError, match=f"leaf.py': base '{base}', line 2: name"):
            load_config(write('_base_ = ["base.py"]', "leaf.py"))

    def test_a_longer_circle(self, write):
        write('_base_ = ["b.py"]', "a.py")
        write('_base_ = ["a.py"]', "b.py")
        with pytest.raises(InvalidValueError, match=r"leaf\.py.*lead back to .*a\.py -> .*b\.py"):
            load_config(write('_base_ = ["a.py"]', "leaf.py"))


def test_arguments():
    assert arguments(Part) == {"width", "depth", "init_cfg"}
    assert arguments(Base) == {"init_cfg"}
    assert arguments(lambda a, *, b: None) == {"a", "b"}
