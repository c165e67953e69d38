"""What pools does a program have, and whose is an address?

Commands for gdb, in a process or a core dump: `help mempool` lists them. They read memory and call nothing in
the program. What lies where says a table in the library (src/dump/debugger.rs), so neither debug information
nor symbols are needed.

gdb loads this file with the installed shared library; with the static one, say `source` and its path.
"""

import re
import struct
import sys

import gdb
import gdb.printing

# gdb runs all scripts in one namespace: every name here says whose it is.

CMEMPOOL_MAGIC = b"cmempool for gdb"
CMEMPOOL_VERSION = 1
# The states of a slot's word, in the table's order.
CMEMPOOL_OUT, CMEMPOOL_FREE, CMEMPOOL_DYNAMIC, CMEMPOOL_DYNAMIC_FREED, CMEMPOOL_FRESH = range(5)

# The table's names in its order, each with its bytes: a number (#), an address (P), or neither (-).
CMEMPOOL_NAMES = """
    Collection.LEAD# Policy.Ordinary# Policy.Disabled# Policy.AtFirstExhaustion# Policy.AtLastExhaustion#
    Region.NOTE_HUGE_PAGES# Region.NOTE_LOCKED# Pool.BYTES# Slot.WORD# Cache.BYTES# Cache.GRAIN#
    Rack.UNIT# Rack.BESIDE_ROOM# Rack.SIZES# Life.BYTES# Life.HOLDER_AT#
    Process.added:8 Process.factor:8
    Registry.first:2P Registry.former:-
    Registry.AT# Former.BYTES# Former.COUNT#
    Link.next:P Link.serial:8 Link.handle:P Link.going:1
    Formers.ring:-
    Former.start:P Former.end:P Former.handle:P Former.name:- Former.name_len:P
    Common.handle:P Common.name_len:P Common.name:-
    Collection.common:- Collection.pools:P Collection.pool_count:P Collection.policy:1 Collection.region:-
    Region.base:P Region.len:P Region.notes:1
    Pool.first:P Pool.elem_size:P Pool.slots:P Pool.stride:P Pool.capacity:4 Pool.traits:8 Pool.caches:4
    Pool.seen:2 Pool.shared:- Pool.dynamic:- Pool.exhausted:8 Pool.failed:8
    Shared.AT# Shared.TALLY_AT# Shared.STATE_AT#
    DynamicEntries.AT# DynamicEntries.TALLY_AT# DynamicEntries.STATE_AT#
    Traits.single_thread:1 Traits.fall_back:1 Traits.zero_on_free:1 Traits.hardened:1 Traits.bypass:1
    Traits.watched:1 Traits.recorded:1
    CachePlan.count:2 CachePlan.unit:1
    Shared.depot:- Shared.rack:- Shared.guarding:P Shared.peak:4
    Beside.tails:P Beside.records:P
    Guarding.quarantine:-
    Quarantine.ring:P Quarantine.room:4 Quarantine.first:4 Quarantine.len:4
    DynamicEntries.first:P DynamicEntries.count:P DynamicEntries.peak:P
    Block.next:P Block.size:P Block.tail:4 Block.lead:2 Block.gap:2 Block.word:8
    Record.BYTES# Record.taken:- Record.freed:- Note.caller:P Note.thread:P Note.number:8
    Depot.ring:P Depot.words:P Depot.oldest:1 Depot.len:1 Depot.room:1 Depot.in_bits:4 Depot.fresh:4
    Rack.first:P Rack.units:4 Rack.filled:- Rack.entries:4
    Cache.sp:P Cache.bottom:P Cache.spare:P Cache.spare_len:2
    Life.ready:4 Life.lock:-
"""


class CmempoolError(gdb.GdbError):
    """What a command can't do, in one line."""


def cmempool_read(address, size):
    """Bytes of the program's memory."""
    try:
        return bytes(gdb.selected_inferior().read_memory(address, size))
    except (gdb.MemoryError, OverflowError):
        raise CmempoolError(
            "the memory at %#x can't be read: it is not mapped, or the core does not have it" % address
        ) from None


def cmempool_quoted(name):
    """A pool's name as a person may see it."""
    text = name.decode("utf-8", "replace")
    return '"%s"' % "".join(c if c.isprintable() else "?" for c in text)


def cmempool_plural(count, one, many):
    """A number and its noun."""
    return "%d %s" % (count, one if count == 1 else many)


