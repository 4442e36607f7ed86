//! The native functions under the prelude, and the way of answers back into the sandbox.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rquickjs::{Ctx, Exception, Function, Object, TypedArray};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::raw;
use crate::bpe::plugin::runner::Outside;

/// An answer for the question with this number.
pub(super) type Answer = (u32, String);

/// Connects one sandbox with the world: questions run on the async runtime, the thread of the
/// sandbox waits for their answers.
pub(super) struct Bridge {
    answers: Receiver<Answer>,
    line: Line,
}

/// The sandbox's end.
#[derive(Clone)]
pub(super) struct Line {
    outside: Arc<Mutex<Option<Arc<dyn Outside>>>>,
    tokio: Handle,
    answers: Sender<Answer>,
    open: Arc<AtomicUsize>,
    running: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Bridge {
    pub(super) fn new(tokio: Handle) -> Self {
        let (sender, answers) = mpsc::channel();
        let line = Line {
            outside: Arc::default(),
            tokio,
            answers: sender,
            open: Arc::default(),
            running: Arc::default(),
        };
        Self { answers, line }
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Says for whom the sandbox works from now on.
    pub(super) fn connect(&self, outside: Arc<dyn Outside>) {
        *self
            .line
            .outside
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(outside);
    }

    /// Whether questions wait for their answers.
    pub(super) fn is_busy(&self) -> bool {
        self.line.open.load(Ordering::Relaxed) > 0
    }

    /// The next answer; nothing when none came in time.
    pub(super) fn answer(&self, patience: Duration) -> Option<Answer> {
        let answer = self.answers.recv_timeout(patience).ok()?;
        self.line.open.fetch_sub(1, Ordering::Relaxed);
        Some(answer)
    }
}

impl Drop for Bridge {
    /// Nobody is there any more to take the answers.
    fn drop(&mut self) {
        let running = &self.line.running;
        for task in running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            task.abort();
        }
    }
}

impl Line {
    fn outside(&self) -> Option<Arc<dyn Outside>> {
        self.outside
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn ask(&self, id: u32, question: String) {
        self.open.fetch_add(1, Ordering::Relaxed);
        let answers = self.answers.clone();
        // While a module is loaded there is no call, and so nobody outside.
        let Some(outside) = self.outside() else {
            let refusal = r#"{"error":{"message":"not while the module is loaded"}}"#;
            let _ = answers.send((id, refusal.to_owned()));
            return;
        };
        let task = self.tokio.spawn(async move {
            let answer = outside.ask(question).await;
            // A call that timed out no longer listens.
            let _ = answers.send((id, answer));
        });
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.push(task.abort_handle());
    }
}

/// The `native` object of the prelude but for `part`. Without a line, code can reach nothing at all.
pub(super) fn native<'js>(ctx: &Ctx<'js>, line: Option<&Line>) -> rquickjs::Result<Object<'js>> {
    let native = Object::new(ctx.clone())?;
    let listener = line.cloned();
    let log = move |level: String, text: String| {
        if let Some(outside) = listener.as_ref().and_then(Line::outside) {
            outside.log(&level, &text);
        }
    };
    native.set("log", Function::new(ctx.clone(), log)?)?;
    native.set(
        "uuid",
        Function::new(ctx.clone(), || Uuid::new_v4().to_string())?,
    )?;
    let line = line.cloned();
    let ask = move |id: u32, question: String| {
        if let Some(line) = &line {
            line.ask(id, question);
        }
    };
    native.set("ask", Function::new(ctx.clone(), ask)?)?;
    bytes(ctx, &native)?;
    Ok(native)
}

/// What the engine lacks for bytes: base64 and UTF-8. Bytes are copied into the engine, so that its
/// limit of memory counts them.
fn bytes<'js>(ctx: &Ctx<'js>, native: &Object<'js>) -> rquickjs::Result<()> {
    let encode64 = move |bytes: TypedArray<'js, u8>| -> rquickjs::Result<String> {
        Ok(STANDARD.encode(raw::copied(&bytes)?))
    };
    native.set("encode64", Function::new(ctx.clone(), encode64)?)?;
    let decode64 = |ctx: Ctx<'js>, text: String| match STANDARD.decode(&text) {
        Ok(bytes) => TypedArray::new_copy(ctx, bytes),
        Err(error) => Err(Exception::throw_type(&ctx, &format!("not base64: {error}"))),
    };
    native.set("decode64", Function::new(ctx.clone(), decode64)?)?;
    let encode_text = |ctx: Ctx<'js>, text: String| TypedArray::new_copy(ctx, text);
    native.set("encodeText", Function::new(ctx.clone(), encode_text)?)?;
    let decode_text = move |bytes: TypedArray<'js, u8>| -> rquickjs::Result<String> {
        Ok(String::from_utf8_lossy(&raw::copied(&bytes)?).into_owned())
    };
    native.set("decodeText", Function::new(ctx.clone(), decode_text)?)
}
