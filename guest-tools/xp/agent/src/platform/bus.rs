//! The integration channel's PCI function, through its driver (../driver/heirbus.h has the same numbers).
#![allow(unsafe_code, reason = "registers and window are mapped memory")]

use alloc::rc::Rc;
use alloc::string::String;
use core::mem::{size_of, zeroed};
use core::ptr::{null, null_mut};
use core::sync::atomic::{Ordering, fence};

use channel::guest::Function;
use channel::ring::Window;
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

const VERSION: u32 = 0x1_0000;
const STOPPED: u32 = 1;

/// What an interrupt said: a bit for each channel, and whether the machine slept (the bus must be started anew).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interrupt {
    pub pending: u64,
    pub stopped: bool,
}

/// Registers and window, mapped as long as the driver is open.
struct Mapped {
    registers: *mut u32,
    registers_bytes: u32,
    window: *mut u8,
    window_bytes: u32,
    device: Handle,
}

/// The function, opened: this process is the only one.
pub struct Bus {
    waiting: Operation,
    mapped: Rc<Mapped>,
}

/// What drives the function: registers and window.
pub struct Port(Rc<Mapped>);

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
        let mapped = Rc::new(Mapped {
            registers: registers as *mut u32,
            registers_bytes,
            window: window as *mut u8,
            window_bytes,
            device,
        });
        let mut b = Self { waiting: Operation::new(12)?, mapped };
        b.waiting.ask(&b.mapped.device, WAIT)?;
        Ok(Some(b))
    }

    pub fn port(&self) -> Port {
        Port(Rc::clone(&self.mapped))
    }

    /// Somebody drives it.
    pub fn is_driven(&self) -> bool {
        Rc::strong_count(&self.mapped) > 1
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
        self.waiting.ask(&self.mapped.device, WAIT)?;
        Ok(Some(Interrupt { pending: u64::from(high) << 32 | u64::from(low), stopped: what & STOPPED != 0 }))
    }
}

impl Mapped {
    fn at(&self, at: u32, bytes: usize) -> Option<*mut u8> {
        let end = (at as usize).checked_add(bytes)?;
        // SAFETY: within the window.
        (end <= self.window_bytes as usize).then(|| unsafe { self.window.add(at as usize) })
    }
}

impl Function for Port {
    fn read(&self, register: u32) -> u32 {
        if !register.is_multiple_of(4) || register >= self.0.registers_bytes {
            return u32::MAX;
        }
        // SAFETY: mapped as long as the device is open, aligned, within.
        unsafe { self.0.registers.add(register as usize / 4).read_volatile() }
    }

    fn write(&self, register: u32, value: u32) {
        if register.is_multiple_of(4) && register < self.0.registers_bytes {
            // SAFETY: as above.
            unsafe { self.0.registers.add(register as usize / 4).write_volatile(value) };
        }
    }
}

/// Numbers outside of the window, or not aligned, are zero and go nowhere.
impl Window for Port {
    fn load16(&self, at: u32) -> u16 {
        // SAFETY: mapped, within, aligned (the window begins at a page).
        self.0
            .at(at, 2)
            .filter(|_| at.is_multiple_of(2))
            .map_or(0, |p| unsafe { p.cast::<u16>().read_volatile() })
    }

    fn load32(&self, at: u32) -> u32 {
        // SAFETY: as above.
        self.0
            .at(at, 4)
            .filter(|_| at.is_multiple_of(4))
            .map_or(0, |p| unsafe { p.cast::<u32>().read_volatile() })
    }

    fn store16(&self, at: u32, v: u16) {
        if let Some(p) = self.0.at(at, 2).filter(|_| at.is_multiple_of(2)) {
            // SAFETY: as above.
            unsafe { p.cast::<u16>().write_volatile(v) };
        }
    }

    fn store32(&self, at: u32, v: u32) {
        if let Some(p) = self.0.at(at, 4).filter(|_| at.is_multiple_of(4)) {
            // SAFETY: as above.
            unsafe { p.cast::<u32>().write_volatile(v) };
        }
    }

    fn copy_in(&self, at: u32, bytes: &[u8]) {
        if let Some(p) = self.0.at(at, bytes.len()) {
            // SAFETY: within; the window is no memory of Rust's, so they don't overlap.
            unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), p, bytes.len()) };
        }
    }

    fn copy_out(&self, at: u32, bytes: &mut [u8]) {
        if let Some(p) = self.0.at(at, bytes.len()) {
            // SAFETY: as above. The host may write meanwhile: any byte is a valid one, and who called checks what it got.
            unsafe { core::ptr::copy_nonoverlapping(p, bytes.as_mut_ptr(), bytes.len()) };
        }
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
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
