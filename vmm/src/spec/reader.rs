//! Reads a TOML table field by field and collects every fault with its line, instead of stopping at the first.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Fault, Faults};

pub(super) struct Reader<'i> {
    text: &'i str,
    source: String,
    root: DeTable<'i>,
    faults: Vec<Fault>,
}

/// One table of the file while its fields are read.
pub(super) struct Table<'r, 'i> {
    text: &'i str,
    table: &'r DeTable<'i>,
    at: Range<usize>,
    known: Vec<&'static str>,
    faults: &'r mut Vec<Fault>,
    root: bool,
}

fn line(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|&&b| b == b'\n').count() + 1
}

impl<'i> Reader<'i> {
    pub(super) fn new(text: &'i str, source: &str) -> Result<Self, Faults> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let fault = |e: &toml::de::Error| Fault {
            line: e.span().map_or(0, |s| line(text, s.start)),
            what: e.message().to_owned(),
        };
        if !errors.is_empty() {
            return Err(Faults { source: source.into(), all: errors.iter().map(fault).collect() });
        }
        Ok(Self { text, source: source.into(), root: root.into_inner(), faults: Vec::new() })
    }

    /// Reads the file's top table with `f`; Err with all faults if there is any.
    pub(super) fn read(mut self, f: impl FnOnce(&mut Table<'_, 'i>)) -> Result<(), Faults> {
        let mut t = Table {
            text: self.text,
            table: &self.root,
            at: 0..0,
            known: Vec::new(),
            faults: &mut self.faults,
            root: true,
        };
        f(&mut t);
        t.unknown();
        self.faults.sort_by_key(|f| f.line);
        if self.faults.is_empty() { Ok(()) } else { Err(Faults { source: self.source, all: self.faults }) }
    }
}

impl<'i> Table<'_, 'i> {
    fn fault(&mut self, at: usize, what: String) {
        self.faults.push(Fault { line: line(self.text, at), what });
    }

    fn take(&mut self, key: &'static str) -> Option<(DeValue<'i>, Range<usize>)> {
        self.known.push(key);
        let v: &Spanned<DeValue<'i>> = self.table.get(key)?;
        Some((v.get_ref().clone(), v.span()))
    }

    fn ill_typed(&mut self, key: &str, at: usize, v: &DeValue<'_>, want: &str) {
        self.fault(at, format!("{key} is of type {}; use {want}", v.type_str()));
    }

    pub(super) fn text<T>(
        &mut self,
        key: &'static str,
        check: impl Fn(&str) -> Result<T, String>,
        set: impl FnOnce(T),
    ) {
        let Some((v, at)) = self.take(key) else { return };
        match v.as_str().map(check) {
            None => self.ill_typed(key, at.start, &v, "a string"),
            Some(Err(what)) => self.fault(at.start, format!("{key}: {what}")),
            Some(Ok(v)) => set(v),
        }
    }

    pub(super) fn number<T>(
        &mut self,
        key: &'static str,
        check: impl Fn(u64) -> Result<T, String>,
        set: impl FnOnce(T),
    ) {
        let Some((v, at)) = self.take(key) else { return };
        let number = v.as_integer().map(|i| u64::from_str_radix(i.as_str(), i.radix()));
        match number {
            None => self.ill_typed(key, at.start, &v, "a whole number"),
            Some(Err(_)) => {
                self.fault(at.start, format!("{key} is out of range; use a positive whole number"))
            }
            Some(Ok(n)) => match check(n) {
                Ok(v) => set(v),
                Err(what) => self.fault(at.start, format!("{key}: {what}")),
            },
        }
    }

    pub(super) fn flag(&mut self, key: &'static str, set: impl FnOnce(bool)) {
        let Some((v, at)) = self.take(key) else { return };
        match v.as_bool() {
            None => self.ill_typed(key, at.start, &v, "true or false"),
            Some(b) => set(b),
        }
    }

    pub(super) fn texts<T>(
        &mut self,
        key: &'static str,
        check: impl Fn(&str) -> Result<T, String>,
        mut add: impl FnMut(T),
    ) {
        let Some((v, at)) = self.take(key) else { return };
        let Some(list) = v.as_array() else {
            return self.ill_typed(key, at.start, &v, "a list of strings");
        };
        for x in list.iter() {
            match x.get_ref().as_str().map(&check) {
                None => self.ill_typed(key, x.span().start, x.get_ref(), "a list of strings"),
                Some(Err(what)) => self.fault(x.span().start, format!("{key}: {what}")),
                Some(Ok(v)) => add(v),
            }
        }
    }

    pub(super) fn tables(&mut self, key: &'static str, mut f: impl FnMut(&mut Table<'_, 'i>)) {
        let Some((v, at)) = self.take(key) else { return };
        let Some(list) = v.as_array() else {
            return self.ill_typed(key, at.start, &v, &format!("[[{key}]] tables"));
        };
        for x in list.iter() {
            let Some(table) = x.get_ref().as_table() else {
                self.ill_typed(key, x.span().start, x.get_ref(), &format!("[[{key}]] tables"));
                continue;
            };
            let (text, at) = (self.text, x.span());
            let mut t = Table { text, table, at, known: Vec::new(), faults: self.faults, root: false };
            f(&mut t);
            t.unknown();
        }
    }

    /// A field that must be there.
    pub(super) fn needs(&mut self, key: &str) {
        if self.table.get(key).is_none() {
            self.fault(self.at.start, format!("{key} is missing"));
        }
    }

    fn unknown(&mut self) {
        let table = self.table;
        for (k, _) in table.iter() {
            if !self.known.contains(&k.get_ref().as_ref()) {
                let of = if self.root { "the spec" } else { "this table" };
                let what = format!("no key {:?} in {of}; it has {}", k.get_ref(), self.known.join(", "));
                self.fault(k.span().start, what);
            }
        }
    }
}
