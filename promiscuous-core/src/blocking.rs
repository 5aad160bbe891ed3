//! The protocol for blocking callers: an ORM without `async`, on whatever thread.
//!
//! Core's own work runs on a thread that core owns. A caller hands a future over and waits on a channel of the standard library,
//! which works on plain threads, in `spawn_blocking` and inside runtimes of every flavour, where `block_on` would panic.

use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::error::Error;

/// The thread that core's futures run on. A cheaply cloned handle; the thread ends with the last one.
#[derive(Debug, Clone)]
pub struct Bridge {
    /// Where futures are spawned.
    runtime: Handle,
    /// Ends the thread when the last handle is dropped.
    _stop: Arc<oneshot::Sender<()>>,
}

impl Bridge {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the operating system gives no thread.
    pub fn start() -> Result<Self, Error> {
        let refused = |error: std::io::Error| {
            Error::Configuration(format!("the thread for publishing could not be started: {error}"))
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(refused)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("promiscuous".into())
            .spawn(move || {
                let _ = runtime.block_on(stopped);
                // Blocking work that is under way may hold the last handle: it is not waited for.
                runtime.shutdown_background();
            })
            .map_err(refused)?;
        Ok(Self { runtime: handle, _stop: Arc::new(stop) })
    }

    /// The runtime on that thread, for work that goes on in the background.
    pub fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Runs a future there and waits for it.
    ///
    /// # Errors
    /// [`Error::Publisher`] when the thread ended, or the future panicked.
    pub fn call<F>(&self, future: F) -> Result<F::Output, Error>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (answer, answered) = sync_channel(1);
        self.runtime.spawn(async move {
            // Nobody listens when the caller's thread is gone.
            let _ = answer.send(future.await);
        });
        answered.recv().map_err(|_| Error::Publisher("the thread for publishing has ended".into()))
    }
}
