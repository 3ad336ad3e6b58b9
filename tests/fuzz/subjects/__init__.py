"""What is called: the public surface, each with a small valid case to begin with."""

from tests.fuzz.subjects.asked import asked
from tests.fuzz.subjects.kept import kept
from tests.fuzz.subjects.losses import of_losses
from tests.fuzz.subjects.metrics import of_metrics
from tests.fuzz.subjects.parameters import parameters
from tests.fuzz.subjects.rows import of_rows
from tests.fuzz.subjects.splitters import splitters
from tests.fuzz.subjects.students import students
from tests.fuzz.subjects.teachers import teachers
from tests.fuzz.subjects.texts import texts

_KINDS = (
    students,
    texts,
    asked,
    splitters,
    teachers,
    of_rows,
    of_metrics,
    of_losses,
    parameters,
    kept,
)


def every_subject():
    """All of them, by name."""
    return {name: subject for kind in _KINDS for name, subject in kind().items()}
