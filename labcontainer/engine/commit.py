"""``commit`` and ``import``: what a container has changed, or a whole root, becomes a layer of a new image.

image      layer 1, layer 2
container  upperdir ──diff──► changes ──pack──► tar ──gzip──► a blob of the store
new image  layer 1, layer 2, that layer; the container's settings; one more line of history
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, BinaryIO

from labcontainer.engine import files
from labcontainer.errors import StateError, UsageError
from labcontainer.image import change, compression, layer
from labcontainer.image.image import Image
from labcontainer.oci.descriptor import Platform
from labcontainer.oci.image_config import Execution, History, ImageConfig, RootFs
from labcontainer.runtime.life import Status

if TYPE_CHECKING:
    from labcontainer.engine.container import Container
    from labcontainer.engine.engine import Engine

_CHUNK_BYTES = 1 << 20


def commit(
    engine: Engine, container: Container, tag: str | None, *,
    message: str = "", author: str = "", pause: bool = True, changes: Sequence[str] | str = (),
) -> Image:  # fmt: skip
    """Make an image of what `container` is now, and lead `tag` to it.

    Its processes stand still meanwhile, unless `pause` says otherwise. `changes` are instructions of a Dockerfile (see
    `image.change`). Raises: UsageError, InvalidReference, StateError, KernelError.
    """
    changes = changes.splitlines() if isinstance(changes, str) else changes
    execution = change.apply_all(_execution(container.attrs["Config"]), changes)
    base = engine.images.get(container.record.image_id)
    with engine.store.lease():
        with _paused(container) if pause else contextlib.nullcontext():
            archive = files.changeset(container.directory, trace=engine.trace_path())
            with contextlib.closing(archive):
                made = layer.from_tar(archive, engine.store)
        config = _config(base, made, execution, History(_now(), _words(container), author or None, message or None))
        image = engine.store.add_image(config, (*base.layers, made.descriptor), tag=tag)
    container.tell("commit", imageID=str(image.id), imageRef=tag or "", comment=message)
    return image


def _config(base: Image, made: layer.Layer, execution: Execution, step: History) -> ImageConfig:
    return replace(
        base.config,
        created=step.created,
        author=step.author or base.config.author,
        config=execution,
        rootfs=replace(base.config.rootfs, diff_ids=(*base.diff_ids, made.diff_id)),
        history=(*base.config.history, step),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _words(container: Container) -> str:
    return " ".join(container.record.command)


def from_root(
    engine: Engine, file: BinaryIO, tag: str | None, *, changes: Sequence[str], message: str, platform: str | None
) -> Image:
    """See `Images.import_image`."""
    execution = change.apply_all(Execution(), changes)
    machine = _platform(platform)
    with engine.store.lease():
        made = layer.from_tar(_plain(file), engine.store)
        config = ImageConfig(
            architecture=machine.architecture,
            os=machine.os,
            variant=machine.variant,
            rootfs=RootFs("layers", (made.diff_id,)),
            created=_now(),
            config=execution,
            history=(History(_now(), None, None, message or "Imported"),),
        )
        return engine.store.add_image(config, [made.descriptor], tag=tag)


def _plain(file: BinaryIO) -> Iterator[bytes]:
    plain = compression.reader(file)
    try:
        while chunk := plain.read(_CHUNK_BYTES):
            yield chunk
    finally:
        plain.close()


def _platform(text: str | None) -> Platform:
    if text is None:
        return Platform.host()
    system, *rest = text.split("/")
    if not 1 <= len(rest) <= 2 or not all((system, *rest)):
        raise UsageError("platform", text, "expected os/architecture[/variant], as linux/amd64")
    return Platform(rest[0], system, variant=rest[1] if len(rest) > 1 else None)


def reference(repository: str | None, tag: str | None) -> str | None:
    """docker-py's two arguments as one name. Raises: UsageError (a tag alone names nothing)."""
    if tag and not repository:
        raise UsageError("tag", tag, "it needs a repository")
    return f"{repository}:{tag}" if tag else repository


@contextlib.contextmanager
def _paused(container: Container) -> Iterator[None]:
    """Stop what runs in it meanwhile: what is half written should not become an image."""
    if container.state.status is not Status.RUNNING:
        yield
        return
    container.pause()
    try:
        yield
    finally:
        with contextlib.suppress(StateError):  # killed meanwhile
            container.unpause()


def _execution(config: dict[str, Any]) -> Execution:
    return Execution(
        user=config["User"] or None,
        exposed_ports=config.get("ExposedPorts") or {},
        env=tuple(config["Env"] or ()),
        entrypoint=tuple(config["Entrypoint"] or ()),
        cmd=tuple(config["Cmd"] or ()),
        volumes=config["Volumes"] or {},
        working_dir=config["WorkingDir"] or None,
        labels=config["Labels"] or {},
        stop_signal=config["StopSignal"] if config["StopSignal"] != "SIGTERM" else None,
        healthcheck=config.get("Healthcheck"),
    )
