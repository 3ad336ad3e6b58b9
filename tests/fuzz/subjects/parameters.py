"""Parameters of objectives, splitters and augmenters: every number that a constructor takes."""

import inspect
from numbers import Real

import lelp_sklearn as lelp
from tests.fuzz.mutations.parameters import NUMBER, WEIGHTS_OF_TERMS
from tests.fuzz.subjects import values as v
from tests.fuzz.subjects.subject import Subject, finite, is_proba

_OBJECTIVES = (
    lelp.KD, lelp.DKD, lelp.DIST, lelp.DiSK, lelp.RKD, lelp.SP, lelp.PKT, lelp.CKA, lelp.CRD,
    lelp.VID, lelp.CompRess, lelp.EmbeddingApproximation, lelp.EmbeddingMatching,
    lelp.RelationalAlignment, lelp.SubclassDistillation,
)  # fmt: skip
_SPLITTERS = (
    lelp.LELPProjector, lelp.ClusterSplitter, lelp.ICASplitter, lelp.GraphSplitter,
    lelp.RandomSplitter, lelp.UniformSplitter,
)  # fmt: skip
_AUGMENTERS = (lelp.Mixup, lelp.Munge, lelp.Smote, lelp.Resample)


def parameters():
    found = {}
    for kinds, call, check in (
        (_OBJECTIVES, _taught, is_proba),
        (_SPLITTERS, _split, finite),
        (_AUGMENTERS, _drawn, finite),
    ):
        for kind in kinds:
            numbers = _numbers(kind)
            if numbers:
                found[f"parameters of {kind.__name__}"] = Subject(
                    call(kind), numbers, dict.fromkeys(numbers, NUMBER), check
                )
    stage = {"max_epochs": 1, "lr": 0.01, "split_noise": 0.1}
    weights = {"weights": [1.0, 0.5]}
    found["Stages"] = Subject(_staged, stage, dict.fromkeys(stage, NUMBER), is_proba)
    found["WeightedSum"] = Subject(_weighted, weights, {"weights": WEIGHTS_OF_TERMS}, is_proba)
    return found


def _numbers(kind):
    defaults = {n: p.default for n, p in inspect.signature(kind).parameters.items()}
    numbers = {n: d for n, d in defaults.items() if isinstance(d, Real) and not isinstance(d, bool)}
    if kind in _SPLITTERS and "n_subclasses" in numbers:
        numbers["n_subclasses"] = 2  # of the 5 columns there are
    return numbers


def _taught_by(objective):
    # Its teacher says a logit a subclass, here of the three classes.
    H = v.H[:, : v.C] if isinstance(objective, lelp.SubclassDistillation) else v.H
    student = lelp.StudentClassifier(lelp.MLP, module__hidden=6, objective=objective, **v.QUICK)
    answers = {"teacher_proba": v.PROBA, "teacher_embeddings": H}
    return student.fit(v.X, v.Y, **answers).predict_proba(v.X)


def _taught(kind):
    # Alone some leave the head untrained, which is refused.
    alone = kind in (lelp.KD, lelp.DKD, lelp.DIST, lelp.DiSK, lelp.SubclassDistillation)
    return lambda **numbers: _taught_by(kind(**numbers) if alone else lelp.KD() + kind(**numbers))


def _split(kind):
    def call(**numbers):
        splitter = kind(**numbers)
        for name, value in {"random_state": 0, "null_space": False}.items():
            if name in splitter.get_params():
                splitter.set_params(**{name: value})
        return splitter.fit(v.H, v.Y).transform(v.H)

    return call


def _drawn(kind):
    return lambda **numbers: kind(random_state=0, **numbers).fit(v.X, v.Y).sample(7)


def _weighted(weights):
    terms = [("kd", lelp.KD()), ("rkd", lelp.RKD())]
    return _taught_by(lelp.WeightedSum(terms, weights=weights))


def _staged(**of_the_first):
    first, then = lelp.Stage(lelp.KD(), **of_the_first), lelp.Stage(lelp.KD(), max_epochs=1)
    return _taught_by(lelp.Stages([("first", first), ("then", then)]))
