use alloc::vec;

use proptest::prelude::*;

use super::*;

fn rings() -> impl Strategy<Value = Rings> {
    any::<(u32, u32, u16, u16, u32)>().prop_map(|(tx, rx, tx_size, rx_size, rx_buffer)| Rings {
        tx,
        rx,
        tx_size,
        rx_size,
        rx_buffer,
    })
}

fn open() -> impl Strategy<Value = Open> {
    (any::<(u32, u16, u32)>(), rings()).prop_map(|((offer, channel, version), rings)| Open {
        offer,
        channel,
        version,
        rings,
    })
}

fn to_host() -> impl Strategy<Value = ToHost> {
    prop_oneof![
        (any::<(u32, u32, u64, u32)>(), 0u32..3, "\\PC{0,16}").prop_map(|(a, system, name)| {
            let (newest, oldest, session, features) = a;
            ToHost::Hello { newest, oldest, session, features, system: System::from_number(system), name }
        }),
        Just(ToHost::RequestOffers),
        open().prop_map(ToHost::Open),
        open().prop_map(ToHost::Move),
        any::<u16>().prop_map(|channel| ToHost::Close { channel }),
        any::<u32>().prop_map(|offer| ToHost::Released { offer }),
        Just(ToHost::Bye),
    ]
}

fn to_guest() -> impl Strategy<Value = ToGuest> {
    let opened = || (0usize..7).prop_map(|n| Opened::ALL[n]);
    prop_oneof![
        (any::<(u32, u32, u32, u32)>(), "\\PC{0,16}").prop_map(
            |((version, flags, features, longest), name)| {
                ToGuest::Welcome { version, flags, features, longest, name }
            }
        ),
        any::<(u32, u32)>().prop_map(|(newest, oldest)| ToGuest::Refused { newest, oldest }),
        (any::<(u32, [u8; 16], [u8; 16], u32, u8)>(), "\\PC{0,16}").prop_map(|(a, name)| {
            let (offer, class, instance, version, priority) = a;
            ToGuest::Offer(Offer {
                offer,
                class: Guid(class),
                instance: Guid(instance),
                version,
                priority,
                name,
            })
        }),
        Just(ToGuest::AllOffered),
        (any::<(u32, u16)>(), opened()).prop_map(|((offer, channel), result)| ToGuest::Opened {
            offer,
            channel,
            result
        }),
        (any::<u16>(), 0usize..4)
            .prop_map(|(channel, n)| ToGuest::Closed { channel, reason: Closed::ALL[n] }),
        any::<u32>().prop_map(|offer| ToGuest::Rescind { offer }),
        (any::<u16>(), opened()).prop_map(|(channel, result)| ToGuest::Moved { channel, result }),
        Just(ToGuest::Gone),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(host in to_host(), guest in to_guest()) {
        let (a, b) = (host.bytes(), guest.bytes());
        prop_assert!(a.len() <= MOST && b.len() <= MOST);
        prop_assert_eq!(ToHost::parse(&a), Ok(host));
        prop_assert_eq!(ToGuest::parse(&b), Ok(guest));
    }

    #[test]
    fn any_bytes_are_read_or_refused(b: Vec<u8>, kind in 0u8..20) {
        let mut b = b;
        for _ in 0..2 {
            let _ = (ToHost::parse(&b), ToGuest::parse(&b));
            if let Some(first) = b.first_mut() {
                *first = kind;
            }
        }
    }
}

#[test]
fn numbers_results_and_reasons_are_those_of_the_page() {
    for (n, o) in Opened::ALL.into_iter().enumerate() {
        assert_eq!(o as usize, n);
    }
    for (n, c) in Closed::ALL.into_iter().enumerate() {
        assert_eq!(c as usize, n);
    }
    let open = Open {
        offer: 1,
        channel: 2,
        version: 3,
        rings: Rings { tx: 4, rx: 5, tx_size: 6, rx_size: 7, rx_buffer: 8 },
    };
    let want =
        vec![7, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 7, 0, 8, 0, 0, 0];
    assert_eq!(ToHost::Open(open).bytes(), want);
}

#[test]
fn a_long_name_is_cut_between_characters() {
    let name = "\u{e4}".repeat(40);
    let ToGuest::Welcome { name: got, .. } =
        ToGuest::parse(&ToGuest::Welcome { version: 1, flags: 0, features: 0, longest: 0, name }.bytes())
            .expect("a welcome")
    else {
        panic!("not a welcome")
    };
    assert_eq!(got, "\u{e4}".repeat(32));
}
