//! Child processes that a test watches, pauses and kills.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{error::Elapsed, timeout};

/// A child process whose lines on stdout are the events that a test waits for.
///
/// It is killed when dropped, however the test ends. Its stderr goes to the test's own.
///
/// ```no_run
/// # use promiscuous_tests::processes::Process;
/// # async {
/// // In an integration test the path is env!("CARGO_BIN_EXE_subscriber").
/// let mut subscriber = Process::new("target/debug/subscriber").env("APP", "shop").spawn();
/// subscriber.wait_for_line("ready").await;
/// subscriber.kill().await;
/// # };
/// ```
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// What the process has said so far: without it, a wait in vain explains nothing.
    said: Vec<String>,
    /// How long a wait may take before the test fails.
    deadline: Duration,
}

/// How long a process may take for anything, unless told otherwise: what takes longer hangs. It is no measure of speed, and as long as other waits.
const DEADLINE: Duration = Duration::from_secs(60);

/// A process to be: its program, arguments and environment.
#[derive(Debug)]
pub struct Builder {
    command: Command,
    deadline: Duration,
    /// Where stdout and stderr go when both are read.
    both: Option<std::io::PipeReader>,
}

/// Ends this program well, without exit handlers: OpenSSL's, which the databases' clients link, crashes now and then where another
/// thread ends at the same time.
pub fn end() -> ! {
    signal_hook::low_level::exit(0)
}

impl Process {
    /// Describes a process that runs the program at `path`. It inherits the test's environment.
    #[allow(clippy::new_ret_no_self)]
    pub fn new(path: impl AsRef<Path>) -> Builder {
        let mut command = Command::new(path.as_ref());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        Builder { command, deadline: DEADLINE, both: None }
    }

    /// Waits for the next line that contains `text`, and returns it.
    ///
    /// Lines are events in order: those before it are passed over, and a later wait does not see them.
    pub async fn wait_for_line(&mut self, text: &str) -> String {
        let Ok(found) = timeout(self.deadline, self.read_until(text)).await else {
            panic!("Waited {:?} in vain for a line with {text:?}.{}", self.deadline, self.transcript())
        };
        found.unwrap_or_else(|| panic!("The process ended before a line with {text:?}.{}", self.transcript()))
    }

    async fn read_until(&mut self, text: &str) -> Option<String> {
        while let Some(line) = self.lines.next_line().await.expect("The process must print UTF-8.") {
            self.said.push(line.clone());
            if line.contains(text) {
                return Some(line);
            }
        }
        None
    }

    /// Every line read so far.
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// The process's id; `None` once it has ended and a wait has noticed.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends the process with SIGKILL, as a crash would, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("A child can be killed.");
    }

    /// Asks the process to end with SIGTERM; [`wait`](Process::wait) tells how it ended.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Stops the process in its tracks with SIGSTOP.
    pub fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets a paused process go on with SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        let id = id.expect("A process that has ended gets no signals.");
        kill(Pid::from_raw(id), signal).expect("A child that is not reaped yet can get signals.");
    }

    /// Waits until the process has ended by itself, reading the rest of what it says.
    pub async fn wait(&mut self) -> ExitStatus {
        match self.wait_within_deadline().await {
            Ok(status) => status,
            Err(_) => panic!("The process did not end within {:?}.{}", self.deadline, self.transcript()),
        }
    }

    async fn wait_within_deadline(&mut self) -> Result<ExitStatus, Elapsed> {
        timeout(self.deadline, async {
            // A full pipe would keep the process from ending.
            while let Some(line) = self.lines.next_line().await.expect("The process must print UTF-8.") {
                self.said.push(line);
            }
            self.child.wait().await.expect("A child can be waited for.")
        })
        .await
    }

    fn transcript(&self) -> String {
        match self.said.as_slice() {
            [] => " It has said nothing.".to_owned(),
            said => format!(" It has said:\n{}", said.join("\n")),
        }
    }
}

impl Builder {
    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Sets a variable of the process's environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// What it says on stderr, its log, counts as lines too.
    pub fn with_log(mut self) -> Self {
        let (reader, writer) = std::io::pipe().expect("A pipe can be opened.");
        self.command.stdout(writer.try_clone().expect("A pipe can be shared.")).stderr(writer);
        self.both = Some(reader);
        self
    }

    /// How long each wait for the process may take; 60 seconds unless said otherwise.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Starts the process. Call it within a Tokio runtime.
    pub fn spawn(mut self) -> Process {
        let program = self.command.as_std().get_program().to_owned();
        let child = self.command.spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{program:?} could not be started: {error}."));
        let stdout = match self.both.take() {
            Some(reader) => {
                let stdout = std::process::ChildStdout::from(OwnedFd::from(reader));
                ChildStdout::from_std(stdout).expect("A pipe can be read asynchronously.")
            }
            None => child.stdout.take().expect("Its stdout is piped."),
        };
        Process { child, lines: BufReader::new(stdout).lines(), said: Vec::new(), deadline: self.deadline }
    }
}
