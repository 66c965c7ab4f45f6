//! Which differences count.

use iced_x86::{Code, Decoder, DecoderOptions, Mnemonic};

use crate::generate::{Case, is_allowed};
use crate::guest::{KERNEL, KERNEL_LEN};
use crate::layout::{CODE, Memory, STACK};
use crate::maker::Maker;
use crate::snapshot::{ARITH, NT, Regs, Snapshot, Stop};

/// Bits of EFLAGS that a user program sees: the arithmetic ones, TF, IF, DF, IOPL, NT, RF, AC, ID.
const EFLAGS: u32 = ARITH | 0x0021_7700 | 1 << 18;
const GPR: [&str; 8] = ["EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI"];
const SEG: [&str; 6] = ["ES", "CS", "SS", "DS", "FS", "GS"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Agree,
    /// Only what is known to differ on processors of the host's maker differs: the rules that say so.
    Known(Vec<&'static str>),
    /// Nothing can be said, and why.
    Skip(&'static str),
    Differ(Vec<String>),
}

fn show_stop(s: &Stop) -> String {
    match s {
        Stop::Exit => "ran to the end".into(),
        Stop::Fault { vector, error, address } => {
            format!("vector {vector}, error code {error:#x}, address {address:#010x}")
        }
        Stop::Runaway => "did not end".into(),
        Stop::Broken => "broke the engine".into(),
    }
}

/// Arithmetic flags that are undefined where the case stopped.
fn undefined(case: &Case, eip: u32, stop: &Stop) -> u32 {
    if *stop == Stop::Exit {
        return if case.modifies_code { case.undefined_any } else { case.undefined_end };
    }
    let at = eip.wrapping_add(case.code_base);
    let addresses = case.addresses();
    match addresses.iter().position(|&a| a == at) {
        Some(n) if !case.modifies_code => {
            // A trap lies behind its instruction: what that one leaves undefined counts too.
            case.items.get(n).map_or(case.undefined_end, |i| i.undefined_before) | case.undefined_end
        }
        Some(_) => case.undefined_any,
        // It ran from the middle of an item: nobody knows what.
        None if !case.modifies_code => ARITH,
        None => case.undefined_any,
    }
}

fn page_fault_is_special(case: &Case, host: &Stop, guest: &Stop) -> Option<&'static str> {
    let kernel = |s: &Stop| matches!(s, Stop::Fault { vector: 14, address, .. } if address.wrapping_sub(KERNEL) < KERNEL_LEN);
    if kernel(host) || kernel(guest) {
        return Some("hit the guest's kernel");
    }
    if !case.pae && matches!(host, Stop::Fault { vector: 14, error, .. } if error & 0x11 == 0x11) {
        return Some("fetch from data without execute disable");
    }
    None
}

fn same_stop(case: &Case, host: &Stop, guest: &Stop, large: bool) -> bool {
    match (host, guest) {
        (
            Stop::Fault { vector: 14, error: e1, address: a1 },
            Stop::Fault { vector: 14, error: e2, address: a2 },
        ) => {
            // Which byte of a large or masked image is touched first is up to the processor.
            let a2 = if large { a1 } else { a2 };
            // I/D is reported only with execute disable on.
            let mask = if case.pae { 0x1f } else { 0x0f };
            e1 & mask == e2 & mask && a1 == a2
        }
        // Which of two faults a large image meets first depends on the pieces it is moved in.
        (Stop::Fault { vector: 12..=14 | 17, .. }, Stop::Fault { vector: 12..=14 | 17, .. }) if large => true,
        _ => host == guest,
    }
}

/// Distance of two 80-bit values in units of the last place; `None` if they are not comparable.
pub(crate) fn distance80(a: (u64, u16), b: (u64, u16)) -> Option<u64> {
    if a.1 & 0x8000 != b.1 & 0x8000 || a.1 & 0x7fff == 0x7fff {
        return (a == b).then_some(0);
    }
    let line = |(m, e): (u64, u16)| u128::from(e & 0x7fff) << 63 | u128::from(m & (u64::MAX >> 1));
    u64::try_from(line(a).abs_diff(line(b))).ok()
}

fn close_f32(a: u32, b: u32) -> bool {
    if a == b {
        return true;
    }
    let (x, y) = (f32::from_bits(a), f32::from_bits(b));
    if !x.is_finite() || !y.is_finite() || x == 0.0 || y == 0.0 {
        return false;
    }
    // 1.5 * 2^-12 either way from the true value.
    (f64::from(x) / f64::from(y) - 1.0).abs() <= 2.0 * 1.5 / 4096.0
}

fn compare_fx(maker: Maker, case: &Case, host: &Regs, guest: &Regs, out: &mut Vec<String>) {
    let (h, g) = (&host.fx, &guest.fx);
    let mut word = |name: &str, at: usize, mask: u16| {
        let (a, b) = (h.u16(at), g.u16(at));
        if (a ^ b) & mask != 0 {
            out.push(format!("{name}: host {a:04x}, ours {b:04x}"));
        }
    };
    word("FCW", 0, 0x1f3f);
    // Of a result that is not the same to the last bit: C1 tells how it was rounded, PE and UE may differ.
    word("FSW", 2, if case.x87_inexact { !0x0230 } else { 0xffff });
    if h.0[4] != g.0[4] {
        out.push(format!("tags: host {:02x}, ours {:02x}", h.0[4], g.0[4]));
    }
    for i in 0..8 {
        let (a, b) = (h.st(i), g.st(i));
        let same = a == b || (case.x87_inexact && distance80(a, b).is_some_and(|d| d <= 1));
        if !same {
            out.push(format!("ST{i}: host {:04x}:{:016x}, ours {:04x}:{:016x}", a.1, a.0, b.1, b.0));
        }
    }
    let (a, b) = (h.u32(8), g.u32(8));
    if a != b && maker.keeps_fip(h) {
        out.push(format!("FIP: host {a:08x}, ours {b:08x}"));
    }
    let (a, b) = (h.u32(24), g.u32(24));
    if a != b {
        out.push(format!("MXCSR: host {a:08x}, ours {b:08x}"));
    }
    for i in 0..8 {
        let (a, b) = (h.xmm(i), g.xmm(i));
        let close = || {
            let lane = |v: &[u8; 16], n: usize| {
                u32::from_le_bytes([v[4 * n], v[4 * n + 1], v[4 * n + 2], v[4 * n + 3]])
            };
            (0..4).all(|n| close_f32(lane(&a, n), lane(&b, n)))
        };
        if a != b && !(case.sse_inexact && close()) {
            let (a, b) = (u128::from_le_bytes(a), u128::from_le_bytes(b));
            out.push(format!("XMM{i}: host {a:032x}, ours {b:032x}"));
        }
    }
}

/// How much a faulting instruction may have done: the manuals leave it open, it restarts all the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Partial {
    Nothing,
    /// Some of the registers POPA loads.
    Registers,
    /// Some of the words it pushes.
    Stack,
    /// Some of the image it stores.
    Memory,
    /// Some of the x87 registers it loads.
    Float,
}

