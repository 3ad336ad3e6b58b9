"""How rows as users hold them become what a student's body reads."""

from lelp_sklearn.inputs._arrays import ArrayInputs
from lelp_sklearn.inputs._bags import Bags
from lelp_sklearn.inputs._base import Inputs
from lelp_sklearn.inputs._sparse import SparseInputs
from lelp_sklearn.inputs._table import TableInputs
from lelp_sklearn.inputs._table_rows import Table
from lelp_sklearn.inputs._tokenizer import TokenizerInputs
from lelp_sklearn.inputs._tokens import TokenInputs, TokenVectors

__all__ = [
    "ArrayInputs",
    "Bags",
    "Inputs",
    "SparseInputs",
    "Table",
    "TableInputs",
    "TokenInputs",
    "TokenVectors",
    "TokenizerInputs",
]
