"""Keeping what was trained: files that load without executing code."""

from lelp_sklearn.persistence._file import ModelFileError
from lelp_sklearn.persistence._model_card import ModelCard, model_card
from lelp_sklearn.persistence._onnx import to_onnx
from lelp_sklearn.persistence._saving import load, save

__all__ = ["ModelCard", "ModelFileError", "load", "model_card", "save", "to_onnx"]
