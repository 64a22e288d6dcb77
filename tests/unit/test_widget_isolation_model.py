"""The isolation matrix as data: what two sights, made by hand, teach."""

from labcontainer.runtime import witness
from labcontainer.runtime.sight import SeenIds, SeenInterface, SeenMount, SeenProcess, Sight
from labcontainer.widgets import isolation_model as model

KINDS = ("cgroup", "ipc", "net", "mnt", "pid", "time", "user", "uts")
EVERY_ID = ((0, 0, 4294967295),)


def sight(
    *,
    pid: int = 70,
    processes: tuple[tuple[int, str], ...] = ((1, "systemd"), (70, "python3")),
    mounts: tuple[str, ...] = ("/", "/proc"),
    hostname: str = "laptop",
    uid_map: tuple[tuple[int, int, int], ...] = EVERY_ID,
    own: tuple[str, ...] = (),
) -> Sight:
    return Sight(
        pid=pid,
        processes=tuple(SeenProcess(*each) for each in processes),
        mounts=tuple(SeenMount(target, "tmpfs", "tmpfs") for target in mounts),
        hostname=hostname,
        interfaces=(SeenInterface("lo", "net" not in own),),
        ids=SeenIds(0, 0, uid_map),
        queues=(427,) if "ipc" in own else (),
        cgroup="/",
        namespaces={name: 4026531835 + number + 500 * (name in own) for number, name in enumerate(KINDS)},
    )


def told(inside: Sight, *made: str, added: tuple[str, ...] = ()) -> witness.Testimony:
    return witness.Testimony(sight(), inside, outside_pid=70, made=made, added=added, notes=(), calls=())


def row(shown: model.View, aspect: str) -> model.Row:
    return next(each for each in shown.rows if each.aspect == aspect)


def test_before_the_first_run_there_are_switches_and_no_rows() -> None:
    shown = model.view({"pid"}, None)
    assert [switch.name for switch in shown.switches if switch.on] == ["pid"]
    assert {switch.verdict for switch in shown.switches} == {""}
    assert shown.rows == ()


def test_all_eight_namespaces_have_a_switch() -> None:
    assert {switch.name for switch in model.view((), None).switches} == set(KINDS)


def test_the_inode_numbers_decide_what_is_own_and_what_is_shared() -> None:
    shown = model.view({"uts"}, told(sight(hostname="isolated", own=("uts",)), "uts"))
    assert {switch.name: switch.verdict for switch in shown.switches} == {
        name: "own" if name == "uts" else "shared" for name in KINDS
    }
    assert row(shown, "Host name").differs
    assert not row(shown, "Mounts").differs


def test_a_new_pid_namespace_that_kept_the_hosts_proc_is_explained() -> None:
    inside = sight(pid=1, own=("pid",))
    processes = row(model.view({"pid"}, told(inside, "pid")), "Processes")
    assert not processes.differs
    assert "/proc is a mount" in processes.remark
    assert processes.inside.items[0] == "70 python3 (the child)"


def test_with_its_own_proc_the_child_is_alone() -> None:
    inside = sight(pid=1, processes=((1, "python3"),), mounts=("/", "/proc", "/mnt"), own=("pid", "mnt"))
    shown = model.view({"pid", "mnt"}, told(inside, "mnt", "pid"))
    assert row(shown, "Processes").differs
    assert row(shown, "Processes").inside.items == ("1 python3 (the child)",)
    assert row(shown, "Mounts").inside.items[0] == "/mnt tmpfs", "what only the child has comes first"
    assert shown.headline == "The child is process 1 inside, and process 70 on the host: one process, two numbers."


def test_root_inside_is_somebody_ordinary_outside() -> None:
    shown = model.view({"user"}, told(sight(uid_map=((0, 1001, 1),), own=("user",)), "user"))
    user = row(shown, "User")
    assert user.inside.items == ("id 0 in here is id 1001 out there",)
    assert "uid 1001" in user.remark


def test_a_queue_that_the_child_made_is_not_the_hosts() -> None:
    queues = row(model.view({"ipc"}, told(sight(own=("ipc",)), "ipc")), "Message queues")
    assert (queues.host.summary, queues.inside.summary, queues.inside.items) == ("0 queues", "1 queue", ("427",))
    assert queues.differs


def test_a_time_namespace_is_told_by_its_number_alone() -> None:
    shown = model.view({"time"}, told(sight(own=("time",)), "time"))
    assert not any(row.differs for row in shown.rows)
    assert "inode number" in shown.notes[0]


def test_a_user_namespace_that_nobody_asked_for_is_marked_and_explained() -> None:
    shown = model.view({"uts"}, told(sight(own=("uts", "user")), "user", "uts", added=("user",)))
    assert [switch.name for switch in shown.switches if switch.added] == ["user"]
    assert shown.notes[0].startswith("You are not root")


def test_a_fresh_proc_is_offered_only_with_pid_and_mount() -> None:
    assert not model.view({"pid"}, None).fresh_proc_possible
    assert model.view({"pid", "mnt"}, None).fresh_proc_possible


def test_the_page_without_a_kernel_shows_views_and_numbers_escaped() -> None:
    shown = model.view({"uts"}, told(sight(hostname="<b>", own=("uts",)), "uts"))
    html = model.html(shown)
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert "4026531835" in html


def test_the_text_says_the_same_on_every_machine() -> None:
    assert model.text({"mnt", "pid"}) == "IsolationMatrix: a child in new namespaces (pid, mnt) beside the host"
