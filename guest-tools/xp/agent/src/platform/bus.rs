//! The integration channel's PCI function, through its driver (../driver/heirbus.h has the same numbers).
#![allow(unsafe_code, reason = "registers and window are mapped memory")]

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::mem::{size_of, zeroed};
use core::ptr::{null, null_mut};
use core::sync::atomic::{Ordering, fence};

use windows_sys::Win32::Devices::DeviceAndDriverInstallation::{
    DIGCF_DEVICEINTERFACE, DIGCF_PRESENT, SP_DEVICE_INTERFACE_DATA, SP_DEVICE_INTERFACE_DETAIL_DATA_W,
    SetupDiDestroyDeviceInfoList, SetupDiEnumDeviceInterfaces, SetupDiGetClassDevsW,
    SetupDiGetDeviceInterfaceDetailW,
};
use windows_sys::Win32::Foundation::{ERROR_IO_PENDING, GENERIC_READ, GENERIC_WRITE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Storage::FileSystem::{CreateFileW, FILE_FLAG_OVERLAPPED, OPEN_EXISTING};
use windows_sys::Win32::System::IO::{DeviceIoControl, GetOverlappedResult, OVERLAPPED};
use windows_sys::core::GUID;
use xp_base::handle::{Event, Handle};
use xp_base::{Error, Result, text};

use super::overlapped::{Ended, Operation};

const INTERFACE: GUID = GUID::from_u128(0xc0b1f0a6_6f0b_4f64_9d5c_28d4a3f1be10);
const MAP: u32 = 0x8484_e000;
const WAIT: u32 = 0x8484_e004;
const LEND: u32 = 0x8484_e00a;
const PAGES: u32 = 0x8484_e00c;
const RETURN: u32 = 0x8484_e010;

const VERSION: u32 = 0x1_0000;
const LEND_MOST: usize = 1024 * 1024;
const STOPPED: u32 = 1;
const PAGE: usize = 4096;

/// What an interrupt said: a bit for each channel, and whether the machine slept (the bus must be started anew).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interrupt {
    pub pending: u64,
    pub stopped: bool,
}

/// The function, opened: this process is the only one.
pub struct Bus {
    waiting: Operation,
    lent: Vec<(u32, Operation)>,
    next: u32,
    registers: *mut u32,
    registers_bytes: u32,
    window: *mut u8,
    window_bytes: u32,
    device: Handle,
}

/// Where lent memory lies in the guest's physical memory: address and bytes of each piece.
pub type Pieces = Vec<(u32, u32)>;

impl Bus {
    /// None: the function, or its driver, is not there.
    pub fn open() -> Result<Option<Self>> {
        let Some(path) = find() else { return Ok(None) };
        let path = text::wide(&path);
        // SAFETY: the path ends with a zero; null security; not shared.
        let h = unsafe {
            CreateFileW(
                path.as_ptr(),
                GENERIC_READ | GENERIC_WRITE,
                0,
                null(),
                OPEN_EXISTING,
                FILE_FLAG_OVERLAPPED,
                null_mut(),
            )
        };
        let device = Handle::take(h, "cannot open the bus driver")?;
        let mut map = [0_u8; 32];
        let n = ask(&device, MAP, &[], &mut map)?;
        let word = |at: usize| map.get(at..at + 4).and_then(|b| Some(u32::from_le_bytes(b.try_into().ok()?)));
        // Addresses are of this process: their upper halves are zero.
        let (Some(version), Some(registers_bytes), Some(registers), Some(window), Some(window_bytes)) =
            (word(0), word(4), word(8), word(16), word(24))
        else {
            return Err(Error::plain("the bus driver's answer is too short"));
        };
        if n < 28 || version >> 16 != VERSION >> 16 || registers == 0 || window == 0 {
            return Err(Error::plain(alloc::format!(
                "the bus driver is of version {}.{}; install the one that came with this agent",
                version >> 16,
                version & 0xffff
            )));
        }
        let mut b = Self {
            waiting: Operation::new(12)?,
            lent: Vec::new(),
            next: 1,
            registers: registers as *mut u32,
            registers_bytes,
            window: window as *mut u8,
            window_bytes,
            device,
        };
        b.waiting.ask(&b.device, WAIT)?;
        Ok(Some(b))
    }

