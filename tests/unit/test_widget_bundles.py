"""The committed bundles are what the sources give, and need nothing from outside."""

import hashlib
import json
import re
from pathlib import Path

import pytest

WIDGETS = Path(__file__).parents[2] / "labcontainer" / "widgets"
SOURCES, STATIC = WIDGETS / "src", WIDGETS / "static"
NOTE = json.loads((STATIC / "bundles.json").read_text())


def _digest(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_bundle_is_the_one_that_was_built() -> None:
    assert {name: _digest(STATIC / name) for name in NOTE["bundles"]} == NOTE["bundles"]
    assert {path.name for path in STATIC.iterdir()} == {*NOTE["bundles"], "bundles.json"}


def test_no_source_changed_since_the_bundles_were_built() -> None:
    assert {name: _digest(SOURCES / name) for name in NOTE["sources"]} == NOTE["sources"], "run: npm run build"


@pytest.mark.parametrize("name", NOTE["bundles"])
def test_a_bundle_fetches_nothing(name: str) -> None:
    # The names of HTML and SVG look like addresses, and nobody calls there.
    text = re.sub(r"http://www\.w3\.org/(1999/xhtml|2000/svg)\b", "", (STATIC / name).read_text())
    assert not re.search(r"https?://|url\(|@import|import\(|\bfetch\(", text)


def test_the_lockfile_names_no_host() -> None:
    packages = json.loads((SOURCES / "package-lock.json").read_text())["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]
