"""Ways of splitting classes, compared by what a student makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import get_scorer
from sklearn.model_selection import StratifiedKFold, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import check_random_state, column_or_1d, indexable
from sklearn.utils.validation import check_consistent_length

from lelp_sklearn._checks import validate_deep
from lelp_sklearn._rows import n_rows
from lelp_sklearn.inspection._folds import CONTROLS, Fold, last_step
from lelp_sklearn.outputs import TeacherOutputs, check_teacher_outputs
from lelp_sklearn.students import LELPStudentClassifier
from lelp_sklearn.students._checking import Ahead, check_student
from lelp_sklearn.subclasses import OracleSplitter, SubclassSplitter


@dataclass
class SplitterComparison:
    """What :func:`compare_splitters` measured.

    Parameters
    ----------
    folds : list of dict
        One record a splitter and fold.
    scores : tuple of str
        Names in the records that have a standard error.

    Attributes
    ----------
    frame : pandas DataFrame
        One row a splitter: means over the folds, and standard errors of the scores (``_se``).
    ax_ : matplotlib Axes
        Where :meth:`plot` drew.
    figure_ : matplotlib Figure
        The figure that holds it.

    See Also
    --------
    compare_splitters : Makes one.

    Examples
    --------
    >>> from lelp_sklearn import SplitterComparison
    >>> folds = [{"splitter": "KD", "accuracy": a, "n_subclasses": 2} for a in (0.8, 0.9)]
    >>> SplitterComparison(folds).frame.round(3)
              accuracy  accuracy_se  n_subclasses
    splitter
    KD            0.85         0.05           2.0
    """

    folds: list[dict[str, Any]]
    scores: tuple[str, ...] = ("accuracy", "log_loss")

    @property
    def frame(self) -> Any:
        """Means over the folds, as a pandas DataFrame."""
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "the table of a SplitterComparison is a pandas DataFrame: install pandas, or read "
                "its folds, a list of dicts."
            ) from error
        groups = pd.DataFrame(self.folds).groupby("splitter", sort=False)
        means = groups.mean()
        for name in (score for score in self.scores if score in means):
            means.insert(means.columns.get_loc(name) + 1, f"{name}_se", groups[name].sem())
        return means.drop(columns="fold", errors="ignore")

    def plot(self, *, metric: str = "accuracy", ax: Any = None) -> SplitterComparison:
        """Draw one figure of every splitter, with its standard error, and a line at KD's.

        Parameters
        ----------
        metric : str, default="accuracy"
            A column of ``frame``.
        ax : matplotlib Axes, default=None
            Where to draw. None makes a figure.

        Returns
        -------
        self
        """
        import matplotlib.pyplot as plt

        frame = self.frame
        if metric not in frame:
            raise ValueError(f"metric={metric!r} is not among {list(frame.columns)}.")
        if ax is None:
            size = (6, 1 + 0.35 * len(frame))
            ax = plt.subplots(figsize=size, layout="constrained")[1]
        self.ax_, self.figure_ = ax, ax.figure
        error = frame[f"{metric}_se"].to_numpy() if f"{metric}_se" in frame else None
        ax.errorbar(frame[metric].to_numpy(), range(len(frame)), xerr=error, fmt="o")
        if "KD" in frame.index:
            ax.axvline(frame.loc["KD", metric], color="0.7", linestyle=":")
        ax.set_yticks(range(len(frame)), frame.index)
        ax.invert_yaxis()
        ax.set(xlabel=metric)
        return self

    def __str__(self) -> str:
        return self.frame.to_string(float_format="{:.4g}".format)

    def _repr_html_(self) -> str:
        return self.frame.to_html(float_format="{:.4g}".format)


def compare_splitters(
    teacher_outputs: TeacherOutputs,
    X: Any,
    y: ArrayLike,
    student: LELPStudentClassifier | Pipeline,
    splitters: Mapping[str, SubclassSplitter],
    cv: Any = 5,
    *,
    fine: ArrayLike | None = None,
    scoring: Sequence[str] = (),
    random_state: int | np.random.RandomState | None = None,
) -> SplitterComparison:
    """Train a student on each of several splits of the classes, and on none, by cross-validation.

    Two controls are always beside them: "KD", with one logit a class, and "wide head", with as
    many as the widest splitter's and subclass_weight 0. A splitter that does not beat both brings
    nothing to this student. Each costs a fit a fold, or six with ``subclass_weight="auto"``.

    Parameters
    ----------
    teacher_outputs : TeacherOutputs
        Probabilities and embeddings of all rows, best of a teacher that did not see them.
    X : array-like of shape (n_rows, n_features)
        The student's inputs: anything that it reads.
    y : array-like of shape (n_rows,)
        Labels.
    student : LELPStudentClassifier or Pipeline that ends in one
        Cloned; its projector and random_state are replaced.
    splitters : mapping of str to SubclassSplitter
        Cloned, and fitted to the embeddings of each fold's training rows; to the student's inputs
        too, where it takes ``student_inputs``, and to ``fine`` instead if an OracleSplitter.
    cv : int, splitter of scikit-learn or iterable, default=5
        Folds; an int is so many stratified and shuffled ones.
    fine : array-like of shape (n_rows,), optional
        Known labels finer than y, words or numbers, to compare the subclasses with, and for
        OracleSplitter, the upper bound.
    scoring : sequence of str, default=()
        Further scorers of scikit-learn, by name.
    random_state : int, RandomState or None, default=None
        Seed of folds, students and splitters without their own: the same for all in a fold.

    Returns
    -------
    SplitterComparison
        With a ``frame`` and a ``plot``. Its columns, on held-out rows unless said otherwise:

        - accuracy, log_loss and those of ``scoring``, each with its standard error over folds;
        - splitter_seconds and student_seconds, of the fits (a process's first takes longer);
        - n_subclasses, of all classes together;
        - smallest_share and largest_share of a subclass, as mean probabilities over the training
          rows of its class;
        - predictability: how often logistic regression on the student's inputs (after a Pipeline's
          earlier steps; TF-IDF of texts) names a row's likeliest subclass, given its class, and
          majority_rate: how often the most frequent one is right. On 2,000 rows at most; NaN for
          other inputs, and where no class is split;
        - nmi, with ``fine``: normalised mutual information of subclasses and fine labels within
          the classes.

    Raises
    ------
    TypeError
        If the student is no LELPStudentClassifier.
    ValueError
        If probabilities or embeddings are missing, the lengths differ, or there is an
        OracleSplitter without ``fine``.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from lelp_sklearn import LELPProjector, LELPStudentClassifier, RandomSplitter
    >>> from lelp_sklearn import compare_splitters, TeacherOutputs
    >>> X, digit = load_digits(return_X_y=True)
    >>> X, digit = X[:600] / 16, digit[:600]
    >>> ten = LogisticRegression(C=0.1).fit(X, digit).predict_proba(X)
    >>> odd = ten[:, 1::2].sum(axis=1)
    >>> comparison = compare_splitters(
    ...     TeacherOutputs(proba=np.column_stack([1 - odd, odd]), embeddings=ten),
    ...     X,
    ...     digit % 2,
    ...     LELPStudentClassifier(max_epochs=5),
    ...     {"pca": LELPProjector(directions="pca"), "random": RandomSplitter()},
    ...     cv=2,
    ...     fine=digit,
    ...     random_state=0,
    ... )
    >>> frame = comparison.frame
    >>> frame.index.tolist()
    ['KD', 'wide head', 'pca', 'random']
    >>> bool(frame.loc["pca", "nmi"] > frame.loc["random", "nmi"])
    True
    """
    labels = column_or_1d(y)
    check_consistent_length(labels, np.empty(n_rows(X)), fine)
    fine = None if fine is None else column_or_1d(fine)
    classes, codes = np.unique(labels, return_inverse=True)
    given = check_teacher_outputs(
        teacher_outputs.proba, teacher_outputs.embeddings, len(labels), classes, X=X, y=y
    )
    outputs = TeacherOutputs(given.proba, given.embeddings, teacher_outputs.coef)
    _check(outputs, student, splitters, fine)
    for splitter in splitters.values():
        validate_deep(splitter)
    for name in scoring:
        get_scorer(name)
    check_student(student, Ahead(indexable(X)[0], labels, classes, fields=outputs.given))
    rng = check_random_state(random_state)
    if isinstance(cv, Integral):
        cv = StratifiedKFold(int(cv), shuffle=True, random_state=rng.randint(2**31 - 1))
    folds = []
    for number, rows in enumerate(check_cv(cv, labels, classifier=True).split(codes, labels)):
        seed = rng.randint(2**31 - 1)
        fold = Fold(outputs, X, classes, codes, fine, student, rows, seed, tuple(scoring))
        folds += [{"fold": number, **record} for record in fold.compare(splitters)]
    order = [*CONTROLS, *splitters]
    folds.sort(key=lambda record: order.index(record["splitter"]))
    return SplitterComparison(folds, ("accuracy", "log_loss", *scoring))


def _check(outputs: TeacherOutputs, student: Any, splitters: Mapping[str, Any], fine: Any) -> None:
    if outputs.given != ["proba", "embeddings"]:
        raise ValueError(
            f"teacher_outputs holds {outputs.given}; expected proba and embeddings, as "
            "lelp_sklearn.teacher_outputs(teacher, X, classes=...) gives them."
        )
    if not isinstance(last_step(student), LELPStudentClassifier):
        raise TypeError(
            f"student is a {type(last_step(student)).__name__}; expected a LELPStudentClassifier, "
            "or a Pipeline that ends in one: other students have no projector to replace."
        )
    if not splitters or set(splitters) & set(CONTROLS):
        raise ValueError(
            f"splitters holds {list(splitters)}; expected at least one, under names other than "
            f"{' and '.join(CONTROLS)}, which are added."
        )
    oracles = [name for name, s in splitters.items() if isinstance(s, OracleSplitter)]
    if oracles and fine is None:
        raise ValueError(
            f"splitters {oracles} are OracleSplitters, which need the fine labels: pass fine=, or "
            "leave them out."
        )
