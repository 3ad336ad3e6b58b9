"""Training of a sentence encoder on labels."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import LogisticRegression
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping, GradientNormClipping, LRScheduler, ProgressBar
from skorch.dataset import ValidSplit
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from lelp_sklearn._torch import UsualSettings, seeded
from lelp_sklearn.teachers._hooks import autocast

_BATCH = 16
_HEAD_LR = 20  # times the encoder's
_HELD_OUT = 0.1
_LEAST = 10  # labelled rows of the rarest class from which on some are held out
_PATIENCE = 3


@UsualSettings()
def fine_tune(
    encoder: Any,
    texts: list[str],
    probe: LogisticRegression,
    y: NDArray,
    sample_weight: ArrayLike | None = None,
    *,
    epochs: int,
    lr: float,
    dtype: str | None,
    seed: int,
    verbose: int,
) -> Any:
    """Copy of an encoder, trained with a linear soft-max head by cross-entropy on labels.

    Kumar et al. (2022), "Fine-tuning can distort pretrained features and underperform
    out-of-distribution": the head starts from ``probe``, fitted on the encoder's embeddings as
    they are. AdamW in batches of 16 texts; the learning rate rises over a tenth of the steps and
    falls linearly, and the head's is 20 times the encoder's. Of classes of ten rows and more a
    tenth is held out; training stops after three epochs without a lower loss of those, and the
    weights of the best epoch return.
    """
    encoder = copy.deepcopy(encoder)
    tokens, constants = _tokens(encoder, texts)
    weight = np.ones(len(texts)) if sample_weight is None else np.asarray(sample_weight)
    codes = np.searchsorted(probe.classes_, y)
    split = ValidSplit(_HELD_OUT, stratified=True, random_state=seed)
    held_out = np.bincount(codes).min() >= _LEAST
    steps = epochs * (len(texts) // _BATCH + 1)  # at least those that there are
    callbacks = [
        GradientNormClipping(1.0),
        LRScheduler(
            OneCycleLR,
            step_every="batch",
            max_lr=[_HEAD_LR * lr, lr],
            total_steps=steps + 1,
            pct_start=0.1,
            anneal_strategy="linear",
            cycle_momentum=False,
        ),
    ]
    if held_out:
        callbacks.append(EarlyStopping(patience=_PATIENCE, threshold=0, load_best=True))
    if verbose:
        callbacks.append(ProgressBar())
    device = torch.device(encoder.device)
    with seeded(seed, device):
        _WeightedNet(
            _Classifier,
            module__encoder=encoder,
            module__constants=constants,
            module__probe=probe,
            module__dtype=dtype,
            criterion=nn.CrossEntropyLoss,
            criterion__reduction="none",
            optimizer=torch.optim.AdamW,
            optimizer__fused=device.type in ("cpu", "cuda"),
            optimizer__param_groups=[("head.*", {"lr": _HEAD_LR * lr})],
            lr=lr,
            batch_size=_BATCH,
            max_epochs=epochs,
            iterator_train__shuffle=True,
            train_split=split if held_out else None,
            callbacks=callbacks,
            callbacks__print_log=None,
            device=str(device),
            verbose=0,
        ).fit({**tokens, "weight": torch.tensor(weight, dtype=torch.float32)}, codes)
    return encoder.eval()


def _tokens(encoder: Any, texts: list[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The encoder's features of all texts, and those that are not a row a text."""
    preprocess = getattr(encoder, "preprocess", None) or encoder.tokenize  # before 5.3
    features = dict(preprocess(texts))
    if "attention_mask" not in features:
        raise TypeError(
            "this encoder cannot be fine-tuned here: its tokenizer gives "
            f"{sorted(features)} and no attention_mask. Use fine_tune_epochs=0."
        )
    rows = {name: value for name, value in features.items() if isinstance(value, Tensor)}
    return rows, {name: value for name, value in features.items() if name not in rows}


class _Classifier(nn.Module):
    """An encoder and a linear head, which starts from a fitted one."""

    def __init__(
        self, encoder: Any, constants: dict[str, Any], probe: LogisticRegression, dtype: str | None
    ):
        super().__init__()
        self.encoder = encoder
        self.constants = constants
        self.dtype = dtype
        coef, intercept = probe.coef_, probe.intercept_
        if len(coef) == 1:
            coef, intercept = (np.stack([-half, half]).squeeze() / 2 for half in (coef, intercept))
        self.head = nn.Linear(coef.shape[1], len(coef))
        self.head.weight.data.copy_(torch.from_numpy(coef))
        self.head.bias.data.copy_(torch.from_numpy(intercept))

    def forward(self, weight: Tensor, **tokens: Tensor) -> Tensor:
        """Logits of a batch, cut to its longest text."""
        used = tokens["attention_mask"].any(dim=0)
        features = {name: values[:, used] for name, values in tokens.items()} | self.constants
        with autocast(weight.device, self.dtype):
            embeddings = self.encoder(features)["sentence_embedding"]
        return self.head(embeddings.float())


class _WeightedNet(NeuralNetClassifier):
    def get_loss(self, y_pred: Tensor, y_true: Tensor, X: Any = None, **kwargs: Any) -> Tensor:
        """Mean over the batch, rows weighted."""
        loss = super().get_loss(y_pred, y_true, X, **kwargs)
        return (loss * X["weight"].to(loss.device)).mean()
