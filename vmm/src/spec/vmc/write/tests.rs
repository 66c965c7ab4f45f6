use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::super::{NETS_MOST, NetSpec};
use super::super::read;
use super::*;

/// What a file may be called that lies in the spec's folder. Those that XML and TOML have trouble with are among them.
fn file() -> impl Strategy<Value = std::path::PathBuf> {
    "[a-zé&<>\"'; ]{0,4}[a-z]\\.(vhd|iso|img)".prop_map(|s| s.trim_start().into())
}

fn undo() -> impl Strategy<Value = Option<UndoClose>> {
    option::of(prop_oneof![Just(UndoClose::Keep), Just(UndoClose::Commit), Just(UndoClose::Discard)])
}

fn disk(odd: bool) -> impl Strategy<Value = DiskSpec> {
    (file(), undo(), any::<[bool; 6]>()).prop_map(move |(path, undo, [a, b, c, d, e, f])| DiskSpec {
        path,
        read_only: odd && a && undo.is_none(),
        overlay: odd && b && undo.is_none(),
        undo_file: (odd && c && undo.is_some()).then(|| "elsewhere.vud".into()),
        undo,
        cache: if odd && d { Cache::None } else { Cache::default() },
        on_error: if odd && e { OnError::Pause } else { OnError::default() },
        unmap: odd && f,
    })
}

fn net(odd: bool) -> impl Strategy<Value = NetSpec> {
    let mac = option::of(any::<[u8; 6]>().prop_map(|[a, b, c, d, e, f]| [a & 0xfe, b, c, d, e, f | 1]));
    let odd = prop_oneof![
        Just(NetKind::Tap("tap0".into())),
        Just(NetKind::Nat(vec!["forward=tcp:2222:22".into()])),
    ]
    .prop_map(move |k| if odd { k } else { NetKind::None });
    (prop_oneof![Just(NetKind::None), Just(NetKind::Nat(Vec::new())), odd], mac)
        .prop_map(|(kind, mac)| NetSpec { kind, mac })
}

/// `odd`: with what has no equal.
fn spec(odd: bool) -> impl Strategy<Value = MachineSpec> {
    let media = (
        vec(disk(odd), 0..=4),
        vec(option::of(file()), 0..=4),
        vec((option::of(file()), any::<bool>()), 0..=2),
        vec(net(odd), 1..=NETS_MOST),
    );
    let rest = (super::super::MEMORY_MIB, 0..4_usize, 0..3_usize, any::<[bool; 8]>());
    (media, rest).prop_map(
        move |((disks, mut cdroms, floppies, mut nets), (memory_mib, video, audio, odds))| {
            cdroms.truncate(4 - disks.len());
            // An interface is one adapter's.
            let mut tap = false;
            nets.retain(|n| !matches!(n.kind, NetKind::Tap(_)) || !std::mem::replace(&mut tap, true));
            if nets.is_empty() {
                nets.push(NetSpec::UNPLUGGED);
            }
            let [ro, kernel, nx, clock, boot, serial, display, engine] = odds.map(|o| o && odd);
            let floppy = |(path, protected)| FloppySpec { read_only: protected && ro, path };
            let mut s = MachineSpec {
                name: "machine".into(),
                memory_mib,
                video_mib: [1, 2, 4, 8][video],
                floppies: floppies.into_iter().map(floppy).collect(),
                audio: [AudioSpec::None, AudioSpec::Host, AudioSpec::Wav("a.wav".into())]
                    [if odd { audio } else { audio % 2 }]
                .clone(),
                disks,
                cdroms,
                nets,
                nx,
                ..MachineSpec::default()
            };
            if kernel {
                (s.kernel, s.append) = (Some("vmlinuz".into()), "quiet".into());
            }
            if clock {
                s.clock = ClockKind::Instructions;
            }
            if boot {
                s.boot = "adc".into();
            }
            if serial {
                s.serial = vec![SerialSpec::Stdio, SerialSpec::None];
            }
            if display {
                s.display = vec![DisplaySpec::Vnc { address: "127.0.0.1:5900".into(), password: None }];
            }
            if engine {
                s.engine = Choice::This(crate::Engine::Software);
            }
            s
        },
    )
}

