//! Who took an entry, or freed it, as a line or a dump says it?

use crate::os::code;

/// That somebody took an entry or freed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Deed {
    /// Where its call returned to; 0 if nobody knows.
    pub caller: usize,
    /// The thread's number.
    pub thread: usize,
    /// That many deeds had been recorded, this one included; 0 for none.
    pub number: u64,
}

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Last {
    Taken(Deed),
    Freed(Deed),
}

/// A piece of what is said.
pub enum Piece<'a> {
    Text(&'a [u8]),
    /// With 0x in front.
    Hex(usize),
}

/// Says where a call was made: `function+0x1c in ./program+0x11d3`. `./program+0x11d3` is what `addr2line` and its
/// like want; the function is one that the loader knows, exported.
#[cold]
#[inline(never)]
pub fn say_caller(caller: usize, put: &mut dyn FnMut(Piece<'_>)) {
    if caller == 0 {
        return put(Piece::Text(b"an unknown caller"));
    }
    code::before(caller, &mut |code| {
        let Some(code) = code else { return put(Piece::Hex(caller)) };
        if let Some(function) = code.function {
            put(Piece::Text(function.to_bytes()));
            put(Piece::Text(b"+"));
            put(Piece::Hex(code.offset));
            put(Piece::Text(b" in "));
        }
        put(Piece::Text(code.module.to_bytes()));
        put(Piece::Text(b"+"));
        put(Piece::Hex(code.at));
    });
}
