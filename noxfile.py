#!/usr/bin/env -S uv run --script
# /// script
# dependencies = ["nox>=2025.2.9"]
# ///
"""Tasks by name: `nox` runs tests and lint, `nox -l` lists all, `nox -s long` runs one. .ci/run: lint, docs, dist."""

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "venv"  # as README and CONTRIBUTING do by hand
BATTERIES = (
    "reliability/kills", "reliability/index_kills", "reliability/failures", "reliability/mutations",
    "gradcheck/battery",
)  # fmt: skip


@nox.session
def tests(session: nox.Session) -> None:
    """All tests; arguments after -- go to pytest."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session(default=False, python=["3.11", "3.12", "3.13"])
def smoke(session: nox.Session) -> None:
    """Half a minute of tests on each installed Python."""
    session.install("-e", ".[test]")
    session.run("pytest", "-m", "smoke", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff (rules and format) and mypy."""
    session.install("-e", ".[test]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")


@nox.session(default=False)
def pictures(session: nox.Session) -> None:
    """Draw the pictures in README and docs again, as far as they need no training."""
    session.install("-e", ".[study]")
    session.run("python", "docs/make_picture.py")
    session.run("python", "benchmarks/learning_curves.py")
    session.run("python", "docs/make_layer_pictures.py")


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the documentation site into build/site; a warning or a dead link within it is an error."""
    session.install("-e", ".[docs,test]")  # pytest for the reference of the fixture
    options = ["-q", "-b", "html", "-W", "--keep-going", "-c", "docs", *session.posargs]
    session.run("python", "-m", "sphinx", *options, ".", "build/site", env={"MPLBACKEND": "Agg"})
    session.run("python", "docs/check_links.py", "build/site")


@nox.session(default=False)
def dist(session: nox.Session) -> None:
    """Build the wheel and the source distribution into dist/, and check them as a package index would."""
    session.install("build", "twine")
    session.run("python", "-m", "build", "--outdir", "dist")
    session.run("twine", "check", "--strict", "dist/*")


@nox.session(default=False)
def review(session: nox.Session) -> None:
    """The scientific-Python repository review; pyproject.toml has the exceptions and their reasons."""
    session.install("sp-repo-review[cli]>=2026.8.14")
    session.run("repo-review", ".")


@nox.session(default=False)
@nox.parametrize("battery", BATTERIES)
def long(session: nox.Session, battery: str) -> None:
    """The long tests of reliability and of the gradient checker; arguments after -- go to each script."""
    session.install("-e", ".[test]")
    session.run("python", f"benchmarks/{battery}.py", *session.posargs)


if __name__ == "__main__":
    nox.main()
