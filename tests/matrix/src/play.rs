//! Plays an image's steps on a machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use guest_tests::Screen;

use crate::image::{Colour, Image, Picture, Sound, Step};
use crate::keys;
use crate::machine::{Kind, Machine, Workshop};

/// Between two looks at a machine.
const LOOK: Duration = Duration::from_millis(200);
/// How far a colour's parts may be off: what a screen of 16 bits keeps.
const NEAR: u32 = 8;

/// A step that has a name, and when it was reached: seconds since power-on.
pub struct Mark {
    pub name: String,
    pub compare: bool,
    pub seconds: f64,
}

#[derive(Default)]
pub struct Outcome {
    pub marks: Vec<Mark>,
    pub fault: Option<String>,
}

/// What has been seen so far.
#[derive(Default)]
struct Seen {
    /// Up to where COM1 was looked at
    serial: usize,
    /// The last picture, and since when it is the same
    picture: Option<(Screen, Instant)>,
    unknowns: Vec<String>,
}

pub fn play(workshop: &Workshop, image: &Image, kind: Kind) -> Outcome {
    let mut o = Outcome::default();
    let mut m = match workshop.start(image, kind) {
        Ok(m) => m,
        Err(e) => return Outcome { fault: Some(format!("{e:#}")), ..o },
    };
    if let Err(e) = steps(&mut m, image, &mut o) {
        let last = m.folder().join("last.png");
        // There may be no picture any more.
        let shown = m.picture().map(|p| p.save(&last)).is_ok_and(|r| r.is_ok());
        let see = if shown { format!("; its screen: {}", last.display()) } else { String::new() };
        // Of a graphics screen the reader of characters knows few.
        let unknown = |t: &String| 3 * t.matches('?').count() > t.split_whitespace().map(str::len).sum();
        let text = m.text().ok().filter(|t| !unknown(t)).unwrap_or_default();
        let text = text.lines().filter(|l| !l.trim().is_empty()).collect::<Vec<_>>().join("\n    ");
        let text = if text.is_empty() { text } else { format!("\n    {text}") };
        o.fault = Some(format!("{e:#}{see}{text}"));
    }
    o
}

fn steps(m: &mut Machine, image: &Image, o: &mut Outcome) -> Result<()> {
    let mut seen = Seen::default();
    for (n, s) in image.steps.iter().enumerate() {
        let which = s.name.clone().unwrap_or_else(|| format!("step {}", n + 1));
        wait(m, s, &mut seen).with_context(|| which.clone())?;
        // What was known before the end stays.
        if !s.off
            && let Some(now) = m.unknowns()
        {
            seen.unknowns = now;
        }
        if let Some(name) = &s.name {
            // A picture that stands still was there before it stood.
            let seconds = m.seconds() - s.still.unwrap_or(0.0);
            o.marks.push(Mark { name: name.clone(), compare: s.compare, seconds });
            // One that has powered off meanwhile has no picture.
            if let Ok(p) = m.picture() {
                p.save(&file_of(m.folder(), n, name))?;
            }
        }
        act(m, s).with_context(|| which)?;
    }
    fs::write(m.folder().join("unknowns.txt"), seen.unknowns.join("\n"))?;
    ensure!(
        image.unknowns || seen.unknowns.is_empty(),
        "{} accesses that no register answers: {}",
        seen.unknowns.len(),
        m.folder().join("unknowns.txt").display()
    );
    if image.sound == Sound::Heard && m.kind() == Kind::Heirloom {
        heard(&m.folder().join("sound.wav"))?;
    }
    Ok(())
}

/// A step's picture.
fn file_of(folder: &Path, n: usize, name: &str) -> PathBuf {
    let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    folder.join(format!("{:02}-{name}.png", n + 1))
}

