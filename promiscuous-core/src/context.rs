//! Contexts: the unit inside which reads are remembered as causes of later writes.
//!
//! A web request, a job, a CLI run or the applying of one message opens a context. What is read
//! inside it, and what it wrote before, become the read dependencies of its next message.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::dependency::ExternalDependency;
use crate::key::{Endpoint, Key};

/// Reads remembered per context at the most; older ones give way to newer ones, so that a job that reads
/// a million rows stays small. Counted in `promiscuous_context_reads_dropped_total`.
pub const MAX_READS: usize = 1_000;

tokio::task_local! {
    static CURRENT: Context;
}

/// A cheaply cloned handle; all clones share the same causes.
#[derive(Clone)]
pub struct Context {
    shared: Arc<Shared>,
}

struct Shared {
    /// For people: `users/create`, the job's name.
    name: String,
    /// For people and audit.
    current_user_id: Option<String>,
    /// Reads and writes, updated by every statement that runs inside.
    remembered: Mutex<Remembered>,
}

#[derive(Default)]
struct Remembered {
    causes: Causes,
    /// The keys in `causes.reads`: a job may read many rows, and each is looked up.
    seen: HashSet<Key>,
}

/// What the next message of a context depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Causes {
    /// Keys read since the last write, in order of the first read.
    pub reads: Vec<Key>,
    /// The last written key of each endpoint: what this context did before. One per endpoint, because
    /// a subscriber of just one of them must still see this context's writes in order.
    pub last_writes: BTreeMap<Endpoint, Key>,
    /// What other apps wrote that led here.
    pub external: Vec<ExternalDependency>,
}

impl Causes {
    /// The read keys of a message that writes `written`: previous writes and reads, each once, without `written`.
    pub fn read_keys(&self, written: &[Key]) -> Vec<Key> {
        let mut keys: Vec<Key> = Vec::with_capacity(self.reads.len() + self.last_writes.len());
        let mut seen: HashSet<&Key> = written.iter().collect();
        for key in self.last_writes.values().chain(&self.reads) {
            if seen.insert(key) {
                keys.push(key.clone());
            }
        }
        keys
    }
}

impl Context {
    /// A new context with a name for people, such as `users/create`.
    pub fn new(name: impl Into<String>) -> Self {
        Self::build(name.into(), None, Vec::new())
    }

    /// The same, on behalf of a user.
    pub fn for_user(name: impl Into<String>, user_id: impl Into<String>) -> Self {
        Self::build(name.into(), Some(user_id.into()), Vec::new())
    }

    /// The context of applying a message: what it wrote is the cause of whatever is written inside.
    pub fn caused_by(name: impl Into<String>, external: Vec<ExternalDependency>) -> Self {
        Self::build(name.into(), None, external)
    }

    fn build(name: String, current_user_id: Option<String>, external: Vec<ExternalDependency>) -> Self {
        let causes = Causes { external, ..Causes::default() };
        let remembered = Mutex::new(Remembered { causes, seen: HashSet::new() });
        Self { shared: Arc::new(Shared { name, current_user_id, remembered }) }
    }

    /// The context that the running task is in, if any.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs a future inside this context. `tokio::spawn` starts outside of it: see [`Context::spawn`].
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        CURRENT.scope(self.clone(), future)
    }

    /// Runs a function inside this context: for blocking code. The scope is the calling thread's; another thread that the function
    /// starts is outside of it.
    pub fn sync_scope<R>(&self, function: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self.clone(), function)
    }

    /// `tokio::spawn` that carries this context into the new task.
    pub fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.scope(future))
    }

    /// `tokio::task::spawn_blocking` that carries this context along: for blocking code that an async task starts.
    pub fn spawn_blocking<F, R>(&self, function: F) -> tokio::task::JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let context = self.clone();
        tokio::task::spawn_blocking(move || context.sync_scope(function))
    }

    /// The name given when it was opened.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The user given when it was opened.
    pub fn current_user_id(&self) -> Option<&str> {
        self.shared.current_user_id.as_deref()
    }

    /// Remembers a read. A row that this context wrote last is not a read: it is a cause already.
    pub fn record_read(&self, key: Key) {
        let mut remembered = self.lock();
        let Remembered { causes, seen } = &mut *remembered;
        if causes.last_writes.values().any(|written| *written == key) || !seen.insert(key.clone()) {
            return;
        }
        if causes.reads.len() >= MAX_READS {
            seen.remove(&causes.reads.remove(0));
            metrics::counter!(crate::metrics::READS_DROPPED).increment(1);
        }
        causes.reads.push(key);
    }

    /// Remembers that another app's write led here.
    pub fn record_external(&self, cause: ExternalDependency) {
        let causes = &mut self.lock().causes;
        match causes.external.iter_mut().find(|known| known.key == cause.key) {
            Some(known) if known.required() < cause.required() => *known = cause,
            Some(_) => {}
            None => causes.external.push(cause),
        }
    }

    /// What the next message depends on. Taken before lock-and-bump; the context changes only in [`Context::wrote`].
    pub fn causes(&self) -> Causes {
        self.lock().causes.clone()
    }

    /// A message with these causes was committed: its reads are consumed, its keys cause what comes next.
    ///
    /// Reads recorded meanwhile by concurrent statements of the same context stay.
    pub fn wrote(&self, used: &Causes, written: &[Key]) {
        let mut remembered = self.lock();
        let Remembered { causes, seen } = &mut *remembered;
        for key in &used.reads {
            seen.remove(key);
        }
        causes.reads.retain(|key| seen.contains(key));
        for key in written {
            causes.last_writes.insert(key.endpoint(), key.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.shared.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::parse(text).unwrap()
    }

    #[test]
    fn reads_become_causes_once_and_are_consumed_by_the_write() {
        let context = Context::new("test");
        for read in ["a/user/1", "a/user/2", "a/user/1"] {
            context.record_read(key(read));
        }
        let causes = context.causes();
        let written = [key("a/user/2")];
        assert_eq!(causes.read_keys(&written), [key("a/user/1")]);
        context.record_read(key("a/plan/3"));
        context.wrote(&causes, &written);
        assert_eq!(context.causes().read_keys(&[]), [key("a/user/2"), key("a/plan/3")]);
    }

    #[test]
    fn the_last_write_of_each_endpoint_stays_a_cause() {
        let context = Context::new("test");
        for written in ["a/user/1", "a/post/1", "a/user/2"] {
            context.wrote(&context.causes(), &[key(written)]);
        }
        assert_eq!(context.causes().read_keys(&[]), [key("a/post/1"), key("a/user/2")]);
        context.record_read(key("a/user/2"));
        assert_eq!(context.causes().reads, []);
    }

    #[tokio::test]
    async fn a_scope_is_carried_into_a_spawned_task_on_request() {
        let context = Context::new("outer");
        let names = context
            .scope(async {
                let lost = tokio::spawn(async { Context::current().is_none() });
                let carried = context.spawn(async { Context::current().map(|c| c.name().to_owned()) });
                (lost.await.unwrap(), carried.await.unwrap())
            })
            .await;
        assert_eq!(names, (true, Some("outer".into())));
    }

    #[test]
    fn a_context_stays_small() {
        let context = Context::new("job");
        for n in 0..MAX_READS + 5 {
            context.record_read(key(&format!("a/user/{n}")));
        }
        assert_eq!(context.causes().reads.len(), MAX_READS);
        assert_eq!(context.causes().reads[0], key("a/user/5"));
    }
}
