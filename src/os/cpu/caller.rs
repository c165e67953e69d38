//! Where does the caller of a call go on?
//!
//! What a function calls as the last thing it does is jumped to, in optimised code: its own return address is then
//! that of the function's caller. It takes a few instructions in front of a function to pass it on. Processors
//! whose arguments lie on the stack pass 0: nobody knows.

/// Declares a function that goes on as another one, with one more argument: the address that it returns to.
macro_rules! with_caller {
    ($(#[$about:meta])* $visible:vis unsafe fn $name:ident($first:ident: $of_first:ty)
        $(-> $result:ty)? => $to:ident) => {
        $crate::os::cpu::with_caller!(
            @declare [$($about),*] $visible $name [$first: $of_first] [$($result)?] $to first);
    };
    ($(#[$about:meta])* $visible:vis unsafe fn $name:ident($first:ident: $of_first:ty, $second:ident: $of_second:ty)
        $(-> $result:ty)? => $to:ident) => {
        $crate::os::cpu::with_caller!(
            @declare [$($about),*] $visible $name [$first: $of_first, $second: $of_second] [$($result)?] $to second);
    };
    (@declare [$($about:meta),*] $visible:vis $name:ident [$($argument:ident: $type:ty),+] [$($result:ty)?] $to:ident $last:ident) => {
        $(#[$about])*
        #[cfg(not(any(target_arch = "x86", feature = "bare")))]
        #[unsafe(naked)]
        $visible unsafe extern "C" fn $name($($argument: $type),+) $(-> $result)? {
            // The arguments stay where they are, and nothing was pushed.
            core::arch::naked_asm!(
                $crate::os::cpu::with_caller!(@after $last),
                $crate::os::cpu::with_caller!(@jump),
                to = sym $to,
            )
        }

        $(#[$about])*
        #[cfg(any(target_arch = "x86", feature = "bare"))]
        $visible unsafe extern "C" fn $name($($argument: $type),+) $(-> $result)? {
            // SAFETY: by this function's contract.
            unsafe { $to($($argument,)+ 0) }
        }
    };
    (@after first) => { $crate::os::cpu::into_register!("rsi", "rdx", "1", "3") };
    (@after second) => { $crate::os::cpu::into_register!("rdx", "r8", "2", "4") };
    (@jump) => { $crate::os::cpu::jump!() };
}

/// How each processor does that.
#[cfg(not(any(target_arch = "x86", feature = "bare")))]
mod registers {
    /// The return address, into the register of an argument: on x86-64, on Windows there, the number of the
    /// register elsewhere, and on s390x.
    #[cfg(all(target_arch = "x86_64", not(windows)))]
    macro_rules! into_register {
        ($register:literal, $windows:literal, $number:literal, $s390x:literal) => {
            concat!("mov ", $register, ", [rsp]")
        };
    }
    #[cfg(all(target_arch = "x86_64", windows))]
    macro_rules! into_register {
        ($register:literal, $windows:literal, $number:literal, $s390x:literal) => {
            concat!("mov ", $windows, ", [rsp]")
        };
    }
    #[cfg(target_arch = "aarch64")]
    macro_rules! into_register {
        ($register:literal, $windows:literal, $number:literal, $s390x:literal) => {
            concat!("mov x", $number, ", x30")
        };
    }
    #[cfg(target_arch = "arm")]
    macro_rules! into_register {
        ($register:literal, $windows:literal, $number:literal, $s390x:literal) => {
            concat!("mov r", $number, ", lr")
        };
    }
    #[cfg(any(target_arch = "riscv64", target_arch = "riscv32"))]
    macro_rules! into_register {
        ($register:literal, $windows:literal, $number:literal, $s390x:literal) => {
            concat!("mv a", $number, ", ra")
        };
    }
    #[cfg(target_arch = "s390x")]
    macro_rules! into_register {
        ($register:literal, $windows:literal, $number:literal, $s390x:literal) => {
            concat!("lgr %r", $s390x, ", %r14")
        };
    }

    #[cfg(target_arch = "x86_64")]
    macro_rules! jump {
        () => {
            "jmp {to}"
        };
    }
    #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
    macro_rules! jump {
        () => {
            "b {to}"
        };
    }
    #[cfg(any(target_arch = "riscv64", target_arch = "riscv32"))]
    macro_rules! jump {
        () => {
            "tail {to}"
        };
    }
    #[cfg(target_arch = "s390x")]
    macro_rules! jump {
        () => {
            "jg {to}"
        };
    }

    pub(crate) use {into_register, jump};
}

#[cfg(not(any(target_arch = "x86", feature = "bare")))]
pub(crate) use registers::{into_register, jump};
pub(crate) use with_caller;
