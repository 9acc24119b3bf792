# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is said about streams, what plays them and what is asked over UDP, by id. docs/messages/streams.md explains each."""

from __future__ import annotations

from ansible.module_utils.lvsdr.errors import Message

CA_UNREADABLE = Message("ca-unreadable", "ca_path: %(path)s can't be read (%(why)s); give the path of a PEM file on this host")
DNS_NAME_INVALID = Message("dns-name-invalid", "%(value)s is not a DNS name; give one such as example.com")
H11_MISSING = Message("h11-missing", "this host has no h11 for its Python; install the package python3-h11 (h11 with pip)")
HOST_INVALID = Message("host-invalid", "connect_to: %(value)s is not a host (%(why)s); give an address or a name")
MANIFEST_INVALID = Message("manifest-invalid", "%(url)s is not a DASH manifest%(why)s; use the URL of an .mpd file")
MANIFEST_TOO_MANY_TAGS = Message("manifest-too-many-tags", "%(url)s has more than %(most)d tags, which is more than is read")
MANIFEST_UNUSABLE = Message("manifest-unusable", "%(url)s has a value that can't be used (%(why)s); check how the packager writes it")
MANIFEST_WITH_DOCTYPE = Message(
    "manifest-with-doctype",
    "%(url)s is not a DASH manifest that can be trusted: it has a document type, which no manifest needs; have the packager omit it",
)
MASTER_PLAYLIST_NESTED = Message(
    "master-playlist-nested", "%(url)s is a master playlist where a media playlist belongs; correct the variants of %(master)s"
)
NEWCOMERS_NOT_SERVED = Message("newcomers-not-served", "%(missed)d of %(number)d newcomers were not served")
NO_NEWCOMERS = Message("no-newcomers", "no newcomer asked for %(url)s within %(seconds)s s; watch for longer")
NO_SEGMENTS = Message("no-segments", "%(url)s names no segment that can be played; check how the packager writes it")
PAYLOAD_INVALID = Message("payload-invalid", "%(value)s is not a payload; give 1 to 1400 bytes as hex digits, such as 0d0a")
PLAYLIST_INVALID = Message(
    "playlist-invalid",
    "%(url)s is not an HLS playlist: %(why)s; use the URL of an .m3u8 playlist, and check what the server sends there",
)
PLAYLIST_NOT_SERVED = Message("playlist-not-served", "%(url)s answers %(status)s; check the path, and that the stream is being published")
PLAYLIST_TOO_LONG = Message("playlist-too-long", "%(url)s is %(why)s, so it is not a playlist; use the URL of an .m3u8 playlist")
PLAYLIST_VARIABLES_TOO_LONG = Message(
    "playlist-variables-too-long", "%(url)s writes more than %(most)d MiB with its variables, which is more than is read"
)
PLAYLIST_WITHOUT_EXTINF = Message("playlist-without-extinf", "a playlist of %(length)d characters has no #EXTINF where one is expected")
SEGMENT_GAP = Message("segment-gap", "segment %(number)d is a gap")
SEGMENT_NOT_SERVED = Message("segment-not-served", "%(url)s answers %(status)s, %(size)d bytes")
SEGMENT_UNAVAILABLE = Message("segment-unavailable", "segment %(number)d is listed but cannot be loaded")
SEGMENTS_LEFT_PLAYLIST = Message("segments-left-playlist", "segments %(first)d to %(last)d left the playlist before they could be loaded")
SEGMENTS_RENUMBERED = Message(
    "segments-renumbered", "the segment numbers went back from %(former)d to %(number)d: the packager was restarted"
)
SERVERS_SENT_NOTHING = Message(
    "servers-sent-nothing",
    "%(url)s got no segment from %(names)s (segments by server: %(seen)s); check their weights on the director, or play it for longer",
)
SOURCE_INVALID = Message("source-invalid", "source: %(value)s is not an address; give one that this host has")
STREAM_INCOMPLETE = Message(
    "stream-incomplete",
    "%(url)s played %(played).1f of %(wanted)s s within %(seconds)s s%(last)s; check the server that should have sent it",
)
STREAM_INTERRUPTED = Message(
    "stream-interrupted",
    "%(url)s stalled %(stalls)d times, %(seconds)s s in all, and jumped %(jumps)d times, but only %(most)d interruptions are allowed"
    "%(last)s; compare the servers that sent it (%(servers)s) one by one",
)
STREAM_STALE = Message(
    "stream-stale",
    "%(stream)s is stale: its playlist has not changed for %(seconds).1f s (target duration: %(target)d s); "
    "check the packager on the origin and what feeds it",
)
STREAM_TOO_SHORT = Message(
    "stream-too-short",
    "%(url)s played %(segments)d segments, but %(wanted)d are required%(last)s; check the stream on its origin, or play it for longer",
)
TOO_MANY_REDIRECTS = Message("too-many-redirects", "%(url)s redirects more than %(most)d times; look for a redirect that leads to itself")
UDP_ANSWERED_ELSEWHERE = Message(
    "udp-answered-elsewhere",
    "%(service)s is answered from %(addresses)s, but viewers drop what does not come from the address that they asked; bind the program to "
    "the VIP, or make it answer from the address that was asked (IP_PKTINFO, which libsrt has if built with ENABLE_PKTINFO)",
)
UDP_NOT_SENT = Message("udp-not-sent", "%(service)s can't be asked (%(why)s); check the routes of this host")
UDP_UNANSWERED = Message(
    "udp-unanswered",
    "no reply on %(service)s within %(seconds)s s; check that the program runs and speaks this protocol, and with listener_check on the "
    "servers what it is bound to: a packet filter may drop replies from a server's own address",
)
URL_INVALID = Message("url-invalid", "%(url)s is not a URL%(why)s; write it as http://HOST/PATH.m3u8")
URL_IN_PLAYLIST_INVALID = Message(
    "url-in-playlist-invalid", "%(base)s names the address '%(url)s', which is not valid%(why)s; correct the program that writes it"
)
URL_NOT_HTTP = Message("url-not-http", "%(url)s is not an http or https URL; write it as http://HOST/PATH.m3u8")
URL_NOT_LOADED = Message(
    "url-not-loaded",
    "%(url)s cannot be loaded%(way)s: %(why)s; check that its host is up, reachable from here, and has a working server on that port",
)
URL_TIMED_OUT = Message(
    "url-timed-out",
    "%(url)s did not answer in full%(way)s within %(seconds).1f s; check the path in both directions, or allow a longer timeout",
)
URL_TOO_LONG = Message("url-too-long", "%(base)s names an address of more than %(most)d characters")
URL_WITH_LOGIN = Message(
    "url-with-login",
    "%(url)s was given with a user or password in front of its host, and lvsdr sends neither; leave them out, and have the server admit "
    "this host by its address, or name a path that needs no login",
)
VIEWER_FAILED = Message("viewer-failed", "a %(kind)s does not play: %(why)s")
VIEWER_GOT_NOTHING = Message("viewer-got-nothing", "a %(kind)s received nothing%(why)s")