/// What stands at `eip` when the case has stopped; it may be in the middle of an item, or an item rewritten.
fn code_at(case: &Case, memory: &Memory, eip: u32) -> Option<Code> {
    let at = eip.wrapping_add(case.code_base).wrapping_sub(CODE) as usize;
    let bytes = memory.code.get(at..)?;
    Some(Decoder::new(case.bitness(), bytes, DecoderOptions::NONE).decode().code())
}

fn large_image(case: &Case, memory: &Memory, eip: u32) -> bool {
    use iced_x86::Mnemonic as M;
    code_at(case, memory, eip).is_some_and(|c| {
        matches!(
            c.mnemonic(),
            M::Fldenv
                | M::Frstor
                | M::Fnstenv
                | M::Fnsave
                | M::Fxsave
                | M::Fxrstor
                | M::Maskmovq
                | M::Maskmovdqu
        )
    })
}

fn partial(case: &Case, memory: &Memory, eip: u32, stop: &Stop) -> Partial {
    use iced_x86::Mnemonic as M;
    if *stop == Stop::Exit {
        return Partial::Nothing;
    }
    // Stopped between an image and the removal of what is not comparable of it.
    let at = eip.wrapping_add(case.code_base);
    let addresses = case.addresses();
    if let Some(n) = addresses.iter().rposition(|&a| a <= at)
        && case.items.get(n).is_some_and(|i| i.glued)
    {
        return Partial::Memory;
    }
    match code_at(case, memory, eip).map(|c| (c.mnemonic(), c)) {
        Some((M::Popa | M::Popad, _)) => Partial::Registers,
        Some((M::Pusha | M::Pushad | M::Enter, _)) => Partial::Stack,
        Some((M::Call, c)) if c.op_code().instruction_string().contains(':') => Partial::Stack,
        Some((M::Fnsave | M::Fnstenv | M::Fxsave | M::Fbstp, _)) => Partial::Memory,
        Some((M::Fldenv | M::Frstor, _)) => Partial::Float,
        Some((M::Fstp, Code::Fstp_m80fp)) => Partial::Memory,
        _ => Partial::Nothing,
    }
}

