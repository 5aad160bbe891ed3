//! SIGTERM and Ctrl-C: the first asks for a graceful stop, the second forces it.

use tokio::sync::watch;

/// Tells when to stop.
#[derive(Clone)]
pub(super) struct Stop {
    asks: watch::Receiver<u32>,
}

impl Stop {
    /// Listens to the process's signals from now on.
    pub(super) fn on_signals() -> Self {
        let (sender, asks) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                one_signal().await;
                sender.send_modify(|asked| *asked += 1);
                if *sender.borrow() == 1 {
                    tracing::info!("stopping: what has begun is finished; once more to stop at once");
                }
            }
        });
        Self { asks }
    }

    /// Resolves at the first signal.
    pub(super) async fn asked(&mut self) {
        self.count(1).await;
    }

    /// Resolves at the second signal.
    pub(super) async fn forced(&mut self) {
        self.count(2).await;
    }

    async fn count(&mut self, at_least: u32) {
        if self.asks.wait_for(|asked| *asked >= at_least).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
async fn one_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        }
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(not(unix))]
async fn one_signal() {
    drop(tokio::signal::ctrl_c().await);
}
