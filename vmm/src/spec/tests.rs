use super::*;

#[test]
fn a_whole_spec_is_read() {
    let s = MachineSpec::parse(
        "name = 'accounts'\nmemory = 0x200\nengine = 'software'\nboot = 'dc'\nserial = ['stdio', 'file=/tmp/a']\nparallel = 'none'\naudio = 'host'\n\
         display = ['vnc=127.0.0.1:5900,password=hunter2']\n[[disk]]\npath = 'xp.vhd'\nread_only = true\n[[cdrom]]\n\
         [[floppy]]\npath = 'a.img'\nread_only = true\n[[floppy]]\n",
        "m.toml",
    )
    .unwrap();
    assert_eq!((s.name.as_str(), s.memory_mib, s.boot.as_str()), ("accounts", 512, "dc"));
    assert_eq!(s.disks, [DiskSpec { path: "xp.vhd".into(), read_only: true, ..DiskSpec::default() }]);
    assert_eq!(s.cdroms, [None]);
    assert_eq!(s.floppies, [floppy("a.img,ro").unwrap(), floppy("none").unwrap()]);
    assert_eq!(s.serial, [SerialSpec::Stdio, SerialSpec::File("/tmp/a".into())]);
    let vnc = DisplaySpec::Vnc { address: "127.0.0.1:5900".into(), password: Some("hunter2".into()) };
    assert_eq!(s.display, [vnc]);
}

#[test]
fn all_faults_come_at_once_with_their_lines() {
    let text = "memory = 3\nmemroy = 256\nengine = 7\nserial = ['tty', 'stdio']\n[[disk]]\nread_only = 'yes'\nsize = 3\n";
    let f = MachineSpec::parse(text, "m.toml").unwrap_err();
    let lines: Vec<usize> = f.all.iter().map(|f| f.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5, 6, 7], "{f}");
    assert!(
        f.to_string()
            .starts_with("m.toml:1: memory: memory of 3 MiB; use 4 to 3712\nm.toml:2: no key \"memroy\"")
    );
}

#[test]
fn broken_toml_names_the_line() {
    let f = MachineSpec::parse("name = 'a'\nmemory = = 3\n", "m.toml").unwrap_err();
    assert_eq!(f.all[0].line, 2);
}

#[test]
fn what_no_single_field_shows_is_checked() {
    let f =
        MachineSpec::parse("append = 'quiet'\nserial = ['stdio', 'stdio', 'none']\n", "m.toml").unwrap_err();
    assert_eq!(f.all.len(), 3, "{f}");
    assert!(MachineSpec::parse(&"[[floppy]]\n".repeat(3), "m.toml").is_err());
    assert!(MachineSpec::parse(&"[[disk]]\npath = 'a'\n".repeat(5), "m.toml").is_err());
}

#[test]
fn undo_disks() {
    let d = disk("a/xp.vhd,undo").unwrap();
    assert_eq!((d.undo, d.undo_file()), (Some(UndoClose::Keep), "a/xp.vud".into()));
    let d = disk("xp.vhd,undo=discard,undo-file=/tmp/u").unwrap();
    assert_eq!((d.undo, d.undo_file()), (Some(UndoClose::Discard), "/tmp/u".into()));
    let text = "[[disk]]\npath = 'xp.vhd'\nundo = 'commit'\nundo_file = 'mine.vud'\n";
    let mut s = MachineSpec::parse(text, "m.toml").unwrap();
    s.rebase(Path::new("/specs"));
    assert_eq!(
        (s.disks[0].undo, s.disks[0].undo_file()),
        (Some(UndoClose::Commit), "/specs/mine.vud".into())
    );
    for (words, told) in
        [("a.vhd,undo=often", "keep, commit or discard"), ("a.vhd,undo-file=", "undo-file=PATH")]
    {
        assert!(disk(words).unwrap_err().contains(told), "{words}");
    }
    for words in ["a.vhd,undo,ro", "a.vhd,overlay,undo=keep", "a.vhd,undo-file=b", "a.vud,undo"] {
        let s = MachineSpec { disks: vec![disk(words).unwrap()], ..MachineSpec::default() };
        assert!(s.check().unwrap_err()[0].contains(&words[..5]), "{words}");
    }
}

