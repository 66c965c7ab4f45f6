//! Programs: started as this user or as who is at the screen, hidden or shown, with their output and exit code.
#![allow(unsafe_code, reason = "processes, tokens and pipes are handles")]

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::mem::{size_of, zeroed};
use core::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{HANDLE_FLAG_INHERIT, SetHandleInformation, TRUE};
use windows_sys::Win32::Security::{CreateWellKnownSid, SECURITY_MAX_SID_SIZE};
use windows_sys::Win32::Security::{
    EqualSid, GetTokenInformation, SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER, TokenUser, WinLocalSystemSid,
};
use windows_sys::Win32::Storage::FileSystem::{ReadFile, WriteFile};
use windows_sys::Win32::System::Environment::{
    CreateEnvironmentBlock, DestroyEnvironmentBlock, FreeEnvironmentStringsW, GetEnvironmentStringsW,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, TerminateJobObject,
};
use windows_sys::Win32::System::Pipes::{CreatePipe, PIPE_NOWAIT, PeekNamedPipe, SetNamedPipeHandleState};
use windows_sys::Win32::System::Threading::{
    CREATE_NEW_CONSOLE, CREATE_SUSPENDED, CREATE_UNICODE_ENVIRONMENT, CreateProcessAsUserW, CreateProcessW,
    GetCurrentProcess, GetExitCodeProcess, OpenProcessToken, PROCESS_INFORMATION, ResumeThread,
    STARTF_USESHOWWINDOW, STARTF_USESTDHANDLES, STARTUPINFOW, TerminateProcess,
};
use windows_sys::Win32::UI::WindowsAndMessaging::{SW_HIDE, SW_SHOWNORMAL};
use xp_base::handle::Handle;
use xp_base::{Error, Result, text};

use super::session;

/// What a pipe holds before its writer waits.
const PIPE: u32 = 64 * 1024;
/// Exit code of a program that was ended from outside.
const KILLED: u32 = 137;

#[derive(Default)]
pub struct Spec<'a> {
    pub command: &'a str,
    /// Empty: this program's.
    pub folder: &'a str,
    /// `NAME=VALUE`, over what the user has.
    pub environment: &'a [String],
    /// As who is logged on at the screen, if this is a service.
    pub as_user: bool,
    pub hidden: bool,
    /// Its input and output are pipes to here.
    pub piped: bool,
}

pub struct Program {
    process: u32,
    handle: Handle,
    job: Option<Handle>,
    input: Option<Handle>,
    out: Option<Handle>,
    error: Option<Handle>,
}

/// This end, and the one that the program inherits.
struct Pipe {
    ours: Handle,
    theirs: Handle,
}

impl Pipe {
    fn new(they_write: bool) -> Result<Self> {
        let what = "cannot make a pipe";
        let inherited = SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: null_mut(),
            bInheritHandle: TRUE,
        };
        let (mut read, mut write) = (null_mut(), null_mut());
        // SAFETY: fills two handles.
        if unsafe { CreatePipe(&raw mut read, &raw mut write, &raw const inherited, PIPE) } == 0 {
            return Err(Error::last(what));
        }
        let (read, write) = (Handle::take(read, what)?, Handle::take(write, what)?);
        let p =
            if they_write { Self { ours: read, theirs: write } } else { Self { ours: write, theirs: read } };
        // SAFETY: the handle is open.
        unsafe { SetHandleInformation(p.ours.raw(), HANDLE_FLAG_INHERIT, 0) };
        Ok(p)
    }
}

