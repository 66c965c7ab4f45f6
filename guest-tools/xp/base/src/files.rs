//! Files and folders.
#![allow(unsafe_code, reason = "paths go to Windows as pointers")]

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use core::ptr::null;

use windows_sys::Win32::Foundation::{ERROR_ALREADY_EXISTS, ERROR_FILE_NOT_FOUND, ERROR_PATH_NOT_FOUND};
use windows_sys::Win32::Storage::FileSystem::{
    CopyFileW, CreateDirectoryW, DeleteFileW, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_NORMAL,
    GetFileAttributesW, INVALID_FILE_ATTRIBUTES, MOVEFILE_DELAY_UNTIL_REBOOT, MoveFileExW, RemoveDirectoryW,
    SetFileAttributesW,
};
use windows_sys::Win32::System::Environment::GetEnvironmentVariableW;
use windows_sys::Win32::System::LibraryLoader::GetModuleFileNameW;
use windows_sys::Win32::System::SystemInformation::GetTickCount;

use crate::text::{from_wide, wide};
use crate::{Error, Result};

/// Where this program lies.
pub fn program() -> Result<String> {
    let mut path = vec![0_u16; 1024];
    // SAFETY: writes at most the buffer's length.
    let n =
        unsafe { GetModuleFileNameW(core::ptr::null_mut(), path.as_mut_ptr(), path.len() as u32) } as usize;
    match path.get(..n) {
        Some(p) if n > 0 && n < path.len() => Ok(from_wide(p)),
        _ => Err(Error::last("cannot tell where this program lies")),
    }
}

/// The folder of a path, without the last backslash.
pub fn folder_of(path: &str) -> &str {
    path.rsplit_once('\\').map_or("", |(folder, _)| folder)
}

pub fn environment(name: &str) -> Option<String> {
    let name = wide(name);
    let mut value = vec![0_u16; 1024];
    // SAFETY: the name ends with a zero; writes at most the buffer's length.
    let n =
        unsafe { GetEnvironmentVariableW(name.as_ptr(), value.as_mut_ptr(), value.len() as u32) } as usize;
    (n > 0).then(|| value.get(..n).map(from_wide)).flatten()
}

pub fn exists(path: &str) -> bool {
    let path = wide(path);
    // SAFETY: the path ends with a zero.
    unsafe { GetFileAttributesW(path.as_ptr()) != INVALID_FILE_ATTRIBUTES }
}

/// Makes a folder and those above it.
pub fn make_folder(path: &str) -> Result<()> {
    let above = folder_of(path);
    if above.len() > 2 && !exists(above) {
        make_folder(above)?;
    }
    let p = wide(path);
    // SAFETY: the path ends with a zero; null security: as the folder above.
    let made = unsafe { CreateDirectoryW(p.as_ptr(), null()) } != 0;
    let e = Error::last(format!("cannot make the folder {path}"));
    if made || e.code == ERROR_ALREADY_EXISTS { Ok(()) } else { Err(e) }
}

/// Copies over what is there; what came from a CD is not read-only afterwards.
pub fn copy(from: &str, to: &str) -> Result<()> {
    let (f, t) = (wide(from), wide(to));
    // SAFETY: both paths end with a zero.
    if unsafe { CopyFileW(f.as_ptr(), t.as_ptr(), 0) } == 0 {
        return Err(Error::last(format!("cannot copy {from} to {to}")));
    }
    // SAFETY: as above.
    unsafe { SetFileAttributesW(t.as_ptr(), FILE_ATTRIBUTE_NORMAL) };
    Ok(())
}

/// What became of a file or folder that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    Now,
    /// In use; at the next start.
    AtRestart,
}

/// Removes a file or an empty folder, at the next start of Windows if it is in use now.
pub fn remove(path: &str) -> Result<Gone> {
    let p = wide(path);
    // SAFETY: the path ends with a zero, in all three calls.
    if unsafe { DeleteFileW(p.as_ptr()) != 0 || RemoveDirectoryW(p.as_ptr()) != 0 } {
        return Ok(Gone::Now);
    }
    let e = Error::last(format!("cannot remove {path}"));
    if e.code == ERROR_FILE_NOT_FOUND || e.code == ERROR_PATH_NOT_FOUND {
        return Ok(Gone::Now);
    }
    // A program that runs can be renamed: what is put here before the next start stays.
    let aside = wide(&format!("{path}.{}.old", ticks()));
    // SAFETY: both paths end with a zero; a null target means: remove.
    let later = unsafe {
        let is_file = GetFileAttributesW(p.as_ptr()) & FILE_ATTRIBUTE_DIRECTORY == 0;
        let moved = is_file && MoveFileExW(p.as_ptr(), aside.as_ptr(), 0) != 0;
        let what = if moved { &aside } else { &p };
        MoveFileExW(what.as_ptr(), null(), MOVEFILE_DELAY_UNTIL_REBOOT) != 0
    };
    if later {
        return Ok(Gone::AtRestart);
    }
    Err(e)
}

/// A number that two calls don't share.
fn ticks() -> u32 {
    // SAFETY: takes nothing.
    unsafe { GetTickCount() }
}

/// `name` beside this program.
pub fn beside(name: &str) -> Result<String> {
    Ok(format!("{}\\{name}", folder_of(&program()?)))
}

/// A path as a word of a command line.
pub fn quoted(path: &str) -> String {
    if path.contains(' ') { format!("\"{path}\"") } else { path.to_string() }
}
