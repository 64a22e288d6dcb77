"""A container does not mind who listens to it, and who has gone."""

from labcontainer.engine import Engine


def test_a_client_that_goes_while_output_comes_takes_nothing_with_it(engine: Engine) -> None:
    # The monitor hears in the same moment that there is output, that it cannot be sent, and that the client has gone.
    talking = ["sh", "-c", "i=0; while [ $i -lt 3000 ]; do echo $i; i=$((i+1)); done; sleep 60"]
    for _ in range(8):
        container = engine.containers.run("lab/base", talking, detach=True)
        while b"2999" not in container.logs():
            assert container.status == "running"
        container.remove(force=True)