impl Program {
    pub fn start(spec: &Spec<'_>) -> Result<Self> {
        let token = if spec.as_user && is_service() { Some(session::console_user()?) } else { None };
        let pipes =
            if spec.piped { Some((Pipe::new(false)?, Pipe::new(true)?, Pipe::new(true)?)) } else { None };
        if let Some((input, ..)) = &pipes {
            // Input that the program does not read must not stop the agent.
            let how = PIPE_NOWAIT;
            // SAFETY: the pipe is open.
            unsafe { SetNamedPipeHandleState(input.ours.raw(), &raw const how, null(), null()) };
        }
        // SAFETY: numbers and pointers that may be null.
        let mut start: STARTUPINFOW = unsafe { zeroed() };
        start.cb = size_of::<STARTUPINFOW>() as u32;
        start.dwFlags = STARTF_USESHOWWINDOW;
        start.wShowWindow = if spec.hidden { SW_HIDE } else { SW_SHOWNORMAL } as u16;
        let mut desktop = text::wide("winsta0\\default");
        if token.is_some() {
            start.lpDesktop = desktop.as_mut_ptr();
        }
        if let Some((input, out, error)) = &pipes {
            start.dwFlags |= STARTF_USESTDHANDLES;
            start.hStdInput = input.theirs.raw();
            start.hStdOutput = out.theirs.raw();
            start.hStdError = error.theirs.raw();
        }
        let environment = environment(token.as_ref(), spec.environment);
        let (handle, thread, process) = create(spec, token.as_ref(), &start, &environment)?;
        let job = in_job(&handle);
        // SAFETY: the thread is open and suspended.
        unsafe { ResumeThread(thread.raw()) };
        let (input, out, error) = match pipes {
            Some((i, o, e)) => (Some(i.ours), Some(o.ours), Some(e.ours)),
            None => (None, None, None),
        };
        Ok(Self { process, handle, job, input, out, error })
    }

    pub fn number(&self) -> u32 {
        self.process
    }

    /// What it wrote, of its errors or else of its output: how many bytes; 0: none now. None: the stream has ended.
    pub fn output(&mut self, errors: bool, into: &mut [u8]) -> Option<usize> {
        let pipe = if errors { &mut self.error } else { &mut self.out };
        let n = pipe.as_ref().and_then(|p| available(p, into));
        if n.is_none() {
            *pipe = None;
        }
        n
    }

    /// Bytes for its input; how many it took, 0: none now. None: it reads no more.
    pub fn put(&mut self, bytes: &[u8]) -> Option<usize> {
        let pipe = self.input.as_ref()?;
        let mut n = 0;
        // A pipe takes all or nothing if it would have to wait, so that small parts fill it.
        let part = bytes.get(..bytes.len().min(4096)).unwrap_or_default();
        // SAFETY: the buffer lives over the call.
        let ok =
            unsafe { WriteFile(pipe.raw(), part.as_ptr(), part.len() as u32, &raw mut n, null_mut()) } != 0;
        if !ok {
            self.input = None;
        }
        ok.then_some(n as usize)
    }

    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// Its exit code, once it has ended.
    pub fn exit_code(&self) -> Option<u32> {
        if !self.handle.is_signalled() {
            return None;
        }
        let mut code = 0;
        // SAFETY: fills a number.
        unsafe { GetExitCodeProcess(self.handle.raw(), &raw mut code) };
        Some(code)
    }

    /// Ends it, and what it has started.
    pub fn end(&self) {
        // SAFETY: both are open.
        unsafe {
            if let Some(j) = &self.job {
                TerminateJobObject(j.raw(), KILLED);
            }
            TerminateProcess(self.handle.raw(), KILLED);
        }
    }
}

fn create(
    spec: &Spec<'_>,
    token: Option<&Handle>,
    start: &STARTUPINFOW,
    environment: &[u16],
) -> Result<(Handle, Handle, u32)> {
    let (mut command, folder) = (text::wide(spec.command), text::wide(spec.folder));
    let folder = if spec.folder.is_empty() { null() } else { folder.as_ptr() };
    let flags = CREATE_SUSPENDED | CREATE_UNICODE_ENVIRONMENT | CREATE_NEW_CONSOLE;
    // SAFETY: numbers and handles that may be null.
    let mut made: PROCESS_INFORMATION = unsafe { zeroed() };
    let (env, inherit) = (environment.as_ptr().cast::<c_void>(), i32::from(spec.piped));
    // SAFETY: strings end with zeros, the environment with two; the command line is ours to be written to.
    let ok = unsafe {
        match token {
            Some(t) => CreateProcessAsUserW(
                t.raw(),
                null(),
                command.as_mut_ptr(),
                null(),
                null(),
                inherit,
                flags,
                env,
                folder,
                start,
                &raw mut made,
            ),
            None => CreateProcessW(
                null(),
                command.as_mut_ptr(),
                null(),
                null(),
                inherit,
                flags,
                env,
                folder,
                start,
                &raw mut made,
            ),
        }
    };
    let what = format!("cannot start {}", spec.command);
    if ok == 0 {
        return Err(Error::last(what));
    }
    Ok((Handle::take(made.hProcess, &what)?, Handle::take(made.hThread, &what)?, made.dwProcessId))
}

