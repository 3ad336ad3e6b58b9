"""skorch's double-underscore parameters on a scikit-learn estimator, within reach of grids."""

from __future__ import annotations

from typing import Any

from lelp_sklearn._defaults import DefaultObjects
from lelp_sklearn._numbers import python_value

PREFIXES = ("module__", "optimizer__", "callbacks__", "iterator_train__", "iterator_valid__")


class SkorchParameters(DefaultObjects):
    """Keep ``module__hidden`` and its like as parameters of their own.

    Names are checked in fit, not in ``__init__``, as scikit-learn's contract has it.
    """

    def _keep(self, skorch_params: dict[str, Any]) -> None:
        self._skorch_names = tuple(skorch_params)
        vars(self).update(skorch_params)

    @property
    def _skorch_params(self) -> dict[str, Any]:
        unknown = [name for name in self._skorch_names if not name.startswith(PREFIXES)]
        if unknown:
            own = [name for name in unknown if name.partition("__")[0] in self._default_objects()]
            raise TypeError(
                f"{type(self).__name__} got unexpected parameters {unknown}. Beside its own it "
                f"takes those that start with one of {', '.join(PREFIXES)}."
                + (f" {own[0]} is set by set_params({own[0]}=...)." if own else "")
            )
        return {name: python_value(getattr(self, name), name) for name in self._skorch_names}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters of this estimator.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add the parameters of nested objects, default ones among them.

        Returns
        -------
        params : dict of str to any
        """
        own = super().get_params(deep)
        return {**own, **{name: getattr(self, name) for name in self._skorch_names}}

    def set_params(self, **params: Any) -> Any:
        """Set parameters of this estimator; they count from the next fit on.

        Parameters
        ----------
        **params : dict
            Own parameters, nested ones, which reach default objects too, or skorch's such as
            ``module__hidden``.

        Returns
        -------
        self
        """
        for name in [n for n in params if n.startswith(PREFIXES) or n in self._skorch_names]:
            setattr(self, name, params.pop(name))
            if name not in self._skorch_names:
                self._skorch_names += (name,)
        return super().set_params(**params)
