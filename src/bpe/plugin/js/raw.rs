//! The two calls of the engine that it cannot guard itself. No other file has unsafe code.

#![expect(
    unsafe_code,
    reason = "loading bytecode and reading bytes in place are unsafe in the engine's interface; each \
              function says why it is sound"
)]

use rquickjs::{Ctx, Module, TypedArray, module::Declared};

/// Loads bytecode.
///
/// `Bytecode` hands over only what `Module::write` of this same process has made, unchanged: the
/// engine need not mistrust it.
pub(super) fn load<'js>(ctx: &Ctx<'js>, bytes: &[u8]) -> rquickjs::Result<Module<'js, Declared>> {
    // SAFETY: see above.
    unsafe { Module::load(ctx.clone(), bytes) }
}

/// Copies the bytes of an array.
///
/// They are valid until the engine runs again, which it cannot while they are copied: the call has
/// the context, and a context is on one thread.
pub(super) fn copied(bytes: &TypedArray<'_, u8>) -> rquickjs::Result<Vec<u8>> {
    // SAFETY: see above.
    let bytes = unsafe { bytes.as_bytes() };
    bytes.map(<[u8]>::to_vec).ok_or(rquickjs::Error::Unknown)
}
