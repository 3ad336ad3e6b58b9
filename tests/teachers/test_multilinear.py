"""The hash behind row keys and checksums."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lelp_sklearn.teachers._multilinear import multilinear

ROWS = np.random.default_rng(0).integers(0, 256, (5000, 12)).astype(np.uint8)


@given(arrays(np.uint8, (2, 7)), st.integers(0, 6), st.integers(0, 7))
def test_one_flipped_bit_changes_every_hash(rows, byte, bit):
    rows[1] = rows[0]
    rows[1, byte] ^= 1 << bit
    first, second = multilinear(rows, b"test", 2)
    assert (first != second).all()


def test_a_rows_hash_is_its_own():
    hashes = multilinear(ROWS, b"test", 2)
    np.testing.assert_array_equal(multilinear(ROWS[::-7], b"test", 2), hashes[::-7])
    assert len(np.unique(hashes[:, 0])) == len(np.unique(ROWS, axis=0))


@pytest.mark.parametrize("width", [0, 1, 4, 12])
def test_purposes_and_widths_are_told_apart(width):
    zeros = np.zeros((1, width), np.uint8)
    hashes = [multilinear(zeros, purpose, 2) for purpose in (b"one", b"two")]
    assert len(np.unique(hashes)) == 4


def test_bits_are_even():
    hashes = multilinear(ROWS, b"test", 1)
    bits = np.unpackbits(hashes.view(np.uint8), axis=1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.05
