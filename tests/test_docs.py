"""What the documentation shows can be used as it stands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from replay.cli.app import app
from replay.config import Config

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)", page.read_text("utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_the_example_of_a_declaration_is_valid() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    assert Config.model_validate(tomllib.loads(example)).job.name == "churn"


def test_every_command_that_is_shown_exists() -> None:
    known = {(command.callback.__name__ if command.callback else command.name) for command in app.registered_commands}
    shown = set(re.findall(r"^(?:\$ |    )replay ([a-z]+)", README, re.MULTILINE))
    assert shown
    assert shown <= known
