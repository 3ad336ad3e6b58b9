"""Parameters whose None stands for a default object, which nested parameters reach."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any


class DefaultObjects:
    """Let ``objective__alpha`` reach the objective that ``objective=None`` stands for.

    The nested parameters of a default object are among ``get_params(deep=True)``. Setting one puts
    a default object with that parameter in the place of None.
    """

    def _default_objects(self) -> dict[str, Callable[[], Any]]:
        """What makes the object that each such parameter's None stands for."""
        return {}

    def _or_default(self, name: str) -> Any:
        """The object that the user gave, itself, or else a new default one."""
        given = getattr(self, name)
        return self._default_objects()[name]() if given is None else given

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
        params = super().get_params(deep=deep)  # type: ignore[misc]
        if not deep:
            return params
        for name, make in self._default_objects().items():
            if params.get(name, make) is None:
                with suppress(TypeError):  # a body of the user's may read what needs arguments
                    nested = make().get_params()
                    params |= {f"{name}__{key}": value for key, value in nested.items()}
        return params

    def set_params(self, **params: Any) -> Any:
        """Set parameters; nested ones reach default objects too.

        Parameters
        ----------
        **params : dict
            Own parameters, and nested ones such as ``name__parameter``.

        Returns
        -------
        self
        """
        makers = self._default_objects()
        nested: dict[str, dict[str, Any]] = {}
        for key in list(params):
            name, _, inner = key.partition("__")
            if inner and name in makers:
                nested.setdefault(name, {})[inner] = params.pop(key)
        super().set_params(**params)  # type: ignore[misc]  # what is the default may hang on these
        for name, values in nested.items():
            if getattr(self, name) is None:
                # A default object that refuses a parameter has not taken the place of None.
                setattr(self, name, makers[name]().set_params(**values))
            else:
                super().set_params(  # type: ignore[misc]
                    **{f"{name}__{inner}": value for inner, value in values.items()}
                )
        return self
