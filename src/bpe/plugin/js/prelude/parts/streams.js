// Content by pieces.

export default ({ isText, isBytes, asBytes }) => {
  /** Pieces of something that is bytes, text, or a (async) iterable of these. */
  async function* pieces(value) {
    const iterable = !isText(value) && !isBytes(value) && (value?.[Symbol.asyncIterator] ?? value?.[Symbol.iterator]);
    if (!iterable || ArrayBuffer.isView(value)) {
      yield* sliced(asBytes(value));
    } else {
      for await (const piece of value) yield* sliced(asBytes(piece));
    }
  }

  const PIECE = 1024 * 1024;

  function* sliced(bytes) {
    for (let at = 0; at < bytes.length; at += PIECE) yield bytes.subarray(at, at + PIECE);
  }

  /** All pieces in one. */
  async function gathered(iterable) {
    const parts = [];
    let length = 0;
    for await (const part of iterable) {
      parts.push(part);
      length += part.length;
    }
    if (parts.length === 1) return parts[0];
    const all = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  return { pieces, gathered };
};
