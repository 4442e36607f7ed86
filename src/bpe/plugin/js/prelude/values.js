// Targets, and the values of variables on the way between host and code: [type, value].

class Target {
  #target;
  constructor(target) {
    this.#target = target;
  }
  getOrganizationIdentifierValue() {
    return this.#target.organization;
  }
  getEndpointIdentifierValue() {
    return this.#target.endpoint;
  }
  getEndpointUrl() {
    return this.#target.url;
  }
  getCorrelationKey() {
    return this.#target.correlationKey ?? null;
  }
  toJSON() {
    return this.#target;
  }
}

class Targets {
  #entries;
  constructor(entries) {
    this.#entries = entries;
  }
  getEntries() {
    return [...this.#entries];
  }
  isEmpty() {
    return this.#entries.length === 0;
  }
  size() {
    return this.#entries.length;
  }
  getFirst() {
    return this.#entries[0] ?? null;
  }
  removeByEndpointIdentifierValue(one) {
    return this.removeAllByEndpointIdentifierValue([one]);
  }
  removeAllByEndpointIdentifierValue(all) {
    const ids = new Set(
      [...all].map((one) => (one instanceof Target ? one.getEndpointIdentifierValue() : one)),
    );
    return new Targets(
      this.#entries.filter((target) => !ids.has(target.getEndpointIdentifierValue())),
    );
  }
  toJSON() {
    return this.#entries;
  }
}

function createTarget(organization, endpoint, url, correlationKey) {
  for (const [name, value] of Object.entries({ organization, endpoint, url })) {
    if (typeof value !== "string") throw new TypeError(`createTarget: ${name} must be a text`);
  }
  return new Target({ organization, endpoint, url, correlationKey: correlationKey ?? null });
}

function createTargets(...targets) {
  const entries = targets.flat();
  if (!entries.every((target) => target instanceof Target)) {
    throw new TypeError("createTargets: only Targets made by createTarget");
  }
  return new Targets(entries);
}

const INT = 2 ** 31;

const decoders = {
  null: () => null,
  boolean: (value) => value,
  integer: (value) => value,
  long: (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text)),
  double: (value) => Number(value),
  string: (value) => value,
  date: (millis) => new Date(millis),
  bytes: (text) => native.decode64(text),
  list: (items) => items.map(decode),
  map: (entries) => Object.fromEntries(entries.map(([name, value]) => [name, decode(value)])),
  // Copied: code may change what it is given.
  json: copy,
  resource: copy,
  target: (target) => new Target(target),
  targets: (targets) => new Targets(targets.map((target) => new Target(target))),
};

function decode([type, value]) {
  return decoders[type](value);
}

function encodeNumber(value) {
  if (typeof value === "bigint") return encodeLong(value);
  if (!Number.isInteger(value) || Object.is(value, -0)) return ["double", plainDouble(value)];
  if (value >= -INT && value < INT) return ["integer", value];
  return Number.isSafeInteger(value) ? ["long", String(value)] : ["double", plainDouble(value)];
}

// JSON has no NaN and no infinity: these travel as text.
function plainDouble(value) {
  return Number.isFinite(value) ? value : String(value);
}

function encodeLong(value) {
  const long = BigInt(value);
  if (BigInt.asIntN(64, long) !== long) throw new RangeError(`${long} does not fit 64 bits`);
  return ["long", String(long)];
}

function whole(bits) {
  const limit = 2 ** (bits - 1);
  return (value) => {
    if (!Number.isInteger(value) || value < -limit || value >= limit) {
      throw new TypeError(`${describe(value)} is not a whole number of ${bits} bits`);
    }
    return ["integer", value];
  };
}

function typed(type, fits, encoder) {
  return (value) => {
    if (!fits(value)) throw new TypeError(`${describe(value)} is not of type ${type}`);
    return encoder(value);
  };
}

const encodeText = (value) => ["string", value];
const encodeDate = (value) => ["date", value.getTime()];
const encodeResource = (value) => ["resource", copy(value)];

const encodeBytes = (value) => ["bytes", native.encode64(value)];

const isFile = (value) => isText(value?.filename) && isBytes(value.content);

// No type of the engine: JSON that says what it is.
function encodeFile({ filename, mimeType, encoding, content }) {
  const file = { filename, mimeType: mimeType ?? null, encoding: encoding ?? null };
  return ["json", { ...file, content: native.encode64(content) }];
}

function decodeFile(value) {
  return isText(value?.content) ? { ...value, content: native.decode64(value.content) } : null;
}

// The types that have a getter and a setter of their own.
const TYPES = {
  String: typed("String", isText, encodeText),
  Integer: whole(32),
  Short: whole(16),
  Long: typed("Long", (value) => typeof value === "bigint" || Number.isSafeInteger(value), encodeLong),
  Double: typed("Double", (value) => typeof value === "number", (value) => ["double", plainDouble(value)]),
  Number: typed("Number", isNumber, encodeNumber),
  Boolean: typed("Boolean", (value) => typeof value === "boolean", (value) => ["boolean", value]),
  Date: typed("Date", isDate, encodeDate),
  ByteArray: typed("ByteArray", isBytes, encodeBytes),
  StringList: typed("StringList", isListOf(isText), (value) => ["list", value.map(encodeText)]),
  File: typed("File", isFile, encodeFile),
  FhirResource: typed("FhirResource", isResource, encodeResource),
  FhirResourceList: typed("FhirResourceList", isListOf(isResource), (value) => ["list", value.map(encodeResource)]),
};

function encodeAny(value) {
  if (value === undefined) throw new TypeError("a variable cannot be undefined; null or removeVariable?");
  if (isText(value)) return encodeText(value);
  if (typeof value === "boolean") return ["boolean", value];
  if (isNumber(value)) return encodeNumber(value);
  if (isDate(value)) return encodeDate(value);
  if (isBytes(value)) return encodeBytes(value);
  if (value instanceof Target) return ["target", copy(value)];
  if (value instanceof Targets) return ["targets", copy(value)];
  return encodeJson(value);
}

function encodeJson(value) {
  const text = stringify(value);
  if (text === undefined) throw new TypeError(`${describe(value)} cannot be kept as JSON`);
  return ["json", parse(text)];
}
