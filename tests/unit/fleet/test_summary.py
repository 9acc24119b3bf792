from ansible.module_utils.lvsdr.fleet.summary import summary

TABLE = {
    "operations": ["-A -t x", "-a -t x"],
    "effects": {
        "keeps": {"operations": 0, "connections": 0}, "drains": {"operations": 1, "connections": 12},
        "cuts": {"operations": 1, "connections": 3},
    },
}  # fmt: skip


def test_nothing_changed():
    unchanged = {"director1": {"__director_table": {**TABLE, "operations": []}}, "server1": {"__real_server_vip": {"operations": []}}}
    assert summary(unchanged) == ["Nothing: all hosts are as declared, and no connection was touched"]


def test_a_line_for_each_host_that_changed():
    done = {
        "__director_files_done": {"steps": ["write /a"] * 5},
        "__director_table": TABLE,
        "__director_units_done": {"steps": ["reload k"]},
    }
    assert summary({"director1": done, "server1": {"__real_server_vip": {"operations": [{"text": "ip address add"}]}}, "server2": {}}) == [
        "host       kept  drained  cut  what changed",
        "director1  0     12       3    write /a, write /a, write /a, write /a, write /a, -A -t x, and 2 more",
        "server1    -     -        -    ip address add",
        "As declared before: server2",
    ]


def test_a_director_that_failed_before_its_table():
    assert summary({"director1": {"__director_files_done": {"steps": ["write /a"]}, "__director_table": None}})[1].split() == [
        "director1", "-", "-", "-", "write", "/a"
    ]  # fmt: skip


def test_the_stream_checker_is_one_step():
    files = ["write /usr/local/lib/lvsdr/a/%d.py" % number for number in range(20)]
    done = {"__director_files_done": {"steps": ["write /a", *files, "write /b"]}}
    assert summary({"director1": done})[1].endswith("write /a, write 20 files under /usr/local/lib/lvsdr, write /b")
    assert summary({"director1": {"__director_files_done": {"steps": files[:1]}}})[1].endswith(files[0])
