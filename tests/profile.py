"""How much the long tests try: little every time, much by HYPOTHESIS_PROFILE=nightly."""

from hypothesis import settings

NIGHTLY = settings().max_examples >= 1000
