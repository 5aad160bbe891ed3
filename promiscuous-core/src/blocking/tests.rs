use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use super::*;

fn bridge() -> Bridge {
    Bridge::start().unwrap()
}

/// A future that really waits on the bridge's thread, and answers.
async fn twice(number: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    number * 2
}

fn current_thread() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> tokio::runtime::Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn it_works_on_plain_threads() {
    let bridge = bridge();
    let callers: Vec<_> = (0..8)
        .map(|number| {
            let bridge = bridge.clone();
            std::thread::spawn(move || bridge.call(twice(number)).unwrap())
        })
        .collect();
    let answers: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
    assert_eq!(answers, [0, 2, 4, 6, 8, 10, 12, 14]);
}

#[test]
fn it_works_inside_runtimes_of_every_flavour() {
    for runtime in [current_thread(), multi_thread()] {
        let bridge = bridge();
        let called = bridge.clone();
        assert_eq!(runtime.block_on(async move { called.call(twice(1)).unwrap() }), 2);
        let called = bridge.clone();
        let task = async move { called.call(twice(2)).unwrap() };
        assert_eq!(runtime.block_on(async move { tokio::spawn(task).await.unwrap() }), 4);
        let called = bridge.clone();
        let blocking = move || called.call(twice(3)).unwrap();
        assert_eq!(runtime.block_on(async move { tokio::task::spawn_blocking(blocking).await.unwrap() }), 6);
        let called = bridge.clone();
        let local = LocalSet::new();
        let task = async move {
            tokio::task::spawn_local(async move { called.call(twice(4)).unwrap() }).await.unwrap()
        };
        assert_eq!(local.block_on(&runtime, task), 8);
        drop(bridge);
    }
}

#[test]
fn an_async_worker_is_told_from_threads_that_may_block() {
    assert!(!on_async_worker(), "a plain thread");
    let runtime = multi_thread();
    let _entered = runtime.enter();
    assert!(!on_async_worker(), "a plain thread that knows a runtime");
    drop(_entered);
    for runtime in [current_thread(), multi_thread()] {
        runtime.block_on(async {
            assert!(on_async_worker(), "the future that the program waits for");
            assert!(tokio::spawn(async { on_async_worker() }).await.unwrap(), "a task");
            assert!(!tokio::task::spawn_blocking(on_async_worker).await.unwrap(), "spawn_blocking");
        });
        let local = LocalSet::new();
        let inside = local.run_until(async { tokio::task::spawn_local(async { on_async_worker() }).await });
        assert!(runtime.block_on(inside).unwrap(), "a local task");
    }
    let inside = async { tokio::spawn(async { tokio::task::block_in_place(on_async_worker) }).await };
    assert!(!runtime.block_on(inside).unwrap(), "block_in_place");
}

#[test]
fn looking_costs_the_task_nothing_of_its_budget() {
    /// Takes all that is left, and counts it.
    fn left() -> usize {
        let mut context = Context::from_waker(Waker::noop());
        let taken = std::iter::from_fn(|| match coop::poll_proceed(&mut context) {
            Poll::Ready(step) => {
                step.made_progress();
                Some(())
            }
            Poll::Pending => None,
        });
        taken.count()
    }
    let without = current_thread().block_on(async { left() });
    let with = current_thread().block_on(async {
        assert!(on_async_worker());
        left()
    });
    assert!(without > 1);
    assert_eq!(with, without);
}

#[test]
fn whoever_blocks_an_async_worker_is_warned_once() {
    let warnings = Arc::new(Warnings::default());
    tracing::subscriber::with_default(Arc::clone(&warnings), || {
        let bridge = bridge();
        bridge.call(twice(1)).unwrap();
        assert_eq!(warnings.count(), 0, "a plain thread may block");
        current_thread().block_on(async {
            bridge.call(twice(1)).unwrap();
            bridge.clone().call(twice(1)).unwrap();
        });
    });
    assert_eq!(warnings.count(), 1);
}

#[test]
fn its_own_thread_gets_an_error_instead_of_waiting_for_itself() {
    let bridge = bridge();
    let inner = bridge.clone();
    let error = bridge.call(async move { inner.call(twice(1)) }).unwrap().unwrap_err();
    assert!(error.to_string().contains("wait for itself"), "{error}");
    // Blocking work that a future starts from there is on another thread, and may call.
    let inner = bridge.clone();
    let blocking = async move { tokio::task::spawn_blocking(move || inner.call(twice(2))).await };
    assert_eq!(bridge.call(blocking).unwrap().unwrap().unwrap(), 4);
}

#[test]
fn a_panicking_future_is_an_error_and_the_thread_lives_on() {
    let bridge = bridge();
    let error = bridge.call(async { panic!("on purpose, s3cret") }).unwrap_err();
    let text = crate::error::chain(&error);
    assert!(text.contains("panicked") && !text.contains("s3cret"), "{text}");
    assert_eq!(bridge.call(twice(2)).unwrap(), 4);
}

#[test]
fn the_last_handle_may_go_inside_async_code_and_takes_the_thread_with_it() {
    // Given a task in the background that would never end
    let bridge = bridge();
    let (alive, gone) = oneshot::channel::<()>();
    let runtime = bridge.runtime().clone();
    runtime.spawn(async move {
        std::future::pending::<()>().await;
        drop(alive);
    });
    // When the last handle goes, inside a runtime
    current_thread().block_on(async move {
        bridge.call(twice(1)).unwrap();
        drop(bridge);
        // Then the thread ends, and the task with it
        assert!(gone.await.is_err());
    });
    // And on the thread itself.
    let bridge = self::bridge();
    let (moved, runtime) = (bridge.clone(), bridge.runtime().clone());
    let (alive, gone) = oneshot::channel::<()>();
    drop(bridge);
    runtime.spawn(async move {
        drop(moved);
        std::future::pending::<()>().await;
        drop(alive);
    });
    assert!(gone.blocking_recv().is_err());
}