/// A recording that is more than silence. Samples follow the 44 bytes of the header.
fn heard(wav: &Path) -> Result<()> {
    let b = fs::read(wav).with_context(|| wav.display().to_string())?;
    let loud = b.get(44..).unwrap_or_default().chunks_exact(2).filter(|s| {
        let v = i16::from_le_bytes([s[0], s[1]]);
        v.unsigned_abs() > 256
    });
    ensure!(loud.count() > 1000, "sound = \"heard\": {} has silence only", wav.display());
    Ok(())
}

fn wait(m: &mut Machine, s: &Step, seen: &mut Seen) -> Result<()> {
    let end = Instant::now() + Duration::from_secs_f64(s.within);
    loop {
        let missing = missing(m, s, seen)?;
        let Some(missing) = missing else { return Ok(()) };
        if let Some(status) = m.ended()? {
            if s.off {
                // A guest's power-off is success; QEMU has no other code either.
                ensure!(status.success(), "{} ended with {status}: {}", m.kind().name(), m.said());
                return Ok(());
            }
            bail!("{} ended with {status} before {missing}: {}", m.kind().name(), m.said());
        }
        ensure!(Instant::now() < end, "{missing} within {} s", s.within);
        std::thread::sleep(LOOK);
    }
}

/// The first of the step's conditions that does not hold.
fn missing(m: &mut Machine, s: &Step, seen: &mut Seen) -> Result<Option<String>> {
    if s.off {
        return Ok(Some("no power-off".into()));
    }
    if let Some(want) = &s.serial {
        let all = m.serial();
        let from = all.get(seen.serial..).unwrap_or_default();
        match from.find(want.as_str()) {
            // Consumed with the whole step only.
            Some(at) => {
                if let Some(other) = on_screen(m, s, seen)? {
                    return Ok(Some(other));
                }
                seen.serial += at + want.len();
                return Ok(None);
            }
            None => return Ok(Some(format!("no {want:?} on COM1"))),
        }
    }
    on_screen(m, s, seen)
}

fn on_screen(m: &mut Machine, s: &Step, seen: &mut Seen) -> Result<Option<String>> {
    if let Some(want) = &s.text
        && !m.text()?.contains(want.as_str())
    {
        return Ok(Some(format!("no {want:?} on the screen")));
    }
    if s.size.is_none() && s.colours.is_empty() && s.picture.is_none() && s.still.is_none() {
        return Ok(None);
    }
    let shown = match m.picture() {
        Ok(p) => p,
        // The machine that has just ended is told by its status.
        Err(_) if m.ended()?.is_some() => return Ok(Some("no picture".into())),
        Err(e) => return Err(e),
    };
    let since = match &seen.picture {
        Some((last, since)) if *last == shown => *since,
        _ => Instant::now(),
    };
    let looks = looks(&shown, s)?;
    seen.picture = Some((shown, since));
    if looks.is_some() {
        return Ok(looks);
    }
    if let Some(still) = s.still
        && since.elapsed().as_secs_f64() < still
    {
        return Ok(Some(format!("no still picture for {still} s")));
    }
    Ok(None)
}

/// What of a step's demands a picture does not meet.
fn looks(shown: &Screen, s: &Step) -> Result<Option<String>> {
    let size = [shown.width, shown.height];
    if let Some(want) = s.size
        && want != size
    {
        return Ok(Some(format!("no screen of {}x{} but one of {}x{}", want[0], want[1], size[0], size[1])));
    }
    for c in &s.colours {
        let share = share(shown, c)?;
        if share < c.share {
            return Ok(Some(format!("no share of {} of {} but one of {share:.3}", c.share, c.rgb)));
        }
    }
    if let Some(p) = &s.picture {
        let differs = differs(shown, p)?;
        if differs > p.tolerance {
            let path = p.path.display();
            return Ok(Some(format!(
                "no picture as {path} but one that differs in {differs:.3} of its pixels"
            )));
        }
    }
    Ok(None)
}

