//! The protocol for blocking callers: an ORM without `async`, on whatever thread.
//!
//! Core's own work runs on a thread that core owns. A caller hands a future over and waits on a channel of the standard library,
//! which works on plain threads, in `spawn_blocking` and inside runtimes of every flavour, where `block_on` would panic.
//!
//! A round trip costs two switches between threads: about 10 µs where the machine is idle.

#[cfg(test)]
mod tests;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;

use futures_util::FutureExt;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, coop};

use crate::error::Error;

/// The thread that core's futures run on. A cheaply cloned handle; the thread ends with the last one, without waiting for what
/// it still had to do, and also with the process.
#[derive(Debug, Clone)]
pub struct Bridge {
    thread: Arc<BridgeThread>,
}

/// What the handles share.
#[derive(Debug)]
struct BridgeThread {
    /// Where futures are spawned.
    runtime: Handle,
    /// Which thread runs them: it cannot wait for itself.
    id: ThreadId,
    /// Ends the thread when it is dropped with the last handle. Nothing is waited for, so that this may happen anywhere.
    _stop: oneshot::Sender<()>,
    /// Whether somebody was told that an async worker is being blocked: once is enough.
    warned: AtomicBool,
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
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name("promiscuous-blocking")
            .build()
            .map_err(refused)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("promiscuous".into())
            .spawn(move || {
                let _ = runtime.block_on(stopped);
                // Blocking work that is under way may take long, or hold what waits for this thread: it is not waited for.
                runtime.shutdown_background();
            })
            .map_err(refused)?;
        let thread = BridgeThread {
            runtime: handle,
            id: thread.thread().id(),
            _stop: stop,
            warned: AtomicBool::new(false),
        };
        Ok(Self { thread: Arc::new(thread) })
    }

    /// The runtime on that thread, for work that goes on in the background.
    pub fn runtime(&self) -> &Handle {
        &self.thread.runtime
    }

    /// Runs a future there and waits for it. The caller's task-locals are not carried over.
    ///
    /// On an async worker this blocks whatever else that worker has to do, as the blocking ORM around it does: a warning says
    /// so once.
    ///
    /// # Errors
    /// [`Error::Publisher`] when the thread ended, when the future panicked, and when a future on that very thread calls: it
    /// would wait for itself.
    pub fn call<F>(&self, future: F) -> Result<F::Output, Error>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.warn_async_worker();
        self.wait_for(future)
    }

    /// The same without a warning: for what an app does once, when it starts and when it ends.
    ///
    /// # Errors
    /// See [`Bridge::call`].
    pub fn wait_for<F>(&self, future: F) -> Result<F::Output, Error>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.begin(future)?.answer()
    }

    /// As [`Bridge::call`], for a future that tells something on its way: `hear` is called on the caller's thread. Where it panics, the
    /// future is dropped.
    ///
    /// # Errors
    /// See [`Bridge::call`].
    pub fn listen<T, F>(
        &self,
        work: impl FnOnce(Sender<T>) -> F,
        mut hear: impl FnMut(T),
    ) -> Result<F::Output, Error>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.warn_async_worker();
        let (told, telling) = channel();
        let begun = self.begin(work(told))?;
        let _stopped = StoppedWithCaller(begun.task.clone());
        // It ends with the future, which has the sender.
        telling.into_iter().for_each(&mut hear);
        begun.answer()
    }

    /// Runs a future there.
    fn begin<F>(&self, future: F) -> Result<Begun<F::Output>, Error>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        if std::thread::current().id() == self.thread.id {
            return Err(failed(
                "blocking code ran on the thread that publishes, which would wait for itself: run it in `spawn_blocking`",
            ));
        }
        let (answer, answered) = sync_channel(1);
        let task = self.thread.runtime.spawn(async move {
            // Whoever waits must hear of a panic too. What the future held is dropped with it.
            let result = AssertUnwindSafe(future).catch_unwind().await;
            // Never blocks: there is room for the one answer. The caller waits for it, unless its thread is gone.
            let _ = answer.send(result);
        });
        Ok(Begun { task: task.abort_handle(), answered })
    }

    fn warn_async_worker(&self) {
        let warned = &self.thread.warned;
        if !warned.load(Ordering::Relaxed) && on_async_worker() && !warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a blocking database connection is used inside async code, where it stops all other tasks of its thread: use it in \
                 `Context::spawn_blocking`, or through deadpool-diesel"
            );
        }
    }
}

/// A future under way there.
struct Begun<T> {
    task: AbortHandle,
    /// What it answers with, unless it panics. It comes once, unless the thread ends before.
    answered: Receiver<std::thread::Result<T>>,
}

impl<T> Begun<T> {
    fn answer(&self) -> Result<T, Error> {
        match self.answered.recv() {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(_)) => Err(failed("publishing panicked; this is a bug, please report it")),
            Err(_) => Err(failed("the thread that publishes has ended: its app was shut down")),
        }
    }
}

/// A future that nobody needs when its caller is gone.
struct StoppedWithCaller(AbortHandle);

impl Drop for StoppedWithCaller {
    fn drop(&mut self) {
        // Nothing, when it is done.
        self.0.abort();
    }
}

fn failed(why: &str) -> Error {
    Error::Publisher(why.into())
}

/// More than the steps that tokio ever allows a task between two awaits, which it counts in a byte.
const MORE_THAN_A_BUDGET: usize = 256;

/// Whether this is code of an async task, whose thread others need.
///
/// `Handle::try_current` alone does not tell: it also succeeds in `spawn_blocking`. What tells the two apart is that tokio limits
/// the steps of a task between two awaits (its cooperative budget), and nothing else: neither `spawn_blocking` nor
/// `block_in_place`. So a step is taken until tokio says that it was one too many; all of them are given back. A task in
/// `tokio::task::unconstrained` is overlooked, and so are other runtimes than tokio.
fn on_async_worker() -> bool {
    if Handle::try_current().is_err() {
        return false;
    }
    let mut context = Context::from_waker(Waker::noop());
    let mut steps = Vec::with_capacity(MORE_THAN_A_BUDGET);
    let limited = loop {
        match coop::poll_proceed(&mut context) {
            Poll::Pending => break true,
            Poll::Ready(_) if steps.len() == MORE_THAN_A_BUDGET => break false,
            Poll::Ready(step) => steps.push(step),
        }
    };
    // Each gives back what was there before it: the last one taken goes first.
    while steps.pop().is_some() {}
    limited
}
