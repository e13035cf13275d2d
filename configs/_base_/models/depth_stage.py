# Depth alone, as a preset over a network: `model = _base_.depth_stage`.
depth_stage = dict(
    temporal=None,
    temporal_fusion=None,
    point_history=None,
    losses=[dict(type="DepthSupervision", first_edge="${depth_first_edge}")],
)
