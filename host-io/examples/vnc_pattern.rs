//! Serves a moving test picture over VNC, to try viewers against: `vnc_pattern ADDR [PASSWORD]`. Prints input.
#![allow(clippy::print_stdout, reason = "an example that talks to its terminal")]

use std::time::Duration;

use board::{Scanout, VideoMode};
use host_io::display::Frame;
use host_io::display::vnc::{VncConfig, VncError, VncListener, VncServer, parse_address};

fn main() -> Result<(), VncError> {
    let mut args = std::env::args().skip(1);
    let address = parse_address(&args.next().unwrap_or_else(|| ":7".into()))?;
    let config = VncConfig {
        listener: VncListener::bind(address)?,
        password: args.next(),
        name: "test picture".into(),
    };
    let frame = Frame::new();
    let server = VncServer::start(config, frame.clone(), Box::new(|e| println!("{e:?}")))?;
    println!("listening on {}", server.address());
    let mut out = frame.scanout();
    let mode = VideoMode { width: 640, height: 400 };
    out.mode(mode);
    for n in 0u32.. {
        let px: Vec<u32> = (0..mode.height)
            .flat_map(|y| (0..mode.width).map(move |x| (x, y)))
            .map(|(x, y)| match (x / 80 + y / 100) % 3 {
                0 => (x / 3) << 16 | (y / 2) << 8 | 0x40,
                1 => u32::from((x ^ y) & 8 != 0) * 0xff_ffff,
                _ => 0x20_40c0,
            })
            .collect();
        out.rows(0..392, &px[..(392 * mode.width) as usize]);
        // A bar that moves in the lowest rows.
        let x = n % 64 * 10;
        let bar: Vec<u32> = (0..8 * mode.width)
            .map(|i| if (x..x + 10).contains(&(i % mode.width)) { 0xff_0000 } else { 0 })
            .collect();
        out.rows(392..400, &bar);
        out.frame();
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