class CmempoolLibrary:
    """A library in the program: where its table says that things lie."""

    def __init__(self, table):
        self.table = table
        start = cmempool_read(table, 80)
        if start[:16] != CMEMPOOL_MAGIC:
            raise CmempoolError("there is no table at %#x" % table)
        for self.order, self.width in (("<", 8), ("<", 4), (">", 8), (">", 4)):
            if self.number(start[64 : 64 + self.width]) == table:
                break
        else:
            raise CmempoolError("the table at %#x is a copy" % table)
        self.states = struct.unpack(self.order + "6Q", start[16:64])
        at = 64 + self.width
        names = self.number(start[at : at + 4])
        self.version = ".".join(str(byte) for byte in start[at + 4 : at + 7])
        parts = [re.fullmatch(r"([\w.]+)(?::(.+)|#)", name).groups() for name in CMEMPOOL_NAMES.split()]
        fields = [(name, self.bytes_of(size)) for name, size in parts]
        self.fits = names == self.hash_of(fields)
        if not self.fits:
            return
        at += 8
        roots = cmempool_read(table + at, 5 * self.width)
        self.roots = [self.number(root) for root in self.split(roots, self.width)]
        at += 5 * self.width
        offsets = cmempool_read(table + at, 2 * len(fields))
        self.fields = {
            name: (self.number(offset), size)
            for (name, size), offset in zip(fields, self.split(offsets, 2))
        }

    def bytes_of(self, size):
        """What a size in CMEMPOOL_NAMES means here; None for a number."""
        sizes = {None: None, "-": 0, "P": self.width, "2P": 2 * self.width}
        return sizes[size] if size in sizes else int(size)

    @staticmethod
    def hash_of(fields):
        """The hash of names and sizes, as the library makes it."""
        value = 0x811C9DC5 ^ CMEMPOOL_VERSION
        for name, size in fields:
            counted = size if size in (1, 2, 4, 8) else 0
            for byte in name.encode() + bytes([counted]):
                value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
        return value

    @staticmethod
    def split(data, size):
        return [data[at : at + size] for at in range(0, len(data), size)]

    def number(self, data):
        """An unsigned number of the program's."""
        return int.from_bytes(data, "little" if self.order == "<" else "big")

    def at(self, name):
        """The offset of a field; of a number, the number."""
        return self.fields[name][0]

    def get(self, struct_at, name):
        """A field of the struct at an address."""
        offset, size = self.fields[name]
        return self.number(cmempool_read(struct_at + offset, size))

    def signed(self, struct_at, name):
        """The same, of a field that may be below 0."""
        value = self.get(struct_at, name)
        bits = 8 * self.fields[name][1]
        return value - (1 << bits) if value >> (bits - 1) else value

    def numbers(self, address, count, size):
        """So many numbers that lie one after the other."""
        if count <= 0:
            return []
        letter = {4: "I", 8: "Q"}[size]
        data = cmempool_read(address, count * size)
        return list(struct.unpack("%s%d%s" % (self.order, count, letter), data))

    # ---- Words in front of entries: src/slots/word.rs, src/slots/secret.rs -------------------------

    def secret(self):
        process = self.roots[1]
        return self.get(process, "Process.added"), self.get(process, "Process.factor")

    def keyed(self, x, secret):
        added, factor = secret
        x ^= added
        if self.width == 8:
            product = x * factor
            return (product ^ product >> 64) & (1 << 64) - 1
        low = x & 0xFFFFFFFF
        high = x >> 32 ^ ((low << 16 | low >> 16) & 0xFFFFFFFF)
        first = low * (factor & 0xFFFFFFFF | 1)
        second = high * (factor >> 32 | 1)
        return first ^ ((second << 32 | second >> 32) & (1 << 64) - 1)

    def decoded(self, entry, word, secret):
        """Owner and state that a word says; (None, None) if it is none of ours."""
        plain = word ^ self.keyed(entry, secret)
        for number, state in enumerate(self.states[:5]):
            if (plain ^ state) & self.states[5] == 0:
                owner = (plain ^ state) & (1 << 8 * self.width) - 1
                return (owner, number) if owner else (None, None)
        return None, None

    def word_of(self, entry):
        """The same of an entry's word in memory, and the word."""
        word = self.number(cmempool_read(entry - self.at("Slot.WORD"), 8))
        return self.decoded(entry, word, self.secret()) + (word,)

    # ---- Pools: src/collection/ -----------------------------------------------------------------

    def collections(self):
        """All pools, the newest first, and what kept it from finding more."""
        found, problems = [], []
        for first in self.lists():
            try:
                for link in self.links(first):
                    found.append(CmempoolCollection(self, link))
            except CmempoolError as problem:
                problems.append("older pools are not found: %s" % problem)
        return sorted(found, key=lambda collection: -collection.serial), problems

    def collection_with(self, handle):
        """The pool that is at an address, or None; quicker than a look at all."""
        for first in self.lists():
            for link in self.links(first):
                if self.get(link, "Link.handle") == handle:
                    return CmempoolCollection(self, link)
        return None

    def lists(self):
        """The first link of each list of pools."""
        return self.numbers(self.roots[0] + self.at("Registry.AT") + self.at("Registry.first"), 2, self.width)

    def links(self, link):
        seen = set()
        while link and link not in seen:
            seen.add(link)
            yield link
            link = self.get(link, "Link.next")

    def formers(self):
        """Start, end and handle of pools that were destroyed, and their names."""
        former = self.roots[0] + self.at("Registry.AT") + self.at("Registry.former") + self.at("Formers.ring")
        for _ in range(self.at("Former.COUNT")):
            if self.get(former, "Former.handle"):
                name = cmempool_read(
                    former + self.at("Former.name"), min(self.get(former, "Former.name_len"), 63)
                )
                start, end, handle = (self.get(former, "Former." + part) for part in ("start", "end", "handle"))
                yield start, end, handle, name
            former += self.at("Former.BYTES")

    # ---- Threads: src/caches/thread_index.rs, src/caches/life.rs ----------------------------------

    def thread(self, index):
        """Who has an index, in words."""
        taken = self.numbers(self.roots[2] + index // 64 * 8, 1, 8)[0]
        if not taken >> index % 64 & 1:
            return "a thread that has ended"
        life = self.roots[3] + index * self.at("Life.BYTES")
        holder = self.at("Life.HOLDER_AT")
        generation = self.numbers(self.roots[4], 1, 4)[0]
        if holder == 0xFFFF or self.get(life, "Life.ready") != generation:
            return "the thread with index %d" % index
        lwp = self.numbers(life + self.at("Life.lock") + holder, 1, 4)[0] & 0x3FFFFFFF
        for thread in gdb.selected_inferior().threads():
            if lwp in thread.ptid[1:]:
                return "thread %d (LWP %d)" % (thread.num, lwp)
        return "LWP %d, which is not there" % lwp


class CmempoolCollection:
    """An ordinary pool or a ranged one."""

    def __init__(self, library, link):
        self.library = library
        self.address = link + library.at("Collection.LEAD")
        self.serial = library.get(link, "Link.serial")
        self.going = library.get(link, "Link.going")
        common = self.address + library.at("Collection.common")
        self.handle = library.get(common, "Common.handle")
        self.name = cmempool_read(
            common + library.at("Common.name"), min(library.get(common, "Common.name_len"), 63)
        )
        self.policy = library.get(self.address, "Collection.policy")
        self.ranged = self.policy != library.at("Policy.Ordinary")
        region = self.address + library.at("Collection.region")
        self.start = library.get(region, "Region.base")
        self.bytes = library.get(region, "Region.len")
        self.notes = library.get(region, "Region.notes")
        table = library.get(self.address, "Collection.pools")
        count = library.get(self.address, "Collection.pool_count")
        if count > 256:
            raise CmempoolError("the pool at %#x is damaged" % self.handle)
        self.pools = [CmempoolPool(self, pool) for pool in library.numbers(table, count, library.width)]

    def kind(self):
        return "ranged pool" if self.ranged else "pool"

    def title(self):
        name = " " + cmempool_quoted(self.name) if self.name else ""
        return "%s%s at %#x" % (self.kind(), name, self.handle)

    def when_empty(self):
        at = self.library.at
        if not self.ranged:
            return "then takes from the heap" if self.pools[0].traits["fall_back"] else "then returns NULL"
        return {
            at("Policy.Disabled"): "then takes larger entries, then returns NULL",
            at("Policy.AtFirstExhaustion"): "then takes from the heap",
            at("Policy.AtLastExhaustion"): "then takes larger entries, then from the heap",
        }[self.policy]


class CmempoolPool:
    """A pool of equal slots: an ordinary pool's only one, or a class."""

    def __init__(self, collection, address):
        library = self.library = collection.library
        self.collection = collection
        self.address = address
        get = lambda name: library.get(address, "Pool." + name)
        self.elem_size, self.slots, self.stride = get("elem_size"), get("slots"), get("stride")
        self.capacity = get("capacity")
        traits = address + library.at("Pool.traits")
        self.traits = {
            name.split(".")[1]: library.get(traits, name)
            for name in library.fields
            if name.startswith("Traits.")
        }
        self.shared_lock = address + library.at("Pool.shared")
        self.dynamic_lock = address + library.at("Pool.dynamic")
        self.shared = self.shared_lock + library.at("Shared.AT")
        self.dynamic = self.dynamic_lock + library.at("DynamicEntries.AT")
        self.depot = self.shared + library.at("Shared.depot")
        self.rack = self.shared + library.at("Shared.rack")

    # ---- Figures: src/pool/inspect.rs -----------------------------------------------------------

    def tally(self, lock, name):
        """What a pool of one thread wrote down when it was last done."""
        both = self.library.numbers(lock + self.library.at(name), 1, 8)[0]
        return both & 0xFFFFFFFF, both >> 32

    def figures(self):
        """What mempool_get_stats tells, and how much is in the depot and kept back."""
        library, get = self.library, self.library.get
        in_depot = get(self.depot, "Depot.len") + get(self.depot, "Depot.in_bits")
        in_depot += get(self.rack, "Rack.entries")
        quarantine = len(self.kept_back())
        handed = max(0, self.capacity - in_depot - quarantine)
        peak = get(self.shared, "Shared.peak")
        count, heap_peak = (
            get(self.dynamic, "DynamicEntries.count"),
            get(self.dynamic, "DynamicEntries.peak"),
        )
        if self.traits["single_thread"]:
            handed, peak = self.tally(self.shared_lock, "Shared.TALLY_AT")
            count, heap_peak = self.tally(self.dynamic_lock, "DynamicEntries.TALLY_AT")
        cached = min(sum(len(entries) for _, entries in self.caches()), handed)
        used = handed - cached
        if self.traits["bypass"]:
            used, peak, in_depot = min(count, self.capacity), min(heap_peak, self.capacity), 0
            count, heap_peak = count - used, heap_peak - peak
        plan = self.address + library.at("Pool.caches")
        lines = get(plan, "CachePlan.count") * library.at("Cache.BYTES")
        elements = get(self.rack, "Rack.units") * get(plan, "CachePlan.unit")
        cache_bytes = lines + elements * library.width
        if self.collection.ranged:
            bits, level = 0, self.capacity
            while True:
                level = -(-level // 64)
                bits += level
                if level <= 1:
                    break
            lists = 8 * bits + 4 * get(self.depot, "Depot.room")
            reserved = library.at("Pool.BYTES") + cache_bytes + lists + self.stride * self.capacity
        else:
            reserved = self.collection.bytes
        return {
            "elem_size": self.elem_size,
            "capacity": self.capacity,
            "used": used,
            "peak_used": max(peak, used),
            "cached": cached,
            "depot": in_depot,
            "quarantine": quarantine,
            "dynamic_used": count,
            "dynamic_peak": heap_peak,
            "exhausted": get(self.address, "Pool.exhausted"),
            "failed": get(self.address, "Pool.failed"),
            "bytes_reserved": reserved,
            "bytes_per_entry": self.stride,
            "cache_bytes": cache_bytes,
        }

    def is_locked(self):
        """Whether a thread is inside a call that holds one of its locks."""
        states = (
            self.library.numbers(self.shared_lock + self.library.at("Shared.STATE_AT"), 1, 4)[0],
            self.library.numbers(self.dynamic_lock + self.library.at("DynamicEntries.STATE_AT"), 1, 4)[0],
        )
        return any(state % 2 if self.traits["single_thread"] else state for state in states)

    # ---- Where free slots are: src/slots/depot/, src/caches/, src/pool/quarantine.rs ------------------

    def caches(self):
        """Each cache that has a magazine: its number, and its entries' addresses."""
        library = self.library
        grain, element = library.at("Cache.GRAIN"), library.width
        first = self.address + library.at("Pool.BYTES")
        for number in range(library.get(self.address, "Pool.seen")):
            cache = first + number * library.at("Cache.BYTES")
            start = library.signed(cache, "Cache.bottom") * grain
            count = max(0, (library.signed(cache, "Cache.sp") * grain - start) // element)
            if count > 1022:
                raise CmempoolError("cache %d of the pool at %#x is damaged" % (number, self.address))
            spare = library.get(cache, "Cache.spare")
            spares = library.get(cache, "Cache.spare_len") if spare else 0
            yield number, library.numbers(start, count, element) + library.numbers(spare, spares, element)

    def owner_of(self, number):
        """Whose a cache is, in words."""
        library = self.library
        if self.traits["single_thread"]:
            return "the thread that uses the pool"
        plan = self.address + library.at("Pool.caches")
        if library.get(plan, "CachePlan.count") == 1:
            first = library.get(self.address, "Pool.first")
            if first >> 8 * library.width - 2:
                return "no thread"
            number += first // library.at("Cache.BYTES")
        return library.thread(number)

    def kept_back(self):
        """Numbers of the slots that a guarded pool keeps back."""
        library = self.library
        guarding = library.get(self.shared, "Shared.guarding")
        if not guarding:
            return []
        quarantine = guarding + library.at("Guarding.quarantine")
        room, first, count = (
            library.get(quarantine, "Quarantine." + name) for name in ("room", "first", "len")
        )
        ring = library.numbers(library.get(quarantine, "Quarantine.ring"), room, 4)
        return [ring[(first + i) % room] for i in range(count)]

    def in_magazines(self):
        """Addresses of entries in filled magazines that are in no cache."""
        library = self.library
        first, unit, element = (
            library.get(self.rack, "Rack.first"),
            library.at("Rack.UNIT"),
            library.width,
        )
        units = library.get(self.rack, "Rack.units")
        lists = library.numbers(
            self.rack + library.at("Rack.filled"), library.at("Rack.SIZES"), 4
        )
        for size, number in enumerate(lists):
            room = (unit << 2 * size) - library.at("Rack.BESIDE_ROOM")
            seen = set()
            while number < units and number not in seen:
                seen.add(number)
                elements = library.numbers(
                    first + number * unit * element, room + library.at("Rack.BESIDE_ROOM"), element
                )
                number, count = elements[room + 1] & 0xFFFFFFFF, elements[room + 2]
                yield from elements[: min(count, room)]

    def places(self):
        """Where each free slot is, by its number; of those in the depot's bits, `in_bits` knows."""
        library = self.library
        places = {}
        room, oldest, count = (
            library.get(self.depot, "Depot." + name) for name in ("room", "oldest", "len")
        )
        ring = library.numbers(library.get(self.depot, "Depot.ring"), room, 4)
        for i in range(min(count, room)):
            places[ring[(oldest + i) % room]] = "in the depot"
        for entry in self.in_magazines():
            places[(entry - self.slots) // self.stride] = "in the depot, in a magazine"
        for slot in self.kept_back():
            places[slot] = "kept back in quarantine"
        for number, entries in self.caches():
            if entries:
                place = "in the cache of " + self.owner_of(number)
                for entry in entries:
                    places[(entry - self.slots) // self.stride] = place
        return places

    def in_bits(self, slot):
        words = self.library.get(self.depot, "Depot.words")
        return self.library.numbers(words + slot // 64 * 8, 1, 8)[0] >> slot % 64 & 1

    def fresh(self):
        """This slot and all above were never handed out."""
        return self.library.get(self.depot, "Depot.fresh")

    # ---- Entries --------------------------------------------------------------------------------

    def entry(self, slot):
        return self.slots + slot * self.stride

    def slot_state(self, slot, places):
        """What a slot is, in words."""
        owner, state, word = self.library.word_of(self.entry(slot))
        place = places.get(slot) or ("in the depot" if self.in_bits(slot) else None)
        if state == CMEMPOOL_FRESH or slot >= self.fresh() and not self.traits["hardened"]:
            return "never handed out"
        if owner != self.address or state not in (CMEMPOOL_OUT, CMEMPOOL_FREE):
            where = "; the slot is free, " + place if place else ""
            return "its header was overwritten: it is %#018x%s" % (word, where)
        if state == CMEMPOOL_OUT:
            return "out, and yet free: it is " + place if place else "out"
        if place is None:
            return "free, and in no place: a thread is inside a call with it, or was when the process was forked"
        return "free, " + place

    def asked_for(self, slot):
        """Bytes that its holder may use, of a pool that knows."""
        tails = self.tails()
        return self.elem_size - self.library.numbers(tails + 4 * slot, 1, 4)[0] if tails else self.elem_size

    def tails(self):
        """Where a guarded pool has what was not asked for of each entry; else None."""
        if (self.traits["hardened"] or self.traits["watched"]) and not self.traits["bypass"]:
            return self.library.get(self.address + self.library.at("Pool.BYTES"), "Beside.tails")
        return None

    def out(self):
        """Numbers of the slots that are out. O(capacity)."""
        library = self.library
        secret, word_bytes = library.secret(), library.at("Slot.WORD")
        fresh = 0 if self.traits["bypass"] else self.fresh()
        # Small slots are read many at a time, of others the words alone.
        at_once = max(1, 65536 // self.stride) if self.stride <= 512 else 1
        for start in range(0, fresh, at_once):
            count = min(at_once, fresh - start)
            data = cmempool_read(self.entry(start) - word_bytes, (count - 1) * self.stride + word_bytes)
            for i in range(count):
                word = library.number(data[i * self.stride : i * self.stride + word_bytes])
                if library.decoded(self.entry(start + i), word, secret) == (self.address, CMEMPOOL_OUT):
                    yield start + i

    def dynamic_entries(self):
        """Entries from the heap that are out: address, bytes, bytes asked for."""
        library = self.library
        block, seen = library.get(self.dynamic, "DynamicEntries.first"), set()
        while block:
            entry = block + library.at("Block.word") + library.at("Slot.WORD")
            if block in seen or library.word_of(entry)[:2] != (self.address, CMEMPOOL_DYNAMIC):
                raise CmempoolError("the list of entries from the heap is damaged at %#x" % entry)
            seen.add(block)
            size, tail = library.get(block, "Block.size"), library.get(block, "Block.tail")
            yield entry, size, size - tail
            block = library.get(block, "Block.next")

    # ---- Who holds entries: src/pool/holders.rs --------------------------------------------------

    def record(self, slot):
        """Where the record of a slot's entry is; None if the pool records nothing."""
        if not self.traits["recorded"]:
            return None
        library = self.library
        records = library.get(self.address + library.at("Pool.BYTES"), "Beside.records")
        return records + slot * library.at("Record.BYTES")

    def record_from_heap(self, entry):
        """The same of an entry from the heap that is out."""
        if not self.traits["recorded"]:
            return None
        library = self.library
        block = entry - library.at("Block.word") - library.at("Slot.WORD")
        return entry - library.get(block, "Block.lead")

    def deed(self, record, name):
        """Number, caller and thread of who took (freed) an entry last; None if nobody did."""
        if record is None:
            return None
        library = self.library
        note = record + library.at("Record." + name)
        number, caller, thread = (library.get(note, "Note." + part) for part in ("number", "caller", "thread"))
        return (number, caller, thread) if number else None

    def deeds(self, record):
        """A line for each of the two, in their order."""
        both = [(self.deed(record, name), name) for name in ("taken", "freed")]
        return [
            "%s at %s, by %s, call %d" % (name, cmempool_code(deed[1]), cmempool_thread(deed[2]), deed[0])
            for deed, name in sorted(pair for pair in both if pair[0])
        ]

    def takers(self):
        """Where the entries that are out were taken, and how many there, the most first."""
        callers, counts = {}, {}
        records = [self.record(slot) for slot in self.out()]
        records += [self.record_from_heap(entry) for entry, _, _ in self.dynamic_entries()]
        for record in records:
            deed = self.deed(record, "taken")
            caller = deed[1] if deed else 0
            callers[caller] = callers.get(caller, 0) + 1
        # Compilers may make several calls of one.
        for caller, count in callers.items():
            place = cmempool_code(caller)
            counts[place] = counts.get(place, 0) + count
        return sorted(counts.items(), key=lambda pair: -pair[1])


def cmempool_code(caller):
    """The place of a call that returned to an address, in words."""
    if not caller:
        return "an unknown caller"
    # A call may be the last instruction of its function.
    pc = caller - 1
    symbol = gdb.execute("info symbol %#x" % pc, to_string=True)
    function = re.match(r"(.*?)(?: \+ \d+)?(?: in section \S+)?(?: of .*)?$", symbol.strip()).group(1)
    if symbol.startswith("No symbol"):
        function = "%#x%s" % (caller, cmempool_module(caller))
    places = ["%s (%s:%d)" % place for place in cmempool_places(pc)]
    return ", called by ".join(places) or function


def cmempool_module(address):
    """Its file and the place there, as a dump says it and addr2line takes it. Empty if that is not known."""
    try:
        mappings = gdb.execute("info proc mappings", to_string=True)
    except gdb.error:
        return ""
    number = r"\s+0x([0-9a-f]+)"
    # Some versions have a column of permissions.
    row = re.compile(number * 2 + r"\s+0x[0-9a-f]+" + number + r"(?:\s+[-rwxsp]{4})?\s+(/.*?)\s*$")
    base = None
    for match in filter(None, map(row.match, mappings.splitlines())):
        start, end, offset = (int(text, 16) for text in match.groups()[:3])
        base = start if offset == 0 else base
        if base is not None and start <= address < end:
            return " (%s+%#x)" % (match.group(4), address - base)
    return ""


def cmempool_places(pc):
    """Function, file and line of an address, then of the calls that are inlined around it, outwards. The library's
    inlined code is left out, unless there is nothing else. Empty without debug information."""
    line = gdb.find_pc_line(pc)
    if not line.symtab or not line.line:
        return []
    places, filename, number = [], line.symtab.filename, line.line
    block = gdb.block_for_pc(pc)
    while block and not block.is_static:
        function = block.function
        if function:
            places.append((function.print_name, filename, number))
            # Of a function that is inlined, these are where its call is.
            filename, number = function.symtab.filename, function.line
        block = block.superblock
    own = ("cmempool.h", "cmempool.hpp")
    return [place for place in places if not place[1].endswith(own)] or places[-1:]


def cmempool_thread(number):
    """The thread that pthread_self() gave a number to."""
    for thread in gdb.selected_inferior().threads():
        try:
            handle = int.from_bytes(thread.handle(), sys.byteorder)
        except (AttributeError, RuntimeError):
            # Before gdb 9.1, or where its libthread_db does not know the program.
            handle = cmempool_thread_pointer(thread)
        if handle == number:
            return "thread %d (LWP %d)" % (thread.num, thread.ptid[1])
    return "thread %#x" % number


def cmempool_thread_pointer(thread):
    """A thread's thread pointer, where that is its number; else None."""
    selected, frame = gdb.selected_thread(), gdb.selected_frame()
    try:
        thread.switch()
        return int(gdb.parse_and_eval("$fs_base")) & (1 << 64) - 1
    except gdb.error:
        return None
    finally:
        selected.switch()
        frame.select()


# ---- Find the library --------------------------------------------------------------------------

# How the sections are called into which linkers put constants with addresses in them.
CMEMPOOL_SECTIONS = (".data", ".rdata")


def cmempool_libraries():
    """Each library in the program; there may be one in each plugin."""
    inferior = gdb.selected_inferior()
    space = gdb.current_progspace()
    key = (inferior.num, inferior.pid, tuple(objfile.filename for objfile in space.objfiles()))
    # `live` may print a million entries; printers run at each frame.
    known = getattr(space, "cmempool_tables", None)
    tables = known[1] if known and known[0] == key else []
    libraries = [library for library in map(cmempool_at, tables) if library]
    if not libraries:
        libraries = cmempool_search()
        space.cmempool_tables = (key, [library.table for library in libraries])
    return libraries


def cmempool_at(table):
    try:
        return CmempoolLibrary(table)
    except CmempoolError:
        return None


def cmempool_search():
    """Looks for tables: in sections first, then in all that a core has."""
    pattern = re.compile(r"^\s*(0x[0-9a-f]+) - (0x[0-9a-f]+) is (\S+)", re.MULTILINE)
    found = [
        (int(start, 16), int(end, 16), name)
        for start, end, name in pattern.findall(gdb.execute("info files", to_string=True))
    ]
    of_files = [part for part in found if part[2].startswith(CMEMPOOL_SECTIONS)]
    of_core = [part for part in found if part[2].startswith("load")]
    for parts in (of_files, of_core):
        tables = {table for start, end, _ in parts for table in cmempool_matches(start, end)}
        libraries = [library for library in map(cmempool_at, sorted(tables)) if library]
        if libraries:
            return libraries
    return []


def cmempool_matches(start, end):
    """Addresses at which a table may begin."""
    inferior = gdb.selected_inferior()
    while start < end:
        try:
            match = inferior.search_memory(start, end - start, CMEMPOOL_MAGIC)
        except gdb.MemoryError:
            return
        if match is None:
            return
        yield match
        start = match + len(CMEMPOOL_MAGIC)


def cmempool_collections():
    """All pools of the program, of each library the newest first, and what kept it from finding more."""
    if not gdb.selected_inferior().pid:
        raise CmempoolError("there is no process: start the program, or open a core")
    libraries = cmempool_libraries()
    if not libraries:
        raise CmempoolError(
            "found no cmempool: it is not in this program, not loaded yet, or the core lacks its memory"
        )
    usable = [library for library in libraries if library.fits]
    if not usable:
        version = libraries[0].version
        raise CmempoolError("this script is not for cmempool %s: use the one installed with it" % version)
    found = [library.collections() for library in usable]
    return sum((collections for collections, _ in found), []), sum((problems for _, problems in found), [])


def cmempool_evaluated(text):
    """The address that an expression stands for. Calls nothing in the program."""
    try:
        before = gdb.parameter("may-call-functions")
    except RuntimeError:
        # Before gdb 10, an expression that has a call in it makes that call.
        return int(gdb.parse_and_eval(text)) & (1 << 64) - 1
    gdb.execute("set may-call-functions off")
    try:
        return int(gdb.parse_and_eval(text)) & (1 << 64) - 1
    finally:
        gdb.execute("set may-call-functions %s" % ("on" if before else "off"))


def cmempool_pool(text):
    """The pool that an argument means: by a name in quotes, an expression, or a name."""
    if not text:
        raise CmempoolError('which pool? Give its address, an expression, or its name: mempool list')
    collections, problems = cmempool_collections()
    named = lambda name: [c for c in collections if c.name == name.encode("utf-8", "surrogateescape")]
    quoted = re.fullmatch(r'"(.*)"', text)
    if quoted:
        found = named(quoted.group(1))
        if not found:
            raise CmempoolError("; ".join(["no pool has the name %s" % text] + problems))
        return found[0]
    why = "no pool has that name, and as an expression: "
    try:
        address = cmempool_evaluated(text)
        for collection in collections:
            # An address of a class means its ranged pool.
            if address == collection.handle or address in [pool.address for pool in collection.pools]:
                return collection
        why = "no pool is at %#x, nor has that name" % address
    except gdb.error as error:
        why += str(error)
    found = named(text)
    if not found:
        raise CmempoolError("; ".join(["%s: %s" % (text, why)] + problems))
    return found[0]


# ---- Commands ----------------------------------------------------------------------------------


class CmempoolCommand(gdb.Command):
    """Memory pools of cmempool: which there are, and whose an address is.

POOL is a pool's address, an expression that gives it, or its name. The commands read memory and call nothing
in the program: they work on core dumps, too."""

    def __init__(self):
        super().__init__("mempool", gdb.COMMAND_DATA, gdb.COMPLETE_NONE, True)


class CmempoolListCommand(gdb.Command):
    """List all pools, the newest first.
Usage: mempool list"""

    def __init__(self):
        super().__init__("mempool list", gdb.COMMAND_DATA)

    def invoke(self, argument, from_tty):
        if argument:
            raise CmempoolError("mempool list takes no argument")
        collections, problems = cmempool_collections()
        if not collections:
            print("\n".join(problems) or "no pools")
            return
        heads = ("address", "kind", "classes", "used", "capacity", "from heap", "name")
        print("%-18s %-8s %8s %10s %10s %10s  %s" % heads)
        for collection in collections:
            try:
                figures = [pool.figures() for pool in collection.pools]
            except CmempoolError as problem:
                problems.append("%s: %s" % (collection.title(), problem))
                continue
            total = lambda name: sum(one[name] for one in figures)
            line = "%#-18x %-8s %8d %10d %10d %10d  %s%s" % (
                collection.handle,
                "ranged" if collection.ranged else "ordinary",
                len(figures),
                total("used"),
                total("capacity"),
                total("dynamic_used"),
                cmempool_quoted(collection.name) if collection.name else "",
                " (being destroyed)" if collection.going else "",
            )
            print(line.rstrip())
        for problem in problems:
            print(problem)


class CmempoolShowCommand(gdb.Command):
    """Show how full a pool is, class by class, what is in which thread's cache, and who holds its entries.
Usage: mempool show POOL

Free entries are cached, in the depot, or kept back in the quarantine of a hardened or watched pool. Who holds
entries is known of a pool that records it (MEMPOOL_RECORD_HOLDERS)."""

    COLUMNS = (
        ("size", "elem_size", 9),
        ("capacity", "capacity", 10),
        ("used", "used", 10),
        ("peak", "peak_used", 10),
        ("cached", "cached", 8),
        ("depot", "depot", 10),
        ("kept", "quarantine", 5),
        ("exhausted", "exhausted", 10),
        ("failed", "failed", 8),
        ("heap used", "dynamic_used", 10),
        ("heap peak", "dynamic_peak", 10),
    )

    def __init__(self):
        super().__init__("mempool show", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        collection = cmempool_pool(argument.strip())
        print(
            "%s: %d bytes from %#x%s; hands out its own, %s"
            % (
                collection.title(),
                collection.bytes,
                collection.start,
                "".join(", " + word for word in self.words(collection)),
                collection.when_empty(),
            )
        )
        print("".join(head.rjust(width) for head, _, width in self.COLUMNS))
        figures = [pool.figures() for pool in collection.pools]
        for one in figures:
            print("".join(str(one[name]).rjust(width) for _, name, width in self.COLUMNS))
        for pool, one in zip(collection.pools, figures):
            print(
                "  %d B: first entry at %#x, %d bytes to the next; takes %d bytes, %d of them caches"
                % (pool.elem_size, pool.slots, pool.stride, one["bytes_reserved"], one["cache_bytes"])
            )
            for number, entries in pool.caches():
                if entries:
                    owner = pool.owner_of(number)
                    print("  %d B: %d in the cache of %s" % (pool.elem_size, len(entries), owner))
            if pool.traits["recorded"]:
                for place, count in pool.takers():
                    print("  %d B: %9d taken at %s" % (pool.elem_size, count, place))
            if pool.is_locked():
                print("  %d B: its lock is held: the figures may be of the middle of a call" % pool.elem_size)

    @staticmethod
    def words(collection):
        """What is special about a pool."""
        at, traits = collection.library.at, collection.pools[0].traits
        said = (
            (traits["single_thread"], "for a single thread"),
            (traits["zero_on_free"], "zeroed on free"),
            (traits["hardened"], "hardened"),
            (traits["watched"], "watched by a tool"),
            (traits["bypass"], "bypassed"),
            (traits["recorded"], "records holders"),
            (collection.notes & at("Region.NOTE_HUGE_PAGES"), "in huge pages"),
            (collection.notes & at("Region.NOTE_LOCKED"), "locked"),
        )
        return [word for is_so, word in said if is_so]


class CmempoolWhoseCommand(gdb.Command):
    """Say which pool an address belongs to, in which state its entry and the neighbours are, and who took it.
Usage: mempool whose ADDRESS

ADDRESS is an expression: an entry, a pointer into one, or any other address."""

    def __init__(self):
        super().__init__("mempool whose", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        if not argument.strip():
            raise CmempoolError("whose? Give an address: mempool whose ADDRESS")
        collections, problems = cmempool_collections()
        try:
            address = cmempool_evaluated(argument)
        except gdb.error as error:
            raise CmempoolError("%s: %s" % (argument, error)) from None
        for collection in collections:
            if collection.start <= address < collection.start + collection.bytes:
                return self.in_region(collection, address)
        for collection in collections:
            if self.from_heap(collection, address):
                return None
        self.elsewhere(collections, address)
        for problem in problems:
            print("  " + problem)
        return None

    def in_region(self, collection, address):
        for pool in collection.pools:
            word = pool.library.at("Slot.WORD")
            slot, offset = divmod(address - (pool.slots - word), pool.stride)
            # A bypassed pool's slots are not used.
            if 0 <= slot < pool.capacity and not pool.traits["bypass"]:
                return self.in_slot(pool, slot, offset - word, address)
        if address == collection.handle:
            print("%#x is the %s itself" % (address, collection.title()))
        else:
            print("%#x is the library's own, in the memory of the %s" % (address, collection.title()))

    def in_slot(self, pool, slot, offset, address):
        of = "%d-byte class of the " % pool.elem_size if pool.collection.ranged else ""
        entry = "entry %d of %d of the %s%s" % (slot, pool.capacity, of, pool.collection.title())
        self.print_place(address, offset, pool.elem_size, entry)
        places = pool.places()
        state = pool.slot_state(slot, places)
        asked = pool.asked_for(slot)
        of_it = " (%d asked for)" % asked if state == "out" and asked < pool.elem_size else ""
        print("  %s; %d bytes%s" % (state, pool.elem_size, of_it))
        for deed in pool.deeds(pool.record(slot)):
            print("  " + deed)
        for name, other in (("before", slot - 1), ("after", slot + 1)):
            if 0 <= other < pool.capacity:
                print("  %s it: %#x, %s" % (name, pool.entry(other), pool.slot_state(other, places)))
            else:
                print("  %s it: no entry" % name)

    @staticmethod
    def print_place(address, offset, size, entry):
        if offset == 0:
            print("%#x is %s" % (address, entry))
            return
        if offset < 0:
            how = "lies in the header of"
        elif offset < size:
            how = "points %s into" % cmempool_plural(offset, "byte", "bytes")
        else:
            how = "lies %s past the end of" % cmempool_plural(offset - size, "byte", "bytes")
        print("%#x %s %s; it begins at %#x" % (address, how, entry, address - offset))

    def from_heap(self, collection, address):
        for pool in collection.pools:
            library = pool.library
            try:
                for entry, size, asked in pool.dynamic_entries():
                    block = entry - library.at("Block.word") - library.at("Slot.WORD")
                    lead, gap = library.get(block, "Block.lead"), library.get(block, "Block.gap")
                    if entry - lead <= address < entry + size + gap:
                        which = "an entry that the %s has from the heap" % collection.title()
                        self.print_place(address, address - entry, size, which)
                        of_it = " (%d asked for)" % asked if asked < size else ""
                        print("  out; %d bytes%s" % (size, of_it))
                        for deed in pool.deeds(pool.record_from_heap(entry)):
                            print("  " + deed)
                        return True
            except CmempoolError as error:
                print("%s: %s" % (collection.title(), error))
        return False

    def elsewhere(self, collections, address):
        libraries = {collection.library.table: collection.library for collection in collections}
        for library in libraries.values():
            try:
                owner, state, _ = library.word_of(address)
            except CmempoolError:
                continue
            owners = [c for c in collections for pool in c.pools if pool.address == owner]
            if state == CMEMPOOL_DYNAMIC_FREED and owners:
                print("%#x was an entry that the %s had from the heap" % (address, owners[0].title()))
                print("  freed, and the memory is the heap's again")
                return
        for library in cmempool_libraries():
            for start, end, handle, name in library.formers() if library.fits else ():
                if start <= address < end or address == handle:
                    of = " " + cmempool_quoted(name) if name else ""
                    print("%#x lies where the pool%s was, at %#x, which is destroyed" % (address, of, handle))
                    return
        print("%#x belongs to no pool" % address)


class CmempoolLiveCommand(gdb.Command):
    """List the entries of a pool that are out: address, bytes, and where they come from.
Usage: mempool live POOL"""

    def __init__(self):
        super().__init__("mempool live", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        collection = cmempool_pool(argument.strip())
        self.words = {}
        own = from_heap = 0
        for pool in collection.pools:
            tails = pool.tails()
            for slot in pool.out():
                asked = pool.asked_for(slot) if tails else pool.elem_size
                taken = pool.deed(pool.record(slot), "taken")
                self.print_entry(pool.entry(slot), pool.elem_size, asked, "entry %d" % slot, taken)
                own += 1
            for entry, size, asked in pool.dynamic_entries():
                taken = pool.deed(pool.record_from_heap(entry), "taken")
                self.print_entry(entry, size, asked, "from the heap", taken)
                from_heap += 1
        print("%s out, %d from the heap" % (cmempool_plural(own + from_heap, "entry", "entries"), from_heap))
        if own + from_heap > 0 and not any(pool.traits["recorded"] for pool in collection.pools):
            print("who took them is not recorded: that takes MEMPOOL_RECORD_HOLDERS, or CMEMPOOL_OPTIONS=holders")

    def print_entry(self, entry, size, asked, where, taken):
        of_it = " (%d asked for)" % asked if asked < size else ""
        # To find out takes a while, and many entries have the same.
        if taken and taken[1:] not in self.words:
            self.words[taken[1:]] = ", taken at %s, by %s" % (cmempool_code(taken[1]), cmempool_thread(taken[2]))
        by = self.words[taken[1:]] if taken else ""
        print("%#x  %s, %s%s%s" % (entry, where, cmempool_plural(size, "byte", "bytes"), of_it, by))


# ---- How pointers to pools are printed -----------------------------------------------------------


class CmempoolPointerPrinter:
    """A pointer to a pool, with the pool's name and how many of its entries are out."""

    def __init__(self, text):
        self.text = text

    def to_string(self):
        return self.text


def cmempool_printer(value):
    """A printer for a `mempool *` or `r_mempool *` that points to a pool; else None."""
    kind = value.type.strip_typedefs()
    if kind.code != gdb.TYPE_CODE_PTR:
        return None
    tag = kind.target().strip_typedefs().tag
    if tag not in ("mempool", "r_mempool"):
        return None
    try:
        for library in cmempool_libraries():
            collection = library.collection_with(int(value)) if library.fits else None
            if collection:
                figures = [pool.figures() for pool in collection.pools]
                of = " " + cmempool_quoted(collection.name) if collection.name else ""
                names = ("used", "capacity", "dynamic_used")
                used, capacity, dynamic = (sum(one[name] for one in figures) for name in names)
                more = ", %d more from the heap" % dynamic if dynamic else ""
                return CmempoolPointerPrinter(
                    "(%s *) %#x%s, %d of %d out%s" % (tag, collection.handle, of, used, capacity, more)
                )
    except (CmempoolError, gdb.error):
        # A pointer is printed as any other where there is nothing to say.
        pass
    return None


cmempool_printer.name = "cmempool"
cmempool_printer.enabled = True
gdb.printing.register_pretty_printer(None, cmempool_printer, replace=True)

CmempoolCommand()
CmempoolListCommand()
CmempoolShowCommand()
CmempoolWhoseCommand()
CmempoolLiveCommand()
