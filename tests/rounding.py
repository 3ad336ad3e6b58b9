"""How far apart two right answers may be: what float32 loses along so many operations."""

import numpy as np


def float32(n_operations, safety=8):
    """Relative error of sums of so many rounded terms, that add up as a random walk does.

    Another processor adds them in another order. An error in the mathematics is far larger.
    """
    return safety * np.finfo(np.float32).eps * np.sqrt(n_operations)