    /// A register; ones where there is none.
    pub fn register(&self, at: u32) -> u32 {
        if at % 4 != 0 || at >= self.registers_bytes {
            return u32::MAX;
        }
        // SAFETY: mapped as long as the device is open, aligned, within.
        unsafe { self.registers.add(at as usize / 4).read_volatile() }
    }

    pub fn set_register(&self, at: u32, v: u32) {
        if at.is_multiple_of(4) && at < self.registers_bytes {
            // SAFETY: as above.
            unsafe { self.registers.add(at as usize / 4).write_volatile(v) };
        }
    }

    /// Bytes of the window.
    pub fn window(&self) -> u32 {
        self.window_bytes
    }

    /// Signalled when `interrupt` has something.
    pub fn event(&self) -> &Handle {
        self.waiting.event()
    }

    pub fn interrupt(&mut self) -> Result<Option<Interrupt>> {
        let Ended::With(n) = self.waiting.ended()? else { return Ok(None) };
        let mut words = self
            .waiting
            .bytes(n)
            .chunks_exact(4)
            .map(|c| c.iter().rev().fold(0, |v, b| v << 8 | u32::from(*b)));
        let mut word = || words.next().unwrap_or(0);
        let (low, high, what) = (word(), word(), word());
        self.waiting.ask(&self.device, WAIT)?;
        Ok(Some(Interrupt { pending: u64::from(high) << 32 | u64::from(low), stopped: what & STOPPED != 0 }))
    }

    /// Lends a copy of `bytes` to the host: its number, and where it lies. `give_back` when the host has done with it.
    pub fn lend(&mut self, bytes: &[u8]) -> Result<(u32, Pieces)> {
        if bytes.is_empty() || bytes.len() > LEND_MOST {
            return Err(Error::plain("between 1 byte and 1 MiB can be lent to the host"));
        }
        let id = self.next;
        self.next = self.next.wrapping_add(1).max(1);
        let mut held = Operation::holding(bytes)?;
        held.lend(&self.device, LEND, &id.to_le_bytes())?;
        let mut answer = vec![0_u8; 12 + 4 * (bytes.len() / PAGE + 2)];
        let pages = ask(&self.device, PAGES, &id.to_le_bytes(), &mut answer);
        self.lent.push((id, held));
        match pages.and_then(|n| {
            pieces(answer.get(..n).unwrap_or_default())
                .ok_or_else(|| Error::plain("the bus driver tells no pages"))
        }) {
            Ok(p) => Ok((id, p)),
            Err(e) => {
                self.give_back(id);
                Err(e)
            }
        }
    }

    /// The host knows it no more.
    pub fn give_back(&mut self, id: u32) {
        if let Some(at) = self.lent.iter().position(|(n, _)| *n == id) {
            // If the driver does not find it, dropping the operation cancels it.
            let _ = ask(&self.device, RETURN, &id.to_le_bytes(), &mut []);
            self.lent.swap_remove(at);
        }
    }

    fn at(&self, at: u32, bytes: usize) -> Option<*mut u8> {
        let end = (at as usize).checked_add(bytes)?;
        // SAFETY: within the window.
        (end <= self.window_bytes as usize).then(|| unsafe { self.window.add(at as usize) })
    }

    /// A 16-bit number of the window, at a multiple of 2; zero outside.
    pub fn load16(&self, at: u32) -> u16 {
        // SAFETY: mapped, within, aligned (the window begins at a page).
        self.at(at & !1, 2).map_or(0, |p| unsafe { p.cast::<u16>().read_volatile() })
    }

    pub fn load32(&self, at: u32) -> u32 {
        // SAFETY: as above.
        self.at(at & !3, 4).map_or(0, |p| unsafe { p.cast::<u32>().read_volatile() })
    }

    pub fn store16(&self, at: u32, v: u16) {
        if let Some(p) = self.at(at & !1, 2) {
            // SAFETY: as above.
            unsafe { p.cast::<u16>().write_volatile(v) };
        }
    }

