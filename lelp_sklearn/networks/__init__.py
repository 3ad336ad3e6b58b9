"""Student networks: bodies to choose from, and the head that is put on every one."""

from lelp_sklearn.networks._bag import BagOfNgrams
from lelp_sklearn.networks._bodies import MLP, Linear
from lelp_sklearn.networks._student import StudentNetwork
from lelp_sklearn.networks._tabular import TabularMLP
from lelp_sklearn.networks._text import StaticText, TextCNN
from lelp_sklearn.networks._transformer import TextTransformer

__all__ = [
    "MLP",
    "BagOfNgrams",
    "Linear",
    "StaticText",
    "StudentNetwork",
    "TabularMLP",
    "TextCNN",
    "TextTransformer",
]
