"""Makes the media that the corpus serves: one short film, cut into segments of a second each, in every form that players are given.

Timestamps go on from one segment to the next, so a window of them is a stream. A longer segment is several of them in one.
"""

import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "build" / "corpus"
SECONDS, RATE = 150, 10
ENCODE = [
    "ffmpeg", "-nostdin", "-v", "error", "-y",
    "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=%d" % RATE, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", SECONDS,
    "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-b:v", "100k",
    "-g", RATE, "-keyint_min", RATE, "-sc_threshold", "0", "-c:a", "aac", "-b:a", "48k", "film.mp4",
]  # fmt: skip
CUT = ["-f", "hls", "-hls_time", "1", "-hls_list_size", "0", "-hls_flags", "independent_segments"]
FRAGMENTS = [*CUT, "-hls_segment_type", "fmp4"]
# What a track is made of. Names of tracks are those that cases use.
TRACKS = {
    "ts": (["-c", "copy"], CUT, "ts"),
    "muxed": (["-c", "copy"], FRAGMENTS, "m4s"),
    "video": (["-c", "copy", "-an"], FRAGMENTS, "m4s"),
    "audio": (["-c", "copy", "-vn"], FRAGMENTS, "m4s"),
    "aac": (["-c", "copy", "-vn"], ["-f", "segment", "-segment_time", "1", "-segment_format", "adts"], "aac"),
}


def _run(arguments, folder):
    subprocess.run([str(word) for word in arguments], cwd=folder, check=True, timeout=300, stdin=subprocess.DEVNULL)


def make(folder=FOLDER):
    """The folder with the film in it, as it is made now or was made before."""
    if (folder / "made").exists() and (folder / "made").read_text() == Path(__file__).read_text():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run(ENCODE, folder)
    for track, (what, how, ending) in TRACKS.items():
        (folder / track).mkdir()
        if "hls" in how:
            how = [*how, "-hls_fmp4_init_filename", "init.mp4", "-hls_segment_filename", "%d." + ending, "list.m3u8"]
        else:
            how = [*how, "%d." + ending]
        _run(["ffmpeg", "-nostdin", "-v", "error", "-y", "-i", "../film.mp4", *what, *how], folder / track)
    # Written last: a folder without it is made again.
    (folder / "made").write_text(Path(__file__).read_text())
    return folder


if __name__ == "__main__":
    print(make(*map(Path, sys.argv[1:])))
