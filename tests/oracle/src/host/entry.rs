//! The way into 32-bit code and back.
//!
//! 64-bit code loads every register from [`FRAME`] and jumps far through a 32-bit code selector; the sequence
//! ends with a far jump to the 64-bit selector, or in a signal whose handler sends the thread to the same exit.

use std::arch::global_asm;
use std::cell::UnsafeCell;

use crate::snapshot::Fx;

/// Everything that goes in and comes out; the assembly knows the offsets.
#[repr(C, align(64))]
pub(super) struct Frame {
    pub(super) fx_in: Fx,         // 0
    pub(super) fx_out: Fx,        // 512
    pub(super) gpr_in: [u32; 8],  // 1024
    pub(super) gpr_out: [u32; 8], // 1056
    pub(super) flags_in: u64,     // 1088
    pub(super) flags_out: u64,    // 1096
    pub(super) eip: u32,          // 1104: the far pointer
    pub(super) cs: u32,           // 1108
    pub(super) seg_in: [u32; 6],  // 1112: ES - SS DS FS GS
    pub(super) seg_out: [u32; 6], // 1136
    host_rsp: u64,                // 1160
    host_fs_base: u64,            // 1168
    mxcsr_default: u32,           // 1176
    pub(super) inside: u32,       // 1180: 1 while 32-bit code may run
    pub(super) trap: Trap,        // 1184
    pub(super) entering: u32,     // 1220: one of `RUN`, `STEP`, `STEP_SLOWLY`
}

/// What the signal handler saw.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Trap {
    pub(super) taken: u32,
    pub(super) vector: u32,
    pub(super) error: u32,
    pub(super) address: u32,
    pub(super) eip: u32,
    pub(super) eflags: u32,
    pub(super) cs: u32,
    pub(super) ss: u32,
    pub(super) ticks: u32,
}

/// How to go in: by a far jump with the flags loaded; or for one instruction, with TF set, by IRET, which does not
/// trap itself. To a 16-bit stack IRET would not load all of ESP: there the far jump has TF set, and the traps
/// on the way in are passed over.
pub(super) const RUN: u32 = 0;
pub(super) const STEP: u32 = 1;
pub(super) const STEP_SLOWLY: u32 = 2;

impl Trap {
    pub(super) const NONE: Self =
        Self { taken: 0, vector: 0, error: 0, address: 0, eip: 0, eflags: 0, cs: 0, ss: 0, ticks: 0 };
}

pub(super) struct FrameCell(UnsafeCell<Frame>);

// SAFETY: one thread at a time uses the frame: `Host` holds the process-wide lock for as long as it lives. The
// signal handler that also writes it runs on that thread, while the thread is inside `heirloom_oracle_enter`.
unsafe impl Sync for FrameCell {}

impl FrameCell {
    pub(super) fn get(&self) -> *mut Frame {
        self.0.get()
    }
}

#[unsafe(no_mangle)]
pub(super) static HEIRLOOM_ORACLE_FRAME: FrameCell = FrameCell(UnsafeCell::new(Frame {
    fx_in: Fx([0; 512]),
    fx_out: Fx([0; 512]),
    gpr_in: [0; 8],
    gpr_out: [0; 8],
    flags_in: 0,
    flags_out: 0,
    eip: 0,
    cs: 0,
    seg_in: [0; 6],
    seg_out: [0; 6],
    host_rsp: 0,
    host_fs_base: 0,
    mxcsr_default: 0x1f80,
    inside: 0,
    trap: Trap::NONE,
    entering: RUN,
}));

const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(Frame, gpr_in) == 1024 && offset_of!(Frame, gpr_out) == 1056);
    assert!(offset_of!(Frame, flags_in) == 1088 && offset_of!(Frame, eip) == 1104);
    assert!(offset_of!(Frame, seg_in) == 1112 && offset_of!(Frame, seg_out) == 1136);
    assert!(offset_of!(Frame, host_rsp) == 1160 && offset_of!(Frame, mxcsr_default) == 1176);
    assert!(offset_of!(Frame, inside) == 1180 && offset_of!(Frame, entering) == 1220);
};

