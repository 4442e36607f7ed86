//! The line to a node, which a test can cut: it stands at the address that the allow list names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes connections on to another port of this machine.
pub struct Line {
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

struct State {
    to: u16,
    /// Connections end when this changes, and none begins while it is set.
    cut: watch::Sender<bool>,
    withholding: AtomicBool,
}

impl Line {
    pub async fn open(at: u16, to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", at)).await.unwrap();
        let state = Arc::new(State {
            to,
            cut: watch::Sender::new(false),
            withholding: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !*shared.cut.borrow() {
                    tokio::spawn(carry(Arc::clone(&shared), client));
                }
            }
        });
        Self { state, accepting }
    }

    /// Ends what runs and lets nothing through.
    pub fn cut(&self) {
        self.state.cut.send_replace(true);
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.state.withholding.store(false, Ordering::SeqCst);
        self.state.cut.send_replace(false);
    }

    /// From now on requests go through and their answers vanish, until the line is cut.
    pub fn withhold_answers(&self) {
        self.state.withholding.store(true, Ordering::SeqCst);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.state.cut.send_replace(true);
        self.accepting.abort();
    }
}

async fn carry(state: Arc<State>, mut client: TcpStream) {
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", state.to)).await else {
        return;
    };
    let mut cut = state.cut.subscribe();
    let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
    // A client of TLS 1.3 has what it needs for its requests once it has spoken twice.
    let mut spoken = 0;
    loop {
        tokio::select! {
            _ = cut.changed() => return,
            read = client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                spoken += 1;
                if server.write_all(&up[..count]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                if spoken >= 2 && state.withholding.load(Ordering::SeqCst) {
                    continue;
                }
                if client.write_all(&down[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
