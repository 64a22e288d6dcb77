"""The widgets' bundles built again by node, and what importing a view model costs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import Needs

REPOSITORY = Path(__file__).parents[2]
SOURCES = REPOSITORY / "labcontainer" / "widgets" / "src"


def test_building_again_gives_the_same_bundles(needs: Needs, tmp_path: Path) -> None:
    needs("node")
    npm = needs("npm")
    sources = tmp_path / "src"
    shutil.copytree(SOURCES, sources)
    shutil.copytree(SOURCES.parent / "static", tmp_path / "static")
    if not (sources / "node_modules").is_dir():
        # In a copy: the student's checkout stays without it.
        install = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        if subprocess.run(install, cwd=sources, capture_output=True, check=False).returncode:
            pytest.skip("the bundles' builder cannot be installed (a package registry must be within reach of npm)")
    done = subprocess.run([str(npm), "run", "check"], cwd=sources, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_view_models_load_no_widget_library() -> None:
    models = [
        "dashboard_model",
        "isolation_model",
        "lifecycle_model",
        "overlay_model",
        "trace_model",
        "doctor_model",
        "timeaxis",
        "page",
    ]
    code = "import sys\n" + "".join(f"import labcontainer.widgets.{name}\n" for name in models)
    code += "assert not {'ipywidgets', 'anywidget', 'traitlets'} & set(sys.modules), 'loaded'"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
