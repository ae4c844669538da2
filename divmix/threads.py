"""The threads of the libraries that compute: on more than one BLAS and OpenMP sum in another order,
and a result must not depend on the machine."""

import sys
from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


def one_thread(user_api: str) -> AbstractContextManager:
    """The libraries of an interface, "blas" or "openmp", on one thread from here on, until the
    context is left that this is."""
    loaded = frozenset(name for name in ("scipy.linalg", "sklearn.cluster") if name in sys.modules)
    return _thread_pools(loaded).limit(limits=1, user_api=user_api)


@cache
def _thread_pools(_loaded: frozenset[str]) -> "ThreadpoolController":
    """Those of the libraries loaded, of which these bring some; a look at them takes milliseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
