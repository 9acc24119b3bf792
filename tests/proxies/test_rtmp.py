"""A broadcast over RTMP through HAProxy: ffmpeg publishes, nginx-rtmp takes it, ffmpeg plays, and HAProxy is reloaded meanwhile."""

import subprocess

import pytest
from firewall import eventually

SECONDS, PLAYED, RATE = 20, 8, 25
NGINX = """
daemon off;
pid %(folder)s/nginx.pid;
error_log %(folder)s/nginx.log info;
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
events { worker_connections 64; }
rtmp { access_log %(folder)s/access.log; server { listen 127.0.1.1:%(port)d; application live { live on; wait_key on; } } }
"""
QUIET = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin"]


@pytest.fixture
def origin(proxy, tmp_path):
    """nginx-rtmp behind the proxy."""
    (tmp_path / "nginx.conf").write_text(NGINX % {"folder": tmp_path, "port": proxy.origin_port})
    nginx = subprocess.Popen(["nginx", "-c", str(tmp_path / "nginx.conf")], stderr=subprocess.DEVNULL)
    proxy.members = ["origin1"]
    proxy.service.update(application="tcp", health_check=None)
    proxy.start()
    yield proxy
    nginx.terminate()
    nginx.wait(30)


def test_a_publisher_and_its_players_go_on_over_a_reload(origin, tmp_path):
    url, out = "rtmp://127.0.0.1:%d/live/one" % origin.port, tmp_path / "played.flv"
    source = ["-re", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=%d:duration=%d" % (RATE, SECONDS)]
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", str(RATE), "-f", "flv", url]
    publisher = subprocess.Popen([*QUIET, *source, *coded], stderr=subprocess.PIPE, text=True)
    try:
        eventually(lambda: "publish" in (tmp_path / "nginx.log").read_text(), "it publishes")
        player = subprocess.Popen(
            [*QUIET, "-y", "-i", url, "-c", "copy", "-t", str(PLAYED), "-flush_packets", "1", str(out)], stderr=subprocess.PIPE, text=True
        )
        eventually(lambda: out.exists() and out.stat().st_size > 10_000, "it plays")
        origin.service["balance"] = "leastconn"
        assert origin.bring()["reload"]
        before = origin.info("Pid")
        origin.reload()
        assert player.wait(60) == 0, player.stderr.read()
        assert publisher.wait(60) == 0, publisher.stderr.read()
    finally:
        for process in (publisher, player):
            process.kill()
            process.wait()
    assert origin.info("Pid") != before
    # One connection each, from its beginning to its end.
    access = (tmp_path / "access.log").read_text()
    assert access.count("PUBLISH") == 1 and access.count("PLAY") == 1, access
    shown = ["ffprobe", "-v", "error", "-show_entries", "packet=pts_time", "-of", "csv=p=0", str(out)]
    times = [float(line.strip(",")) for line in subprocess.run(shown, capture_output=True, text=True, check=True).stdout.split()]
    gaps = [after - this for this, after in zip(times, times[1:])]
    assert times[-1] - times[0] > PLAYED - 1 and max(gaps) < 1.5 / RATE, (times[0], times[-1], max(gaps))
