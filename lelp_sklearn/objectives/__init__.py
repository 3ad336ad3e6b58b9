"""What a student is trained on: hyper-parameters, per-row targets and a loss, one family a file."""

from lelp_sklearn.objectives._base import Objective
from lelp_sklearn.objectives._kd import KD
from lelp_sklearn.objectives._labels import CrossEntropy
from lelp_sklearn.objectives._lelp import LELP
from lelp_sklearn.objectives._stages import Stage, Stages
from lelp_sklearn.objectives._sum import WeightedSum

__all__ = ["KD", "LELP", "CrossEntropy", "Objective", "Stage", "Stages", "WeightedSum"]
