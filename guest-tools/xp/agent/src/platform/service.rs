//! This process as a Windows service.
#![allow(unsafe_code, reason = "the service manager calls back")]

use alloc::boxed::Box;
use core::ffi::c_void;
use core::ptr::null_mut;

use windows_sys::Win32::Foundation::{ERROR_CALL_NOT_IMPLEMENTED, ERROR_SERVICE_SPECIFIC_ERROR, NO_ERROR};
use windows_sys::Win32::System::Console::SetConsoleCtrlHandler;
use windows_sys::Win32::System::Services::{
    RegisterServiceCtrlHandlerExW, SERVICE_ACCEPT_POWEREVENT, SERVICE_ACCEPT_SHUTDOWN, SERVICE_ACCEPT_STOP,
    SERVICE_CONTROL_INTERROGATE, SERVICE_CONTROL_POWEREVENT, SERVICE_CONTROL_SHUTDOWN, SERVICE_CONTROL_STOP,
    SERVICE_RUNNING, SERVICE_START_PENDING, SERVICE_STATUS, SERVICE_STATUS_CURRENT_STATE,
    SERVICE_STATUS_HANDLE, SERVICE_STOP_PENDING, SERVICE_STOPPED, SERVICE_TABLE_ENTRYW,
    SERVICE_WIN32_OWN_PROCESS, SetServiceStatus, StartServiceCtrlDispatcherW,
};
use windows_sys::Win32::UI::WindowsAndMessaging::{PBT_APMRESUMEAUTOMATIC, PBT_APMRESUMESUSPEND};
use xp_base::handle::Event;
use xp_base::{Error, Lock, Result, log, text};

/// What the manager wants of the service.
pub struct Wishes {
    pub stop: Event,
    /// The machine woke up.
    pub woke: Event,
}

impl Wishes {
    pub fn new() -> Result<Self> {
        Ok(Self { stop: Event::new()?, woke: Event::new()? })
    }
}

/// Runs `main` in a console, until Ctrl+C or the console's end.
pub fn run_in_console(main: impl FnOnce(&Wishes) -> Result<()>) -> Result<()> {
    let wishes: &'static Wishes = Box::leak(Box::new(Wishes::new()?));
    STATE.with(|s| s.wishes = Some(wishes));
    // SAFETY: the function is there as long as the program.
    unsafe { SetConsoleCtrlHandler(Some(interrupted), 1) };
    main(wishes)
}

unsafe extern "system" fn interrupted(_: u32) -> windows_sys::core::BOOL {
    let wishes = STATE.with(|s| s.wishes);
    wishes.inspect(|w| w.stop.set()).is_some().into()
}

type Main = fn(&Wishes) -> Result<()>;

struct State {
    main: Option<Main>,
    name: &'static str,
    handle: usize,
    wishes: Option<&'static Wishes>,
}

static STATE: Lock<State> = Lock::new(State { main: None, name: "", handle: 0, wishes: None });

/// Runs `main` as the service until it returns. Fails at once if the service manager did not start this process.
pub fn run(name: &'static str, main: Main) -> Result<()> {
    let wishes = Box::leak(Box::new(Wishes::new()?));
    STATE.with(|s| *s = State { main: Some(main), name, handle: 0, wishes: Some(wishes) });
    let mut wide = text::wide(name);
    let table = [
        SERVICE_TABLE_ENTRYW { lpServiceName: wide.as_mut_ptr(), lpServiceProc: Some(begin) },
        SERVICE_TABLE_ENTRYW { lpServiceName: null_mut(), lpServiceProc: None },
    ];
    // SAFETY: the table ends with an empty entry and lives until the call returns, when the service has ended.
    if unsafe { StartServiceCtrlDispatcherW(table.as_ptr()) } == 0 {
        return Err(Error::last("this is for the service manager to start"));
    }
    Ok(())
}

unsafe extern "system" fn begin(_: u32, _: *mut windows_sys::core::PWSTR) {
    let (main, name, wishes) = STATE.with(|s| (s.main, s.name, s.wishes));
    let (Some(main), Some(wishes)) = (main, wishes) else { return };
    let name = text::wide(name);
    // SAFETY: the name ends with a zero; the handler takes no context.
    let handle = unsafe { RegisterServiceCtrlHandlerExW(name.as_ptr(), Some(control), null_mut()) };
    if handle.is_null() {
        log::line(format_args!("{}", Error::last("the service manager does not take the service")));
        return;
    }
    STATE.with(|s| s.handle = handle as usize);
    say(SERVICE_START_PENDING, 0);
    say(SERVICE_RUNNING, 0);
    let ended = main(wishes);
    if let Err(e) = &ended {
        log::line(format_args!("service ends: {e}"));
    }
    say(SERVICE_STOPPED, u32::from(ended.is_err()));
}

unsafe extern "system" fn control(what: u32, event: u32, _: *mut c_void, _: *mut c_void) -> u32 {
    let Some(wishes) = STATE.with(|s| s.wishes) else { return ERROR_CALL_NOT_IMPLEMENTED };
    match what {
        SERVICE_CONTROL_STOP | SERVICE_CONTROL_SHUTDOWN => {
            say(SERVICE_STOP_PENDING, 0);
            wishes.stop.set();
        }
        SERVICE_CONTROL_POWEREVENT if event == PBT_APMRESUMEAUTOMATIC || event == PBT_APMRESUMESUSPEND => {
            wishes.woke.set();
        }
        SERVICE_CONTROL_INTERROGATE | SERVICE_CONTROL_POWEREVENT => {}
        _ => return ERROR_CALL_NOT_IMPLEMENTED,
    }
    NO_ERROR
}

fn say(state: SERVICE_STATUS_CURRENT_STATE, failure: u32) {
    let handle = STATE.with(|s| s.handle);
    let accepts = if state == SERVICE_RUNNING {
        SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN | SERVICE_ACCEPT_POWEREVENT
    } else {
        0
    };
    let status = SERVICE_STATUS {
        dwServiceType: SERVICE_WIN32_OWN_PROCESS,
        dwCurrentState: state,
        dwControlsAccepted: accepts,
        dwWin32ExitCode: if failure == 0 { NO_ERROR } else { ERROR_SERVICE_SPECIFIC_ERROR },
        dwServiceSpecificExitCode: failure,
        dwCheckPoint: 0,
        dwWaitHint: if state == SERVICE_STOP_PENDING || state == SERVICE_START_PENDING { 10_000 } else { 0 },
    };
    // SAFETY: the handle is the manager's; the structure lives over the call.
    unsafe { SetServiceStatus(handle as SERVICE_STATUS_HANDLE, &raw const status) };
}
