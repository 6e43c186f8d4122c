"""A container engine and the base images for the tests that need them, and the list of tests that did not run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # for `images` and `tests.support`

from images import build
from images.recipe import ToolMissing
from tests.support.private_engine import EngineMissing, private_engine

NO_ENGINE = "unix:///nonexistent/docker.sock"


@pytest.fixture(scope="session")
def docker_host() -> Iterator[str]:
    """The DOCKER_HOST of an engine for tests: `REPLAY_TEST_DOCKER_HOST`, else a private one.

    `make test` starts one engine and names it there, so that all workers share it. Where none can be had the
    test does not run and is named in the last lines.
    """
    reason = os.environ.get("REPLAY_TEST_NO_ENGINE")
    if given := os.environ.get("REPLAY_TEST_DOCKER_HOST"):
        yield given
        return
    if not reason and "PYTEST_XDIST_WORKER" in os.environ:
        reason = "parallel workers share one engine: use `make test`, or set REPLAY_TEST_DOCKER_HOST"
    if reason:
        pytest.skip(reason)
    try:
        with private_engine() as engine:
            yield engine.host
    except EngineMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def base_image(docker_host: str) -> Callable[[str], str]:
    """A function from a base's name (`bookworm`) to its reference in the engine, built and loaded on demand."""

    def load(name: str) -> str:
        try:
            return build.load(name, docker_host)
        except ToolMissing as error:
            pytest.skip(str(error).splitlines()[0])

    return load


@pytest.fixture(autouse=True)
def _engine_of_test(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point DOCKER_HOST at the tests' engine in a test marked `docker`, and nowhere in all others."""
    marked = request.node.get_closest_marker("docker") is not None
    monkeypatch.setenv("DOCKER_HOST", request.getfixturevalue("docker_host") if marked else NO_ENGINE)


class NotRun:
    """Names, in the very last lines, each test that did not run: nothing is skipped in silence."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that was skipped; one that is expected to fail did run."""
        if not hasattr(report, "wasxfail"):
            self.pytest_collectreport(report)

    def pytest_collectreport(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Note a file that was skipped as a whole."""
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Print the list, after pytest's own summary."""
        if self.reasons:
            print(f"\ndid not run ({len(self.reasons)}):")
            print("\n".join(f"  {name}: {reason}" for name, reason in sorted(self.reasons.items())))


def pytest_configure(config: pytest.Config) -> None:
    """Keep the list where the reports of all workers come together."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(NotRun())
