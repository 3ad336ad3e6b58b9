"""Ways of splitting a class into pseudo-subclasses; numpy only."""

from lelp_sklearn.subclasses._base import SubclassSplitter
from lelp_sklearn.subclasses._controls import OracleSplitter, RandomSplitter, UniformSplitter
from lelp_sklearn.subclasses._lelp import LELPProjector

__all__ = [
    "LELPProjector",
    "OracleSplitter",
    "RandomSplitter",
    "SubclassSplitter",
    "UniformSplitter",
]
