"""Teachers, and those who read what they say."""

import numpy as np
from sklearn.linear_model import LogisticRegression

import lelp_sklearn as lelp
from tests.fuzz.mutations.arrays import EMBEDDINGS
from tests.fuzz.mutations.changes import ABSENT, ODD, renamed, without
from tests.fuzz.mutations.labels import LABELS, SCORED, UNREAD
from tests.fuzz.mutations.rows import (
    ANY_ROWS,
    ASKED_WITH_Y,
    BESIDE_OTHERS,
    REMEMBERED,
    ROWS,
    UNLABELED,
)
from tests.fuzz.mutations.teacher import ANSWERS, PROBA, SAID, SAID_EMBEDDINGS
from tests.fuzz.mutations.weights import WEIGHTS
from tests.fuzz.subjects import values as v
from tests.fuzz.subjects.fitted import fitted
from tests.fuzz.subjects.students import EMBEDDINGS_OF, PROBA_OF, STUDENT
from tests.fuzz.subjects.subject import Subject, finite, fitting, is_proba, one_a_row


def teachers():
    found = {}
    one, other = LogisticRegression(), LogisticRegression(C=0.1)
    rows = without(ROWS, "dates")  # scikit-learn takes them, and fails later
    fit = {"X": rows, "y": LABELS, "sample_weight": WEIGHTS}
    user = {"also": ("sklearn",)}
    # Some classifiers take negative weights: theirs to say.
    its_own = {**fit, "sample_weight": renamed(WEIGHTS, ODD, "negative")}
    found["SklearnTeacher fit"] = fitting(lelp.SklearnTeacher(one), its_own, **user)
    for combine in ("mean_proba", "mean_logits", "entropy", "ca_mkd", "log_loss"):
        ensemble = lelp.TeacherEnsemble([("a", one), ("b", other)], combine=combine, cv=2)
        found[f"TeacherEnsemble {combine}"] = fitting(ensemble, fit, **user)
    answers = {"proba": v.PROBA, "embeddings": v.H, "X": v.X, "y": v.Y}

    def composite(proba, embeddings, X, y):
        teacher = lelp.CompositeTeacher(proba, embeddings).fit(X, y)
        assert np.isfinite(teacher.transform(X)).all()
        return teacher.predict_proba(X)

    found["CompositeTeacher"] = Subject(
        composite,
        answers,
        {
            "proba": ANSWERS + ABSENT,
            "embeddings": EMBEDDINGS + ABSENT,
            "X": REMEMBERED,
            "y": UNREAD,
        },
        one_a_row,
        tuple(answers),
        atol=1e-2,
    )

    def answers_of(X, proba, embeddings):
        return lelp.teacher_outputs(_Says(proba, embeddings), X, np.arange(v.C)).proba

    found["teacher_outputs"] = Subject(
        answers_of,
        {"X": v.X, "proba": v.PROBA, "embeddings": v.H},
        {
            "X": ANY_ROWS,
            "proba": SAID,
            "embeddings": SAID_EMBEDDINGS,
        },
        is_proba,
        ("X", "proba", "embeddings"),
    )
    student = lelp.StudentClassifier(objective=lelp.KD(), **v.QUICK)
    distilled = {
        "prefit": lelp.DistilledClassifier(fitted("teacher"), student),
        "cross-fitted": lelp.DistilledClassifier(one, student, cv=2),
        "with mixup": lelp.DistilledClassifier(
            fitted("teacher"), student, augment=lelp.Mixup(random_state=0)
        ),
    }
    for name, estimator in distilled.items():
        found[f"DistilledClassifier {name}"] = fitting(
            estimator,
            {
                **fit,
                "X": BESIDE_OTHERS,
                "sample_weight": WEIGHTS,
                "X_unlabeled": UNLABELED,
            },
            values={"X_unlabeled": v.X[:7]},
            **user,
        )
        found[f"DistilledClassifier {name}"].aligned = ("X", "y", "sample_weight")
    retrieval = lelp.RetrievalAugmentedClassifier(student, retrieval_weight=0.5, random_state=0)
    found["RetrievalAugmentedClassifier"] = fitting(
        retrieval,
        {**STUDENT, **PROBA_OF, **EMBEDDINGS_OF, "X": ROWS},
    )
    found["fidelity_report"] = Subject(
        lambda X, y: np.nan_to_num(
            lelp.fidelity_report(
                fitted("teacher"), fitted("lelp"), X, y, n_bootstrap=3, random_state=0
            ).to_numpy()
        ),
        {"X": v.X, "y": v.Y},
        {"X": ASKED_WITH_Y, "y": SCORED},
        finite,
        ("X", "y"),
        **user,
    )
    found["FidelityDisplay"] = Subject(
        _drawn,
        {"teacher_proba": v.PROBA, "student_proba": v.OTHER_PROBA, "y": v.Y},
        {
            "teacher_proba": PROBA + ABSENT,
            "student_proba": PROBA + ABSENT,
            "y": SCORED,
        },
        finite,
        ("teacher_proba", "student_proba", "y"),
    )
    return found


def _drawn(teacher_proba, student_proba, y):
    import matplotlib.pyplot as plt

    display = lelp.FidelityDisplay.from_predictions(
        teacher_proba, student_proba, y, classes=np.arange(v.C)
    )
    plt.close("all")
    return np.nan_to_num(display.agreement.share)


class _Says:
    """A teacher of the user's, with whatever it says."""

    def __init__(self, proba, embeddings):
        self.proba, self.embeddings, self.classes_ = proba, embeddings, np.arange(v.C)

    def predict_proba(self, X):
        return self.proba

    def transform(self, X):
        return self.embeddings
