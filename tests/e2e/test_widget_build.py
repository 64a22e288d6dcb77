"""The widgets' bundles built again by node, and what importing a view model costs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SOURCES = REPOSITORY / "labcontainer" / "widgets" / "src"


def test_building_again_gives_the_same_bundles() -> None:
    if not (shutil.which("node") and (SOURCES / "node_modules").is_dir()):
        pytest.skip(f"the bundles' builder is not installed (npm ci --prefix {SOURCES.relative_to(REPOSITORY)})")
    done = subprocess.run(["node", "build.mjs", "--check"], cwd=SOURCES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_view_models_load_no_widget_library() -> None:
    models = ["isolation_model", "overlay_model", "trace_model", "doctor_model", "timeaxis", "page"]
    code = "import sys\n" + "".join(f"import labcontainer.widgets.{name}\n" for name in models)
    code += "assert not {'ipywidgets', 'anywidget', 'traitlets'} & set(sys.modules), 'loaded'"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
