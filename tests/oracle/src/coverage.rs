//! Which instructions were compared, and how often.

use std::fmt::Write;

use iced_x86::Code;

use crate::generate::{Case, Forms};
use crate::snapshot::{Snapshot, Stop};

pub struct Coverage {
    /// By `Code`: executed without a fault, faulted.
    ran: Vec<[u64; 2]>,
}

impl Default for Coverage {
    fn default() -> Self {
        Self { ran: vec![[0; 2]; Code::values().len()] }
    }
}

impl Coverage {
    /// Counts the instructions of a case that agreed. Jumps forward may have left some out: they are counted as far as
    /// the place where it stopped.
    pub fn note(&mut self, case: &Case, end: &Snapshot) {
        let stopped = end.regs.eip.wrapping_add(case.code_base);
        let faulted = end.stop != Stop::Exit;
        let mut at = case.start;
        for item in &case.items {
            if faulted && at == stopped {
                self.ran[item.code as usize][1] += 1;
                return;
            }
            self.ran[item.code as usize][0] += 1;
            at += u32::from(item.len);
        }
    }

    /// Encodings that ran without a fault at least once, or can't but faulted; and all there are.
    pub fn counts(&self) -> (usize, usize) {
        let forms = &Forms::get().all;
        (forms.iter().filter(|f| self.ran[f.code as usize] != [0; 2]).count(), forms.len())
    }

    /// Those that never ran.
    pub fn missing(&self) -> Vec<Code> {
        Forms::get().all.iter().map(|f| f.code).filter(|&c| self.ran[c as usize] == [0; 2]).collect()
    }

    /// One line for each encoding: its name, how often it ran and how often it faulted.
    pub fn table(&self) -> String {
        let mut s = String::new();
        for f in &Forms::get().all {
            let [ran, faulted] = self.ran[f.code as usize];
            let text = f.code.op_code().instruction_string();
            let _ = writeln!(
                s,
                "{:<12} {ran:>9} {faulted:>9}  {:<22} {text}",
                f.family.name(),
                f.code.op_code().op_code_string()
            );
        }
        s
    }
}