#[test]
fn what_becomes_of_the_hosts_failures() {
    assert_eq!(disk("a.vhd").unwrap().on_error, OnError::Auto);
    assert_eq!(disk("a.vhd,on-error=report").unwrap().on_error, OnError::Report);
    let s = MachineSpec::parse("[[disk]]\npath = 'a.vhd'\non_error = 'pause'\n", "m.toml").unwrap();
    assert_eq!(s.disks[0].on_error, OnError::Pause);
    let told = disk("a.vhd,on-error=stop").unwrap_err();
    assert_eq!(told, "on-error \"stop\"; use auto, report or pause");
}

#[test]
fn how_the_host_caches() {
    assert_eq!(disk("a.vhd").unwrap().cache, Cache::WriteBack);
    assert_eq!(disk("a.vhd,cache=writethrough").unwrap().cache, Cache::WriteThrough);
    let s = MachineSpec::parse("[[disk]]\npath = 'a.vhd'\ncache = 'none'\n", "m.toml").unwrap();
    assert_eq!(s.disks[0].cache, Cache::None);
    assert_eq!(disk("a.vhd,cache=off").unwrap_err(), "cache \"off\"; use writeback, writethrough or none");
}

#[test]
fn what_is_discarded() {
    assert!(!disk("a.vhd").unwrap().unmap && !disk("a.vhd,discard=ignore").unwrap().unmap);
    let s = MachineSpec::parse("[[disk]]\npath = 'a.vhd'\ndiscard = 'unmap'\n", "m.toml").unwrap();
    assert!(s.disks[0].unmap);
    assert_eq!(disk("a.vhd,discard=on").unwrap_err(), "discard \"on\"; use ignore or unmap");
    for words in ["a.vhd,discard=unmap,ro", "a.vhd,overlay,discard=unmap"] {
        let s = MachineSpec { disks: vec![disk(words).unwrap()], ..MachineSpec::default() };
        assert!(s.check().unwrap_err()[0].contains("nothing can be freed"), "{words}");
    }
}

#[test]
fn words_of_a_diskette_drive() {
    assert_eq!(floppy("a.img"), Ok(FloppySpec { path: Some("a.img".into()), read_only: false }));
    assert_eq!(floppy("none"), Ok(FloppySpec { path: None, read_only: false }));
    for bad in ["", ",ro", "none,ro", "a.img,rw", "a.img,ro,ro"] {
        assert!(floppy(bad).is_err(), "{bad}");
    }
}

#[test]
fn boot_letters_may_not_repeat() {
    assert!(boot("acdn").is_ok());
    assert!(boot("cc").is_err());
    assert!(boot("").is_err());
    assert!(boot("x").is_err());
}

#[test]
fn every_path_of_a_spec_is_relative_to_its_folder() {
    let mut s = MachineSpec::parse(
        "parallel = 'file=p'\naudio = 'wav=w'\nkernel = 'k'\ninitrd = 'i'\nserial = ['file=f', 'unix=/run/u']\n[[disk]]\npath = 'd'\n[[cdrom]]\npath = 'c'\n\
         [[floppy]]\npath = 'f'\n[[floppy]]\n",
        "m.toml",
    )
    .unwrap();
    s.rebase(Path::new("/at"));
    assert_eq!((s.kernel, s.initrd), (Some("/at/k".into()), Some("/at/i".into())));
    assert_eq!(s.serial, [SerialSpec::File("/at/f".into()), SerialSpec::Unix("/run/u".into())]);
    assert_eq!((s.disks[0].path.clone(), s.cdroms), ("/at/d".into(), vec![Some("/at/c".into())]));
    assert_eq!(s.floppies[0].path, Some("/at/f".into()));
    assert_eq!(s.parallel, ParallelSpec::File("/at/p".into()));
    assert_eq!(s.audio, AudioSpec::Wav("/at/w".into()));
    let mut s = MachineSpec { bios: Some("b".into()), ..MachineSpec::default() };
    s.rebase(Path::new("/at"));
    assert_eq!(s.bios, Some("/at/b".into()));
}

