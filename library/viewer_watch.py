#!/usr/bin/python
# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Watches a service as its viewers do, for a while, and returns what they noticed."""

DOCUMENTATION = r"""
---
module: viewer_watch
short_description: Watch a virtual service as its viewers do
description:
  - For a number of seconds, viewers of three kinds use a virtual service. Newcomers ask for the playlist on new connections; downloads load
    something long at the pace of a player; players play the live stream.
  - Run it asynchronously while something happens to directors or real servers. It never fails for what viewers notice; that is its result.
requirements: [h11 (python3-h11)]
options:
  url:
    description: Playlist of a live HLS stream behind the VIP. No user and password.
    type: str
    required: true
  download:
    description: URL of something long behind the VIP, the same on all real servers and of known length. By default none is loaded.
    type: str
  connect_to:
    description: Address to connect to in place of the host in O(url) and O(download), which is still the one named to the server.
    type: str
  validate_certs:
    description: Whether the certificate of an C(https) server must be valid.
    type: bool
    default: true
  ca_path:
    description: File of the authorities (PEM) that the certificate may come from, in place of those that this host trusts.
    type: path
  duration:
    description: Seconds to watch in all.
    type: float
    default: 20
  newcomers:
    description: New connections a second.
    type: float
    default: 10
  downloads:
    description: How many load O(download) at the same time. Each starts over at its end.
    type: int
    default: 4
  players:
    description: How many play O(url) at the same time.
    type: int
    default: 2
  rate:
    description: Bytes a second of each download.
    type: int
    default: 1000000
  timeout:
    description: Seconds in which a newcomer has to be answered.
    type: float
    default: 1
  patience:
    description: Seconds for which a download waits for a byte, and then for a new connection to continue on, before it is lost.
    type: float
    default: 10
attributes:
  check_mode:
    description: Nothing is ever changed, and it watches in check mode as well.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
notes:
  - Run it on a host that neither holds the VIP nor is a director.
seealso:
  - module: stream_probe
  - module: vip_watch
author: the lvsdr authors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Watch for half a minute, in the background
  viewer_watch:
    url: http://198.51.100.100/live/index.m3u8
    download: http://198.51.100.100/vod/long.bin
    duration: 30
  delegate_to: viewer
  async: 90
  poll: 0
"""

RETURN = r"""
asked:
  description: For each newcomer when it came, in seconds of the host's monotonic clock, and whether it was answered with 200 in time.
  returned: success
  type: list
  elements: list
  sample: [[81.02, true], [81.12, false]]
downloads:
  description: Each download.
  returned: success
  type: list
  elements: dict
  contains:
    bytes: {description: What arrived., type: int}
    cuts: {description: "For each connection that broke, where and why. The download continued on another one.", type: list, elements: str}
    wrong_blocks: {description: Blocks of 256 KiB that were not the same as in the other downloads., type: int}
    longest_pause: {description: The longest wait for a byte in seconds., type: float}
    lost: {description: Why it could not continue. Null where it could., type: str}
players:
  description: Each player, as M(stream_probe) returns it; C(lost) is why one could not continue.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.lvsdr import options
from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.streams import http, viewers


def main():
    module = options.begin(
        AnsibleModule,
        renamed={"seconds": "duration"},
        argument_spec={
            "url": {"type": "str", "required": True},
            "download": {"type": "str"},
            "connect_to": {"type": "str"},
            "validate_certs": {"type": "bool", "default": True},
            "ca_path": {"type": "path"},
            "duration": {"type": "float", "default": 20},
            "newcomers": {"type": "float", "default": 10},
            "downloads": {"type": "int", "default": 4},
            "players": {"type": "int", "default": 2},
            "rate": {"type": "int", "default": 1000000},
            "timeout": {"type": "float", "default": 1},
            "patience": {"type": "float", "default": 10},
        },
        supports_check_mode=True,
    )
    asked = dict(module.params)
    # They come back with the result.
    module.params.update({name: http.shown(asked[name]) for name in ("url", "download") if asked[name]})
    try:
        result = viewers.watch(**asked)
    except LvsError as error:
        module.fail_json(msg=str(error), **error.details)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
