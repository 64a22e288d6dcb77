"""``--change``: what each instruction makes of an image's settings, beside what it may not be."""

import pytest

from labcontainer.errors import UsageError
from labcontainer.image import change
from labcontainer.oci.image_config import Execution

BASE = Execution(env=("PATH=/bin", "A=1"), labels={"a": "1"}, working_dir="/srv")


@pytest.mark.parametrize(
    ("instruction", "field", "expected"),
    [
        ('CMD ["a", "b c"]', "cmd", ("a", "b c")),
        ("CMD echo $HOME", "cmd", ("/bin/sh", "-c", "echo $HOME")),
        ('entrypoint ["/init"]', "entrypoint", ("/init",)),
        ("ENV A=2 B='x y'", "env", ("PATH=/bin", "A=2", "B=x y")),
        ("ENV GREETING hello there", "env", ("PATH=/bin", "A=1", "GREETING=hello there")),
        ('LABEL b="2 3"', "labels", {"a": "1", "b": "2 3"}),
        ("EXPOSE 80 53/UDP 8000-8001", "exposed_ports", {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}}),
        ('VOLUME ["/data", "/log"]', "volumes", {"/data": {}, "/log": {}}),
        ("VOLUME /data", "volumes", {"/data": {}}),
        ("USER 1000:50", "user", "1000:50"),
        ("WORKDIR app/../lib", "working_dir", "/srv/lib"),
        ("WORKDIR /opt", "working_dir", "/opt"),
        ("STOPSIGNAL SIGQUIT", "stop_signal", "SIGQUIT"),
        ("ONBUILD RUN make", "on_build", ("RUN make",)),
    ],
)
def test_an_instruction_changes_its_setting(instruction: str, field: str, expected: object) -> None:
    assert getattr(change.apply(BASE, instruction), field) == expected


@pytest.mark.parametrize(
    "instruction",
    ["", "RUN make", "COPY a b", "CMD", "ENV A", "ENV =x", "LABEL a=1 b", "EXPOSE none", "EXPOSE 70000", "ENV A='x"],
)
def test_what_is_no_such_instruction_is_refused_in_words(instruction: str) -> None:
    with pytest.raises(UsageError) as refused:
        change.apply(BASE, instruction)
    assert refused.value.parameter == "change"


def test_instructions_build_on_each_other() -> None:
    changed = change.apply_all(Execution(), ["WORKDIR /a", "WORKDIR b", "ENV X=1", "ENV Y=2"])
    assert (changed.working_dir, changed.env) == ("/a/b", ("X=1", "Y=2"))
