//! Users: of /etc/passwd and /etc/group, and who is logged on.

use std::fs;

use crate::sys::Identity;

pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) id: u32,
    pub(crate) group: u32,
    pub(crate) home: String,
    pub(crate) shell: String,
}

impl User {
    pub(crate) fn find(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|l| {
            let f: Vec<&str> = l.split(':').collect();
            let &[n, _, id, group, _, home, shell, ..] = &f[..] else { return None };
            let (id, group) = (id.parse().ok()?, group.parse().ok()?);
            (n == name).then(|| Self { name: n.into(), id, group, home: home.into(), shell: shell.into() })
        })
    }

    /// With all the groups that it is in.
    pub(crate) fn identity(&self, groups: &str) -> Identity {
        let member = groups.lines().filter_map(|l| {
            let f: Vec<&str> = l.split(':').collect();
            let &[_, _, id, members, ..] = &f[..] else { return None };
            members.split(',').any(|m| m == self.name).then(|| id.parse().ok())?
        });
        let mut groups: Vec<_> = member.chain([self.group]).collect();
        groups.sort_unstable();
        groups.dedup();
        Identity { user: self.id, group: self.group, groups }
    }
}

/// Someone who is logged on, by utmp.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) user: String,
    /// "tty1", "pts/0", ":0".
    pub(crate) line: String,
    pub(crate) process: i32,
}

/// Entries of utmp: 384 bytes on all of Linux's ports with glibc. utmp(5).
fn parse_utmp(b: &[u8]) -> Vec<Login> {
    const ENTRY: usize = 384;
    const USER_PROCESS: u16 = 7;
    let text =
        |b: &[u8]| String::from_utf8_lossy(b.split(|&c| c == 0).next().unwrap_or_default()).into_owned();
    b.chunks_exact(ENTRY)
        .filter(|e| u16::from_le_bytes([e[0], e[1]]) == USER_PROCESS)
        .map(|e| Login {
            process: i32::from_le_bytes([e[4], e[5], e[6], e[7]]),
            line: text(&e[8..40]),
            user: text(&e[44..76]),
        })
        .filter(|l| !l.user.is_empty())
        .collect()
}

pub(crate) fn logins() -> Vec<Login> {
    parse_utmp(&fs::read("/run/utmp").or_else(|_| fs::read("/var/run/utmp")).unwrap_or_default())
}

/// Who is at the screen: of X's login, or else on a console.
pub(crate) fn at_screen() -> Option<Login> {
    let mut all = logins();
    let x = all.iter().position(|l| l.line.starts_with(':'));
    let at = x.or_else(|| all.iter().position(|l| l.line.starts_with("tty")))?;
    Some(all.swap_remove(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_all_its_groups() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\nann:x:1000:1001:Ann,,,:/home/ann:/bin/sh\n";
        let u = User::find(passwd, "ann").expect("Ann");
        assert_eq!((u.id, u.group, &*u.home, &*u.shell), (1000, 1001, "/home/ann", "/bin/sh"));
        let i = u.identity("root:x:0:\naudio:x:29:bob,ann\nann:x:1001:\nann2:x:7:annie\n");
        assert_eq!((i.user, i.group, i.groups), (1000, 1001, vec![29, 1001]));
        assert!(User::find(passwd, "bob").is_none());
    }

    #[test]
    fn who_is_logged_on_is_read_from_utmp() {
        let mut b = vec![0; 3 * 384];
        b[384] = 7;
        b[388..392].copy_from_slice(&77i32.to_le_bytes());
        b[392..396].copy_from_slice(b"tty1");
        b[384 + 44..384 + 47].copy_from_slice(b"ann");
        b[768] = 8;
        b[768 + 44] = b'x';
        let want = Login { user: "ann".into(), line: "tty1".into(), process: 77 };
        assert_eq!(parse_utmp(&b), [want]);
    }
}
