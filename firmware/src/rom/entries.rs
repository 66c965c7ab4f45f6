//! Entry points of the system BIOS: the addresses that programs since the IBM PC rely on, and the few services
//! that are plain code because they are called all the time.

use iced_x86::IcedError;
use iced_x86::code_asm::*;

use crate::rom::asm::Block;
use crate::rom::kernel::Kernel;
use crate::rom::{DATE, SYSTEM_SEG, put};
use crate::services::svc;

pub const IRET: u16 = 0xff53;

/// Interrupt vectors as POST sets them. Numbers not listed go to [`IRET`], or to nothing (60h-66h).
pub const VECTORS: &[(u8, u16)] = &[
    (0x02, 0xe2c3),
    (0x05, 0xff54),
    (0x08, 0xfea5),
    (0x09, 0xe987),
    (0x0e, 0xef57),
    (0x11, 0xf84d),
    (0x12, 0xf841),
    (0x13, 0xe3fe),
    (0x14, 0xe739),
    (0x15, 0xf859),
    (0x16, 0xe82e),
    (0x17, 0xefd2),
    (0x18, INT18),
    (0x19, 0xe6f2),
    (0x1a, 0xfe6e),
    (0x1e, 0xefc7),
    (0x40, 0xec59),
    (0x70, INT70),
    (0x74, INT74),
    (0x75, INT75),
    (0x76, INT76),
];

/// IRQ vectors that nothing else serves.
pub const STRAY_MASTER: u16 = 0x5000;
pub const STRAY_SLAVE: u16 = 0x5010;
pub const INT18: u16 = 0x5020;
pub const INT70: u16 = 0x5030;
pub const INT74: u16 = 0x5040;
const INT19: u16 = 0x5050;
pub const INT75: u16 = 0x50b0;
pub const INT76: u16 = 0x50d0;
/// Far entries: they make an interrupt frame of the far call first.
pub const PNP_REAL: u16 = 0x5080;
pub const APM_REAL: u16 = 0x50a0;
const POST: u16 = 0x5100;
const TICK: u16 = 0x5200;
const CLOCK: u16 = 0x5280;
const KEYS: u16 = 0x5300;
const CACHES: u16 = 0x5900;

/// Pushes the service number and goes to the kernel.
pub fn trap(at: u16, service: u16, enter: u16) -> [u8; 6] {
    let s = service.to_le_bytes();
    let rel = enter.wrapping_sub(at + 6).to_le_bytes();
    [0x68, s[0], s[1], 0xe9, rel[0], rel[1]]
}

/// PUSHF, PUSH CS, CALL over the RETF: a far call becomes an interrupt frame, flags come back with it.
pub fn far_trap(at: u16, service: u16, enter: u16) -> Vec<u8> {
    // pushf; push cs; call +1; retf; trap
    let mut v = vec![0x9c, 0x0e, 0xe8, 0x01, 0x00, 0xcb];
    v.extend(trap(at + 6, service, enter));
    v
}

pub fn fill(rom: &mut [u8], k: &Kernel) -> Result<(), IcedError> {
    let services = [
        (0xe2c3, svc::NMI),
        (0xff54, 0x05),
        (0xe987, 0x09),
        (0xe3fe, 0x13),
        (0xe739, 0x14),
        (0xf859, 0x15),
        (0xefd2, 0x17),
        (INT19, 0x19),
        (0xec59, 0x40),
        (INT18, 0x18),
        (INT70, 0x70),
        (INT74, 0x74),
        (STRAY_MASTER, svc::STRAY_MASTER),
        (STRAY_SLAVE, svc::STRAY_SLAVE),
    ];
    for (at, service) in services {
        put(rom, at, &trap(at, service, k.enter));
    }
    put(rom, 0xf065, &trap(0xf065, 0x10, k.enter_plain));
    put(rom, PNP_REAL, &far_trap(PNP_REAL, svc::PNP, k.enter));
    put(rom, APM_REAL, &far_trap(APM_REAL, svc::APM, k.enter));

    code(rom, 0xff53, |a| a.iret())?;
    code(rom, 0xf841, |a| bda_word(a, 0x413))?;
    code(rom, 0xf84d, |a| bda_word(a, 0x410))?;
    jump(rom, 0xfea5, TICK)?;
    jump(rom, 0xfe6e, CLOCK)?;
    jump(rom, 0xe82e, KEYS)?;
    jump(rom, 0xe05b, POST)?;
    // The configuration table begins three bytes on.
    jump(rom, 0xe6f2, INT19)?;
    code(rom, TICK, tick)?;
    code(rom, CLOCK, |a| clock(a, k.enter))?;
    code(rom, KEYS, |a| keys(a, k.enter))?;
    code(rom, POST, |a| post(a, k.enter))?;
    code(rom, CACHES, caches)?;
    code(rom, 0xef57, |a| irq_flag(a, 0x43e, 0x80, false))?;
    code(rom, INT76, |a| irq_flag(a, 0x48e, 0xff, true))?;
    code(rom, INT75, coprocessor)?;

    // FFFF0: far jump to the entry of POST; date; model FCh.
    let seg = SYSTEM_SEG.to_le_bytes();
    put(rom, 0xfff0, &[0xea, 0x5b, 0xe0, seg[0], seg[1]]);
    put(rom, 0xfff5, DATE.as_bytes());
    rom[0xfffe] = 0xfc;
    Ok(())
}

