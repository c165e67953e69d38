//! How is an entry made all zero?
//!
//! A short one in place: the call to `memset` would cost more than the writes.

/// Two words, which the compiler writes as one vector.
type Pair = [u64; 2];
const PAIR: usize = size_of::<Pair>();

/// Zeroes `len` bytes. Up to 128 take at most eight overlapping stores, and no call.
///
/// # Safety
/// The bytes are the caller's to write.
#[inline(always)]
pub unsafe fn zero(start: *mut u8, len: usize) {
    // SAFETY: each pair below begins at least `PAIR` bytes before `start + len`: of `n` pairs at each
    // end, `len >= n * PAIR`.
    unsafe {
        let pair = |offset: usize| start.add(offset).cast::<Pair>().write_unaligned([0; 2]);
        let both_ends = |pairs: usize| {
            for i in 0..pairs {
                pair(i * PAIR);
                pair(len - (i + 1) * PAIR);
            }
        };
        match len {
            16..=32 => both_ends(1),
            33..=64 => both_ends(2),
            65..=128 => both_ends(4),
            _ => start.write_bytes(0, len),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn zeroes_exactly_that_many() {
        for len in 0..300 {
            let mut bytes = [0xFFu8; 400];
            // SAFETY: there are as many after byte 50.
            unsafe { super::zero(bytes.as_mut_ptr().add(50), len) };
            assert!(bytes[50..50 + len].iter().all(|&b| b == 0), "{len} bytes");
            let rest = bytes[..50].iter().chain(&bytes[50 + len..]);
            assert!(rest.copied().all(|b| b == 0xFF), "around {len} bytes");
        }
    }
}
