//! A new file that gets to the host's disk while it is still written: the sync at its end has little left to wait for.

use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::store::FileStore;

/// Bytes between two syncs.
const STEP: u64 = 64 << 20;

pub(crate) struct Early {
    worker: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
    asked: u64,
}

impl Early {
    /// Without a thread, or a second handle, the sync at the end does it all.
    pub(crate) fn new(s: &FileStore) -> Self {
        let start = || {
            let file = s.again()?;
            let (ask, asked) = sync_channel(1);
            let work = move || asked.into_iter().try_for_each(|()| file.sync_data());
            Ok((ask, std::thread::Builder::new().name("image-sync".into()).spawn(work)?))
        };
        Self { worker: start().map_err(|e: io::Error| tracing::debug!("no early sync: {e}")).ok(), asked: 0 }
    }

    /// All up to there was written.
    pub(crate) fn written(&mut self, at: u64) {
        if at >= self.asked + STEP {
            self.asked = at;
            if let Some((ask, _)) = &self.worker {
                // One that is still at it, or has failed, is not asked again; what failed is told at the end.
                let _ = ask.try_send(());
            }
        }
    }

    /// Waits for it: a fault that it met would not be told again.
    pub(crate) fn end(self) -> io::Result<()> {
        let Some((ask, thread)) = self.worker else { return Ok(()) };
        drop(ask);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that syncs ended")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::store::Store;
    use crate::disk::tests::Dir;

    #[test]
    fn a_file_is_synced_while_it_grows() {
        let dir = Dir::new("early");
        let path = dir.file("a");
        let mut s = FileStore::new(std::fs::File::create_new(&path).unwrap()).unwrap();
        let mut e = Early::new(&s);
        assert!(e.worker.is_some());
        for n in 0..3 {
            s.write_at(n * STEP, &[7; 9]).unwrap();
            e.written(s.len());
            assert_eq!(e.asked, if n == 0 { 0 } else { n * STEP + 9 });
        }
        e.end().unwrap();
        assert_eq!(path.metadata().unwrap().len(), 2 * STEP + 9);
    }
}
