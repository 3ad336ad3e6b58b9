"""The same comparisons on a GPU, rows resident there: python benchmarks/speed --only gpu.

The loop by hand keeps all rows on the device, steps the fused AdamW and reads no number back, with
and without bfloat16; skorch as shipped moves each batch there.
"""

from __future__ import annotations

import numpy as np
import torch
from _pairs import paired
from training import ALPHA, LELP, WEIGHT, Work

from lelp_sklearn import LELPProjector


class Resident(Work):
    """Training work on a device, which both ways wait for at the end."""

    device = "cuda"

    def lelp(self, **params):
        objective = LELP(projector=self.projector(), subclass_weight=WEIGHT, alpha=ALPHA)
        self.fit(objective, device=self.device, **params)
        self._wait()

    def by_hand(self, bf16=False):
        X = torch.from_numpy(self.X).to(self.device)
        in_class, joint = [part.to(self.device) for part in self.targets()]
        network = self.network().to(self.device)
        optimizer = torch.optim.AdamW(network.parameters(), fused=True)
        for _ in range(self.epochs):
            for rows in torch.randperm(len(X), device=self.device).split(self.batch_size):
                optimizer.zero_grad()
                with torch.autocast(self.device, dtype=torch.bfloat16, enabled=bf16):
                    logits = network(X.index_select(0, rows))
                loss = self.loss(
                    logits.float(), in_class.index_select(0, rows), joint.index_select(0, rows)
                )
                loss.backward()
                optimizer.step()
        self._wait()

    def skorch(self):
        super().skorch(device=self.device)
        self._wait()

    def _wait(self):
        if self.device == "cuda":
            torch.cuda.synchronize()


def rows(args):
    """Name, bar and measured ratio of each comparison; none without a GPU."""
    if not torch.cuda.is_available():
        print("| (no CUDA device here) | | | |")
        return
    work = Resident(1_000_000, 384, 512, 4096, epochs=2)
    name = f"{torch.cuda.get_device_name()}, 1M x 384, MLP 512, batch 4096"
    yield f"LELP: by hand ({name})", "<= 1.05", paired(work.lelp, work.by_hand, args.pairs)
    yield (
        "LELP, bf16: by hand, bf16",
        "<= 1.05",
        paired(lambda: work.lelp(bf16=True), lambda: work.by_hand(bf16=True), args.pairs),
    )
    yield "LELP: skorch as shipped", "<= 0.10", paired(work.lelp, work.skorch, 3)
    H = torch.from_numpy(work.X).cuda()
    y = work.y

    def product():
        (H.T @ H).sum().item()

    def project():
        LELPProjector(n_subclasses=6, null_space=False).fit(H, y)
        torch.cuda.synchronize()

    yield "LELPProjector.fit: H.T @ H", "<= 2.00", paired(project, product, args.pairs)
    on_cpu = LELPProjector(n_subclasses=6, null_space=False).fit(work.X[:100_000], y[:100_000])
    on_gpu = LELPProjector(n_subclasses=6, null_space=False).fit(H[:100_000], y[:100_000])
    np.testing.assert_allclose(
        on_gpu.transform(H[:1000]).cpu(), on_cpu.transform(work.X[:1000]), atol=1e-5
    )
