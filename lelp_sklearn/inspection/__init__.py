"""Pictures: learning curves and pseudo-subclasses. matplotlib is imported when one is drawn."""

from lelp_sklearn.inspection._history import HistoryDisplay
from lelp_sklearn.inspection._subclasses import SubclassDisplay

__all__ = ["HistoryDisplay", "SubclassDisplay"]
