"""Runs a module on a host as its Python would, and notes what it cost: ``interpreter.py LOG RECORD HOST ENTER ARGUMENT…``.

A line of LOG is JSON: module, CPU seconds, seconds. RECORD is a folder for what the modules answered, HOST.MODULE.json, or nothing.
"""

import json
import os
import re
import resource
import subprocess
import sys
import time


def main():
    log, record, host, *command = sys.argv[1:]
    payload = sys.stdin.buffer.read() if not sys.stdin.isatty() else b""
    begin = time.monotonic()
    done = subprocess.run(command, input=payload, stdout=subprocess.PIPE)
    seconds = time.monotonic() - begin
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(rb"ansible_module='([a-z_]+)'", payload)
    name = found[1].decode() if found else "?"
    with open(log, "a") as f:
        f.write(json.dumps([name, round(used.ru_utime + used.ru_stime, 4), round(seconds, 4)]) + "\n")
    if record:
        with open(os.path.join(record, "%s.%s.json" % (host, name)), "wb") as f:
            f.write(done.stdout)
    sys.stdout.buffer.write(done.stdout)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
