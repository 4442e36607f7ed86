//! The native functions under the prelude, and the way of answers back into the sandbox.

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use rquickjs::{Ctx, Exception, Function, Object, TypedArray};
use tokio::runtime::Handle;
use uuid::Uuid;

use super::raw;
use crate::bpe::plugin::runner::Outside;

/// An answer for the question with this number.
pub(super) type Answer = (u32, String);

/// A question under way.
type Asked = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// Connects one sandbox with the world: the thread of the sandbox drives its questions itself while
/// it waits for an answer, so that one whose answer is at hand costs no change of threads. Whatever
/// is still under way ends with the bridge.
pub(super) struct Bridge {
    line: Line,
    tokio: Handle,
    open: RefCell<FuturesUnordered<Asked>>,
}

/// The sandbox's end.
#[derive(Clone, Default)]
pub(super) struct Line {
    outside: Arc<Mutex<Option<Arc<dyn Outside>>>>,
    /// Asked, and not begun.
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Bridge {
    pub(super) fn new(tokio: Handle) -> Self {
        Self {
            line: Line::default(),
            tokio,
            open: RefCell::default(),
        }
    }

    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Says for whom the sandbox works from now on.
    pub(super) fn connect(&self, outside: Arc<dyn Outside>) {
        *locked(&self.line.outside) = Some(outside);
    }

    /// Whether questions wait for their answers.
    pub(super) fn is_busy(&self) -> bool {
        !self.open.borrow().is_empty() || !locked(&self.line.asked).is_empty()
    }

    /// The next answer; nothing when none came in time.
    pub(super) fn answer(&self, patience: Duration) -> Option<Answer> {
        let mut open = self.open.borrow_mut();
        open.extend(locked(&self.line.asked).drain(..));
        let next = async { tokio::time::timeout(patience, open.next()).await };
        self.tokio.block_on(next).ok().flatten()
    }
}

impl Line {
    fn outside(&self) -> Option<Arc<dyn Outside>> {
        locked(&self.outside).clone()
    }

    fn ask(&self, id: u32, question: String) {
        let outside = self.outside();
        let asked = async move {
            match outside {
                Some(outside) => (id, outside.ask(question).await),
                // While a module is loaded there is no call, and so nobody outside.
                None => (id, NOT_YET.to_owned()),
            }
        };
        locked(&self.asked).push(Box::pin(asked));
    }
}

const NOT_YET: &str = r#"{"error":{"message":"not while the module is loaded"}}"#;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
