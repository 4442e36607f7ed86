// Mail, media types, compression, cryptography, validation: all done by the host.

export default ({ native, plugin, ask, part, asBytes, isText, isBytes, isResource, describe, log }) => {
  const { pieces, gathered } = part("streams");

  // ---- Streams that the host transforms ----

  /** Sends pieces through a transformation, and yields what comes out as it comes. */
  async function* through(transform, data) {
    const { stream } = await ask({ transform });
    try {
      for await (const piece of pieces(data)) {
        yield* answered(stream, await ask({ write: { stream, data: native.encode64(piece) } }));
      }
      yield* answered(stream, await ask({ finish: { stream } }));
    } finally {
      await ask({ close: { stream } });
    }
  }

  async function* answered(stream, first) {
    for (let answer = first; answer; answer = answer.more ? await ask({ read: { stream } }) : null) {
      if (answer.data) yield native.decode64(answer.data);
    }
  }

  /** Bytes of bytes; a stream of a stream. */
  function transformed(transform, data) {
    const output = through(transform, data);
    return isBytes(data) || isText(data) ? gathered(output) : output;
  }

  const compressionService = {
    toGzip: (data) => transformed({ compress: "gzip" }, data),
    toBzip2: (data, blockSize = 9) => transformed({ compress: "bzip2", level: blockSize }, data),
    toLzma2: (data, preset = 6) => transformed({ compress: "lzma2", level: preset }, data),
    fromGzip: (data) => transformed({ decompress: "gzip" }, data),
    fromBzip2: (data) => transformed({ decompress: "bzip2" }, data),
    fromLzma2: (data) => transformed({ decompress: "lzma2" }, data),
  };

  // ---- Cryptography: keys and certificates are PEM texts ----

  const crypto = (operation) => ask({ crypto: operation });
  const generator = (kind) => ({ generateKeyPair: () => crypto({ generate: { kind } }) });

  /** `encrypt` and `decrypt` of both key encapsulations (the wire form is in docs/plugin-api.md). */
  const kem = (kind) =>
    Object.freeze({
      encrypt: (data, publicKey) => transformed({ encrypt: kind, key: pem(publicKey) }, data),
      decrypt: (data, privateKey, password) => transformed({ decrypt: kind, key: pem(privateKey), password }, data),
    });

  function pem(one) {
    const text = isBytes(one) ? native.decodeText(one) : one;
    if (!isText(text) || !text.includes("-----BEGIN ")) throw new TypeError(`${describe(one)} is not a PEM text`);
    return text;
  }

  const chain = (all) => all.flat().map(pem).join("\n");
  const store = (trusted) => (isText(trusted) || isBytes(trusted) ? pem(trusted) : chain([trusted.certificates]));

  const cryptoService = {
    createRsaKem: () => kem("rsa"),
    createEcDhKem: () => kem("ecdh"),
    createKeyPairGeneratorRsa4096AndInitialize: () => generator("rsa4096"),
    createKeyPairGeneratorSecp256r1AndInitialize: () => generator("secp256r1"),
    createKeyPairGeneratorSecp384r1AndInitialize: () => generator("secp384r1"),
    createKeyPairGeneratorSecp521r1AndInitialize: () => generator("secp521r1"),
    createKeyPairGeneratorX25519AndInitialize: () => generator("x25519"),
    createKeyPairGeneratorX448AndInitialize: () => generator("x448"),
    /** `{ pem, publicKey, subject, issuer, serialNumber, notBefore, notAfter, thumbprint }`. */
    async readCertificate(text) {
      return (await this.readCertificates(text))[0];
    },
    readCertificates: (text) => crypto({ readCertificates: { pem: pem(text) } }),
    /** The key without its password, as PEM. */
    readPrivateKey: (text, password) => crypto({ readPrivateKey: { pem: pem(text), password } }),
    isKeyPair: (privateKey, publicKey) =>
      crypto({ isKeyPair: { privateKey: pem(privateKey), publicKey: pem(publicKey) } }),
    isCertificateExpired: (certificate) => crypto({ isExpired: { certificate: pemOf(certificate) } }),
    isClientCertificate: (certificate) => crypto({ isFor: { certificate: pemOf(certificate), purpose: "client" } }),
    isServerCertificate: (certificate) => crypto({ isFor: { certificate: pemOf(certificate), purpose: "server" } }),
    validateClientCertificate: (trusted, ...certificates) =>
      crypto({ validate: { trusted: store(trusted), chain: chain(certificates.flat().map(pemOf)), purpose: "client" } }),
    validateServerCertificate: (trusted, ...certificates) =>
      crypto({ validate: { trusted: store(trusted), chain: chain(certificates.flat().map(pemOf)), purpose: "server" } }),
    /** A PKCS#12 file as bytes. */
    createKeyStoreForPrivateKeyAndCertificateChain: async (privateKey, password, ...certificates) =>
      native.decode64(
        await crypto({ packKeyStore: { privateKey: pem(privateKey), password, chain: chain(certificates.flat().map(pemOf)) } }),
      ),
    createKeyStoreForTrustedCertificates: (...certificates) => ({ certificates: certificates.flat().map(pemOf) }),
    /** `{ privateKey, certificates }`, as PEM. */
    readKeyStorePkcs12: (data, password) =>
      crypto({ readKeyStore: { data: native.encode64(asBytes(data)), password } }),
    /** Java's own form is refused with the way to convert it. */
    readKeyStoreJks(data, password) {
      return this.readKeyStorePkcs12(data, password);
    },
  };

  const pemOf = (certificate) => pem(certificate?.pem ?? certificate);

  // ---- Media types ----

  // Enough of the beginning to tell.
  const ENOUGH = 64 * 1024;

  async function beginning(data) {
    if (isBytes(data) || isText(data)) return asBytes(data).subarray(0, ENOUGH);
    const parts = [];
    let length = 0;
    for await (const piece of pieces(data)) {
      parts.push(piece);
      length += piece.length;
      if (length >= ENOUGH) break;
    }
    return (await gathered(parts)).subarray(0, ENOUGH);
  }

  const mimeTypeService = {
    async validateWithResult(data, declared) {
      const found = await ask({ mime: { data: native.encode64(await beginning(data)), declared } });
      return {
        ...found,
        declared: `${found.declaredBaseType}/${found.declaredSubType}`,
        detected: `${found.detectedBaseType}/${found.detectedSubType}`,
        mimeTypesMatch:
          found.declaredBaseType === found.detectedBaseType && found.declaredSubType === found.detectedSubType,
      };
    },
    async validateWithBoolean(data, declared) {
      return (await this.validateWithResult(data, declared)).mimeTypesMatch;
    },
    /** Throws only when the base types differ; another sub type is a warning in the log. */
    async validateWithException(data, declared) {
      const result = await this.validateWithResult(data, declared);
      if (result.declaredBaseType !== result.detectedBaseType) {
        throw new Error(`declared is ${result.declared}, but the content is ${result.detected}`);
      }
      if (!result.mimeTypesMatch) log("warn")(`declared is ${result.declared}, but the content is ${result.detected}`);
    },
  };

  // ---- Mail ----

  const mailService = {
    /**
     * To the configured receivers, or to one or several. The body is a text, or `{ text, html,
     * attachments: [{ filename, mimeType, content }] }`; options are `cc`, `bcc` and `replyTo`.
     */
    async send(subject, body, to, options) {
      const { text, html, attachments } = isText(body) ? { text: body } : body;
      await ask({
        mail: {
          subject, text, html,
          attachments: (attachments ?? []).map(({ filename, mimeType, content }) => ({
            filename, mimeType, content: native.encode64(asBytes(content)),
          })),
          to: to === undefined || to === null ? null : [to].flat(),
          cc: options?.cc ?? null, bcc: options?.bcc ?? [], replyTo: options?.replyTo ?? null,
        },
      });
    },
  };

  // ---- Validation ----

  const outcomeOf = async (resource, profiles) => {
    if (!isResource(resource)) throw new TypeError(`${describe(resource)} is not a FHIR resource`);
    return ask({ validate: { resource, profiles } });
  };

  const validationServiceProvider = {
    /** Null where this node cannot validate. */
    async getValidationService() {
      if (!(await ask({ validates: {} }))) return null;
      return Object.freeze({
        /** An OperationOutcome; against the given profiles, or those that the resource claims. */
        validate: (resource, ...profiles) => outcomeOf(resource, profiles.flat()),
        /** The Bundle with an OperationOutcome in the response of each entry. */
        async validateEntries(bundle) {
          const entry = [];
          for (const one of bundle.entry ?? []) {
            const outcome = one.resource ? await outcomeOf(one.resource, []) : undefined;
            entry.push(outcome ? { ...one, response: { ...one.response, status: one.response?.status ?? "200", outcome } } : one);
          }
          return { ...bundle, entry };
        },
      });
    },
  };

  // ---- Settings of the node ----

  const proxyConfig = {
    getUrl: () => plugin.proxy?.url ?? null,
    getUsername: () => plugin.proxy?.username ?? null,
    /** Null unless plugin.toml asks for secrets. */
    getPassword: () => plugin.proxy?.password ?? null,
    getNoProxyUrls: () => [...(plugin.proxy?.except ?? [])],
    isEnabled(target) {
      return Boolean(plugin.proxy) && (target === undefined || !this.isNoProxyUrl(target));
    },
    isNoProxyUrl(target) {
      const found = /^([a-z][a-z0-9+.-]*):(?:\/\/([^/:?#]+)(?::(\d+))?(?:[/?#]|$))?/i.exec(target);
      // Without a scheme it is the address of no server.
      if (!found) return false;
      const [, scheme, host, given] = found;
      const port = given ?? { http: "80", https: "443" }[scheme.toLowerCase()];
      if (!host || !port) throw new TypeError(`${describe(target)} is not an http or https address`);
      const domain = host.split(".").slice(1).join(".");
      const names = [host, domain].filter((name) => name !== "").flatMap((name) => [name, `${name}:${port}`]);
      return this.getNoProxyUrls().some((one) => one === "*" || names.includes(one));
    },
  };

  return {
    compressionService, cryptoService, mimeTypeService, mailService, validationServiceProvider, proxyConfig,
  };
};