unsafe extern "C" {
    /// Runs what the frame describes; returns when it ended.
    ///
    /// The caller owns the frame, has put code at the far pointer, and has the signal handlers in place.
    pub(super) fn heirloom_oracle_enter();
    /// Where the 32-bit code comes out. Never called from Rust; its address goes into the exit page and into
    /// the context of a signal.
    pub(super) fn heirloom_oracle_leave();
}

global_asm!(
    ".text",
    ".balign 16",
    ".global heirloom_oracle_enter",
    "heirloom_oracle_enter:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "lea r8, [rip + {f}]",
    "mov [r8 + 1160], rsp",
    "rdfsbase rax",
    "mov [r8 + 1168], rax",
    "fxrstor [r8]",
    "mov dword ptr [r8 + 1180], 1",
    "mov eax, [r8 + 1112]",
    "mov es, eax",
    "mov eax, [r8 + 1124]",
    "mov ds, eax",
    "mov eax, [r8 + 1128]",
    "mov fs, eax",
    "mov eax, [r8 + 1132]",
    "mov gs, eax",
    "cmp dword ptr [r8 + 1220], 1",
    "je 2f",
    "push qword ptr [r8 + 1088]",
    "mov eax, [r8 + 1120]",
    "mov ss, eax",
    "popfq",
    "mov eax, [r8 + 1024]",
    "mov ecx, [r8 + 1028]",
    "mov edx, [r8 + 1032]",
    "mov ebx, [r8 + 1036]",
    "mov esp, [r8 + 1040]",
    "mov ebp, [r8 + 1044]",
    "mov esi, [r8 + 1048]",
    "mov edi, [r8 + 1052]",
    "jmp fword ptr [r8 + 1104]",
    "2: mov eax, [r8 + 1120]",
    "push rax",
    "mov eax, [r8 + 1040]",
    "push rax",
    "push qword ptr [r8 + 1088]",
    "mov eax, [r8 + 1108]",
    "push rax",
    "mov eax, [r8 + 1104]",
    "push rax",
    "mov eax, [r8 + 1024]",
    "mov ecx, [r8 + 1028]",
    "mov edx, [r8 + 1032]",
    "mov ebx, [r8 + 1036]",
    "mov ebp, [r8 + 1044]",
    "mov esi, [r8 + 1048]",
    "mov edi, [r8 + 1052]",
    "iretq",
    ".balign 16",
    ".global heirloom_oracle_leave",
    "heirloom_oracle_leave:",
    "lea r8, [rip + {f}]",
    "mov [r8 + 1056], eax",
    "mov [r8 + 1060], ecx",
    "mov [r8 + 1064], edx",
    "mov [r8 + 1068], ebx",
    "mov [r8 + 1072], esp",
    "mov [r8 + 1076], ebp",
    "mov [r8 + 1080], esi",
    "mov [r8 + 1084], edi",
    "mov rsp, [r8 + 1160]",
    "pushfq",
    "pop qword ptr [r8 + 1096]",
    "push 2",
    "popfq",
    "xor eax, eax",
    "mov ax, es",
    "mov [r8 + 1136], eax",
    "mov ax, ss",
    "mov [r8 + 1144], eax",
    "mov ax, ds",
    "mov [r8 + 1148], eax",
    "mov ax, fs",
    "mov [r8 + 1152], eax",
    "mov ax, gs",
    "mov [r8 + 1156], eax",
    "fxsave [r8 + 512]",
    "fninit",
    "ldmxcsr [r8 + 1176]",
    "xor eax, eax",
    "mov ds, eax",
    "mov es, eax",
    "mov gs, eax",
    "mov fs, eax",
    "mov eax, 0x2b",
    "mov ss, eax",
    "mov rax, [r8 + 1168]",
    "wrfsbase rax",
    "mov dword ptr [r8 + 1180], 0",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    f = sym HEIRLOOM_ORACLE_FRAME,
);
