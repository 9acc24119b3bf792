"""Maps of nftables, as nft 1.0.6 prints them."""

from ansible.module_utils.lvsdr.system import nft_maps

PRINTED = """{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"map": {"family": "inet", "name": "services4", "table": "lvsdr",
"type": ["ipv4_addr", "inet_proto", "inet_service"], "map": "mark", "flags": ["interval"], "elem": [
[{"concat": ["198.51.100.100", "udp", {"range": [6970, 7170]}]}, 1291845633],
[{"concat": ["198.51.100.100", "tcp", 554]}, 1291845633]]}}]}"""


def test_elements():
    assert nft_maps.elements(PRINTED) == [
        (["198.51.100.100", "tcp", "554"], 1291845633),
        (["198.51.100.100", "udp", "6970-7170"], 1291845633),
    ]
    assert nft_maps.elements('{"nftables": [{"map": {"name": "services4"}}]}') == []
