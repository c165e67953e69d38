//! Is a region what was asked for?

use super::*;

const ORDINARY: Wish = Wish {
    prefault: false,
    at_once: false,
    locked: false,
    huge_pages: false,
    idle: false,
    guarded: false,
};
const GUARDED: Wish = Wish { guarded: true, ..ORDINARY };

#[test]
fn obtained_memory_is_zero_and_writable() {
    for len in [100, 4096, 5000, HUGE_PAGE - 1, HUGE_PAGE, 2 * HUGE_PAGE + 12345] {
        for prefault in [false, true] {
            let region = Region::obtain(len, ORDINARY).unwrap();
            assert!(region.len >= len);
            if prefault {
                let start = region.range().start;
                let idle = [start + 100..start + 4000, start + 5000..start + 30_000];
                let inside = idle.into_iter().filter(|idle| idle.end <= start + len);
                region.provide(inside).unwrap();
            }
            // SAFETY: the region is this test's own.
            unsafe {
                for offset in [0, len / 2, len - 1] {
                    assert_eq!(region.base.add(offset).read(), 0);
                    region.base.add(offset).write(1);
                }
                region.release(None);
            }
        }
    }
}

#[test]
fn guarded_memory_is_zero_and_writable() {
    for len in [1, 4096, 5000] {
        let region = Region::obtain(len, GUARDED).unwrap();
        // SAFETY: the region is this test's own.
        unsafe {
            assert_eq!(region.base.add(len - 1).read(), 0);
            region.base.add(len - 1).write(1);
            region.release(None);
        }
    }
    assert_eq!(Region::obtain(usize::MAX - 5000, GUARDED).err(), Some(Error::NoMemory));
}

#[test]
fn notes_say_what_was_had() {
    const LOCKED: Wish = Wish { locked: true, ..ORDINARY };
    const HUGE: Wish = Wish { huge_pages: true, ..ORDINARY };
    let notes = |wish| {
        let region = Region::obtain(5000, wish).unwrap();
        let (notes, copied) = (region.notes(), region.is_copied_by_fork());
        assert_eq!(region.len.is_multiple_of(HUGE_PAGE), notes & NOTE_HUGE_PAGES != 0);
        assert_eq!(copied, notes & NOTE_HUGE_PAGES == 0);
        // SAFETY: the region is this test's own.
        unsafe { region.release(None) };
        notes
    };
    assert_eq!(notes(ORDINARY), 0);
    assert_eq!(notes(GUARDED), 0);
    // What the system keeps ready is not this test's to say.
    assert!([NOTE_HUGE_PAGES, NOTE_HUGE_PAGES_REFUSED].contains(&notes(HUGE)));
    assert_eq!(notes(Wish { guarded: true, ..HUGE }), NOTE_HUGE_PAGES_REFUSED);
    assert_eq!(notes(Wish { idle: true, ..HUGE }), NOTE_HUGE_PAGES_REFUSED);
    // Two pages of each: nobody has a limit below that.
    assert_eq!(notes(LOCKED), NOTE_LOCKED);
    assert_eq!(notes(Wish { guarded: true, ..LOCKED }), NOTE_LOCKED);
}

#[test]
fn more_than_there_is_fails() {
    assert_eq!(Region::obtain(1 << 60, ORDINARY).err(), Some(Error::NoMemory));
    assert_eq!(Region::obtain(usize::MAX, ORDINARY).err(), Some(Error::NoMemory));
}

#[test]
fn a_callers_buffer_keeps_its_content() {
    let mut buffer = vec![7u8; 10_000];
    // SAFETY: the buffer outlives the region.
    let region =
        unsafe { Region::of_caller(NonNull::from(&mut buffer[0]), 10_000, ORDINARY) }.unwrap();
    let last = region.base.as_ptr() as usize + 9_999;
    assert!(region.contains(last) && !region.contains(last + 1));
    // SAFETY: nobody uses it.
    unsafe { region.release(None) };
    assert!(buffer.iter().all(|&b| b == 7));
}