fn near(a: u32, b: u32) -> bool {
    [0, 8, 16].iter().all(|n| (a >> n & 0xff).abs_diff(b >> n & 0xff) <= NEAR)
}

/// Pixels of a region, or of the whole screen; those beyond it count as none.
fn pixels(s: &Screen, region: Option<[usize; 4]>) -> impl Iterator<Item = u32> + '_ {
    let [x, y, w, h] = region.unwrap_or([0, 0, s.width, s.height]);
    let (right, bottom) = ((x + w).min(s.width), (y + h).min(s.height));
    (y..bottom).flat_map(move |y| (x..right).map(move |x| s.pixels[y * s.width + x]))
}

fn share(s: &Screen, c: &Colour) -> Result<f64> {
    let want = c.value()?;
    let (mut all, mut are) = (0_u32, 0_u32);
    for p in pixels(s, c.region) {
        all += 1;
        are += u32::from(near(p, want));
    }
    Ok(if all == 0 { 0.0 } else { f64::from(are) / f64::from(all) })
}

/// Share of the pixels that are not near those of the picture.
fn differs(shown: &Screen, p: &Picture) -> Result<f64> {
    let want = Screen::load(&p.path).with_context(|| p.path.display().to_string())?;
    if (shown.width, shown.height) != (want.width, want.height) {
        return Ok(1.0);
    }
    let (mut all, mut other) = (0_u32, 0_u32);
    for (a, b) in pixels(shown, p.region).zip(pixels(&want, p.region)) {
        all += 1;
        other += u32::from(!near(a, b));
    }
    Ok(if all == 0 { 1.0 } else { f64::from(other) / f64::from(all) })
}

fn act(m: &mut Machine, s: &Step) -> Result<()> {
    std::thread::sleep(Duration::from_secs_f64(s.pause));
    for k in &s.keys {
        m.press(&keys::chord(k)?)?;
    }
    if let Some(t) = &s.text_to_type {
        m.type_text(t)?;
    }
    if let Some([x, y]) = s.mouse {
        m.mouse(x, y, 0)?;
        for _ in 0..s.clicks {
            m.mouse(x, y, 1)?;
            m.mouse(x, y, 0)?;
        }
    }
    if s.power_button {
        m.power_button()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use guest_tests::Screen;

    use super::{looks, share};
    use crate::image::{Colour, Step};

    fn half() -> Screen {
        let pixels = (0..64).map(|n| if n < 32 { 0x003a_6ea5 } else { 0 }).collect();
        Screen { width: 8, height: 8, pixels }
    }

    fn colour(rgb: &str, share: f64, region: Option<[usize; 4]>) -> Colour {
        Colour { rgb: rgb.into(), share, region }
    }

    #[test]
    fn colours_count_where_they_are_asked_for() {
        let s = half();
        let of = |rgb, region| share(&s, &colour(rgb, 0.0, region)).unwrap();
        // What a screen of 16 bits makes of it is the same.
        assert_eq!(of("386ca0", None), 0.5);
        assert_eq!(of("000000", Some([0, 4, 8, 4])), 1.0);
        assert_eq!(of("000000", Some([0, 0, 8, 5])), 0.2);
        assert_eq!(of("000000", Some([9, 9, 5, 5])), 0.0);
        assert!(share(&s, &colour("blue", 0.0, None)).is_err());
    }

    #[test]
    fn what_is_missing_is_said() {
        let step = Step { size: Some([640, 480]), ..Step::default() };
        assert!(looks(&half(), &step).unwrap().unwrap().contains("640x480 but one of 8x8"));
        let step = Step { colours: vec![colour("3a6ea5", 0.6, None)], ..Step::default() };
        assert!(looks(&half(), &step).unwrap().unwrap().contains("one of 0.500"));
        let step = Step { colours: vec![colour("3a6ea5", 0.5, None)], ..Step::default() };
        assert_eq!(looks(&half(), &step).unwrap(), None);
    }
}