fn code(
    rom: &mut [u8],
    at: u16,
    f: impl FnOnce(&mut CodeAssembler) -> Result<(), IcedError>,
) -> Result<(), IcedError> {
    let mut a = CodeAssembler::new(16)?;
    f(&mut a)?;
    put(rom, at, &Block::assemble(&mut a, at)?.code);
    Ok(())
}

fn jump(rom: &mut [u8], at: u16, to: u16) -> Result<(), IcedError> {
    code(rom, at, |a| a.jmp(u64::from(to)))
}

/// INT 11h and 12h: AX from the BIOS data area.
fn bda_word(a: &mut CodeAssembler, at: u16) -> Result<(), IcedError> {
    a.push(ds)?;
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    a.mov(ax, word_ptr(u32::from(at)))?;
    a.pop(ds)?;
    a.iret()
}

/// INT 08h: the tick, motor timeout, INT 1Ch.
fn tick(a: &mut CodeAssembler) -> Result<(), IcedError> {
    let mut day = a.create_label();
    let mut motor_done = a.create_label();
    a.push(ds)?;
    a.push(eax)?;
    a.push(dx)?;
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    a.mov(eax, dword_ptr(0x46c))?;
    a.inc(eax)?;
    a.cmp(eax, 0x1800b0)?;
    a.jb(day)?;
    a.xor(eax, eax)?;
    a.inc(byte_ptr(0x470))?;
    a.set_label(&mut day)?;
    a.mov(dword_ptr(0x46c), eax)?;
    // The motor of the diskette drive runs on for as many ticks as 40:40 says.
    a.cmp(byte_ptr(0x440), 0)?;
    a.je(motor_done)?;
    a.dec(byte_ptr(0x440))?;
    a.jne(motor_done)?;
    a.and(byte_ptr(0x43f), 0xf0)?;
    a.mov(al, 0x0c)?;
    a.mov(dx, 0x3f2)?;
    a.out(dx, al)?;
    a.set_label(&mut motor_done)?;
    a.int(0x1c)?;
    a.cli()?;
    a.mov(al, 0x20)?;
    a.out(0x20, al)?;
    a.pop(dx)?;
    a.pop(eax)?;
    a.pop(ds)?;
    a.iret()
}

/// INT 1Ah: AH = 0 here, the rest in the service.
fn clock(a: &mut CodeAssembler, enter: u16) -> Result<(), IcedError> {
    let mut ticks = a.create_label();
    a.test(ah, ah)?;
    a.je(ticks)?;
    a.push(0x1a)?;
    a.jmp(u64::from(enter))?;
    a.set_label(&mut ticks)?;
    a.push(ds)?;
    a.xor(cx, cx)?;
    a.mov(ds, cx)?;
    a.mov(dx, word_ptr(0x46c))?;
    a.mov(cx, word_ptr(0x46e))?;
    a.mov(al, byte_ptr(0x470))?;
    a.mov(byte_ptr(0x470), 0)?;
    a.pop(ds)?;
    clear_carry_and_return(a)
}

/// IRET with CF clear, everything else as the caller had it.
fn clear_carry_and_return(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.push(bp)?;
    a.mov(bp, sp)?;
    a.and(byte_ptr(bp + 6), 0xfeu32)?;
    a.pop(bp)?;
    a.iret()
}

/// INT 16h: AH = 1 and 11h on an empty buffer here (programs spin on it), the rest in the service.
fn keys(a: &mut CodeAssembler, enter: u16) -> Result<(), IcedError> {
    let mut service = a.create_label();
    a.push(ds)?;
    a.push(ax)?;
    a.and(ah, 0xefu32)?;
    a.dec(ah)?;
    a.jne(service)?;
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    a.mov(ax, word_ptr(0x41a))?;
    a.cmp(ax, word_ptr(0x41c))?;
    a.jne(service)?;
    a.pop(ax)?;
    a.pop(ds)?;
    a.sti()?;
    a.push(bp)?;
    a.mov(bp, sp)?;
    a.or(byte_ptr(bp + 6), 0x40u32)?; // ZF
    a.pop(bp)?;
    a.iret()?;
    a.set_label(&mut service)?;
    a.pop(ax)?;
    a.pop(ds)?;
    a.push(0x16)?;
    a.jmp(u64::from(enter))
}

