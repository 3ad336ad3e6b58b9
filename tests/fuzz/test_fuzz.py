"""Bad input, everywhere public: a right answer or a refusal in our own words, and nothing else.

A valid case gets one or two changes. The same few are tried every time; by
``HYPOTHESIS_PROFILE=nightly`` some 11,000 are drawn. What fails is kept in
``test_past_failures.py``.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.judging import own_words
from tests.fuzz.mutations.changes import BAD, FORM, ODD, array
from tests.fuzz.subjects import every_subject
from tests.fuzz.subjects.values import Y
from tests.profile import NIGHTLY

SUBJECTS = every_subject()
ROWS = {
    "all": slice(None),
    "none": slice(0, 0),
    "one": slice(0, 1),
    "one_a_class": slice(0, 3),
    "four_a_class": slice(0, 12),
    "one_class": np.flatnonzero(Y == 0),
    "two_classes": np.flatnonzero(Y > 0),
    "copies": np.repeat([0, 1, 2], 12),
}


@st.composite
def cases(draw, name):
    """Changes of arguments, by name, and of the rows of all."""
    subject = SUBJECTS[name]
    arguments = draw(
        st.lists(st.sampled_from(list(subject.changes)), min_size=1, max_size=2, unique=True)
    )
    changes = {
        name: (draw(st.sampled_from(subject.changes[name])), draw(st.integers(0, 1000)))
        for name in arguments
    }
    some = st.sampled_from(list(ROWS))
    rows = draw(st.one_of(st.just("all"), st.just("all"), some)) if subject.aligned else "all"
    return rows, changes


@pytest.mark.parametrize("name", SUBJECTS)
@settings(max_examples=125 if NIGHTLY else 2, derandomize=not NIGHTLY)
@given(data=st.data())
def test_a_right_answer_or_our_own_words(name, data):
    rows, changes = data.draw(cases(name))
    try_out(name, rows, changes)


def try_out(name, rows, changes):
    """Call with the changes made, and judge what comes of it."""
    subject = SUBJECTS[name]
    arguments = dict(subject.arguments)
    if rows != "all":
        for aligned in subject.aligned:
            taken = arguments[aligned]
            taken = taken.iloc[ROWS[rows]] if hasattr(taken, "iloc") else taken[ROWS[rows]]
            arguments[aligned] = taken
    expected = []
    # Rows that nothing stands beside may be of any number.
    alone = any(change.name == "absent" for change, _ in changes.values())
    # Two that are cut alike fit each other.
    both_alike = len({change.name for change, _ in changes.values()}) < len(changes)
    for argument, (change, at) in changes.items():
        try:
            arguments[argument] = change.change(arguments[argument], at)
        except (ValueError, IndexError, ZeroDivisionError, TypeError, OverflowError):
            if rows == "all":
                raise
            return  # no such change of so few rows
        any_number = alone and change.name in ("row_short", "row_long", "one_row")
        expected.append(ODD if any_number or both_alike else change.expected)
    try:
        with own_words(subject.also):
            result = subject.call(**arguments)
    except (ValueError, TypeError, FloatingPointError):
        assert set(expected) != {FORM} or rows != "all", "refused the same content"
        return
    assert rows != "all" or BAD not in expected, "took what is to be refused"
    assert rows != "none" or subject.of_none, "took no rows"
    subject.check(result, arguments)
    if rows == "all" and set(expected) == {FORM}:
        with own_words(subject.also):
            plain = subject.call(**subject.arguments)
        np.testing.assert_allclose(array(result), array(plain), atol=subject.atol)
