"""``import labcontainer`` is quick because it is small: a zygote, a monitor and every `lab` pay for it."""

import subprocess
import sys

SHOW = "import sys; before = set(sys.modules); import {}; print(*sorted(set(sys.modules) - before))"


def test_importing_labcontainer_imports_nothing_beyond_the_standard_library() -> None:
    modules = _imported_by("labcontainer")
    foreign = {
        module for module in modules if module.partition(".")[0] not in {*sys.stdlib_module_names, "labcontainer"}
    }
    assert not foreign
    assert "asyncio" not in modules


def test_the_zygote_imports_nothing_beyond_the_standard_library() -> None:
    modules = _imported_by("labcontainer.runtime.zygote")
    assert {module.partition(".")[0] for module in modules} <= {*sys.stdlib_module_names, "labcontainer"}


def _imported_by(module: str) -> set[str]:
    command = [sys.executable, "-I", "-c", SHOW.format(module)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
