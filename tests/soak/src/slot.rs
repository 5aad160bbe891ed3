//! A process that is started again whenever it ends, and that the soak kills, pauses and sends to sleep.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::journal::{Entry, Journal};
use super::writing::now;
use promiscuous_tests::deaths::{DOZE_MILLIS, STOP_AT};

/// How an incarnation is to end, or to be delayed.
#[derive(Clone, Debug)]
pub struct Fatality {
    /// The fail point, and the how-manieth time it is reached.
    pub at: String,
    /// It dozes there for so long, and goes on; else it dies.
    pub doze: Option<Duration>,
}

/// What all processes of a soak have said.
#[derive(Debug, Default)]
pub struct Said {
    /// What was written.
    pub entries: Mutex<Vec<Entry>>,
    /// Why writes failed, and how often.
    pub reasons: Mutex<std::collections::HashMap<String, usize>>,
    /// Fail points that were reached.
    pub reached: Mutex<std::collections::BTreeMap<String, usize>>,
}

/// A program, and its environment for the incarnation of this number.
pub type Describe = Box<dyn Fn(u64) -> Command + Send + Sync>;

/// See the module.
pub struct Slot {
    /// For people, and for the names of its logs.
    pub name: String,
    /// Where its logs go.
    folder: PathBuf,
    pid: watch::Sender<Option<i32>>,
    stop: watch::Sender<bool>,
    next: Mutex<VecDeque<Fatality>>,
}

impl Slot {
    /// Starts it, with a log for each incarnation in this folder. Incarnations are numbered from `first` on.
    pub fn start(
        name: &str,
        folder: PathBuf,
        said: Arc<Said>,
        first: u64,
        describe: Describe,
    ) -> (Arc<Self>, JoinHandle<()>) {
        let slot = Arc::new(Self {
            name: name.to_owned(),
            folder,
            pid: watch::Sender::default(),
            stop: watch::Sender::default(),
            next: Mutex::default(),
        });
        let running = tokio::spawn(Arc::clone(&slot).run(said, first, describe));
        (slot, running)
    }

    /// Sends it a signal, where it lives.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = *self.pid.borrow() {
            // It may have died just now.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// The next incarnation meets this fate.
    pub fn is_fated(&self, fate: Fatality) {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).push_back(fate);
    }

    /// Asks it to end, and does not start it again.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        self.signal(Signal::SIGCONT);
        self.signal(Signal::SIGTERM);
    }

    async fn run(self: Arc<Self>, said: Arc<Said>, first: u64, describe: Describe) {
        let mut random = Rng::with_seed(first);
        for incarnation in first.. {
            if *self.stop.borrow() {
                return;
            }
            let fate = self.next.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let mut command = describe(incarnation);
            if let Some(fate) = &fate {
                command.env(STOP_AT, &fate.at);
                if let Some(doze) = fate.doze {
                    command.env(DOZE_MILLIS, doze.as_millis().to_string());
                }
            }
            let log = File::create(self.folder.join(format!("{}-{incarnation}.log", self.name)));
            command.stderr(log.expect("The soak's folder can be written.")).stdin(Stdio::null());
            command.stdout(Stdio::piped()).kill_on_drop(true);
            let journal = File::create(self.folder.join(format!("{}-{incarnation}.journal", self.name)));
            let journal = journal.expect("The soak's folder can be written.");
            let child = command.spawn().expect("The programs of the soak are built.");
            self.pid.send_replace(child.id().and_then(|id| i32::try_from(id).ok()));
            let dies =
                fate.filter(|fate| fate.doze.is_none()).map(|_| Duration::from_millis(random.u64(..3_000)));
            self.live(child, journal, &said, dies).await;
            self.pid.send_replace(None);
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Listens until it is gone.
    async fn live(&self, mut child: Child, mut kept: File, said: &Said, dies: Option<Duration>) {
        let mut journal = Journal::default();
        let mut lines = BufReader::new(child.stdout.take().expect("Its stdout is piped.")).lines();
        let mut stopped = self.stop.subscribe();
        let listening = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(point) = line.strip_prefix("reached ") {
                    *said
                        .reached
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .entry(point.into())
                        .or_default() += 1;
                    if let Some(dies) = dies {
                        sleep(dies).await;
                        self.signal(Signal::SIGKILL);
                    }
                }
                writeln!(kept, "{line}").expect("The soak's folder can be written.");
                journal.line(&line);
            }
        };
        // Told to stop, it may take a while, but not for ever.
        let patience = async {
            let _ = stopped.wait_for(|stop| *stop).await;
            sleep(Duration::from_secs(60)).await;
        };
        tokio::select! {
            () = listening => {}
            () = patience => self.signal(Signal::SIGKILL),
        }
        // Its stdout is closed: it is dead, or as good as dead.
        if timeout(Duration::from_secs(10), child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
        let (entries, reasons) = journal.close(now());
        said.entries.lock().unwrap_or_else(PoisonError::into_inner).extend(entries);
        let mut known = said.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        for (reason, count) in reasons {
            *known.entry(reason).or_default() += count;
        }
    }
}
