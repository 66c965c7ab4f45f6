//! Runs on the instruction clock, which must not differ.

use crate::{Args, Screen, Vm, folder};

/// One run for each engine given: time, instruction count, COM1 and the last picture agree. Returns the picture.
pub fn the_same(test: &str, engines: &[&str], args: &Args) -> Screen {
    let mut first: Option<(String, String, Screen)> = None;
    for (n, engine) in engines.iter().enumerate() {
        let png = folder(&format!("{test}-{n}-png")).join("last.png");
        let args = args.clone().with("--engine", engine).with("--clock", "instructions").flag("--stats");
        let args = args.with("--screenshot", &png);
        // The same name: the machine's UUID comes from it, which the guest can read.
        let mut vm = Vm::logged(test, &args);
        assert_eq!(vm.wait(600).code(), Some(0), "{}", vm.said());
        let (stats, log, screen) =
            (vm.said(), vm.log(), Screen::load(&png).expect("the screenshot is a PNG file"));
        let Some((stats1, log1, screen1)) = &first else {
            eprintln!("{test}: {}", stats.trim());
            assert!(stats.contains("instructions"), "{stats}");
            first = Some((stats, log, screen));
            continue;
        };
        assert_eq!(*stats1, stats, "time and instructions, {engine}");
        assert_eq!(*log1, log, "what came on COM1, {engine}");
        // Not assert_eq: nobody reads a million pixels.
        assert!(
            *screen1 == screen,
            "the last pictures differ; {}:\n{}\n{engine}:\n{}",
            engines[0],
            screen1.text(),
            screen.text()
        );
    }
    first.expect("an engine").2
}
