"""Whatever the surrounding program has set, every call gives what it gives without.

Each subject is called inside many settings at once; by ``HYPOTHESIS_PROFILE=nightly`` inside each
by itself, and with bad input.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations.changes import array
from tests.fuzz.surroundings import FRAMES, SURROUNDINGS, TOGETHER, state
from tests.fuzz.test_fuzz import SUBJECTS, cases, try_out
from tests.profile import NIGHTLY

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")
# Losses are functions of the user's own tensors, inside settings that are meant for them.
NAMES = [name for name in SUBJECTS if not name.startswith("losses.")]
# Where less is refused, or more raised, or results are frames: all at the user's own wish.
OTHER = {"assume_finite", "skip_parameter_validation", "errors raised", *FRAMES, *TOGETHER}


def tried(i):
    return list(SURROUNDINGS) if NIGHTLY else [list(TOGETHER)[i % 2]]


@pytest.mark.parametrize(
    ("name", "surrounding"), [(n, s) for i, n in enumerate(NAMES) for s in tried(i)]
)
def test_the_same_result(name, surrounding):
    subject = SUBJECTS[name]
    call = getattr(subject.call, "once", subject.call)
    plain = array(call(**subject.arguments))
    with SURROUNDINGS[surrounding]():
        before = state()
        result = array(call(**subject.arguments))
        assert state() == before
    assert result.dtype == plain.dtype
    np.testing.assert_array_equal(result, plain)


if NIGHTLY:

    @pytest.mark.parametrize("name", NAMES)
    @settings(max_examples=50)
    @given(data=st.data())
    def test_the_same_judgement(name, data):
        rows, changes = data.draw(cases(name))
        surrounding = data.draw(st.sampled_from([s for s in SURROUNDINGS if s not in OTHER]))
        with SURROUNDINGS[surrounding]():
            before = state()
            try_out(name, rows, changes)
            assert state() == before
