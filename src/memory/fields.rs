//! Where does a field lie in its struct, for a debugger that has the memory alone?
//!
//! A struct that debuggers read lists its fields beside its declaration; `dump/debugger.rs` makes a table of
//! these lists.

/// A field, or a number that a debugger has to know.
pub struct Field {
    /// `Struct.field`, by which the debugger's script calls it.
    pub name: &'static str,
    /// Its offset; of a number, the number.
    pub at: usize,
    /// Bytes of it; of a number, 0.
    pub size: usize,
}

impl Field {
    /// A number.
    pub const fn number(name: &'static str, number: usize) -> Self {
        Self { name, at: number, size: 0 }
    }
}

/// The named fields of a struct.
macro_rules! fields {
    ($of:ident: $($field:ident),+ $(,)?) => {
        &[$($crate::memory::fields::Field {
            name: concat!(stringify!($of), ".", stringify!($field)),
            at: core::mem::offset_of!($of, $field),
            size: $crate::memory::fields::size_of_field(|it: &$of| &it.$field),
        }),+]
    };
}
pub(crate) use fields;

/// Bytes of what a function makes a reference to.
pub const fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}
