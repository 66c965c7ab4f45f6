//! One boot of the benchmark's guest, or one native run of its script: readings of the lines asked for.

use std::path::Path;

use anyhow::Result;

use super::lines::{BOOT_INIT, Line};
use super::machines::Machines;
use super::parse::{End, Mark, mark};
use super::process::{Process, Stamp};
use super::results::{Column, Results, Sample};

/// Patience with a guest that says nothing: an interpreter on a busy host takes this long for one round of some lines.
const SILENCE: u64 = 600;

/// What is measured, and with what patience.
pub(crate) struct Task<'a> {
    pub(crate) machines: &'a Machines,
    pub(crate) guest: &'a Path,
    pub(crate) limit: f64,
}

impl Task<'_> {
    /// Measures these lines in this column. A line that fails is told in `notes`, and those after it still run.
    pub(crate) fn pass(
        &self,
        column: Column,
        lines: &[&'static Line],
        results: &mut Results,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        let mut todo = lines;
        loop {
            let names: Vec<&str> =
                if todo.is_empty() { vec!["none"] } else { todo.iter().map(|l| l.name).collect() };
            let limit = if column == Column::Native { 1000.0 } else { self.limit };
            let mut p = Process::start(&mut self.machines.lines(column, self.guest, limit, &names)?)?;
            let mut run = Run { column, todo, begun: None, done: 0, booted: column == Column::Native };
            let why = run.read(&mut p, results, notes);
            let Some(why) = why else {
                // It powers off; what it says of that does not matter here.
                let _ = p.ended(60);
                return Ok(());
            };
            let at = run.done;
            let Some(l) = todo.get(at).filter(|_| run.booted) else {
                notes.push(format!("{}: the guest did not come up: {why}", column.name()));
                return Ok(());
            };
            notes.push(format!("{}: {} failed: {why}", column.name(), l.name));
            todo = &todo[at + 1..];
            if todo.is_empty() {
                return Ok(());
            }
        }
    }
}

struct Run<'a> {
    column: Column,
    todo: &'a [&'static Line],
    begun: Option<Stamp>,
    /// Lines that are over.
    done: usize,
    booted: bool,
}

impl Run<'_> {
    /// Reads to the end of the script. Some: why it did not get there.
    fn read(&mut self, p: &mut Process, results: &mut Results, notes: &mut Vec<String>) -> Option<String> {
        loop {
            let (at, text) = match p.line(SILENCE) {
                Ok(Some(l)) => l,
                Ok(None) => return Some(format!("it ended: {}", p.complaint())),
                Err(e) => return Some(e.to_string()),
            };
            match mark(&text) {
                Some(Mark::Init) => {
                    self.booted = true;
                    results.add(BOOT_INIT, self.column, Sample::of_boot(p.started.to(at)));
                }
                Some(Mark::Begin(_)) => self.begun = Some(at),
                Some(Mark::End(e)) => self.end(&e, at, results),
                Some(Mark::Failed(name)) => {
                    notes.push(format!("{}: {name} failed: {}", self.column.name(), p.complaint()));
                    self.over(&name);
                }
                Some(Mark::Done) => return None,
                None => {}
            }
        }
    }

    fn end(&mut self, e: &End, at: Stamp, results: &mut Results) {
        let line = self.todo.iter().find(|l| l.name == e.name);
        if let (Some(l), Some(begun)) = (line, self.begun.take()) {
            results.add(l.name, self.column, Sample::of_line(self.column, e, begun.to(at)));
        }
        self.over(&e.name);
    }

    fn over(&mut self, name: &str) {
        if let Some(n) = self.todo.iter().position(|l| l.name == name) {
            self.done = n + 1;
        }
    }
}

#[cfg(test)]
#[path = "pass_tests.rs"]
mod tests;
