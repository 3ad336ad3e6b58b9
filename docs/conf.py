"""Sphinx configuration: ``sphinx-build -W docs docs/_build``."""

from importlib.metadata import version as installed

project = "lelp_sklearn"
author = "The lelp_sklearn developers"
copyright = "2026, the lelp_sklearn developers"
version = release = installed("lelp-sklearn")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_gallery.gen_gallery",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 2
autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
exclude_patterns = ["_build", "gallery/*.ipynb", "gallery/*.py", "gallery/*.md5", "gallery/*.zip"]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "download_all_examples": False,
}
suppress_warnings = ["config.cache", "ref.ref"]  # labels of scikit-learn in inherited docstrings

html_theme = "pydata_sphinx_theme"
html_theme_options = {"show_toc_level": 2}
