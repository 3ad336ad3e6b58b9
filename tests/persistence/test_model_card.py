"""Model cards say what is so, in Markdown and in JSON."""

import json
import os

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import lelp_sklearn
from lelp_sklearn import (
    MLP,
    CrossEntropy,
    DistilledClassifier,
    LELPStudentClassifier,
    RetrievalAugmentedClassifier,
    StudentClassifier,
    model_card,
)
from lelp_sklearn.report import DistillationReport
from tests.data import digits


@pytest.fixture(scope="module")
def student():
    rows = digits(200)
    student = LELPStudentClassifier(
        MLP, module__hidden=8, max_epochs=2, validation_fraction=0.2, random_state=0
    )
    return student.fit(rows.X, rows.y, teacher_proba=rows.proba, teacher_embeddings=rows.embeddings)


def test_facts_of_a_student_and_its_figures(student):
    rows = digits(200)
    facts = model_card(student, rows.X, rows.y, teacher="a forest", metrics={"cost": 3}).facts
    assert facts["model"]["name"] == "LELPStudentClassifier"
    assert "module__hidden=8" in facts["model"]["estimator"]
    assert facts["data"]["n_features"] == 64
    assert facts["data"]["inputs"] == "ArrayInputs"
    assert facts["data"]["rows_measured_on"] == 200
    assert facts["classes"] == {
        "labels": [0, 1],
        "subclasses": list(student.objective_.n_subclasses_),
    }
    told = facts["distillation"]
    assert told["teacher"] == "a forest"
    assert told["objective"].startswith("LELP(")
    assert (told["body"], told["epochs"]) == ("MLP", 2)
    assert (told["student_embedding_width"], told["teacher_embedding_width"]) == (8, 10)
    assert told["train_loss"] == student.history_[-1]["train_loss"]
    assert told["valid_loss"] == student.history_[-1]["valid_loss"]
    figures = facts["metrics"]
    assert figures["given"] == {"cost": 3}
    assert figures["student"]["accuracy"] == student.score(rows.X, rows.y)
    n_subclasses = sum(student.objective_.n_subclasses_)
    assert facts["size"]["parameters"] == 65 * 8 + 9 * n_subclasses
    assert facts["size"]["bytes"] > 4 * facts["size"]["parameters"]
    assert 0 < facts["latency"]["one_row_median_ms"] <= facts["latency"]["one_row_p99_ms"]
    assert facts["versions"]["torch"] == torch.__version__


def test_what_is_unknown_is_left_out(student):
    card = model_card(student)
    assert card.facts["latency"]["one_row_median_ms"] > 0  # of a row of zeros
    assert card.facts["metrics"] == {}
    assert "## Metrics" not in str(card)
    assert "teacher:" not in str(card)
    with pytest.raises(ValueError, match="y without X"):
        model_card(student, y=[0, 1])
    texts = make_pipeline(StandardScaler(), StudentClassifier(objective=CrossEntropy()))
    rows = digits(50)
    assert model_card(texts.fit(rows.X, rows.y)).facts["latency"] == {}


def test_a_teacher_is_measured_beside_its_student():
    rows = digits(200)
    teacher = make_pipeline(StandardScaler(), GaussianNB(var_smoothing=0.1)).fit(rows.X, rows.y)
    student = StudentClassifier(MLP, max_epochs=2, random_state=0)
    distilled = DistilledClassifier(teacher, student).fit(rows.X, rows.y)
    for card in (
        model_card(distilled, rows.X, rows.y),
        model_card(distilled.student_, rows.X, rows.y, teacher=teacher),
    ):
        figures = card.facts["metrics"]
        assert figures["teacher"]["accuracy"] == teacher.score(rows.X, rows.y)
        assert figures["student"]["accuracy"] == distilled.score(rows.X, rows.y)
        assert 0 < figures["student"]["agreement"] <= 1
        assert "| teacher | " in str(card)
    assert card.facts["distillation"]["teacher"] == "StandardScaler, GaussianNB"
    other = LogisticRegression()
    assert model_card(distilled, teacher=other).facts["distillation"]["teacher"] == (
        "LogisticRegression"
    )
    report = DistillationReport({"student": {"accuracy": 0.5}})
    assert model_card(distilled, metrics=report).facts["metrics"] == report.rows


def test_a_student_that_looks_up_shows_its_student_and_its_entries():
    rows = digits(100)
    inner = StudentClassifier(MLP, module__hidden=8, max_epochs=2, random_state=0)
    augmented = RetrievalAugmentedClassifier(inner, retrieval_weight=0.5)
    model = make_pipeline(StandardScaler(), augmented)
    teacher = {"teacher_proba": rows.proba, "teacher_embeddings": rows.embeddings}
    model.fit(
        rows.X, rows.y, **{f"retrievalaugmentedclassifier__{k}": v for k, v in teacher.items()}
    )
    facts = model_card(model, rows.X).facts
    assert facts["model"]["name"] == "RetrievalAugmentedClassifier"
    assert facts["distillation"]["body"] == "MLP"
    assert facts["distillation"]["epochs"] == 2
    assert facts["distillation"]["entries"] == 100
    assert facts["distillation"]["retrieval_weight"] == 0.5
    assert facts["data"]["inputs"] == "ArrayInputs"
    assert facts["classes"] == {"labels": [0, 1], "subclasses": [1, 1]}
    assert facts["size"]["parameters"] > 65 * 8


def test_a_body_of_a_notebook_has_no_pickled_size():
    class Local(nn.Module):
        def forward(self, X):
            return X

    rows = digits(50)
    student = StudentClassifier(Local, objective=CrossEntropy(), max_epochs=1)
    facts = model_card(student.fit(rows.X, rows.y)).facts
    assert facts["size"] == {"parameters": 65 * 2, "bytes": None}


def test_cards_are_written_beside_a_model(student, tmp_path):
    rows = digits(50)
    labels = np.where(rows.y, "odd", "even")
    card = model_card(
        StudentClassifier(objective=CrossEntropy(), max_epochs=1).fit(rows.X, labels), rows.X
    )
    card.write(tmp_path / "model.lelp")
    assert sorted(os.listdir(tmp_path)) == ["model.lelp.json", "model.lelp.md"]
    assert json.loads((tmp_path / "model.lelp.json").read_text()) == card.facts
    text = (tmp_path / "model.lelp.md").read_text()
    assert text == f"{card.to_markdown()}\n"
    assert text.startswith("# Model card: StudentClassifier\n")
    assert "- labels: even, odd" in text


@pytest.mark.parametrize("given", [True, "made"])
def test_save_writes_a_card(student, tmp_path, given):
    rows = digits(50)
    card = model_card(student, rows.X, rows.y) if given == "made" else True
    lelp_sklearn.save(student, tmp_path / "model.lelp", card=card)
    assert sorted(os.listdir(tmp_path)) == ["model.lelp", "model.lelp.json", "model.lelp.md"]
    facts = json.loads((tmp_path / "model.lelp.json").read_text())
    assert facts["classes"]["labels"] == [0, 1]
    assert ("student" in facts["metrics"]) == (given == "made")
