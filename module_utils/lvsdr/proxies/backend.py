# Copyright: the lvsdr authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Carries out what runtime.py plans: the part of the module haproxy_backend that reads and writes."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from ansible.module_utils.lvsdr.errors import LvsError
from ansible.module_utils.lvsdr.proxies import certificates, cli, haproxy, messages, runtime
from ansible.module_utils.lvsdr.system import files, in_force

if TYPE_CHECKING:
    from collections.abc import Mapping

# Seconds for which a server that nobody uses may keep connections for the next request, and a bit (configuration.txt, "pool-purge-delay").
IDLE = 12
# Of a command with a payload: HAProxy's buffer (tune.bufsize) has 16 KiB.
LONGEST_PAYLOAD = 15000
# Behind the name of a certificate, beside the copies of what the unit has read.
DIGEST = ".sha256"


def bring(content: str, path: str, socket: str, unit: str, check: bool) -> dict[str, Any]:
    """The result of haproxy_backend, with ``diff``."""
    out: dict[str, Any] = {"changed": False, "running": cli.runs(socket), "operations": [], "reload": [], "leaving": {}, "certificates": {}}
    if not out["running"]:
        return {**out, "diff": {}}
    copy = in_force.copy_of(unit, path)
    before = _held(socket)
    plan = runtime.plan(content, files.read_text(copy), cli.told(socket).get("description", ""), before)
    exchanged = {} if plan.reload else _to_exchange(content, socket, unit)
    too_long = [path for path, text in exchanged.items() if len(certificates.payload(text)) > LONGEST_PAYLOAD]
    if too_long:
        plan, exchanged = runtime.Plan([], ["%s is too long for the socket" % path for path in too_long], {}), {}
    words = [one.words for one in plan.operations] + ["%s  # keeps connections" % _exchange_words(name) for name in exchanged]
    out.update(changed=bool(words), operations=words, reload=plan.reload, leaving=plan.leaving)
    if not check and plan.reload:
        # host_units reloads where this differs from the file on disk; HAProxy may have refused what was copied.
        for path in [copy, *(in_force.copy_of(unit, one) + DIGEST for one in too_long)]:
            files.forget(path)
    if not check and not plan.reload:
        _apply(plan, exchanged, socket, words)
        _remember(content, unit)
        # What a reload would bring is in force already.
        if content == files.read_text(path) != files.read_text(copy):
            files.write_atomically(copy, content, 0o600)
    after = before if check else _held(socket)
    out["certificates"] = {name: certificates.held(cli.ask(socket, "show ssl cert " + name)) for name in haproxy.certificates_in(content)}
    out["diff"] = {"before": _text(before), "after": _planned(content, before) if check else _text(after)} if words else {}
    return out


def _held(socket: str) -> dict[str, dict[str, runtime.Server]]:
    return runtime.held(cli.ask(socket, "show servers state"), cli.ask(socket, "show stat"))


def _remember(content: str, unit: str) -> None:
    """The digests of the certificates that HAProxy holds now: it shows nothing of a chain but names."""
    for path in haproxy.certificates_in(content):
        digest, copy = files.fingerprint(path) or "", in_force.copy_of(unit, path) + DIGEST
        if files.read_text(copy) != digest:
            files.write_atomically(copy, digest, 0o600)


def _to_exchange(content: str, socket: str, unit: str) -> dict[str, str]:
    """{file: its text} of the certificates on disk that HAProxy does not hold."""
    out = {}
    for path in haproxy.certificates_in(content):
        text = files.read_text(path)
        found = certificates.fingerprint(text or "")
        if text is None or found is None:
            raise LvsError(messages.CERTIFICATE_UNUSABLE(path=path, why="no certificate can be read from it"))
        known = files.read_text(in_force.copy_of(unit, path) + DIGEST)
        shown = cli.ask(socket, "show ssl cert " + path)
        other = certificates.held(shown).get("fingerprint") != found or certificates.in_chain(shown) != certificates.count(text) - 1
        if other or (known is not None and known != files.fingerprint(path)):
            out[path] = text
    return out


def _exchange_words(path: str) -> str:
    return "set ssl cert %s; commit ssl cert %s" % (path, path)


def _apply(plan: runtime.Plan, exchanged: Mapping[str, str], socket: str, words: list[str]) -> None:
    done = 0
    try:
        for operation in plan.operations:
            for command in operation.commands:
                _delete(socket, command) if command.startswith(runtime.DELETE) else cli.run(socket, command)
            done += 1
        for path, text in exchanged.items():
            _exchange(socket, path, text)
            done += 1
    except LvsError as error:
        raise LvsError(error.line, applied=words[:done], not_applied=words[done:])


def _delete(socket: str, command: str) -> None:
    """One that is in maintenance may keep connections for a moment; it goes with the next run otherwise."""
    deadline = time.monotonic() + IDLE
    while True:
        answer = cli.ask(socket, command)
        if "connection" not in answer or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    if "connection" not in answer:
        cli.run_answered(command, answer)


def _exchange(socket: str, path: str, text: str) -> None:
    try:
        cli.run(socket, "set ssl cert %s <<\n%s\n" % (path, certificates.payload(text)))
        answer = cli.run(socket, "commit ssl cert %s" % path)
        if "Success" not in answer:
            raise LvsError(messages.CERTIFICATE_UNUSABLE(path=path, why=" ".join(answer.split())))
    except LvsError as error:
        cli.ask(socket, "abort ssl cert %s" % path)
        raise LvsError(messages.CERTIFICATE_UNUSABLE(path=path, why=error.message))


def _text(servers: Mapping[str, Mapping[str, runtime.Server]]) -> str:
    return "".join(
        "%s/%s %s:%d weight %d%s\n" % (backend, name, one.address, one.port, one.weight, ", drained" if one.drained else "")
        for backend, found in sorted(servers.items())
        for name, one in sorted(found.items())
    )


def _planned(content: str, before: Mapping[str, Mapping[str, runtime.Server]]) -> str:
    """What ``_text`` would say after the plan."""
    out: dict[str, dict[str, runtime.Server]] = {}
    for backend, servers in haproxy.servers_in(content).items():
        for name, words in servers.items():
            address, port = runtime.endpoint(words)
            now = before.get(backend, {}).get(name)
            weight = runtime.weight(words)
            if weight is None:
                weight = now.weight if now else haproxy.AGENT_WEIGHT
            out.setdefault(backend, {})[name] = runtime.Server(address, port, weight, 0, 0, 0, False, 0)
        for name, one in before.get(backend, {}).items():
            if name not in servers and one.connections:
                out.setdefault(backend, {})[name] = dataclasses.replace(one, admin=runtime.FORCED_MAINTENANCE)
    return _text(out)
