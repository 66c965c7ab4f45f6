//! Programs with pipes, as the user that the host names.

use std::cell::RefCell;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

use agent::{Piped, Program};
use channel::services::programs::{Run, Stream};

use crate::sys;
use crate::users::{self, User};

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Children that nobody waits for any more, but that have to be waited for.
#[derive(Default, Clone)]
pub(crate) struct Orphans(Rc<RefCell<Vec<Child>>>);

impl Orphans {
    pub(crate) fn reap(&self) {
        self.0.borrow_mut().retain_mut(|c| matches!(c.try_wait(), Ok(None)));
    }
}

pub(crate) struct Running {
    child: Option<Child>,
    process: u32,
    input: Option<ChildStdin>,
    output: Option<ChildStdout>,
    errors: Option<ChildStderr>,
    orphans: Orphans,
}

impl Running {
    /// Descriptors to wait for: input, output, errors.
    pub(crate) fn fds(&self) -> (Option<RawFd>, [Option<RawFd>; 2]) {
        let input = self.input.as_ref().map(AsRawFd::as_raw_fd);
        (input, [self.output.as_ref().map(AsRawFd::as_raw_fd), self.errors.as_ref().map(AsRawFd::as_raw_fd)])
    }
}

fn piped(r: io::Result<usize>) -> Piped {
    match r {
        Ok(0) => Piped::End,
        Ok(n) => Piped::Bytes(n),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Piped::Later,
        Err(_) => Piped::End,
    }
}

impl Program for Running {
    fn process(&self) -> u32 {
        self.process
    }

    fn read(&mut self, stream: Stream, into: &mut [u8]) -> Piped {
        match stream {
            Stream::Out => self.output.as_mut().map_or(Piped::End, |p| piped(p.read(into))),
            Stream::Error => self.errors.as_mut().map_or(Piped::End, |p| piped(p.read(into))),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Piped {
        self.input.as_mut().map_or(Piped::End, |p| piped(p.write(bytes)))
    }

    fn close_input(&mut self) {
        self.input = None;
    }

    fn ended(&mut self) -> Option<u32> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        let code = status.code().or_else(|| status.signal().map(|s| 128 + s)).unwrap_or(255);
        Some(code as u32)
    }

    fn kill(&mut self) {
        if self.child.is_some() {
            // It leads a session of its own: its children go with it.
            let _ = sys::kill(-(self.process as i32), libc::SIGKILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.orphans.0.borrow_mut().extend(self.child.take());
    }
}

fn user(name: &str) -> Result<(User, Option<String>), String> {
    let (name, display) = if name == "@session" {
        let l = users::at_screen().ok_or("nobody is logged on at the screen")?;
        (l.user, Some(l.line).filter(|l| l.starts_with(':')))
    } else {
        (name.to_owned(), None)
    };
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let u = User::find(&passwd, &name).ok_or_else(|| format!("this guest has no user {name:?}"))?;
    Ok((u, display))
}

pub(crate) fn run(run: &Run, orphans: &Orphans) -> Result<Running, String> {
    let (program, arguments) = run.arguments.split_first().ok_or("no program is named")?;
    let mut c = Command::new(program);
    c.args(arguments);
    let mut who = None;
    if run.user.is_empty() {
        if std::env::var_os("PATH").is_none() {
            c.env("PATH", PATH);
        }
    } else {
        let (u, display) = user(&run.user)?;
        c.env_clear().envs([("PATH", PATH), ("HOME", &u.home), ("SHELL", &u.shell)]);
        c.envs([("USER", &u.name), ("LOGNAME", &u.name)]).envs(display.map(|d| ("DISPLAY", d)));
        if std::path::Path::new(&u.home).is_dir() {
            c.current_dir(&u.home);
        }
        who = Some(u.identity(&fs::read_to_string("/etc/group").unwrap_or_default()));
    }
    c.envs(run.environment.iter().filter_map(|e| e.split_once('=')));
    if !run.folder.is_empty() {
        c.current_dir(&run.folder);
    }
    let pipe = || if run.detached { Stdio::null() } else { Stdio::piped() };
    c.stdin(pipe()).stdout(pipe()).stderr(pipe());
    sys::become_user(&mut c, who, !run.detached);
    let mut child = c.spawn().map_err(|e| match (e.kind(), run.folder.is_empty()) {
        (ErrorKind::NotFound, false) => format!("{program} in folder {}: {e}", run.folder),
        _ => format!("{program}: {e}"),
    })?;
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let process = child.id();
    let running = Running { child: Some(child), process, input, output, errors, orphans: orphans.clone() };
    let (input, outputs) = running.fds();
    for fd in outputs.into_iter().chain([input]).flatten() {
        sys::set_nonblocking(fd).map_err(|e| format!("a pipe of {program}: {e}"))?;
    }
    Ok(running)
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    fn wait(r: &mut Running) -> u32 {
        for _ in 0..1000 {
            if let Some(code) = r.ended() {
                return code;
            }
            sleep(Duration::from_millis(5));
        }
        panic!("it does not end");
    }

    fn sh(text: &str) -> Running {
        let arguments = ["sh", "-c", text].map(String::from).to_vec();
        let r =
            Run { arguments, environment: vec!["WORD=well".into()], folder: "/".into(), ..Run::default() };
        run(&r, &Orphans::default()).expect("a shell")
    }

    #[test]
    fn input_output_folder_environment_and_exit_code_go_their_ways() {
        let mut r = sh("read line; echo $line $WORD $PWD; echo oh >&2; exit 7");
        let mut buf = [0; 64];
        assert_eq!(r.read(Stream::Out, &mut buf), Piped::Later);
        assert_eq!(r.write(b"all\n"), Piped::Bytes(4));
        assert_eq!(wait(&mut r), 7);
        assert_eq!(r.read(Stream::Out, &mut buf), Piped::Bytes(11));
        assert_eq!(&buf[..11], b"all well /\n");
        assert_eq!(r.read(Stream::Error, &mut buf), Piped::Bytes(3));
        assert_eq!(r.read(Stream::Out, &mut buf), Piped::End);
    }

    #[test]
    fn a_program_is_killed_with_its_children() {
        let mut r = sh("sleep 1000 & sleep 1000");
        r.kill();
        assert_eq!(wait(&mut r), 128 + 9);
        let mut buf = [0; 4];
        // The child had the pipe, too.
        for _ in 0..200 {
            if r.read(Stream::Out, &mut buf) == Piped::End {
                return;
            }
            sleep(Duration::from_millis(5));
        }
        panic!("a child lives");
    }

    #[test]
    fn what_can_not_be_started_says_why() {
        let of = |program: &str, user: &str| {
            let r = Run { arguments: vec![program.into()], user: user.into(), ..Run::default() };
            run(&r, &Orphans::default()).err().unwrap_or_default()
        };
        assert!(of("/no/such", "").starts_with("/no/such: No such file"), "{}", of("/no/such", ""));
        assert!(of("true", "nobody-of-that-name").contains("no user"));
    }
}
