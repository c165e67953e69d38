# Is each slot in one place, and are there as many in each as the figures say?

import gdb


def look_at(pool):
    figures = pool.figures()
    places = pool.places()
    seen = {"used": 0, "cached": 0, "depot": 0, "quarantine": 0}
    for slot in range(pool.capacity):
        state = pool.slot_state(slot, places)
        if state == "out" or state.startswith("its header was overwritten") and "free" not in state:
            seen["used"] += 1
        elif state.startswith("free, in the cache of "):
            seen["cached"] += 1
        elif state.startswith("free, kept back"):
            seen["quarantine"] += 1
        elif state in ("free, in the depot", "free, in the depot, in a magazine", "never handed out"):
            seen["depot"] += 1
        else:
            print("slot %d of %s: %s" % (slot, pool.collection.title(), state))
    for name, count in seen.items():
        if count != figures[name]:
            print("%s: %d %s, and the figures say %d" % (pool.collection.title(), count, name, figures[name]))


slots = 0
for collection in cmempool_collections()[0]:
    for pool in collection.pools:
        look_at(pool)
        slots += pool.capacity
print("looked at %d slots" % slots)
