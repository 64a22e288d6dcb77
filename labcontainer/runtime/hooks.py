"""Programs that a bundle's author wants run at certain moments of a container's life.

    create:  prestart, createRuntime   in the runtime's namespaces, once those of the container exist
             createContainer           in the container's namespaces, before its root is entered
    start:   startContainer            inside, just before the command
             poststart                 in the runtime's namespaces, when the command runs
    delete:  poststop                  in the runtime's namespaces, when all is gone

Each gets the container's state as JSON on its stdin. See: runtime-spec v1.2.0 config.md#posix-platform-hooks
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from labcontainer.errors import InitError

# The container cannot do without these; of the others a failure is said, and all goes on.
_REQUIRED = ("prestart", "createRuntime", "createContainer", "startContainer")


def run(hooks: Mapping[str, Any] | None, name: str, state: Mapping[str, Any]) -> None:
    """Run the hooks called `name` in their order, with `state` on stdin.

    Raises: InitError where one fails that the container cannot do without.
    See: runtime-spec v1.2.0 config.md#posix-platform-hooks
    """
    for hook in (hooks or {}).get(name, ()):
        failure = _run(hook, json.dumps(state).encode())
        if failure is None:
            continue
        text = f"{name} hook {hook.get('path')!r}: {failure}"
        if name in _REQUIRED:
            raise InitError("hooks", text)
        sys.stderr.write(f"{text}\n")


def _run(hook: Mapping[str, Any], state: bytes) -> str | None:
    path, timeout = str(hook.get("path", "")), hook.get("timeout")
    if not path.startswith("/"):
        return "its path is not absolute"
    if timeout is not None and timeout <= 0:
        return f"its timeout {timeout} is not above 0"
    words: Sequence[str] = hook.get("args") or [path]
    environment = dict(text.partition("=")[::2] for text in hook.get("env") or ())
    try:
        done = subprocess.run(
            words, executable=path, input=state, env=environment, timeout=timeout, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it has not ended within {timeout} s"
    except OSError as error:
        return str(error.strerror).lower()
    if done.returncode:
        return f"exit code {done.returncode}: {done.stderr.decode(errors='replace').strip()}"
    return None
