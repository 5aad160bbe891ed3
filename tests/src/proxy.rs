//! A TCP connection that a test can cut, stall and resume.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A proxy between a client under test and a server, in the test's own process.
///
/// It starts open. It ends, with all its connections, when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    upstream: watch::Sender<SocketAddr>,
    flow: watch::Sender<Flow>,
    /// Bound but never listening: it keeps the port ours while the proxy is cut and nothing listens.
    _port: TcpSocket,
    serving: JoinHandle<()>,
    /// What the task has made of `flow` so far; [`cut`](Proxy::cut) and [`resume`](Proxy::resume) wait for it.
    state: watch::Receiver<State>,
}

/// What the proxy does with connections and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// Both pass.
    Open,
    /// Connections are accepted and kept; bytes are held.
    Stalled,
    /// What clients say passes, and what the server answers is held.
    Deaf,
    /// Connections are dropped, and new ones refused.
    Cut,
}

/// What is true of a proxy now.
#[derive(Debug)]
struct State {
    listening: bool,
    /// How many connections are open.
    connections: usize,
}

impl Proxy {
    /// Starts a proxy to `upstream`, written `127.0.0.1:5672`.
    pub async fn to(upstream: &str) -> Self {
        let upstream = watch::Sender::new(resolve(upstream).await);

        let port = reusable_socket((Ipv4Addr::LOCALHOST, 0).into());
        let address = port.local_addr().expect("A bound socket has an address.");
        let flow = watch::Sender::new(Flow::Open);
        let (state_sender, state) = watch::channel(State { listening: true, connections: 0 });
        let server =
            Arc::new(Server { address, upstream: upstream.clone(), flow: flow.clone(), state: state_sender });
        // Listening starts here and not in the task, so that the first client is not refused.
        let listener = server.listen();
        let serving = tokio::spawn(server.serve(listener));
        Self { address, upstream, flow, _port: port, serving, state }
    }

    /// Starts a proxy to the server that `url` names, and returns it with the URL that leads through it.
    pub async fn to_url(url: &str) -> (Self, String) {
        let authority = url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or(rest));
        let host = authority.map(|authority| authority.rsplit('@').next().unwrap_or(authority));
        let host = host.expect("A URL has a scheme: redis://127.0.0.1:6379/");
        let proxy = Self::to(host).await;
        let through = url.replacen(host, &proxy.address.to_string(), 1);
        (proxy, through)
    }

    /// Leads to another server from now on. The connections to the one before are dropped, as when a name is given to the server
    /// that takes over.
    pub async fn lead_to(&self, upstream: &str) {
        self.upstream.send_replace(resolve(upstream).await);
        self.cut().await;
        self.resume().await;
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections go through the proxy now.
    pub fn connections(&self) -> usize {
        self.state.borrow().connections
    }

    /// Drops all connections and refuses new ones, until [`resume`](Proxy::resume). The connections are gone when it
    /// returns.
    pub async fn cut(&self) {
        self.flow.send_replace(Flow::Cut);
        self.becomes(|state| !state.listening && state.connections == 0).await;
    }

    /// Holds all bytes in both directions, as a network that loses every packet would, until
    /// [`resume`](Proxy::resume). New connections are accepted and hear nothing.
    pub fn stall(&self) {
        self.flow.send_replace(Flow::Stalled);
    }

    /// Lets requests pass and holds the answers, until [`resume`](Proxy::resume): what was asked for is done, and nobody hears of it.
    pub fn hold_answers(&self) {
        self.flow.send_replace(Flow::Deaf);
    }

    /// Lets held bytes and new connections pass again.
    pub async fn resume(&self) {
        self.flow.send_replace(Flow::Open);
        self.becomes(|state| state.listening).await;
    }

    async fn becomes(&self, wanted: impl FnMut(&State) -> bool) {
        self.state.clone().wait_for(wanted).await.expect("The task lives as long as the proxy.");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
        self.flow.send_replace(Flow::Cut);
    }
}

async fn resolve(address: &str) -> SocketAddr {
    let found = tokio::net::lookup_host(address).await.ok().and_then(|mut found| found.next());
    found.expect("The upstream is written host:port, and the host must be known.")
}

/// A socket bound to `address` that lets another one bind there too, as long as it does not listen.
fn reusable_socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("A socket can be made.");
    socket.set_reuseaddr(true).expect("Every socket can be made reusable.");
    socket.bind(address).expect("The port is free, or kept by the proxy itself.");
    socket
}

/// The half of the proxy that runs in its task.
struct Server {
    address: SocketAddr,
    upstream: watch::Sender<SocketAddr>,
    flow: watch::Sender<Flow>,
    state: watch::Sender<State>,
}

impl Server {
    fn listen(&self) -> TcpListener {
        reusable_socket(self.address).listen(128).expect("Only the proxy listens on its port.")
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut flow = self.flow.subscribe();
        let mut listener = Some(listener);
        loop {
            // While it listens it waits for a cut, and for the end of the cut while it does not.
            let was_cut = listener.is_none();
            tokio::select! {
                _ = flow.wait_for(|flow| (*flow == Flow::Cut) != was_cut) => {
                    // The old listener must be closed before anybody hears that it is.
                    listener = was_cut.then(|| self.listen());
                    self.state.send_modify(|state| state.listening = was_cut);
                }
                client = accept(listener.as_ref()) => {
                    self.state.send_modify(|state| state.connections += 1);
                    tokio::spawn(self.clone().connection(client));
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, client: TcpStream) {
        let mut flow = self.flow.subscribe();
        tokio::select! {
            _ = self.forward(client) => {}
            _ = flow.wait_for(|flow| *flow == Flow::Cut) => {}
        }
        self.state.send_modify(|state| state.connections -= 1);
    }

    /// Forwards until both sides have said everything or one is gone.
    async fn forward(&self, client: TcpStream) -> std::io::Result<()> {
        let upstream = *self.upstream.borrow();
        let server = TcpStream::connect(upstream).await?;
        // Small messages must not wait for each other more than they would without a proxy.
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (client_reads, client_writes) = client.into_split();
        let (server_reads, server_writes) = server.into_split();
        tokio::try_join!(
            copy(client_reads, server_writes, self.flow.subscribe(), |flow| flow != Flow::Stalled),
            copy(server_reads, client_writes, self.flow.subscribe(), |flow| flow == Flow::Open),
        )?;
        Ok(())
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        // An accept fails when the client has already gone; the next one is as good.
        Some(listener) => loop {
            if let Ok((client, _)) = listener.accept().await {
                return client;
            }
        },
        None => std::future::pending().await,
    }
}

/// Copies bytes while the flow lets them pass, and holds them while it does not.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut flow: watch::Receiver<Flow>,
    passes: impl Fn(Flow) -> bool,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        // The end of the stream is held as well: a network that loses packets loses that one too.
        if flow.wait_for(|flow| passes(*flow)).await.is_err() {
            return Ok(());
        }
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}