/// The processor starts here after reset. CMOS 0Fh says whether a program wanted it so.
fn post(a: &mut CodeAssembler, enter: u16) -> Result<(), IcedError> {
    let mut not5 = a.create_label();
    let mut not_a = a.create_label();
    let mut via_467 = a.create_label();
    let mut cold = a.create_label();
    a.cli()?;
    a.cld()?;
    a.mov(al, 0x8f)?;
    a.out(0x70, al)?;
    a.in_(al, 0x71)?;
    a.mov(bl, al)?;
    a.mov(al, 0x8f)?;
    a.out(0x70, al)?;
    a.mov(al, 0)?;
    a.out(0x71, al)?;
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    // 05h: end the interrupt, then jump through 40:67; 0Ah: jump; 09h: return from a block move by IRET there.
    a.cmp(bl, 0x05)?;
    a.jne(not5)?;
    a.mov(al, 0x20)?;
    a.out(0xa0, al)?;
    a.out(0x20, al)?;
    a.jmp(via_467)?;
    a.set_label(&mut not5)?;
    a.cmp(bl, 0x0a)?;
    a.jne(not_a)?;
    a.set_label(&mut via_467)?;
    a.jmp(dword_ptr(0x467))?;
    a.set_label(&mut not_a)?;
    a.cmp(bl, 0x09)?;
    a.jne(cold)?;
    a.lss(sp, dword_ptr(0x467))?;
    a.pop(ds)?;
    a.pop(es)?;
    a.popa()?;
    a.iret()?;
    a.set_label(&mut cold)?;
    a.mov(ss, ax)?;
    a.mov(sp, 0x7000)?;
    a.call(u64::from(CACHES))?;
    a.push(0)?;
    a.push(0)?;
    a.push(0)?;
    a.push(u32::from(svc::POST))?;
    a.jmp(u64::from(enter))
}

/// Memory types (SDM volume 3, 12.11): write-back, but uncached where the PCI window and the VGA are, write-protected
/// where the ROMs are shadowed. Systems take these for the truth about the board.
fn caches(a: &mut CodeAssembler) -> Result<(), IcedError> {
    const PCI_WINDOW: [(u32, u32); 2] = [(0xe800_0000, 0xf800_0000), (0xf000_0000, 0xf000_0000)];
    let mut skip = a.create_label();
    a.mov(eax, 1)?;
    a.cpuid()?;
    a.test(edx, 1 << 12)?;
    a.je(skip)?;
    let mut set = |msr: u32, high: u32, low: u32| -> Result<(), IcedError> {
        a.mov(ecx, msr)?;
        a.mov(edx, high)?;
        a.mov(eax, low)?;
        a.wrmsr()
    };
    for msr in [0x250, 0x258] {
        set(msr, 0x0606_0606, 0x0606_0606)?;
    }
    set(0x259, 0, 0)?;
    for msr in 0x268..=0x26f {
        set(msr, 0x0505_0505, 0x0505_0505)?;
    }
    for (n, (base, mask)) in PCI_WINDOW.into_iter().enumerate() {
        let n = 2 * n as u32;
        set(0x200 + n, 0, base)?;
        set(0x201 + n, 0x0f, mask | 0x800)?;
    }
    set(0x2ff, 0, 0xc06)?;
    a.set_label(&mut skip)?;
    a.ret()
}

/// INT 0Eh and 76h: note that the controller interrupted.
fn irq_flag(a: &mut CodeAssembler, at: u16, bits: u32, slave: bool) -> Result<(), IcedError> {
    a.push(ds)?;
    a.push(ax)?;
    a.xor(ax, ax)?;
    a.mov(ds, ax)?;
    a.or(byte_ptr(u32::from(at)), bits)?;
    a.mov(al, 0x20)?;
    if slave {
        a.out(0xa0, al)?;
    }
    a.out(0x20, al)?;
    a.pop(ax)?;
    a.pop(ds)?;
    a.iret()
}

/// INT 75h: the coprocessor's interrupt becomes INT 02h, as on the IBM AT.
fn coprocessor(a: &mut CodeAssembler) -> Result<(), IcedError> {
    a.push(ax)?;
    a.xor(al, al)?;
    a.out(0xf0, al)?;
    a.mov(al, 0x20)?;
    a.out(0xa0, al)?;
    a.out(0x20, al)?;
    a.pop(ax)?;
    a.int(0x02)?;
    a.iret()
}
