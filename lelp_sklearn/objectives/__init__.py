"""What a student is trained on: hyper-parameters, per-row targets and a loss, one family a file."""

from lelp_sklearn.objectives._attention import AMAD
from lelp_sklearn.objectives._base import Objective
from lelp_sklearn.objectives._cka import CKA
from lelp_sklearn.objectives._compress import CompRess
from lelp_sklearn.objectives._crd import CRD
from lelp_sklearn.objectives._disk import DiSK
from lelp_sklearn.objectives._dist import DIST
from lelp_sklearn.objectives._dkd import DKD
from lelp_sklearn.objectives._features import EmbeddingMatching
from lelp_sklearn.objectives._kd import KD
from lelp_sklearn.objectives._labels import CrossEntropy
from lelp_sklearn.objectives._layers import HiddenLayers
from lelp_sklearn.objectives._lelp import LELP
from lelp_sklearn.objectives._reaugkd import RelationalAlignment
from lelp_sklearn.objectives._relations import PKT, RKD, SP
from lelp_sklearn.objectives._sea import EmbeddingApproximation
from lelp_sklearn.objectives._simkd import SimKD
from lelp_sklearn.objectives._stages import Stage, Stages
from lelp_sklearn.objectives._subclass_distillation import SubclassDistillation, SubclassSpread
from lelp_sklearn.objectives._sum import WeightedSum
from lelp_sklearn.objectives._token_relations import TokenRelations
from lelp_sklearn.objectives._vid import VID

__all__ = [
    "AMAD",
    "CKA",
    "CRD",
    "DIST",
    "DKD",
    "KD",
    "LELP",
    "PKT",
    "RKD",
    "SP",
    "VID",
    "CompRess",
    "CrossEntropy",
    "DiSK",
    "EmbeddingApproximation",
    "EmbeddingMatching",
    "HiddenLayers",
    "Objective",
    "RelationalAlignment",
    "SimKD",
    "Stage",
    "Stages",
    "SubclassDistillation",
    "SubclassSpread",
    "TokenRelations",
    "WeightedSum",
]