fn compare_memory(host: &Memory, guest: &Memory, partial: Partial, out: &mut Vec<String>) {
    for ((at, a), (_, b)) in host.pieces().into_iter().zip(guest.pieces()) {
        if partial == Partial::Memory || (partial == Partial::Stack && at == STACK) {
            continue;
        }
        if a == b {
            continue;
        }
        let mut shown = 0;
        let mut n = 0;
        while n < a.len() {
            if a[n] != b[n] {
                let end = (n + 16).min(a.len());
                if shown < 8 {
                    out.push(format!(
                        "[{:08x}]: host {}, ours {}",
                        at + n as u32,
                        hex(&a[n..end]),
                        hex(&b[n..end])
                    ));
                }
                shown += 1;
                n = end;
            } else {
                n += 1;
            }
        }
        if shown > 8 {
            out.push(format!("[{at:08x}...]: and {} more", shown - 8));
        }
    }
}

pub fn hex(b: &[u8]) -> String {
    b.iter().map(|v| format!("{v:02x}")).collect::<Vec<_>>().join(" ")
}

pub fn compare(
    maker: Maker,
    case: &Case,
    host: &Snapshot,
    guest: &Snapshot,
    host_memory: &Memory,
    guest_memory: &Memory,
) -> Verdict {
    if host.stop == Stop::Broken {
        return Verdict::Skip("left user mode on the host");
    }
    if host.stop == Stop::Runaway && guest.stop == Stop::Runaway {
        return Verdict::Skip("does not end");
    }
    // Linux slows down locked accesses across a cache line until the watchdog bites.
    if host.stop == Stop::Runaway && host.regs.eip == guest.regs.eip {
        return Verdict::Skip("held up by the host's kernel");
    }
    if let Some(why) = page_fault_is_special(case, &host.stop, &guest.stop) {
        return Verdict::Skip(why);
    }
    // "Exception and trap behaviour with no byte selected is implementation-specific" (SDM vol. 2).
    let mask = code_at(case, host_memory, host.regs.eip).map(Code::mnemonic);
    if matches!(mask, Some(Mnemonic::Maskmovq | Mnemonic::Maskmovdqu))
        && (host.stop != guest.stop || host.regs.eip != guest.regs.eip)
    {
        return Verdict::Skip("masked store of nothing");
    }
    // How much of an instruction that is none gets fetched.
    let none = matches!(
        code_at(case, guest_memory, guest.regs.eip),
        Some(Code::INVALID | Code::Ud0 | Code::Ud0_r16_rm16 | Code::Ud0_r32_rm32)
    );
    if none
        && matches!(guest.stop, Stop::Fault { vector: 6, .. })
        && matches!(host.stop, Stop::Fault { vector: 14, error, .. } if error & 0x10 != 0)
    {
        return Verdict::Skip("fetch of an undefined instruction");
    }
    // A jump into the middle of an item can find an instruction of later processors (FISTTP): #UD is right.
    let later =
        code_at(case, guest_memory, guest.regs.eip).is_some_and(|c| c != Code::INVALID && !is_allowed(c));
    if later && matches!(guest.stop, Stop::Fault { vector: 6, .. }) {
        return Verdict::Skip("instruction of a later processor");
    }
    // A 64-bit processor has no task switches: IRET with NT set is #GP there.
    if case.iret && (host.regs.eflags | guest.regs.eflags) & NT != 0 {
        return Verdict::Skip("IRET with NT set");
    }
    let mut out = Vec::new();
    if !same_stop(case, &host.stop, &guest.stop, large_image(case, host_memory, host.regs.eip)) {
        out.push(format!("end: host {}; ours {}", show_stop(&host.stop), show_stop(&guest.stop)));
    }
    let (h, g) = (&host.regs, &guest.regs);
    if h.eip != g.eip {
        out.push(format!("EIP: host {:08x}, ours {:08x}", h.eip, g.eip));
    }
    let partial = partial(case, host_memory, h.eip, &host.stop);
    for (name, (a, b)) in GPR.into_iter().zip(h.gpr.into_iter().zip(g.gpr)) {
        if a != b && partial != Partial::Registers {
            out.push(format!("{name}: host {a:08x}, ours {b:08x}"));
        }
    }
    let mask = EFLAGS & !undefined(case, h.eip, &host.stop);
    if (h.eflags ^ g.eflags) & mask != 0 {
        out.push(format!(
            "EFLAGS: host {:08x}, ours {:08x}, differ {:08x} (undefined {:08x})",
            h.eflags,
            g.eflags,
            (h.eflags ^ g.eflags) & mask,
            EFLAGS & !mask
        ));
    }
    for (name, (a, b)) in SEG.into_iter().zip(h.seg.into_iter().zip(g.seg)) {
        // The host's kernel turns the null selectors 1 to 3 into 0 on its way back (IRET to an outer ring).
        if a != b && !(a == 0 && b < 4) {
            out.push(format!("{name}: host {a:04x}, ours {b:04x}"));
        }
    }
    if partial != Partial::Float {
        compare_fx(maker, case, h, g, &mut out);
    }
    compare_memory(host_memory, guest_memory, partial, &mut out);
    if out.is_empty() { Verdict::Agree } else { Verdict::Differ(out) }
}
