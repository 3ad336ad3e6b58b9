"""Losses on tensors, and their gradients."""

import numpy as np
import torch

from lelp_sklearn import losses
from tests.fuzz.mutations.counts import COUNTS
from tests.fuzz.mutations.tensors import (
    ALONE,
    ANY_ROWS,
    ANY_WIDTH,
    BLOCKS,
    CLASS_NUMBERS,
    CLASSES,
    FLAG,
    FLOATS,
    MASK,
    MATRIX,
    NOT_NEGATIVE,
    OPTIONAL_MASK,
    PAIRS,
    POSITIVE,
    PRECISION,
    ROW_WEIGHTS,
    SOME_ROWS,
    VARIANT,
    VECTORS,
)
from tests.fuzz.subjects import values as v
from tests.fuzz.subjects.subject import Subject

_LEAST = {"target": 0, "class_target": 0, "split_target": 0, "weight": 0, "variance": 1e-3}
_LARGEST = 1e4  # beyond it sums of squares and exponentials may overflow, and half precision does


def _tensor(values):
    tensor = torch.as_tensor(values)
    return tensor.float() if tensor.is_floating_point() else tensor


LOGITS = _tensor(v.H[:, :3].copy())
PROBA = _tensor(v.PROBA)
Y = _tensor(v.Y)
WEIGHT = _tensor(v.WEIGHT)
STUDENT, TEACHER = _tensor(v.X), _tensor(v.H)
MAPPED = TEACHER.flip(1)  # to the teacher's width
SPLIT = torch.tensor([0.25, 0.75]).repeat(v.N, v.C)
WIDE = MAPPED[:, [0, 1, 2, 3, 4, 0]] + SPLIT
TOKENS = torch.stack([TEACHER[:, :4], MAPPED[:, :4], STUDENT], dim=1)  # (B, 3, 4)
MAPS = TOKENS[:, :, None, :3].expand(-1, -1, 3, -1).softmax(dim=3)  # (B, 3 heads, 3, 3)
PADDING = torch.arange(3) < 1 + Y[:, None]
OTHERS = torch.arange(5) != Y[:, None]


