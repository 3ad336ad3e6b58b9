"""The same moments and split of embeddings in torch tensors, on the device where they are.

torch is not imported: whoever has a tensor has it already.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lelp_sklearn.subclasses._moments import PRECISION, ClassMoments, centred_log_proba

_BLOCK_SIZE = 2**26  # numbers copied and multiplied at a time: 256 MB in float32


def is_tensor(H: Any) -> bool:
    """Whether it is a torch tensor of float32 or float64."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(H, torch.Tensor):
        return False
    return H.dtype in (torch.float32, torch.float64)


def stand_in(H: Any) -> NDArray:
    """Zeros in the shape of a tensor that take no memory: all that a check of shapes looks at."""
    return np.broadcast_to(np.float32(0), tuple(H.shape))


def to_numpy(values: Any) -> Any:
    """A tensor's values, wherever it is; anything else as it is."""
    return values.detach().cpu().numpy() if hasattr(values, "detach") else values


def tensor_moments(H: Any, y: NDArray, proba: NDArray | None) -> ClassMoments:
    """``ClassMoments.of`` a tensor: products on its device, sums of blocks in float64."""
    H = H.detach()
    classes, codes = np.unique(y, return_inverse=True)
    moments = ClassMoments(classes, H.shape[1], None if proba is None else proba.shape[1])
    moments.precision = PRECISION[H.element_size()]
    step = max(1, _BLOCK_SIZE // H.shape[1])
    for start in range(0, len(H), step):
        rows = slice(start, start + step)
        block = H[rows]
        if proba is not None:
            logits = centred_log_proba(proba[rows])
            logit_mean, mean = logits.mean(axis=0), block.mean(dim=0)
            around = sys.modules["torch"].as_tensor(logits - logit_mean).to(H)
            cross = _float64((block - mean).T @ around)
            moments._add_logits(len(block), _float64(mean), logit_mean, cross)
        for c in np.unique(codes[rows]):
            Z = block[np.flatnonzero(codes[rows] == c)]
            mean = Z.mean(dim=0)
            Z -= mean
            moments._add_class(c, len(Z), _float64(mean), _float64(Z.T @ Z))
    return moments


def tensor_split(H: Any, weight: NDArray, offset: NDArray, n_subclasses: NDArray) -> Any:
    """Soft-max of ``H @ weight.T - offset`` within each class's block, on the device of ``H``."""
    torch = sys.modules["torch"]
    weight, offset = (torch.as_tensor(values).to(H) for values in (weight, offset))
    scores = torch.addmm(-offset, H, weight.T)
    return torch.cat([part.softmax(1) for part in scores.split(n_subclasses.tolist(), 1)], dim=1)


def _float64(values: Any) -> NDArray:
    """On the cpu first: not every device has float64."""
    return values.cpu().double().numpy()
