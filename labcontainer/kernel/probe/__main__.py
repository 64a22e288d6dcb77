"""The process in which the trials are made: ``python -I -m labcontainer.kernel.probe STATE_DIRECTORY``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from labcontainer.kernel.probe import cgroups, machine, mounts, namespaces, networks, privileges, processes, users
from labcontainer.kernel.probe.place import Place
from labcontainer.kernel.probe.report import Mode, Report, Status
from labcontainer.kernel.probe.trial import conduct

# In the order in which a container needs them.
_SUBJECTS = (users, namespaces, mounts, processes, privileges, cgroups, networks, machine)


def examine(place: Place) -> Report:
    """Make every trial, one after the other.

    See: man 7 namespaces, man 7 cgroups, man 7 capabilities
    """
    findings = tuple(conduct(trial, place) for subject in _SUBJECTS for trial in subject.trials(place))
    ranges = any(finding.id == "uid-ranges" and finding.status is Status.YES for finding in findings)
    mode = Mode.ROOT if place.root else Mode.RANGES if ranges else Mode.SINGLE
    return Report(host=place.facts(), mode=mode, findings=findings)


if __name__ == "__main__":
    json.dump(examine(Place.here(Path(sys.argv[1]))).to_json(), sys.stdout)
