import time
def test_first(fleet):
    from fleet import in_force, state
    t=time.time()
    done = fleet.play()
    print(time.time()-t)
    print(done.stdout[-6000:], done.stderr)
    assert done.returncode == 0
    for m in fleet.machines.values():
        print(m.name, in_force(m), state(m)["units"], m.calls())
    t=time.time()
    done = fleet.play()
    print(time.time()-t, done.stdout[-1200:])
