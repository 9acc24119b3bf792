#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Plays a stream as a viewer would."""

DOCUMENTATION = r"""
---
module: stream_probe
short_description: Play an HLS or DASH stream and judge how it went
description:
  - Plays a stream of HLS (RFC 8216) or MPEG-DASH (ISO/IEC 23009-1) as a viewer's player on this host would, and fails when that viewer
    would have been unhappy. Of DASH it plays one representation, a video's where there is one.
  - A live stream is entered three segments before its end. Its playlist is loaded again after one target duration, or half of one when
    nothing was new, and a playlist that does not change for three target durations is stale, which is a failure.
  - Playing begins with the first segment that arrives. When the next one is not there before the buffer is empty, that is a stall.
  - Loading stops when the wanted seconds of stream are there, so that it often takes less time than watching them would.
  - It gives up after twice O(duration) and twice O(timeout) in all. It never hangs.
requirements: [h11 (python3-h11)]
options:
  url:
    description: Address of the playlist or manifest, C(http) or C(https), with a host name, an IPv4 address or an IPv6 address in
      brackets, and without user and password.
    type: str
    required: true
  duration:
    description: Seconds of stream to play.
    type: float
    default: 10
  segments:
    description: Stop after this many segments, should they be there before O(duration) is reached.
    type: int
  timeout:
    description: Seconds that one request may take, from connecting to the last byte.
    type: float
    default: 10
  connect_to:
    description:
      - Address or name to connect to in place of the host in O(url), which is still the one named to the server.
      - So a virtual service can be tried before its name points there.
    type: str
  source:
    description: Address of this host to connect from.
    type: str
  mark:
    description:
      - Mark of the packets (SO_MARK), for which root is needed. On a director, with the mark of a real server's health checks
        and with O(source), the stream is played through the VIP on that server alone.
    type: int
  keepalive:
    description:
      - Keep one connection open for all requests, as many players do.
      - Otherwise every request makes a new connection, and a director schedules each.
    type: bool
    default: false
  validate_certs:
    description: Whether the certificate of an C(https) server must be valid.
    type: bool
    default: true
  ca_path:
    description: File of the authorities (PEM) that the certificate may come from, in place of those that this host trusts.
    type: path
  servers_header:
    description: Response header in which a server names itself.
    type: str
    default: X-Served-By
  max_stalls:
    description: How many interruptions (RV(stalls) and RV(jumps)) a viewer may have seen.
    type: int
    default: 0
  min_segments:
    description: How many segments must have been played.
    type: int
    default: 1
  expect_servers:
    description: Servers that must have sent at least one segment each, by the value of O(servers_header).
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Nothing is ever changed, and the stream is played in check mode as well.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
notes:
  - Run it on a viewer. Without O(mark) a director cannot test a virtual service whose address it holds, and a real server
    reaches itself.
  - The results are returned when it fails as well.
seealso:
  - name: HTTP Live Streaming
    description: RFC 8216.
    link: https://www.rfc-editor.org/rfc/rfc8216
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: The live stream plays without a stall
  stream_probe:
    url: http://198.51.100.100/live/index.m3u8
  delegate_to: viewer

- name: Every server takes part
  stream_probe:
    url: http://[2001:db8:100::100]/live/index.m3u8
    duration: 30
    expect_servers: "{{ groups.streaming }}"
  delegate_to: viewer

- name: A name that does not point to the virtual service yet
  stream_probe:
    url: https://live.example.com/live/index.m3u8
    connect_to: 198.51.100.100
  delegate_to: viewer

- name: Watch for a minute while a director fails over, with one interruption at the most
  stream_probe:
    url: http://198.51.100.100/live/index.m3u8
    duration: 60
    timeout: 3
    keepalive: true
    max_stalls: 1
  delegate_to: viewer
"""

