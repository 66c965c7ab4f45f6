use super::super::{NatOptions, Protocol};

#[test]
fn all_options_are_read() {
    let o = NatOptions::parse(
        "forward=tcp:2222:22,forward=udp:0.0.0.0:69:69,forward=tcp:[::1]:8080:80,host=allow,dns=192.0.2.53,pcap=a.pcap",
    )
    .unwrap();
    let forwards: Vec<_> = o.forwards.iter().map(ToString::to_string).collect();
    assert_eq!(forwards, ["tcp:127.0.0.1:2222:22", "udp:0.0.0.0:69:69", "tcp:[::1]:8080:80"]);
    assert_eq!(o.forwards[1].protocol, Protocol::Udp);
    assert!(o.host);
    assert_eq!(o.dns, Some(([192, 0, 2, 53], 53).into()));
    assert_eq!(o.pcap, Some("a.pcap".into()));
    assert_eq!(NatOptions::parse("").unwrap(), NatOptions::default());
    assert_eq!(NatOptions::parse("dns=127.0.0.1:5353").unwrap().dns, Some(([127, 0, 0, 1], 5353).into()));
}

#[test]
fn what_is_wrong_is_named_with_its_mend() {
    for (text, says) in [
        ("hots=allow", ["hots", "host=allow"]),
        ("host=maybe", ["host", "allow or deny"]),
        ("host=allow,host=deny", ["host", "twice"]),
        ("dns=resolver", ["dns", "192.0.2.53"]),
        ("pcap=", ["pcap", "net.pcap"]),
        ("tftp=::1", ["tftp", "IPv4"]),
        ("bootfile=", ["bootfile", "127"]),
        ("forward=2222:22", ["forward", "tcp:2222:22"]),
        ("forward=sctp:1:2", ["forward", "tcp or udp"]),
        ("forward=tcp:22", ["forward", "two ports"]),
        ("forward=tcp:0:22", ["forward", "host's port"]),
        ("forward=tcp:22:70000", ["forward", "guest's port"]),
        ("forward=tcp:here:1:2", ["forward", "0.0.0.0"]),
    ] {
        let e = NatOptions::parse(text).unwrap_err().to_string();
        assert!(says.iter().all(|s| e.contains(s)), "{text}: {e}");
        assert!(!e.contains('\n'));
    }
}