/// A job, so that what it starts can be ended with it. Windows XP refuses if it is in one already; then it goes without.
fn in_job(process: &Handle) -> Option<Handle> {
    // SAFETY: no security, no name.
    let job = Handle::take(unsafe { CreateJobObjectW(null(), null()) }, "").ok()?;
    // SAFETY: both are open.
    (unsafe { AssignProcessToJobObject(job.raw(), process.raw()) } != 0).then_some(job)
}

/// None: the other end is closed and all is read.
fn available(pipe: &Handle, into: &mut [u8]) -> Option<usize> {
    let mut there = 0;
    // SAFETY: fills a number.
    if unsafe { PeekNamedPipe(pipe.raw(), null_mut(), 0, null_mut(), &raw mut there, null_mut()) } == 0 {
        return None;
    }
    let most = into.len().min(there as usize);
    if most == 0 {
        return Some(0);
    }
    let mut n = 0;
    // SAFETY: so many bytes are there, and fit: it does not wait.
    let ok = unsafe { ReadFile(pipe.raw(), into.as_mut_ptr(), most as u32, &raw mut n, null_mut()) } != 0;
    ok.then_some(n as usize)
}

/// The environment of who has the token (none: this process's) with `over` put over it, as CreateProcess takes it.
fn environment(token: Option<&Handle>, over: &[String]) -> Vec<u16> {
    let all: Vec<String> = match token {
        Some(t) => {
            let mut block = null_mut();
            // SAFETY: fills a pointer to strings up to an empty one, ours to destroy.
            unsafe {
                if CreateEnvironmentBlock(&raw mut block, t.raw(), 0) == 0 {
                    Vec::new()
                } else {
                    let all = strings(block.cast::<u16>());
                    DestroyEnvironmentBlock(block);
                    all
                }
            }
        }
        // SAFETY: strings up to an empty one, ours to free.
        None => unsafe {
            let block = GetEnvironmentStringsW();
            let all = strings(block);
            FreeEnvironmentStringsW(block);
            all
        },
    };
    xp_words::block(&xp_words::environment(all, over))
}

/// # Safety
/// `at` is null or points to strings up to an empty one.
unsafe fn strings(mut at: *const u16) -> Vec<String> {
    let mut all = Vec::new();
    // SAFETY: the caller's promise.
    unsafe {
        while !at.is_null() && *at != 0 {
            all.push(text::from_ptr(at));
            while *at != 0 {
                at = at.add(1);
            }
            at = at.add(1);
        }
    }
    all
}

/// Is this process LocalSystem's, as the service is?
pub fn is_service() -> bool {
    let mut token = null_mut();
    // SAFETY: fills a handle.
    unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) };
    let Ok(token) = Handle::take(token, "") else { return false };
    let mut user = [0_u64; 16];
    let mut system = [0_u32; SECURITY_MAX_SID_SIZE as usize / 4];
    let (mut n, mut m) = (0, size_of_val(&system) as u32);
    // SAFETY: both buffers are aligned for what they get and as long as is stated; the user's identifier lies in its buffer.
    unsafe {
        GetTokenInformation(
            token.raw(),
            TokenUser,
            user.as_mut_ptr().cast(),
            size_of_val(&user) as u32,
            &raw mut n,
        ) != 0
            && CreateWellKnownSid(WinLocalSystemSid, null_mut(), system.as_mut_ptr().cast(), &raw mut m) != 0
            && EqualSid((*user.as_ptr().cast::<TOKEN_USER>()).User.Sid, system.as_mut_ptr().cast()) != 0
    }
}
