"""Ways of splitting a class into pseudo-subclasses; torch only in the fit that needs it."""

from lelp_sklearn.subclasses._autoencoder import AutoencoderSplitter
from lelp_sklearn.subclasses._base import SubclassSplitter
from lelp_sklearn.subclasses._cca import CCASplitter
from lelp_sklearn.subclasses._clustering import ClusterSplitter
from lelp_sklearn.subclasses._controls import OracleSplitter, RandomSplitter, UniformSplitter
from lelp_sklearn.subclasses._ensemble import EnsembleSplitter
from lelp_sklearn.subclasses._graph import GraphSplitter
from lelp_sklearn.subclasses._ica import ICASplitter
from lelp_sklearn.subclasses._lelp import LELPProjector
from lelp_sklearn.subclasses._propagation import propagate_labels

__all__ = [
    "AutoencoderSplitter",
    "CCASplitter",
    "ClusterSplitter",
    "EnsembleSplitter",
    "GraphSplitter",
    "ICASplitter",
    "LELPProjector",
    "OracleSplitter",
    "RandomSplitter",
    "SubclassSplitter",
    "UniformSplitter",
    "propagate_labels",
]
