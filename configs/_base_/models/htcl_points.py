# htcl_plus.py with the history as points in the present grid: `model = _base_.plus`.
_base_ = ["./htcl_plus.py"]

plus = dict(
    point_history=dict(
        type="PointHistory",
        num_history="${num_history}",
        depth="argmax",
        far_weight="linear",
        trust=dict(type="DepthAgreement"),
        gradient=False,
    ),
)