RETURN = r"""
segments:
  description: Segments that arrived whole.
  returned: always
  type: int
  sample: 5
bytes:
  description: Size of these segments in bytes.
  returned: always
  type: int
  sample: 412848
played_seconds:
  description: Duration of these segments in seconds.
  returned: always
  type: float
  sample: 10.0
startup_seconds:
  description: Seconds from the first request until the first segment was there. Null if none came.
  returned: always
  type: float
  sample: 0.013
stalls:
  description: How often playback stopped because the buffer was empty.
  returned: always
  type: int
  sample: 0
stalled_seconds:
  description: For how many seconds in all.
  returned: always
  type: float
  sample: 0.0
jumps:
  description:
    - How often playing went on in another place.
    - Because a segment could not be loaded, or was gone from the playlist before it could be, or the packager was restarted.
  returned: always
  type: int
  sample: 0
reloads:
  description: How often the playlist was loaded again.
  returned: always
  type: int
  sample: 2
older_playlists:
  description:
    - How often a reload brought an older copy of the playlist than the one before, because another server had sent it.
    - A few are normal where each request may go to another server.
  returned: always
  type: int
  sample: 0
target_duration:
  description: The playlist's target duration in seconds. Null if there was no playlist.
  returned: always
  type: int
  sample: 2
servers:
  description: How many segments each server sent, by the value of O(servers_header). Segments without this header are not counted.
  returned: always
  type: dict
  sample: {streaming1: 3, streaming2: 2}
problems:
  description: All that went wrong while it played, a sentence each. Problems that a player recovers from are not failures.
  returned: always
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr import options
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.streams import http, messages, probe


def verdict(params, result):
    """Raises LvsError for a stream that played, but not well enough. The most telling shortfall comes first."""
    url, servers = params["url"], result["servers"]
    # Quoted without its id.
    last = " (the last error was: %s)" % result["problems"][-1].rpartition(" [")[0] if result["problems"] else ""
    if result["segments"] < params["min_segments"]:
        raise LvsError(messages.STREAM_TOO_SHORT(url=url, segments=result["segments"], wanted=params["min_segments"], last=last))
    if result["stalls"] + result["jumps"] > params["max_stalls"]:
        raise LvsError(
            messages.STREAM_INTERRUPTED(
                url=url, stalls=result["stalls"], seconds=result["stalled_seconds"], jumps=result["jumps"], most=params["max_stalls"],
                last=last, servers=", ".join(sorted(servers)) or "none gave its name",
            )
        )  # fmt: skip
    missing = [name for name in params["expect_servers"] if name not in servers]
    if missing:
        seen = ", ".join("%s %s" % (name, count) for name, count in sorted(servers.items())) or "none that gave its name"
        raise LvsError(messages.SERVERS_SENT_NOTHING(url=url, names=", ".join(missing), seen=seen))


def main():
    module = options.begin(
        AnsibleModule,
        argument_spec={
            "url": {"type": "str", "required": True},
            "duration": {"type": "float", "default": 10},
            "segments": {"type": "int"},
            "timeout": {"type": "float", "default": 10},
            "connect_to": {"type": "str"},
            "source": {"type": "str"},
            "mark": {"type": "int"},
            "keepalive": {"type": "bool", "default": False},
            "validate_certs": {"type": "bool", "default": True},
            "ca_path": {"type": "path"},
            "servers_header": {"type": "str", "default": "X-Served-By"},
            "max_stalls": {"type": "int", "default": 0},
            "min_segments": {"type": "int", "default": 1},
            "expect_servers": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    judged = ("max_stalls", "min_segments", "expect_servers")
    asked, result = dict(module.params), {}
    # They come back with the result.
    module.params.update({name: http.shown(asked[name]) for name in ("url", "connect_to") if asked[name]})
    try:
        options.in_range(module.params, max_stalls=(0, None, ""), min_segments=(0, None, ""))
        result = probe.play(**{name: value for name, value in asked.items() if name not in judged})
        verdict(module.params, result)
    except LvsError as error:
        module.fail_json(msg=str(error), **{**result, **error.details})
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