#[test]
fn a_thread_that_ended_is_an_error() {
    let bridge = bridge();
    // A bridge whose thread has ended, as at the end of a process.
    let (stop, _) = oneshot::channel();
    let ended = current_thread();
    let handle = ended.handle().clone();
    drop(ended);
    let id = bridge.thread.id;
    let thread = BridgeThread { runtime: handle, id, _stop: stop, warned: AtomicBool::new(false) };
    let error = Bridge { thread: Arc::new(thread) }.call(twice(1)).unwrap_err();
    assert!(error.to_string().contains("has ended"), "{error}");
}

#[test]
fn a_context_reaches_blocking_code() {
    use crate::context::Context;
    let name = || Context::current().map(|context| context.name().to_owned());
    // A plain thread: for the length of the scope, the inner one first, also when it panics.
    let (outer, inner) = (Context::new("outer"), Context::new("inner"));
    outer.sync_scope(|| {
        assert_eq!(inner.sync_scope(name).as_deref(), Some("inner"));
        let panicked =
            std::panic::catch_unwind(AssertUnwindSafe(|| inner.sync_scope(|| panic!("on purpose"))));
        assert!(panicked.is_err());
        assert_eq!(name().as_deref(), Some("outer"));
        let other = std::thread::spawn(move || name().is_none());
        assert!(other.join().unwrap(), "another thread is outside of it");
    });
    assert!(name().is_none());
    // A task: carried along on request, and back in its own scope afterwards.
    for runtime in [current_thread(), multi_thread()] {
        let names = runtime.block_on(outer.scope(async {
            let lost = tokio::task::spawn_blocking(name).await.unwrap();
            let carried = Context::current().unwrap().spawn_blocking(name).await.unwrap();
            (lost, carried, name())
        }));
        assert_eq!(names, (None, Some("outer".into()), Some("outer".into())));
    }
}

/// What a call costs: `cargo test -p promiscuous-core --release -- --ignored --nocapture round_trip`.
#[test]
#[ignore = "measures"]
fn round_trip() {
    let bridge = bridge();
    println!("idle: median {:?}", median(&bridge, 20_000));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let bridge = bridge.clone();
            std::thread::spawn(move || median(&bridge, 20_000))
        })
        .collect();
    let began = Instant::now();
    let mut medians: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    medians.sort_unstable();
    println!("8 threads: median {:?}, {:.0} calls/s", medians[4], 160_000.0 / began.elapsed().as_secs_f64());
    let began = Instant::now();
    for _ in 0..100_000 {
        std::hint::black_box(on_async_worker());
    }
    println!("looking on a plain thread: {:?}", began.elapsed() / 100_000);
    multi_thread().block_on(async {
        let (worker, blocking) = (looking(), tokio::task::spawn_blocking(looking).await.unwrap());
        println!("looking on a worker: {worker:?}, in spawn_blocking: {blocking:?}");
    });
}

fn looking() -> Duration {
    let began = Instant::now();
    for _ in 0..10_000 {
        std::hint::black_box(on_async_worker());
    }
    began.elapsed() / 10_000
}

fn median(bridge: &Bridge, calls: usize) -> Duration {
    let mut times: Vec<Duration> = (0..calls)
        .map(|_| {
            let began = Instant::now();
            bridge.call(std::future::ready(())).unwrap();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Counts warnings.
#[derive(Default)]
struct Warnings(Mutex<usize>);

impl Warnings {
    fn count(&self) -> usize {
        *self.0.lock().unwrap()
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN && metadata.target().contains("blocking")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        *self.0.lock().unwrap() += 1;
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn what_a_future_tells_is_heard_by_its_caller() {
    let bridge = bridge();
    let caller = std::thread::current().id();
    let mut heard = Vec::new();
    let hear = |number: u64| {
        assert_eq!(std::thread::current().id(), caller);
        heard.push(number);
    };
    let work = |told: std::sync::mpsc::Sender<u64>| async move {
        for number in [1, 2, 3] {
            told.send(twice(number).await).unwrap();
        }
        "done"
    };
    assert_eq!(bridge.listen(work, hear).unwrap(), "done");
    assert_eq!(heard, [2, 4, 6]);
}

#[test]
fn a_future_ends_when_whoever_hears_it_panics() {
    /// Tells when it is dropped.
    struct Ending(std::sync::mpsc::Sender<()>);
    impl Drop for Ending {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let bridge = bridge();
    let (ended, ending) = std::sync::mpsc::channel();
    let work = |told: std::sync::mpsc::Sender<u64>| async move {
        let _ending = Ending(ended);
        let _ = told.send(1);
        std::future::pending::<()>().await;
    };
    let heard = AssertUnwindSafe(|| bridge.listen(work, |_| panic!("enough")));
    assert!(std::panic::catch_unwind(heard).is_err());
    ending.recv_timeout(Duration::from_secs(20)).expect("it goes on");
    assert_eq!(bridge.call(twice(4)).unwrap(), 8);
}
