//! The service control manager: make, start, stop and remove a service.
#![allow(unsafe_code, reason = "the manager's handles and strings")]

use alloc::format;
use core::mem::zeroed;
use core::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{
    ERROR_SERVICE_ALREADY_RUNNING, ERROR_SERVICE_DOES_NOT_EXIST, ERROR_SERVICE_EXISTS,
    ERROR_SERVICE_MARKED_FOR_DELETE, ERROR_SERVICE_NOT_ACTIVE,
};
use windows_sys::Win32::System::Services::{
    ChangeServiceConfig2W, ChangeServiceConfigW, CloseServiceHandle, ControlService, CreateServiceW,
    DeleteService, OpenSCManagerW, OpenServiceW, QueryServiceStatus, SC_ACTION, SC_ACTION_RESTART, SC_HANDLE,
    SC_MANAGER_ALL_ACCESS, SC_MANAGER_CONNECT, SERVICE_ALL_ACCESS, SERVICE_AUTO_START,
    SERVICE_CONFIG_DESCRIPTION, SERVICE_CONFIG_FAILURE_ACTIONS, SERVICE_CONTROL_STOP, SERVICE_DESCRIPTIONW,
    SERVICE_ERROR_NORMAL, SERVICE_FAILURE_ACTIONSW, SERVICE_STATUS, SERVICE_STOPPED,
    SERVICE_WIN32_OWN_PROCESS, StartServiceW,
};
use windows_sys::Win32::System::Threading::Sleep;

use crate::text::wide;
use crate::{Error, Result};

struct Sc(SC_HANDLE);

impl Drop for Sc {
    fn drop(&mut self) {
        // SAFETY: ours, closed once.
        unsafe { CloseServiceHandle(self.0) };
    }
}

/// What a service is.
pub struct Service<'a> {
    pub name: &'a str,
    pub shown: &'a str,
    pub description: &'a str,
    pub command: &'a str,
}

fn manager(access: u32) -> Result<Sc> {
    // SAFETY: this machine, the active database.
    let h = unsafe { OpenSCManagerW(null(), null(), access) };
    if h.is_null() {
        return Err(Error::last("cannot reach the service control manager (an administrator can)"));
    }
    Ok(Sc(h))
}

fn open(m: &Sc, name: &str) -> Result<Sc> {
    let n = wide(name);
    // SAFETY: the name ends with a zero.
    let h = unsafe { OpenServiceW(m.0, n.as_ptr(), SERVICE_ALL_ACCESS) };
    if h.is_null() { Err(Error::last(format!("cannot open the service {name}"))) } else { Ok(Sc(h)) }
}

/// Makes the service, started with the system, or brings one that is there to this description.
pub fn install(s: &Service<'_>) -> Result<()> {
    let m = manager(SC_MANAGER_ALL_ACCESS)?;
    let (name, shown, command) = (wide(s.name), wide(s.shown), wide(s.command));
    // SAFETY: all strings end with a zero; null: no group, no dependencies, LocalSystem.
    let h = unsafe {
        CreateServiceW(
            m.0,
            name.as_ptr(),
            shown.as_ptr(),
            SERVICE_ALL_ACCESS,
            SERVICE_WIN32_OWN_PROCESS,
            SERVICE_AUTO_START,
            SERVICE_ERROR_NORMAL,
            command.as_ptr(),
            null(),
            null_mut(),
            null(),
            null(),
            null(),
        )
    };
    let service = if h.is_null() {
        let e = Error::last(format!("cannot make the service {}", s.name));
        match e.code {
            ERROR_SERVICE_EXISTS => {}
            ERROR_SERVICE_MARKED_FOR_DELETE => {
                return Err(Error::of(format!("{e}; close what has it open, or restart Windows"), 0));
            }
            _ => return Err(e),
        }
        let there = open(&m, s.name)?;
        // SAFETY: as above.
        let ok = unsafe {
            ChangeServiceConfigW(
                there.0,
                SERVICE_WIN32_OWN_PROCESS,
                SERVICE_AUTO_START,
                SERVICE_ERROR_NORMAL,
                command.as_ptr(),
                null(),
                null_mut(),
                null(),
                null(),
                null(),
                shown.as_ptr(),
            )
        };
        if ok == 0 {
            return Err(Error::last(format!("cannot change the service {}", s.name)));
        }
        there
    } else {
        Sc(h)
    };
    describe(&service, s.description);
    Ok(())
}

/// Its description, and that it is started again when it dies. Neither is worth failing for.
fn describe(service: &Sc, description: &str) {
    let mut text = wide(description);
    let words = SERVICE_DESCRIPTIONW { lpDescription: text.as_mut_ptr() };
    let mut actions = [SC_ACTION { Type: SC_ACTION_RESTART, Delay: 1000 }; 3];
    let failure = SERVICE_FAILURE_ACTIONSW {
        dwResetPeriod: 3600,
        lpRebootMsg: null_mut(),
        lpCommand: null_mut(),
        cActions: actions.len() as u32,
        lpsaActions: actions.as_mut_ptr(),
    };
    // SAFETY: each structure is of its level and lives over the call.
    unsafe {
        ChangeServiceConfig2W(service.0, SERVICE_CONFIG_DESCRIPTION, (&raw const words).cast());
        ChangeServiceConfig2W(service.0, SERVICE_CONFIG_FAILURE_ACTIONS, (&raw const failure).cast());
    }
}

pub fn start(name: &str) -> Result<()> {
    let m = manager(SC_MANAGER_CONNECT)?;
    let s = open(&m, name)?;
    // SAFETY: no arguments.
    if unsafe { StartServiceW(s.0, 0, null()) } == 0 {
        let e = Error::last(format!("cannot start the service {name}"));
        if e.code != ERROR_SERVICE_ALREADY_RUNNING {
            return Err(e);
        }
    }
    Ok(())
}

/// Stops it if it runs, and waits for that up to ten seconds.
pub fn stop(name: &str) -> Result<()> {
    let m = manager(SC_MANAGER_CONNECT)?;
    let s = open(&m, name)?;
    // SAFETY: numbers only.
    let mut status: SERVICE_STATUS = unsafe { zeroed() };
    // SAFETY: the service is open.
    if unsafe { ControlService(s.0, SERVICE_CONTROL_STOP, &raw mut status) } == 0 {
        let e = Error::last(format!("cannot stop the service {name}"));
        return if e.code == ERROR_SERVICE_NOT_ACTIVE { Ok(()) } else { Err(e) };
    }
    for _ in 0..100 {
        // SAFETY: as above.
        if unsafe { QueryServiceStatus(s.0, &raw mut status) } == 0
            || status.dwCurrentState == SERVICE_STOPPED
        {
            return Ok(());
        }
        // SAFETY: takes a number.
        unsafe { Sleep(100) };
    }
    Err(Error::plain(format!("the service {name} does not stop")))
}

/// Removes it; one that is not there is no error.
pub fn remove(name: &str) -> Result<()> {
    let m = manager(SC_MANAGER_ALL_ACCESS)?;
    let s = match open(&m, name) {
        Err(e) if e.code == ERROR_SERVICE_DOES_NOT_EXIST => return Ok(()),
        s => s?,
    };
    // SAFETY: the service is open.
    if unsafe { DeleteService(s.0) } == 0 {
        let e = Error::last(format!("cannot remove the service {name}"));
        if e.code != ERROR_SERVICE_MARKED_FOR_DELETE {
            return Err(e);
        }
    }
    Ok(())
}
