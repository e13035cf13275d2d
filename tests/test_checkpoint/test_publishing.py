from __future__ import annotations

import pytest
import torch
from mmengine.config import Config

from htcl.checkpoint.publishing import (
    card,
    check_not_trained_on,
    halve,
    publish,
    sequences_of,
)
from htcl.config import load_config
from htcl.errors import InvalidValueError

FULL = "projects/configs/occupancy/semantickitti/htcl_egopose.py"


def test_weights_shrink_and_counters_stay():
    state = {"w": torch.tensor([1.0, 0.1]), "bn.num_batches_tracked": torch.tensor(70000)}
    small = halve(state)
    assert small["w"].dtype == torch.float16
    # float16 has 11 significant bits: an error of at most 2^-11 of the value.
    assert abs(small["w"][1].item() - 0.1) <= 0.1 * 2**-11
    assert small["bn.num_batches_tracked"].item() == 70000


@pytest.mark.parametrize("value", [7e4, float("nan")])
def test_weights_that_do_not_fit_are_named(value):
    with pytest.raises(ValueError, match=r"float16.*layer\.weight"):
        halve({"fine": torch.ones(1), "layer.weight": torch.tensor([value])})


def test_file_has_weights_and_origin_only(tmp_path):
    source, target = tmp_path / "iter_3.pth", tmp_path / "new" / "small.pth"
    meta = {"iter": 3, "seed": 5, "cfg": "long text"}
    torch.save({"state_dict": {"w": torch.ones(2)}, "optimizer": {}, "meta": meta}, source)
    assert publish(source, target) == {"iter": 3, "seed": 5}
    content = torch.load(target, weights_only=True)
    assert set(content) == {"state_dict", "meta"}
    assert content["meta"] == {"iter": 3, "seed": 5}
    assert list(target.parent.iterdir()) == [target]


def test_sequences():
    data = {"specification": "SemanticKITTI", "split": "val", "sequences": None}
    assert sequences_of(data) == ("08",)
    assert sequences_of({**data, "sequences": ["03", 4]}) == ("03", "04")
    # As --cfg-options reads sequences=00.
    assert sequences_of({**data, "sequences": 0}) == ("00",)


def make_config(trained, scored):
    data = {"specification": "SemanticKITTI", "data_root": "data", "split": "train"}
    return Config(
        {
            "train_dataloader": {"batch_size": 2, "dataset": {**data, "sequences": trained}},
            "test_dataloader": {"dataset": {**data, "sequences": scored}},
        },
        filename="tests/data/tiny_htcl.py",
    )


def test_scores_of_training_data_are_refused():
    check_not_trained_on(make_config(["00", "01"], ["08"]))
    with pytest.raises(InvalidValueError, match="trains on and scores the sequences 01, 02"):
        check_not_trained_on(make_config(["00", "01", "02"], ("02", "01")))


def test_card_of_a_full_size_config(repo_root, tmp_path):
    """Its data sets list no sequences: those of the split are meant."""
    cfg = load_config(repo_root / FULL)
    check_not_trained_on(cfg)
    file = tmp_path / "net.pth"
    file.write_bytes(b"abc")
    meta = {"iter": 5, "rigs": {"baseline": [0.5, 0.61]}}
    text = card(cfg, meta, {"IoU": 12.345, "IoU_car": 1.0}, file, "make it")
    # The digest of these three letters is in every textbook.
    assert "| SHA-256 | `ba7816bf8f01cfea414140de5dae2223" in text
    assert "| stereo baseline | 0.5 to 0.61 m |" in text
    assert f"| config | `{FULL}` |" in text
    assert "sequences 00, 01, 02, 03, 04, 05, 06, 07, 09, 10 |" in text
    assert "| scored on | sequences 08, not trained on |" in text
    assert "| completion IoU | 12.35 |" in text or "| completion IoU | 12.34 |" in text
    assert "| IoU car | 1.00 |" in text
    assert "within" not in text
