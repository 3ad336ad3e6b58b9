"""Pictures and comparisons. matplotlib and pandas are imported when they are used."""

from lelp_sklearn.inspection._comparison import SplitterComparison, compare_splitters
from lelp_sklearn.inspection._fidelity import FidelityDisplay
from lelp_sklearn.inspection._history import HistoryDisplay
from lelp_sklearn.inspection._subclasses import SubclassDisplay

__all__ = [
    "FidelityDisplay",
    "HistoryDisplay",
    "SplitterComparison",
    "SubclassDisplay",
    "compare_splitters",
]
