// What every other part builds on: the native functions, questions to the host, exceptions.
//
//   native.log(level, text)
//   native.uuid()                 a random UUID
//   native.encode64(bytes)        bytes to base64, and native.decode64(text) back
//   native.encodeText(text)       text to UTF-8 bytes, and native.decodeText(bytes) back
//   native.ask(id, question)      starts something that takes time; `settle(id, answer)` ends it
//   plugin                        what is known when the plugin is loaded
//
// Questions and answers are JSON; `plugin/service/question.rs` lists them. The parts of this folder
// are one function, run once for each call before the plugin's module; the last part returns what
// the host calls.

const SID_ORGANIZATION = "http://dsf.dev/sid/organization-identifier";
const SID_ENDPOINT = "http://dsf.dev/sid/endpoint-identifier";
const SID_PRACTITIONER = "http://dsf.dev/sid/practitioner-identifier";
const CODE_SYSTEM = "http://dsf.dev/fhir/CodeSystem/";
const ORGANIZATION_ROLE = `${CODE_SYSTEM}organization-role`;
const PRACTITIONER_ROLE = `${CODE_SYSTEM}practitioner-role`;
const READ_ACCESS_TAG = `${CODE_SYSTEM}read-access-tag`;
const PROFILE = "http://dsf.dev/fhir/StructureDefinition/";
const ALTERNATIVE_KEY = "alternativeBusinessKey";

// Taken before the plugin could change them.
const { parse, stringify } = JSON;
const encoded = encodeURIComponent;

class ErrorBoundaryEvent extends Error {
  constructor(code, message) {
    super(message);
    if (typeof code !== "string" || code === "") {
      throw new TypeError("new ErrorBoundaryEvent(code, message): code must be a text");
    }
    this.name = "ErrorBoundaryEvent";
    this.code = code;
  }
  getErrorCode() {
    return this.code;
  }
  getErrorMessage() {
    return this.message;
  }
}
globalThis.ErrorBoundaryEvent = ErrorBoundaryEvent;

// The engine has neither; both are UTF-8 only.
globalThis.TextEncoder = class TextEncoder {
  encode(text = "") {
    return native.encodeText(String(text));
  }
};
globalThis.TextDecoder = class TextDecoder {
  decode(bytes = new Uint8Array()) {
    return native.decodeText(asBytes(bytes));
  }
};
Object.defineProperty(Uint8Array, "fromBase64", {
  value: (text) => native.decode64(String(text)),
});
Object.defineProperty(Uint8Array.prototype, "toBase64", {
  value() {
    return native.encode64(this);
  },
});

const open = new Map();
let questions = 0;

function ask(question) {
  return new Promise((resolve, reject) => {
    const id = questions++;
    // The place of the question is the plugin's; that of the answer would be the host's.
    open.set(id, { resolve, reject, asked: new Error() });
    native.ask(id, stringify(question));
  });
}

function settle(id, answer) {
  const { resolve, reject, asked } = open.get(id);
  open.delete(id);
  const { value, error } = parse(answer);
  if (error) reject(withDetails(asked, error));
  else resolve(value);
}

function withDetails(exception, { message, status, operationOutcome }) {
  exception.message = message;
  exception.status = status ?? undefined;
  if (operationOutcome) exception.operationOutcome = operationOutcome;
  return exception;
}

/** A part of the host that few calls need, loaded when one does. */
const parts = new Map();
function part(name) {
  if (!parts.has(name)) parts.set(name, native.part(name)(shared));
  return parts.get(name);
}

const lookup = (query) => ask({ lookup: query });

const isDate = (value) => value instanceof Date && !Number.isNaN(value.getTime());
const isNumber = (value) => typeof value === "number" || typeof value === "bigint";
const isText = (value) => typeof value === "string";
const isBytes = (value) => value instanceof Uint8Array;
const isResource = (value) => typeof value?.resourceType === "string";
const isListOf = (fits) => (value) => Array.isArray(value) && value.every(fits);

function copy(value) {
  return value === undefined || value === null ? value : parse(stringify(value));
}

function describe(value) {
  if (value === null || typeof value !== "object") return String(value);
  return value.resourceType ?? value.constructor?.name ?? "object";
}

/** Bytes of a text, an ArrayBuffer, a view, or bytes. */
function asBytes(value) {
  if (isBytes(value)) return value;
  if (isText(value)) return native.encodeText(value);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw new TypeError(`${describe(value)} is neither bytes nor text`);
}

function milliseconds(delay) {
  if (typeof delay !== "number" || !(delay >= 0)) throw new TypeError(`${describe(delay)} is not a number of milliseconds`);
  return Math.round(delay);
}

// Constants that few calls name: made when they are named first, and as if they had always been there.
for (const name of ["CodeSystems", "NamingSystems", "BpmnExecutionVariables", "DelayStrategy"]) {
  const define = (value) =>
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: true });
  Object.defineProperty(globalThis, name, {
    get: () => define(part("constants")[name])[name],
    set: define,
    configurable: true,
    enumerable: true,
  });
}
