//! The bus driver: its INF in Windows' store, the driver on the function if the machine has it.
#![allow(unsafe_code, reason = "SetupAPI's sets, strings and structures")]

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::mem::{size_of, zeroed};
use core::ptr::{null, null_mut};

use windows_sys::Win32::Devices::DeviceAndDriverInstallation::{
    DIF_REMOVE, DIGCF_ALLCLASSES, HDEVINFO, INSTALLFLAG_FORCE, SP_DEVINFO_DATA, SPDRP_HARDWAREID, SPOST_PATH,
    SUOI_FORCEDELETE, SetupCopyOEMInfW, SetupDiCallClassInstaller, SetupDiDestroyDeviceInfoList,
    SetupDiEnumDeviceInfo, SetupDiGetClassDevsW, SetupDiGetDeviceRegistryPropertyW, SetupUninstallOEMInfW,
    UpdateDriverForPlugAndPlayDevicesW,
};
use windows_sys::Win32::Foundation::{ERROR_FILE_NOT_FOUND, ERROR_NO_SUCH_DEVINST, INVALID_HANDLE_VALUE};
use xp_base::{Error, Result, files, log, scm, text};

const HARDWARE: &str = "PCI\\VEN_484C&DEV_0001";
const SERVICE: &str = "heirbus";

pub(crate) struct Installed {
    /// Its name in Windows' folder of INF files.
    pub(crate) inf: String,
    /// The machine has the function, and now its driver.
    in_use: bool,
    pub(crate) restart: bool,
}

impl fmt::Display for Installed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what =
            if self.in_use { "on the machine's function" } else { "ready; the machine has no function yet" };
        write!(f, "{} is {what}", self.inf)
    }
}

/// Windows XP asks about a driver without Microsoft's signature, as its policy says.
pub(crate) fn install(inf: &str) -> Result<Installed> {
    let path = text::wide(inf);
    let folder = text::wide(files::folder_of(inf));
    let mut stored = [0_u16; 260];
    let mut name = null_mut();
    // SAFETY: both paths end with a zero; writes at most the buffer's length; `name` points into it.
    let copied = unsafe {
        SetupCopyOEMInfW(
            path.as_ptr(),
            folder.as_ptr(),
            SPOST_PATH,
            0,
            stored.as_mut_ptr(),
            stored.len() as u32,
            null_mut(),
            &raw mut name,
        )
    };
    if copied == 0 {
        return Err(Error::last(format!("cannot put {inf} into Windows' store")));
    }
    let stored = text::from_wide(&stored);
    let stored = stored.rsplit('\\').next().unwrap_or_default();
    let hardware = text::wide(HARDWARE);
    let mut restart = 0;
    // SAFETY: both strings end with a zero; fills a number; no window.
    let updated = unsafe {
        UpdateDriverForPlugAndPlayDevicesW(
            null_mut(),
            hardware.as_ptr(),
            path.as_ptr(),
            INSTALLFLAG_FORCE,
            &raw mut restart,
        )
    } != 0;
    let e = Error::last(format!("cannot install the driver on {HARDWARE}"));
    if !updated && e.code != ERROR_NO_SUCH_DEVINST {
        return Err(e);
    }
    Ok(Installed { inf: stored.into(), in_use: updated, restart: restart != 0 })
}

/// Takes the driver off the function, out of the store and out of the folder of drivers. True: at the next start.
pub(crate) fn uninstall(inf: &str) -> Result<bool> {
    let removed = remove_devices();
    if !inf.is_empty() {
        let name = text::wide(inf);
        // SAFETY: the name ends with a zero.
        if unsafe { SetupUninstallOEMInfW(name.as_ptr(), SUOI_FORCEDELETE, null()) } == 0 {
            let e = Error::last(format!("cannot take {inf} out of Windows' store"));
            if e.code != ERROR_FILE_NOT_FOUND {
                return Err(e);
            }
        }
    }
    scm::remove(SERVICE)?;
    let windows = files::environment("SystemRoot").unwrap_or_else(|| "C:\\WINDOWS".into());
    let gone = files::remove(&format!("{windows}\\system32\\drivers\\heirbus.sys"))?;
    Ok(removed && gone == files::Gone::AtRestart)
}

/// Any that there were?
fn remove_devices() -> bool {
    let bus = text::wide("PCI");
    // SAFETY: the enumerator's name ends with a zero.
    let set = unsafe { SetupDiGetClassDevsW(null(), bus.as_ptr(), null_mut(), DIGCF_ALLCLASSES) };
    if set == INVALID_HANDLE_VALUE as HDEVINFO {
        return false;
    }
    let mut any = false;
    for i in 0.. {
        // SAFETY: a structure that states its size.
        let mut d: SP_DEVINFO_DATA = unsafe { zeroed() };
        d.cbSize = size_of::<SP_DEVINFO_DATA>() as u32;
        // SAFETY: fills the structure.
        if unsafe { SetupDiEnumDeviceInfo(set, i, &raw mut d) } == 0 {
            break;
        }
        if !is_ours(set, &d) {
            continue;
        }
        any = true;
        // SAFETY: the device is of this set.
        if unsafe { SetupDiCallClassInstaller(DIF_REMOVE, set, &raw const d) } == 0 {
            log::line(format_args!("{}", Error::last("cannot remove the device")));
        }
    }
    // SAFETY: ours, destroyed once.
    unsafe { SetupDiDestroyDeviceInfoList(set) };
    any
}

fn is_ours(set: HDEVINFO, d: &SP_DEVINFO_DATA) -> bool {
    let mut ids = [0_u16; 1024];
    // SAFETY: writes at most so many bytes.
    let ok = unsafe {
        SetupDiGetDeviceRegistryPropertyW(
            set,
            d,
            SPDRP_HARDWAREID,
            null_mut(),
            ids.as_mut_ptr().cast(),
            size_of_val(&ids) as u32,
            null_mut(),
        )
    };
    // A list of strings; each longer ID begins with this one.
    ok != 0 && ids.split(|c| *c == 0).any(|id| text::from_wide(id).starts_with(HARDWARE))
}
