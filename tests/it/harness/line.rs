//! The line to a node, which a test can cut: it stands at the address that the allow list names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
    losing: AtomicBool,
    lost: AtomicUsize,
}

impl Line {
    pub async fn open(at: u16, to: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", at)).await.unwrap();
        let state = Arc::new(State {
            to,
            cut: watch::Sender::new(false),
            losing: AtomicBool::new(false),
            lost: AtomicUsize::new(0),
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

    pub fn mend(&self) {
        self.state.cut.send_replace(false);
    }

    /// The next answer on a connection that is in use comes from the server and never arrives.
    pub fn lose_next_answer(&self) {
        self.state.losing.store(true, Ordering::SeqCst);
    }

    /// Answers lost so far.
    pub fn lost(&self) -> usize {
        self.state.lost.load(Ordering::SeqCst)
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
    // Set while a request is on its way whose answer is to be lost. A connection counts as in use
    // once the server has spoken twice, which is after the handshake.
    let (mut spoken, mut doomed) = (0, false);
    loop {
        tokio::select! {
            _ = cut.changed() => return,
            read = client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                if spoken >= 2 && state.losing.swap(false, Ordering::SeqCst) {
                    doomed = true;
                }
                if server.write_all(&up[..count]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                if doomed {
                    state.lost.fetch_add(1, Ordering::SeqCst);
                    return;
                }
                spoken += 1;
                if client.write_all(&down[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
