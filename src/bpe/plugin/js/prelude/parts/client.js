// Clients of FHIR servers (spec/bpe.md §6.7): the own one, partners', and configured connections.

export default ({ native, plugin, ask, part, encoded, milliseconds, describe, isText, isResource, endpointProvider }) => {
  const RETRY_DELAY = 5_000;

  const delays = (strategy) => (Array.isArray(strategy) ? strategy.map(milliseconds) : [milliseconds(strategy)]);

  function nameOf(resource) {
    if (!isResource(resource)) throw new TypeError(`${describe(resource)} is not a FHIR resource`);
    return resource.resourceType;
  }

  function version(resource) {
    const id = resource.meta?.versionId;
    return id ? `W/"${id}"` : undefined;
  }

  /** `name=value&…` of an object whose values are texts or lists of texts; texts stay as they are. */
  function parameters(criteria) {
    if (isText(criteria)) return criteria.replace(/^\?/, "");
    return Object.entries(criteria ?? {})
      .flatMap(([name, values]) => [values].flat().map((value) => `${encoded(name)}=${encoded(value)}`))
      .join("&");
  }

  /** `Type?name=value`, from that text or from a type and its parameters. */
  function queryOf(type, criteria) {
    if (criteria === undefined) return type;
    const query = parameters(criteria);
    return query === "" ? type : `${type}?${query}`;
  }

  function pathOf(type, id, version) {
    const steps = [type];
    if (id !== undefined && id !== null) steps.push(encoded(id));
    if (version !== undefined && version !== null) steps.push("_history", encoded(version));
    return steps.join("/");
  }

  const paged = (path, page, count) =>
    page === undefined ? path : `${path}?_page=${Number(page)}&_count=${Number(count ?? 20)}`;

  /** Type, id and version of a `Location`. */
  function idOf(location) {
    const found = /([A-Za-z]+)\/([A-Za-z0-9.-]+)(?:\/_history\/([A-Za-z0-9.-]+))?$/.exec(location ?? "");
    return found ? { resourceType: found[1], id: found[2], versionId: found[3] ?? null } : null;
  }

  /** The content of a Binary, piece by piece; the connection is free again at its end. */
  class BinaryStream {
    #stream;
    #head;
    constructor(head) {
      this.#stream = head.stream;
      this.#head = head;
    }
    getContentLength() {
      return this.#head.contentLength ?? null;
    }
    getContentType() {
      return this.#head.contentType ?? null;
    }
    /** `{ size, start, end }` of a part. */
    getRange() {
      return this.#head.range ?? null;
    }
    async *[Symbol.asyncIterator]() {
      try {
        yield* drained(this.#stream);
      } finally {
        await this.close();
      }
    }
    readAllBytes() {
      return part("streams").gathered(this);
    }
    async text() {
      return native.decodeText(await this.readAllBytes());
    }
    async close() {
      await ask({ close: { stream: this.#stream } });
    }
  }

  async function* drained(stream) {
    for (;;) {
      const data = await ask({ read: { stream } });
      if (data === null) return;
      yield native.decode64(data);
    }
  }

  class DsfClient {
    #server;
    #base;
    #prefer;
    #retry;

    constructor(server, base, prefer = "representation", retry = null) {
      this.#server = server;
      this.#base = base;
      this.#prefer = prefer;
      this.#retry = retry;
    }

    async #send(method, path, rest) {
      return ask({ fhir: { server: this.#server, method, path, retry: this.#retry, ...rest } });
    }

    /** What a request that stores gives back: the resource, its id, or the outcome. */
    async #stored(method, path, rest) {
      const answer = await this.#send(method, path, { prefer: `return=${this.#prefer}`, ...rest });
      return this.#prefer === "minimal" ? idOf(answer.location) : (answer.body ?? null);
    }

    getBaseUrl() {
      return this.#base;
    }
    withMinimalReturn() {
      return new DsfClient(this.#server, this.#base, "minimal", this.#retry);
    }
    withOperationOutcomeReturn() {
      return new DsfClient(this.#server, this.#base, "OperationOutcome", this.#retry);
    }
    withRetry(times = 1, delay = RETRY_DELAY) {
      const retry = { times: Number(times), delays: delays(delay) };
      return new DsfClient(this.#server, this.#base, this.#prefer, retry);
    }
    withRetryForever(delay = RETRY_DELAY) {
      const retry = { times: null, delays: delays(delay) };
      return new DsfClient(this.#server, this.#base, this.#prefer, retry);
    }

    /** By type and id, and a version; or anew if a resource that was read before has changed. */
    async read(type, id, versionId) {
      if (isText(type)) return (await this.#send("GET", pathOf(type, id, versionId))).body;
      const known = version(type);
      const answer = await this.#send("GET", pathOf(nameOf(type), type.id), { ifNoneMatch: known });
      return answer.status === 304 ? type : answer.body;
    }
    async exists(type, id, versionId) {
      try {
        await this.#send("GET", pathOf(type, id, versionId));
        return true;
      } catch (exception) {
        if (exception.status === 404 || exception.status === 410) return false;
        throw exception;
      }
    }
    async search(type, criteria) {
      return (await this.#send("GET", queryOf(type, criteria))).body;
    }
    async searchWithStrictHandling(type, criteria) {
      return (await this.#send("GET", queryOf(type, criteria), { prefer: "handling=strict" })).body;
    }
    async getConformance() {
      return (await this.#send("GET", "metadata")).body;
    }
    /** Of the server, a type, or a resource; then page and count. */
    async history(...all) {
      const named = all.filter(isText);
      const [page, count] = all.slice(named.length);
      const path = [...named.map(encoded), "_history"].join("/");
      return (await this.#send("GET", paged(path, page, count))).body;
    }

    create(resource) {
      return this.#stored("POST", nameOf(resource), { body: resource });
    }
    createConditionally(resource, condition) {
      return this.#stored("POST", nameOf(resource), { body: resource, ifNoneExist: parameters(condition) });
    }
    createConditionaly(resource, condition) {
      return this.createConditionally(resource, condition);
    }
    update(resource) {
      return this.#stored("PUT", pathOf(nameOf(resource), resource.id), { body: resource, ifMatch: version(resource) });
    }
    updateConditionally(resource, condition) {
      const path = `${nameOf(resource)}?${parameters(condition)}`;
      return this.#stored("PUT", path, { body: resource, ifMatch: version(resource) });
    }
    updateConditionaly(resource, condition) {
      return this.updateConditionally(resource, condition);
    }
    async delete(type, id) {
      await this.#send("DELETE", pathOf(type, id));
    }
    async deleteConditionally(type, condition) {
      await this.#send("DELETE", `${type}?${parameters(condition)}`);
    }
    deleteConditionaly(type, condition) {
      return this.deleteConditionally(type, condition);
    }
    async deletePermanently(type, id) {
      await this.#send("POST", `${pathOf(type, id)}/$permanent-delete`);
    }
    /** The answer of each entry, as preferred; there is always a Bundle. */
    async postBundle(bundle) {
      if (nameOf(bundle) !== "Bundle") throw new TypeError(`${describe(bundle)} is not a Bundle`);
      return (await this.#send("POST", "", { body: bundle, prefer: `return=${this.#prefer}` })).body;
    }

    /** `[type, [id, [version,]]] name, parameters`. */
    operation(...all) {
      const { path, body } = operationOf(all);
      return this.#stored("POST", path, { body });
    }
    async generateSnapshot(source) {
      const part = isText(source) ? { name: "url", valueString: source } : { name: "resource", resource: source };
      const body = { resourceType: "Parameters", parameter: [part] };
      return (await this.#send("POST", "StructureDefinition/$snapshot", { body })).body;
    }

    searchAsync(...all) {
      return this.#searchAsync(all, "respond-async");
    }
    searchAsyncWithStrictHandling(...all) {
      return this.#searchAsync(all, "respond-async, handling=strict");
    }
    async #searchAsync(all, prefer) {
      const [strategy, [type, criteria]] = strategyOf(all);
      const answer = await this.#send("GET", queryOf(type, criteria), { prefer, poll: strategy });
      return unwrapped(answer.body);
    }
    async operationAsync(...all) {
      const [strategy, rest] = strategyOf(all);
      const { path, body } = operationOf(rest);
      const prefer = `respond-async, return=${this.#prefer}`;
      const answer = await this.#send("POST", path, { body, prefer, poll: strategy });
      return this.#prefer === "minimal" ? idOf(answer.location) : unwrapped(answer.body);
    }

    /** `id, [version,] mediaType, start?, end?`, or `id, { version, mediaType, start, end, headers }`. */
    async readBinary(id, ...all) {
      const { version, mediaType, start, end, headers } = binaryOptions(all);
      const range = start === undefined && end === undefined ? undefined : `bytes=${start ?? ""}-${end ?? ""}`;
      const head = await ask({
        download: {
          server: this.#server, path: pathOf("Binary", id, version), accept: mediaType ?? "*/*",
          range, headers: headers ?? {}, retry: this.#retry,
        },
      });
      return new BinaryStream(head);
    }
    /** The data is bytes, text, or a (async) iterable of these; it is sent piece by piece. */
    createBinary(data, mediaType, securityContext) {
      return this.#upload("POST", "Binary", data, mediaType, securityContext);
    }
    updateBinary(id, data, mediaType, securityContext) {
      return this.#upload("PUT", pathOf("Binary", id), data, mediaType, securityContext);
    }
    async #upload(method, path, data, mediaType, securityContext) {
      if (!isText(mediaType)) throw new TypeError("the media type of a Binary must be a text");
      const { stream } = await ask({
        upload: {
          server: this.#server, method, path, contentType: mediaType,
          securityContext: securityContext ?? null, prefer: `return=${this.#prefer}`,
        },
      });
      try {
        for await (const piece of part("streams").pieces(data)) {
          await ask({ write: { stream, data: native.encode64(piece) } });
        }
      } catch (exception) {
        await ask({ close: { stream } });
        throw exception;
      }
      const answer = await ask({ finish: { stream } });
      return this.#prefer === "minimal" ? idOf(answer.location) : (answer.body ?? null);
    }
  }

  function operationOf(all) {
    const body = all.at(-1);
    const hasBody = isResource(body) || body === null || body === undefined;
    const names = hasBody ? all.slice(0, -1) : all;
    const name = names.at(-1);
    if (!isText(name)) throw new TypeError("an operation needs a name");
    const path = names.length > 1 ? `${pathOf(...names.slice(0, -1))}/` : "";
    return { path: `${path}$${name.replace(/^\$/, "")}`, body: hasBody ? (body ?? undefined) : undefined };
  }

  function strategyOf(all) {
    return Array.isArray(all[0]) ? [delays(all[0]), all.slice(1)] : [part("constants").DelayStrategy.TRUNCATED_EXPONENTIAL_BACKOFF, all];
  }

  /** Servers wrap what they answer late into a batch-response. */
  function unwrapped(body) {
    const wrapped = body?.resourceType === "Bundle" && body.type === "batch-response" && body.entry?.length === 1;
    return wrapped ? (body.entry[0].resource ?? body) : (body ?? null);
  }

  function binaryOptions(all) {
    if (all.length === 1 && typeof all[0] === "object" && all[0] !== null) return all[0];
    const texts = all.filter(isText);
    const [start, end] = all.slice(texts.length).map((one) => one ?? undefined);
    const [mediaType, version] = texts.reverse();
    return { version, mediaType, start, end };
  }

  const localClient = new DsfClient(null, plugin.baseUrl);

  /** Clients do not connect before their first request. */
  const dsfClientProvider = {
    getLocal: () => localClient,
    getByEndpointUrl(url) {
      if (!isText(url)) throw new TypeError(`getByEndpointUrl: ${describe(url)} is not an address`);
      const base = url.replace(/\/+$/, "");
      return base === plugin.baseUrl ? localClient : new DsfClient({ url: base }, base);
    },
    getByEndpoint(endpoint) {
      return this.getByEndpointUrl(endpoint?.address);
    },
    /**
     * A configured connection, `#local`, or `#` and the identifier of an Endpoint; null when there is none
     * with this id, or the plugin may not use it.
     */
    async getById(id) {
      if (id === "#local") return localClient;
      if (isText(id) && id.startsWith("#")) {
        const endpoint = await endpointProvider.getEndpoint(id.slice(1));
        return endpoint && this.getByEndpoint(endpoint);
      }
      const connection = await ask({ connection: { id } });
      return connection && new DsfClient({ id }, connection.baseUrl);
    },
  };

  return { dsfClientProvider };
};
