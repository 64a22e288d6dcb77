"""What a container leaves is removed by one, or by several at once."""

import fcntl
import os
import threading
from pathlib import Path

from labcontainer.runtime import remove


def nested(directory: Path, levels: int) -> None:
    for level in range(levels):
        directory = directory / "d"
        directory.mkdir(parents=True)
        (directory / f"f{level}").touch()


def test_several_may_remove_the_same_tree(tmp_path: Path) -> None:
    for number in range(10):
        nested(tmp_path / f"tree-{number}", 8)
    failures: list[OSError] = []

    def work() -> None:
        try:
            for number in range(10):
                remove.remove_tree(tmp_path / f"tree-{number}")
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_is_just_removing_is_left_to_them(tmp_path: Path) -> None:
    (tmp_path / "container").mkdir()
    away = remove.put_away(tmp_path / "container")
    assert [path.name for path in tmp_path.iterdir()] == [".container"]
    held = os.open(away, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    remove.clear_away(away, wait=False)
    assert away.exists()
    os.close(held)
    remove.clear_away(away)
    assert not away.exists()
    remove.clear_away(away)  # gone already, which is no error
