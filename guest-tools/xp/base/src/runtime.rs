//! Heap, panics, entry point.
#![allow(unsafe_code, reason = "the allocator, the symbols of the unwinder, the command line")]

use alloc::string::String;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::System::Environment::GetCommandLineW;
use windows_sys::Win32::System::Memory::{
    GetProcessHeap, HEAP_ZERO_MEMORY, HeapAlloc, HeapFree, HeapReAlloc,
};
use windows_sys::Win32::System::Threading::ExitProcess;
use windows_sys::Win32::UI::Shell::CommandLineToArgvW;

use crate::{log, text};

struct Heap;

/// What HeapAlloc aligns to in a 32-bit process.
const ALIGN: usize = 8;

// SAFETY: HeapAlloc gives blocks of at least the size asked for, aligned to 8; a larger alignment is refused (null).
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGN {
            return core::ptr::null_mut();
        }
        // SAFETY: the process's heap is always there and serialized.
        unsafe { HeapAlloc(GetProcessHeap(), 0, layout.size()).cast() }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGN {
            return core::ptr::null_mut();
        }
        // SAFETY: as above.
        unsafe { HeapAlloc(GetProcessHeap(), HEAP_ZERO_MEMORY, layout.size()).cast() }
    }

    unsafe fn dealloc(&self, at: *mut u8, _: Layout) {
        // SAFETY: the caller got `at` from this heap.
        unsafe { HeapFree(GetProcessHeap(), 0, at.cast::<c_void>()) };
    }

    unsafe fn realloc(&self, at: *mut u8, _: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller got `at` from this heap; its alignment was one that the heap gives anyway.
        unsafe { HeapReAlloc(GetProcessHeap(), 0, at.cast::<c_void>(), size).cast() }
    }
}

#[global_allocator]
static HEAP: Heap = Heap;

/// Exit code of a program that ended by a fault of its own.
const PANICKED: u32 = 101;

#[panic_handler]
fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    log::last_words(format_args!("a fault of this program: {info}"));
    exit(PANICKED)
}

// Rust's `core` is compiled for unwinding and names these; nothing unwinds here (panic = "abort").
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() -> ! {
    exit(PANICKED)
}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    exit(PANICKED)
}

pub fn exit(code: u32) -> ! {
    // SAFETY: takes a number.
    unsafe { ExitProcess(code) }
}

/// Where a program begins; see [`crate::entry`].
pub fn start(main: fn(&[String]) -> u32) -> ! {
    exit(main(&arguments()))
}

/// The command line's words without the program's name.
pub fn arguments() -> Vec<String> {
    let mut n = 0;
    // SAFETY: the command line lives as long as the process; the list is read within its count, then freed as documented.
    unsafe {
        let list = CommandLineToArgvW(GetCommandLineW(), &raw mut n);
        if list.is_null() {
            return Vec::new();
        }
        let words = (1..usize::try_from(n).unwrap_or(0)).map(|i| text::from_ptr(*list.add(i))).collect();
        LocalFree(list.cast());
        words
    }
}
