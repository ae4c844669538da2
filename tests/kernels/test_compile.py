import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from divmix.kernels import compile as compiling
from divmix.kernels.chunks import map_in_order, row_chunks

# the smallest kernel: it packs the triangle of one matrix
USE_A_KERNEL_TWICE = """
import numpy as np
from divmix.kernels import compile as compiling, full_pairs
compiling.on_compile(lambda: print("compiling"))
for value in (1.0, 2.0):
    print(full_pairs._packed(np.full((1, 1, 1), value))[0, 0])
"""


def run(cache_home, code=USE_A_KERNEL_TWICE, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"XDG_CACHE_HOME": str(cache_home)} | environment,
        cwd=Path(compiling.__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.fixture(autouse=True)
def default_threads():
    yield
    compiling.set_threads(None)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A cache that holds the kernel, and the process that made it."""
    cache_home = tmp_path_factory.mktemp("cache")
    return cache_home, run(cache_home)


def test_compiling_is_announced_once_and_never_on_a_cache_hit(compiled):
    cache_home, first = compiled
    assert first.stdout.split() == ["compiling", "1.0", "2.0"]
    assert run(cache_home).stdout.split() == ["1.0", "2.0"]


def test_without_a_writable_cache_kernels_work_with_one_warning(tmp_path):
    blocked = tmp_path / "file"
    blocked.touch()
    done = run(blocked)
    assert done.stdout.split() == ["compiling", "1.0", "2.0"]
    assert done.stderr.count("RuntimeWarning") == 1
    assert "XDG_CACHE_HOME" in done.stderr


def test_a_fit_that_compiles_has_the_bits_of_one_that_loads(tmp_path):
    fit = """
import numpy as np
from divmix.core import fit_rows
from divmix.settings import EmSettings
X = np.random.default_rng(0).normal(size=(150, 4))
fitted = fit_rows(X, EmSettings(clusters=3, covariance="diag", init="random"))
print(fitted.components.means.tobytes().hex(), fitted.components.covariances.tobytes().hex())
"""
    assert run(tmp_path, fit).stdout == run(tmp_path, fit).stdout


def test_a_fit_compiles_each_kernel_once(tmp_path):
    """Of another layout, type of a number or a read-only array a kernel would be compiled anew."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(150, 4)) + 6 * np.eye(3, 4)[generator.integers(3, size=150)]
    np.savetxt(tmp_path / "blobs.csv", X, delimiter=",", header="a,b,c,d", comments="")
    fit = f"""
import os, sys
from divmix.cli.main import cli
os.chdir({str(tmp_path)!r})
try:
    cli(["fit", "blobs.csv", "--quiet"])
except SystemExit:
    pass
kernels = {{
    value
    for name, module in sys.modules.items() if name.startswith("divmix.kernels")
    for value in vars(module).values() if getattr(value, "signatures", None)
}}
print(len(kernels) > 20, [value.__name__ for value in kernels if len(value.signatures) > 1])
"""
    kept = os.environ.get("XDG_CACHE_HOME", "")  # that of the other tests
    assert run(kept, fit).stdout.splitlines()[-1] == "True []"


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_a_damaged_cache_is_compiled_anew_with_one_warning_and_repaired(kind, compiled, tmp_path):
    shutil.copytree(compiled[0], tmp_path, dirs_exist_ok=True)
    damaged = list(tmp_path.rglob(f"*.{kind}"))
    for path in damaged:
        path.write_bytes(path.read_bytes()[: 0 if kind == "nbi" else 100])
    done = run(tmp_path)
    assert damaged and done.stdout.split() == ["compiling", "1.0", "2.0"]
    assert done.stderr.count("RuntimeWarning") == 1 and "damaged" in done.stderr
    done = run(tmp_path)
    assert done.stdout.split() == ["1.0", "2.0"] and not done.stderr


def test_a_full_disk_leaves_kernels_uncached_with_one_warning(tmp_path):
    full = """
import numba.core.caching as caching
def refuse(self, path):
    raise OSError(28, "No space left on device")
caching.IndexDataCacheFile._open_for_write = refuse
"""
    done = run(tmp_path, full + USE_A_KERNEL_TWICE)
    assert done.stdout.split() == ["compiling", "1.0", "2.0"]
    assert done.stderr.count("RuntimeWarning") == 1


def test_kernels_work_without_compiler(tmp_path):
    assert run(tmp_path, NUMBA_DISABLE_JIT="1").stdout.split() == ["1.0", "2.0"]


def test_cache_folder_is_under_the_user_cache_and_relative_settings_are_ignored(
    tmp_path, monkeypatch
):
    find = compiling.cache_folder.__wrapped__
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find().parent == tmp_path / "divmix"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert find().parent == tmp_path / "home" / ".cache" / "divmix"


def test_cache_folder_follows_the_sources(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources = tmp_path / "kernels"
    sources.mkdir()
    monkeypatch.setattr(compiling, "__file__", str(sources / "compile.py"))
    find = compiling.cache_folder.__wrapped__
    (sources / "inner.py").write_text("x = 1")
    before = find()
    (sources / "inner.py").write_text("x = 2")
    assert find() != before


def test_threads_are_as_set_and_by_default_at_least_one():
    assert compiling.threads() >= 1
    compiling.set_threads(3)
    assert compiling.threads() == 3
    with pytest.raises(ValueError, match="at least 1"):
        compiling.set_threads(0)


def test_chunks_cover_all_rows_once_and_do_not_depend_on_threads():
    for n in (1, 255, 256, 257, 100_000):
        compiling.set_threads(1)
        bounds = row_chunks(n, work_per_row=100)
        compiling.set_threads(4)
        assert row_chunks(n, work_per_row=100) == bounds
        assert [row for start, stop in bounds for row in range(start, stop)] == list(range(n))


def test_results_come_in_order_and_errors_reach_the_caller():
    compiling.set_threads(4)
    bounds = [(i, i + 1) for i in range(50)]
    assert list(map_in_order(lambda start, stop: start, bounds)) == list(range(50))

    def fail(start, stop):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(map_in_order(fail, bounds))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kernels_run_in_a_forked_child(tmp_path):
    code = """
import os
from divmix.kernels import compile as compiling
from divmix.kernels.chunks import map_in_order
compiling.set_threads(2)
work = lambda: sum(map_in_order(lambda a, b: a + b, [(i, i) for i in range(9)]))
print(work(), flush=True)
child = os.fork()
if child == 0:
    print(work(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""
    assert run(tmp_path, code).stdout.split() == ["72", "72"]


def test_a_cache_where_others_may_write_or_without_a_home_is_not_used(tmp_path, monkeypatch):
    find = compiling.cache_folder.__wrapped__
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = find()
    (folder / "planted.nbi").touch()
    folder.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="others may write"):
        assert find() is None
    monkeypatch.setattr(compiling, "_user_cache", lambda: Path("~/.cache"))
    with pytest.warns(RuntimeWarning, match="no home"):
        assert find() is None
