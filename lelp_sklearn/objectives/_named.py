"""Several objectives as one: what a weighted sum and a sequence of stages share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from sklearn.base import clone
from torch import Tensor, nn

from lelp_sklearn._compat import BaseComposition
from lelp_sklearn.losses import fold
from lelp_sklearn.objectives._base import (
    RESERVED,
    Loss,
    Objective,
    check_fitted,
    checked_targets,
)
from lelp_sklearn.outputs import StudentOutputs, TeacherOutputs


class NamedObjectives(Objective, BaseComposition):
    """Objectives by name on one student: targets side by side, and the widest one's head."""

    objectives_: list[tuple[str, Objective]]

    @abstractmethod
    def _given(self) -> list[tuple[str, Objective]]:
        """Names and objectives as the user gives them."""

    def _named(self) -> list[tuple[str, Objective]]:
        named = self._given()
        if not named:
            raise ValueError(f"{type(self).__name__} is empty: expected (name, ...) pairs.")
        return named

    @property
    def needs(self) -> tuple[str, ...]:  # type: ignore[override]
        """What any of the objectives needs."""
        return tuple(sorted({field for _, part in self._named() for field in part.needs}))

    @property
    def sees(self) -> tuple[str, ...]:  # type: ignore[override]
        """What any of the objectives looks at."""
        return tuple(sorted({field for _, part in self._named() for field in part.sees}))

    @property
    def trains_head(self) -> bool:  # type: ignore[override]
        """Whether any of the objectives does."""
        return any(part.trains_head for _, part in self._named())

    @property
    def reads_inputs(self) -> bool:
        """Whether any of the objectives does."""
        return any(part.reads_inputs for _, part in self._named())

    def fit(
        self,
        teacher: TeacherOutputs,
        y: NDArray,
        classes: NDArray,
        random_state: int,
        student_inputs: Any = None,
    ) -> NamedObjectives:
        """Fit each objective; see :meth:`Objective.fit`."""
        super().fit(teacher, y, classes, random_state)
        named = self._named()
        self.objectives_ = []
        for i, (name, part) in enumerate(named):
            made = clone(part).fit(teacher, y, classes, random_state + i, student_inputs)
            self.objectives_.append((name, check_fitted(part, made, len(classes))))
        widths = {part.n_subclasses_ for _, part in self.objectives_}
        wide = [width for width in widths if set(width) != {1}]
        if len(wide) > 1:
            raise ValueError(
                f"the objectives ask for heads of {sorted(wide)} logits a class: all must agree, "
                "or have one logit a class, as KD has."
            )
        self.n_subclasses_ = wide[0] if wide else (1,) * len(classes)
        return self

    def _check(self, classes: NDArray) -> None:
        super()._check(classes)
        named = self._named()
        self._validate_names([name for name, _ in named])
        for _, part in named:
            part._check(classes)

    def targets(self, teacher: TeacherOutputs) -> dict[str, NDArray]:
        """Each objective's targets under its name."""
        n_rows = len(getattr(teacher, teacher.given[0])) if teacher.given else None
        return {
            f"{name}.{key}": values
            for name, part in self.objectives_
            for key, values in checked_targets(part, part.targets(teacher), n_rows).items()
        }

    def prepare(self, targets: dict[str, NDArray]) -> dict[str, NDArray]:
        """Each objective's, under its name."""
        made = {key: targets[key] for key in RESERVED}
        for name, part in self.objectives_:
            prepared = part.prepare(_own(name, targets))
            made |= {f"{name}.{key}": v for key, v in prepared.items() if key not in RESERVED}
        return made

    def head(self, width: int) -> nn.Module:
        """The head of the one objective that has its own, or a linear one."""
        own = [part for _, part in self.objectives_ if type(part).head is not Objective.head]
        if len(own) > 1:
            names = ", ".join(type(part).__name__ for part in own)
            raise ValueError(f"{names} each make a head of their own: only one of them can.")
        if own and own[0].n_subclasses_ != self.n_subclasses_:
            raise ValueError(
                f"{type(own[0]).__name__} makes a head of {own[0].n_subclasses_} logits a class, "
                f"and another objective asks for {self.n_subclasses_}: leave one of them out."
            )
        return own[0].head(width) if own else super().head(width)

    def build(self, student: StudentOutputs) -> nn.Module | None:
        """The parts of all objectives by name; see :meth:`Objective.build`."""
        parts = {}
        for name, part in self.objectives_:
            module = part.build(self._as_seen_by(part, student))
            if module is not None:
                parts[name] = module
        self.module_ = nn.ModuleDict(parts)
        return self.module_

    def relink(self, module: nn.Module | None, head: nn.Module) -> None:
        """Take a copy of ``module_`` for it, and its parts for those of the objectives."""
        super().relink(module, head)
        parts = dict(module.items()) if isinstance(module, nn.ModuleDict) else {}
        for name, part in self.objectives_:
            part.relink(parts.get(name), head)

    def view(self, X: Any) -> Any:
        """The view of the one objective that makes one."""
        own = [part for _, part in self.objectives_ if type(part).view is not Objective.view]
        if len(own) > 1:
            names = ", ".join(type(part).__name__ for part in own)
            raise ValueError(f"{names} each make a view of their own: only one of them can.")
        return own[0].view(X) if own else None

    def _loss_of(
        self,
        name: str,
        part: Objective,
        outputs: StudentOutputs,
        targets: Mapping[str, Tensor],
        progress: float,
    ) -> Loss:
        """One objective's loss, on its own targets and those that all share."""
        return part.loss(self._as_seen_by(part, outputs), _own(name, targets), progress)

    def _as_seen_by(self, part: Objective, outputs: StudentOutputs) -> StudentOutputs:
        """Outputs with a wide head folded, for an objective of one logit a class."""
        if part.n_subclasses_ == self.n_subclasses_:
            return outputs
        return outputs._replace(logits=fold(outputs.logits, self.n_subclasses_))


def _own(name: str, targets: Mapping[str, Any]) -> dict[str, Any]:
    """An objective's own targets, and those that all share."""
    start = f"{name}."
    own = {key.removeprefix(start): v for key, v in targets.items() if key.startswith(start)}
    return {key: targets[key] for key in RESERVED} | own