def of_losses():
    logits = {"class_logits": (LOGITS, MATRIX)}
    of_a_class = {"class_logits": (LOGITS, CLASSES)}
    kd = {**logits, "target": (PROBA, MATRIX), "temperature": (2.0, POSITIVE)}
    y, weight = {"y": (Y, CLASS_NUMBERS)}, {"weight": (WEIGHT, ROW_WEIGHTS)}
    temperature = {"temperature": (0.5, POSITIVE)}
    blocks = {"n_subclasses": ([2, 2, 2], BLOCKS)}
    wide, subclass_weight = {"logits": (WIDE, MATRIX)}, {"subclass_weight": (0.5, NOT_NEGATIVE)}
    mapped = {"student": (MAPPED, MATRIX), "teacher": (TEACHER, MATRIX)}
    both = {"student": (STUDENT, ANY_WIDTH), "teacher": (TEACHER, ANY_WIDTH)}
    guide = {"log_guide": (-1 - WEIGHT, FLOATS)}
    tables = {
        "label_loss": of_a_class | y,
        "class_kl": kd,
        "logit_mse": logits | {"target_logits": (PROBA.clamp_min(1e-3).log(), MATRIX)},
        "z_scores": {"logits": (LOGITS, ALONE)},
        "dkd": kd | y | {"alpha": (1.0, NOT_NEGATIVE), "beta": (8.0, NOT_NEGATIVE)},
        "dist_inter": kd,
        "dist_intra": kd | weight,
        "fold": {"logits": (WIDE, ANY_ROWS)} | blocks,
        "unfold": {"per_class": (PROBA, ANY_ROWS)} | blocks,
        "subclass_kl": wide
        | {"class_target": (PROBA, MATRIX), "split_target": (SPLIT, MATRIX)}
        | blocks
        | temperature
        | subclass_weight,
        "subclass_cross_entropy": wide
        | {"class_mass": (PROBA, MATRIX), "joint_mass": (SPLIT, ROW_WEIGHTS)}
        | blocks
        | subclass_weight,
        "subclass_spread": {"logits": (WIDE, ANY_WIDTH)} | temperature | weight,
        "cosine_distance": mapped,
        "log_sum": mapped | weight | {"power": (4.0, POSITIVE)},
        "gaussian_nll": {
            "mean": (MAPPED, MATRIX),
            "teacher": (TEACHER, MATRIX),
            "variance": (torch.arange(1.0, 6), FLOATS),
        },
        "cka_distance": both | weight | {"unbiased": (False, FLAG)},
        "patient_loss": mapped,
        "hidden_mse": mapped,
        "rkd_distance": both | weight,
        "rkd_angle": both | {"vertices": (torch.tensor([0, 0, 0]), SOME_ROWS)},
        "similarity_preserving": both,
        "probabilistic_transfer": both,
        "scaffold_kl": kd | guide | {"helped": (LOGITS > 0, MASK)},
        "guide_help": of_a_class | y | guide | {"largest_loss": (5.0, POSITIVE)},
        "unit_rows": {"rows": (STUDENT, VECTORS)},
        "cosines": {"rows": (MAPPED, ANY_ROWS), "anchors": (TEACHER[:7], ANY_ROWS)},
        "similarity_kl": mapped | temperature | {"ignore": (OTHERS, OPTIONAL_MASK)},
        "token_relation_kl": {
            "student": (TOKENS, ANY_WIDTH),
            "teacher": (TOKENS.flip(2), ANY_WIDTH),
            "n_heads": (2, COUNTS),
            "mask": (PADDING, OPTIONAL_MASK),
        },
        "info_nce": {"similarities": (LOGITS @ LOGITS.T / 64, PAIRS)} | temperature,
        "noise_contrastive": {
            "positive": (TEACHER[:, 0], FLOATS),
            "negatives": (MAPPED, ANY_WIDTH),
            "log_normalizer": (torch.tensor(1.0), []),
            "ignore": (OTHERS, OPTIONAL_MASK),
        },
        "supervised_contrast": {"rows": (STUDENT, ANY_WIDTH)} | y | temperature,
        "align_heads": {
            "student": (MAPS[:, :2], FLOATS),
            "teacher": (MAPS.flip(1), FLOATS),
            "mask": (PADDING, OPTIONAL_MASK),
            "variant": ("kl", VARIANT),
            "align_temperature": (0.5, POSITIVE),
        },
    }
    return {f"losses.{name}": _subject(name, table) for name, table in tables.items()}


def _subject(name, table):
    arguments = {argument: value for argument, (value, _) in table.items()}
    changes = {argument: kinds for argument, (_, kinds) in table.items() if kinds}
    aligned = [name for name, a in arguments.items() if torch.is_tensor(a) and _n_rows(a) == v.N]
    return Subject(
        _with_gradient(getattr(losses, name)),
        arguments | {"precision": torch.float32},
        changes | {"precision": PRECISION},
        _finite_where_asked_of_numbers,
        tuple(aligned),
        atol=1e-4,
        of_none=True,
    )


def _n_rows(tensor):
    return len(tensor) if tensor.ndim else 0


def _with_gradient(loss):
    """All values of a loss, and its sum's gradient at the first argument."""

    def call(precision, **arguments):
        first = next(iter(arguments))
        for name, value in arguments.items():
            if torch.is_tensor(value) and value.dtype == torch.float32:
                arguments[name] = value.to(precision)
        if torch.is_tensor(arguments[first]) and arguments[first].is_floating_point():
            arguments[first] = arguments[first].detach().requires_grad_()
        values = loss(**arguments)
        values.sum().backward()
        both = [values.detach(), arguments[first].grad]
        return np.concatenate([one.double().numpy().ravel() for one in both])

    return call


def _finite_where_asked_of_numbers(result, arguments):
    tensors = {n: a for n, a in arguments.items() if torch.is_tensor(a) and a.is_floating_point()}
    sane = all(bool((a.abs() <= _LARGEST).all()) for a in tensors.values())  # not so for NaN
    proper = all(bool((a >= _LEAST.get(n, -_LARGEST)).all()) for n, a in tensors.items())
    mild = all(1e-6 < a < 1e6 for a in arguments.values() if isinstance(a, float))
    if sane and proper and mild:
        assert np.isfinite(result).all()
