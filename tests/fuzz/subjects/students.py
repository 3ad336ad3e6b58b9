"""Fits of students."""

import numpy as np
from scipy import sparse

import lelp_sklearn as lelp
from tests.fuzz.mutations.arrays import EMBEDDINGS
from tests.fuzz.mutations.changes import OPTIONAL
from tests.fuzz.mutations.labels import CLASSES, LABELS, LATER_LABELS
from tests.fuzz.mutations.rows import OF_A_TABLE, ROWS, SPARSE_ROWS
from tests.fuzz.mutations.tables import TABLES
from tests.fuzz.mutations.teacher import COEF, HIDDEN, PROBA
from tests.fuzz.mutations.weights import LATER_MASK, MASK, WEIGHTS
from tests.fuzz.subjects import values as v
from tests.fuzz.subjects.subject import fitting

STUDENT = {"X": ROWS, "y": LABELS, "sample_weight": WEIGHTS, "labeled": MASK}
# What is one class here has been another before.
PARTIAL = {**STUDENT, "y": LATER_LABELS, "labeled": LATER_MASK}
PROBA_OF = {"teacher_proba": PROBA + OPTIONAL}
EMBEDDINGS_OF = {"teacher_embeddings": EMBEDDINGS + OPTIONAL}


def _student(objective, *fields, **params):
    changes = {**STUDENT, **PROBA_OF, **dict.fromkeys(fields, EMBEDDINGS + OPTIONAL)}
    student = lelp.StudentClassifier(
        lelp.MLP, module__hidden=6, objective=objective, **v.QUICK, **params
    )
    return fitting(student, changes)


def students():
    projector = lelp.LELPProjector(n_subclasses=2, random_state=0)
    lelp_student = lelp.LELPStudentClassifier(projector=projector, **v.QUICK)
    all_of = {**STUDENT, **PROBA_OF, **EMBEDDINGS_OF}
    return {
        "fit without a teacher": fitting(
            lelp.StudentClassifier(lelp.MLP, objective=lelp.CrossEntropy(), **v.QUICK), STUDENT
        ),
        "fit KD": _student(lelp.KD()),
        "fit KD, standardized": _student(
            lelp.KD(standardize=True, kind="mse"), class_weight="balanced"
        ),
        "fit DKD": _student(lelp.DKD()),
        "fit DIST": _student(lelp.DIST(), validation_fraction=0.2),
        "fit LELP": fitting(lelp_student, {**all_of, "teacher_coef": COEF}),
        "fit LELP, auto": fitting(
            lelp.LELPStudentClassifier(
                projector=lelp.LELPProjector(n_subclasses="auto", null_space=False), **v.QUICK
            ),
            all_of,
        ),
        "fit LELP on clusters": fitting(
            lelp.LELPStudentClassifier(
                projector=lelp.ClusterSplitter(n_subclasses=2, null_space=False), **v.QUICK
            ),
            all_of,
        ),
        "fit RKD + PKT": _student(lelp.KD() + lelp.RKD() + lelp.PKT(), "teacher_embeddings"),
        "fit SP + CKA": _student(lelp.KD() + lelp.SP() + lelp.CKA(), "teacher_embeddings"),
        "fit VID + EmbeddingMatching": _student(
            lelp.KD() + lelp.VID() + lelp.EmbeddingMatching(), "teacher_embeddings"
        ),
        "fit CRD": _student(lelp.KD() + lelp.CRD(), "teacher_embeddings"),
        "fit SimKD": fitting(
            lelp.StudentClassifier(objective=lelp.SimKD(), **v.QUICK),
            {**all_of, "teacher_coef": COEF},
        ),
        "fit CompRess": _student(lelp.KD() + lelp.CompRess(), "teacher_embeddings"),
        "fit EmbeddingApproximation": _student(
            lelp.KD() + lelp.EmbeddingApproximation(n_components=3), "teacher_embeddings"
        ),
        "fit RelationalAlignment": _student(
            lelp.KD() + lelp.RelationalAlignment(), "teacher_embeddings"
        ),
        "fit HiddenLayers": fitting(
            lelp.StudentClassifier(
                lelp.MLP,
                module__hidden=[6, 5],
                objective=lelp.KD() + lelp.HiddenLayers(),
                **v.QUICK,
            ),
            {**STUDENT, **PROBA_OF, "teacher_hidden": HIDDEN},
        ),
        "fit SubclassTeacher": fitting(lelp.SubclassTeacher(n_subclasses=2, **v.QUICK), STUDENT),
        "fit BagOfNgrams": fitting(
            lelp.StudentClassifier(lelp.BagOfNgrams, objective=lelp.KD(), **v.QUICK),
            {**STUDENT, **PROBA_OF, "X": SPARSE_ROWS},
            values={"X": sparse.csr_array(v.X)},
        ),
        "fit TabularMLP": fitting(
            lelp.StudentClassifier(lelp.TabularMLP, objective=lelp.KD(), **v.QUICK),
            {**STUDENT, **PROBA_OF, "X": TABLES},
            values={"X": v.TABLE},
        ),
        "fit TabularMLP on numbers": fitting(
            lelp.StudentClassifier(lelp.TabularMLP, objective=lelp.KD(), **v.QUICK),
            {**STUDENT, **PROBA_OF, "X": OF_A_TABLE},
        ),
        "partial_fit KD": fitting(
            lelp.StudentClassifier(objective=lelp.KD(), **v.QUICK),
            {**PARTIAL, **PROBA_OF, "classes": CLASSES},
            method="partial_fit",
            values={"classes": np.arange(v.C)},
        ),
        "partial_fit LELP": fitting(lelp_student, {**all_of, **PARTIAL}, method="partial_fit"),
    }
