"""lvsdr. On a host, where it comes in an archive with each call, its compiled code is kept (compiled.py)."""

if hasattr(__loader__, "archive"):  # type: ignore[name-defined]  # every module has one
    from ansible.module_utils.lvsdr import compiled

    compiled.install(__name__, __loader__)  # type: ignore[name-defined]  # as above
