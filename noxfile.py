"""Tasks by name: `nox -l` lists them, `nox -s long` runs one. .ci/run does what CI does, without nox."""

import nox

nox.options.sessions = ["tests", "lint"]
BATTERIES = ("kills", "failures", "mutations")


@nox.session
def tests(session: nox.Session) -> None:
    """All tests; what follows -- goes to pytest."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session(python=["3.11", "3.12", "3.13"])
def smoke(session: nox.Session) -> None:
    """Half a minute of tests with each Python that is here."""
    session.install("-e", ".[test]")
    session.run("pytest", "-m", "smoke", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """ruff and mypy."""
    session.install("-e", ".[test]")
    session.run("ruff", "check", ".")
    session.run("mypy")


@nox.session
def dist(session: nox.Session) -> None:
    """The wheel and the source distribution, into dist/, checked as a package index would."""
    session.install("build", "twine")
    session.run("python", "-m", "build", "--outdir", "dist")
    session.run("twine", "check", "--strict", "dist/*")


@nox.session
@nox.parametrize("battery", BATTERIES)
def long(session: nox.Session, battery: str) -> None:
    """The long form of the tests of reliability; what follows -- goes to each script."""
    session.install("-e", ".[test]")
    session.run("python", f"benchmarks/reliability/{battery}.py", *session.posargs)