#[test]
fn network_adapters_are_read_and_their_faults_name_the_mend() {
    let s = MachineSpec::parse(
        "[[net]]\nkind = 'none'\n[[net]]\nkind = 'tap'\ninterface = 'tap0'\nmac = '00-03-FF-00-00-07'\n",
        "m.toml",
    )
    .unwrap();
    let tap = NetSpec { kind: NetKind::Tap("tap0".into()), mac: Some([0, 3, 0xff, 0, 0, 7]) };
    assert_eq!(s.nets, [NetSpec::UNPLUGGED, tap.clone()]);
    assert_eq!(macs("a", &s.nets)[1], [0, 3, 0xff, 0, 0, 7]);
    assert_eq!(MachineSpec::parse("", "m.toml").unwrap().nets, [NetSpec::UNPLUGGED], "one, unplugged");
    assert_eq!(net("tap=tap0"), Ok(NetSpec { mac: None, ..tap }));
    assert_eq!(net("none"), Ok(NetSpec::UNPLUGGED));

    let text =
        "[[net]]\nkind = 'nat'\nforward = ['tcp:2222:22', 'udp:53:53']\nhost = 'allow'\npcap = 'n.pcap'\n";
    let mut s = MachineSpec::parse(text, "m.toml").unwrap();
    s.rebase(Path::new("/at"));
    let nat = net("nat,forward=tcp:2222:22,forward=udp:53:53,host=allow,pcap=/at/n.pcap").unwrap();
    assert_eq!(s.nets, [nat]);
    assert_eq!(net("nat").unwrap().kind, NetKind::Nat(Vec::new()));
    assert!(net("none,host=allow").is_err() && net("nat2").is_err() && net("").is_err());

    for (text, told) in [
        ("kind = 'nat'\nforward = ['a,host=allow']", "m.toml:3: forward: \"a,host=allow\" has a comma"),
        ("kind = 'nat '", "m.toml:2: kind: no kind of network \"nat \"; use none, nat or tap"),
        ("mac = '00:03:ff:00:00:01'", "m.toml:1: kind is missing"),
        ("kind = 'tap'", "m.toml:1: interface is missing"),
        ("kind = 'tap'\ninterface = 'a/b'", "m.toml:3: interface: no interface can be named \"a/b\""),
        (
            "kind = 'none'\nmac = '01:00:00:00:00:00'",
            "m.toml:3: mac: MAC address \"01:00:00:00:00:00\" is a group's",
        ),
        ("kind = 'none'\nmac = '00:00:00:00:00:00'", "is nobody's; use another, as in 00:03:ff:12:34:56"),
        ("kind = 'none'\nmac = '0:3:ff:12:34:56:0'", "use six bytes, as in 00:03:ff:12:34:56"),
        ("kind = 'none'\nmac = '00:03:ff:12:34:5é'", "use six bytes"),
        ("kind = 'none'\nmac = '0003ff123456'", "use six bytes"),
    ] {
        let f = MachineSpec::parse(&format!("[[net]]\n{text}\n"), "m.toml").unwrap_err().to_string();
        assert!(f.contains(told), "{f}");
    }
    let told = MachineSpec::parse(&"[[net]]\nkind = 'none'\n".repeat(5), "m.toml").unwrap_err().to_string();
    assert!(told.contains("5 network adapters; the machine takes 4"), "{told}");
    let twice = "[[net]]\nkind = 'tap'\ninterface = 't'\nmac = '00:03:ff:00:00:01'\n".repeat(2);
    let told = MachineSpec::parse(&twice, "m.toml").unwrap_err().to_string();
    assert!(
        told.contains("MAC address 00:03:ff:00:00:01; give each") && told.contains("on interface t;"),
        "{told}"
    );
}

#[test]
fn a_machines_name_makes_its_addresses() {
    let all = macs("accounts", &[]);
    assert_eq!(all, macs("accounts", &[]));
    assert!(all.iter().all(|m| m[..3] == [0, 3, 0xff]));
    assert!((0..4).all(|n| (0..n).all(|k| all[k] != all[n])));
    assert_ne!(all[0], mac_for("accounts2", 0));
}

#[test]
fn serial_ports_listen_or_connect() {
    for (text, want) in [
        ("unix=/run/u", Some(SerialSpec::Unix("/run/u".into()))),
        ("unix=/run/u,connect", Some(SerialSpec::UnixConnect("/run/u".into()))),
        ("tcp=:4000", Some(SerialSpec::Tcp(":4000".into()))),
        ("tcp=lab:4000,connect", Some(SerialSpec::TcpConnect("lab:4000".into()))),
        ("tcp=lab:4000,listen", None),
        ("tcp=lab,connect", None),
        ("unix=,connect", None),
    ] {
        assert_eq!(serial(text).ok(), want, "{text}");
    }
}