/// Written and read again, its files where they were.
fn back(s: &MachineSpec) -> MachineSpec {
    let v = Vmc::of_spec(s, |p| p.display().to_string());
    let read = read(&v.write()).unwrap();
    assert_eq!(read, v);
    let text = read.to_spec(&s.name, |absolute, relative| {
        assert_eq!(absolute, "");
        relative.strip_prefix(".\\").unwrap().to_owned()
    });
    let notes = read.notes();
    assert!(notes.is_empty(), "{notes:?}");
    MachineSpec::parse(&text, "back.toml").unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// Adapters have the addresses that the machine's name gives them, whether or not that is written down.
fn with_addresses(mut s: MachineSpec) -> MachineSpec {
    let all = macs(&s.name, &s.nets);
    s.nets.iter_mut().zip(all).for_each(|(n, mac)| n.mac = Some(mac));
    s
}

/// What a configuration can say of a spec.
fn without_the_rest(mut s: MachineSpec) -> MachineSpec {
    let of = MachineSpec::default();
    let all = undo_of(&s);
    for d in &mut s.disks {
        *d = DiskSpec { path: d.path.clone(), undo: d.undo.and(all), ..DiskSpec::default() };
    }
    s.floppies.iter_mut().for_each(|f| f.read_only = false);
    for n in &mut s.nets {
        n.kind = match n.kind {
            NetKind::Nat(_) => NetKind::Nat(Vec::new()),
            NetKind::None | NetKind::Tap(_) => NetKind::None,
        };
    }
    if let AudioSpec::Wav(_) = s.audio {
        s.audio = AudioSpec::Host;
    }
    MachineSpec {
        name: s.name,
        memory_mib: s.memory_mib,
        video_mib: s.video_mib,
        disks: s.disks,
        cdroms: s.cdroms,
        floppies: s.floppies,
        nets: s.nets,
        audio: s.audio,
        ..of
    }
}

proptest! {
    #[test]
    fn what_has_an_equal_comes_back(s in spec(false)) {
        prop_assume!(s.check().is_ok());
        // One action for all undo disks.
        let same = without_the_rest(s.clone());
        prop_assert_eq!(missing(&s).is_empty(), s == same);
        prop_assert_eq!(with_addresses(back(&same)), with_addresses(same));
    }

    #[test]
    fn what_has_none_is_told(s in spec(true)) {
        prop_assume!(s.check().is_ok());
        let same = without_the_rest(s.clone());
        let told = missing(&s);
        prop_assert_eq!(told.is_empty(), s == same, "{:?}", told);
        prop_assert!(told.iter().all(|t| !t.contains('\n')));
        prop_assert_eq!(with_addresses(back(&s)), with_addresses(same));
    }
}

#[test]
fn each_thing_without_an_equal_has_its_line() {
    let text = "engine = 'software,jit=off'\nclock = 'instructions'\nnx = true\nboot = 'adc'\nkernel = 'k'\nappend = 'x'\n\
        serial = ['none', 'file=a']\nparallel = 'file=b'\naudio = 'wav=c'\ndisplay = ['vnc=127.0.0.1:5900']\n\
        [[disk]]\npath = 'a.img'\nundo = 'keep'\n[[disk]]\npath = 'b.img'\nundo = 'commit'\nundo_file = 'c.vud'\n\
        [[disk]]\npath = 'd.img'\noverlay = true\n[[floppy]]\npath = 'e.img'\nread_only = true\n\
        [[net]]\nkind = 'tap'\ninterface = 'tap3'\n[[net]]\nkind = 'nat'\nhost = 'allow'\n";
    let s = MachineSpec::parse(text, "s.toml").unwrap();
    assert_eq!(
        missing(&s),
        [
            "the engine with its options has no equal there",
            "the clock of instructions has no equal there",
            "execute disable (nx) has no equal there",
            "the boot order adc has no equal there",
            "the kernel has no equal there",
            "the kernel's command line (append) has no equal there",
            "what COM2 is connected to has no equal there",
            "what LPT1 is connected to has no equal there",
            "the recording of the sound (the card is there) has no equal there",
            "the VNC server has no equal there",
            "disk 2: the undo disk's own name (undo_file) has no equal there",
            "disk 2: an action of its own at the end (all undo disks have the first one's) has no equal there",
            "disk 3: overlay has no equal there",
            "diskette drive A: read_only has no equal there",
            "network adapter 1: interface tap3 (it is not connected there) has no equal there",
            "network adapter 2: host=allow has no equal there",
        ]
    );
}

#[test]
fn a_disk_that_is_alone_and_a_cd_are_where_systems_look() {
    let text = "[[disk]]\npath = 'a.vhd'\nundo = 'discard'\n[[cdrom]]\n[[cdrom]]\npath = 'b.iso'\n";
    let s = MachineSpec::parse(text, "s.toml").unwrap();
    let v = Vmc::of_spec(&s, |p| p.display().to_string());
    let places: Vec<_> = v.drives.iter().map(|d| (d.at, d.cdrom, d.relative.as_str())).collect();
    assert_eq!(places, [((0, 0), false, ".\\a.vhd"), ((1, 0), true, ""), ((1, 1), true, ".\\b.iso")]);
    let bytes = v.write();
    assert_eq!(bytes[..2], [0xff, 0xfe]);
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|p| u16::from_le_bytes(*p)).collect();
    let xml = String::from_utf16(&units).unwrap();
    for part in [
        "<location id=\"1\">\r\n<drive_type type=\"integer\">0</drive_type>",
        "<undo_pathname>\r\n<absolute type=\"string\"></absolute>\r\n<relative type=\"string\">.\\a.vud</relative>",
        "<undo_drives>\r\n<default_action type=\"integer\">0</default_action>",
        "<name type=\"string\">Not connected</name>",
        "<ethernet_card_address type=\"bytes\">0003FF",
        "<sound_adapter>\r\n<enable type=\"boolean\">false</enable>",
    ] {
        assert!(xml.contains(part), "{part}: {xml}");
    }
}
