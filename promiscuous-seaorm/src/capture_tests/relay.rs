//! A network that can be stopped at any answer of a server.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    /// That many requests are answered, then no more.
    ClosesAfter(usize),
    Closed,
}

/// Passes on what clients ask, and what a server answers while the gate is open.
pub(super) struct Relay {
    address: SocketAddr,
    gate: Arc<watch::Sender<Gate>>,
}

impl Relay {
    /// To the server of a URL: the relay, and the URL to use instead.
    pub async fn to(url: &str) -> (Self, String) {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (user, rest) = rest.rsplit_once('@').map_or(("", rest), |(user, rest)| (user, rest));
        let (server, path) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let relay =
            Self { address: listener.local_addr().unwrap(), gate: Arc::new(watch::Sender::new(Gate::Open)) };
        let (gate, server) = (Arc::clone(&relay.gate), server.to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                tokio::spawn(requests(from_client, to_server, Arc::clone(&gate)));
                tokio::spawn(answers(from_server, to_client, gate.subscribe()));
            }
        });
        let at = if user.is_empty() { "" } else { "@" };
        let url = format!("{scheme}://{user}{at}{}/{path}", relay.address);
        (relay, url)
    }

    /// Answers that many requests and then withholds the answers.
    pub fn close_after(&self, requests: usize) {
        self.gate.send_replace(Gate::ClosesAfter(requests));
    }

    /// Waits until an answer is withheld.
    pub async fn closed(&self) {
        self.gate.subscribe().wait_for(|gate| *gate == Gate::Closed).await.unwrap();
    }

    pub fn open(&self) {
        self.gate.send_replace(Gate::Open);
    }
}

async fn requests(mut client: OwnedReadHalf, mut server: OwnedWriteHalf, gate: Arc<watch::Sender<Gate>>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = client.read(&mut buffer).await {
        // The gate closes before the server knows of the request, so the answer cannot slip through.
        gate.send_if_modified(|gate| {
            match gate {
                Gate::ClosesAfter(0) => *gate = Gate::Closed,
                Gate::ClosesAfter(left) => *left -= 1,
                Gate::Open | Gate::Closed => return false,
            }
            true
        });
        if server.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn answers(mut server: OwnedReadHalf, mut client: OwnedWriteHalf, mut gate: watch::Receiver<Gate>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = server.read(&mut buffer).await {
        if gate.wait_for(|gate| *gate != Gate::Closed).await.is_err()
            || client.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
    }
}