    pub fn store32(&self, at: u32, v: u32) {
        if let Some(p) = self.at(at & !3, 4) {
            // SAFETY: as above.
            unsafe { p.cast::<u32>().write_volatile(v) };
        }
    }

    /// Copies into the window; what does not fit is left out as a whole.
    pub fn copy_in(&self, at: u32, bytes: &[u8]) {
        if let Some(p) = self.at(at, bytes.len()) {
            // SAFETY: within; the window is no memory of Rust's, so they don't overlap.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), p, bytes.len()) };
        }
    }

    pub fn copy_out(&self, at: u32, bytes: &mut [u8]) {
        if let Some(p) = self.at(at, bytes.len()) {
            // SAFETY: as above. The host may write meanwhile: any byte is a valid one, and who called checks what it got.
            unsafe { core::ptr::copy_nonoverlapping(p, bytes.as_mut_ptr(), bytes.len()) };
        }
    }

    pub fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

/// Pages that follow each other are one piece.
fn pieces(answer: &[u8]) -> Option<Pieces> {
    let word = |i: usize| Some(u32::from_le_bytes(answer.get(4 * i..4 * i + 4)?.try_into().ok()?));
    let (mut left, mut offset, count) = (word(0)?, word(1)?, word(2)?);
    let mut all: Pieces = Vec::new();
    for i in 0..count as usize {
        let n = left.min((PAGE as u32).checked_sub(offset)?);
        let at = word(3 + i)?.checked_add(offset)?;
        match all.last_mut() {
            Some((a, b)) if a.checked_add(*b) == Some(at) => *b += n,
            _ => all.push((at, n)),
        }
        left -= n;
        offset = 0;
    }
    (left == 0).then_some(all)
}

/// One request, waited for.
fn ask(device: &Handle, code: u32, input: &[u8], output: &mut [u8]) -> Result<usize> {
    let done = Event::new()?;
    // SAFETY: numbers and a handle.
    let mut state: OVERLAPPED = unsafe { zeroed() };
    state.hEvent = done.handle().raw();
    let mut n = 0;
    let refused = || Error::last("the bus driver refuses a request");
    // SAFETY: all lives until the request has ended: it failed at once, or is waited for.
    unsafe {
        let ok = DeviceIoControl(
            device.raw(),
            code,
            input.as_ptr().cast(),
            input.len() as u32,
            output.as_mut_ptr().cast(),
            output.len() as u32,
            null_mut(),
            &raw mut state,
        );
        let e = refused();
        if ok == 0 && e.code != ERROR_IO_PENDING {
            return Err(e);
        }
        if GetOverlappedResult(device.raw(), &raw const state, &raw mut n, 1) == 0 {
            return Err(refused());
        }
    }
    Ok(n as usize)
}

/// The path of the first function that is there.
fn find() -> Option<String> {
    // SAFETY: no enumerator, no window.
    let set = unsafe {
        SetupDiGetClassDevsW(&INTERFACE, null(), null_mut(), DIGCF_PRESENT | DIGCF_DEVICEINTERFACE)
    };
    if set == INVALID_HANDLE_VALUE as isize {
        return None;
    }
    // SAFETY: the structures state their sizes; the set is destroyed once.
    unsafe {
        let mut data: SP_DEVICE_INTERFACE_DATA = zeroed();
        data.cbSize = size_of::<SP_DEVICE_INTERFACE_DATA>() as u32;
        let mut path = None;
        if SetupDiEnumDeviceInterfaces(set, null(), &INTERFACE, 0, &raw mut data) != 0 {
            // The header is four bytes of size, then the path; as 32-bit numbers it is aligned.
            let mut room = [0_u32; 512];
            let detail = room.as_mut_ptr().cast::<SP_DEVICE_INTERFACE_DETAIL_DATA_W>();
            (*detail).cbSize = size_of::<SP_DEVICE_INTERFACE_DETAIL_DATA_W>() as u32;
            let n = size_of_val(&room) as u32;
            if SetupDiGetDeviceInterfaceDetailW(set, &raw const data, detail, n, null_mut(), null_mut()) != 0
            {
                path = Some(text::from_ptr((&raw const (*detail).DevicePath).cast()));
            }
        }
        SetupDiDestroyDeviceInfoList(set);
        path
    }
}
