// How clients are set up, and the OpenID providers behind them (spec/bpe.md §6.6, §10.2).

export default ({ native, ask, api }) => {
  /** The parts of a set-up that have parts of their own. */
  const getters = (told, names) =>
    told &&
    Object.freeze(Object.fromEntries(names.map((name) => [`get${name[0].toUpperCase()}${name.slice(1)}`, () => told[name] ?? null])));

  /** How a client is set up; secrets are null unless plugin.toml asks for them. */
  class ClientConfig {
    #told;
    constructor(told) {
      this.#told = told;
    }
    getFhirServerId() {
      return this.#told.fhirServerId;
    }
    getBaseUrl() {
      return this.#told.baseUrl;
    }
    isStartupConnectionTestEnabled() {
      return this.#told.startupConnectionTestEnabled;
    }
    isDebugLoggingEnabled() {
      return this.#told.debugLoggingEnabled;
    }
    /** Milliseconds. */
    getConnectTimeout() {
      return this.#told.connectTimeout;
    }
    getReadTimeout() {
      return this.#told.readTimeout;
    }
    /** `{ certificates }`; null stands for the authorities of the system. */
    getTrustStore() {
      return trustStore(this.#told);
    }
    /** The key store is a PKCS#12 file as bytes. */
    getCertificateAuthentication() {
      const told = this.#told.certificateAuthentication;
      return getters(told && { ...told, keyStore: told.keyStore && native.decode64(told.keyStore) }, ["keyStore", "keyStorePassword"]);
    }
    getBasicAuthentication() {
      return getters(this.#told.basicAuthentication, ["username", "password"]);
    }
    getBearerAuthentication() {
      return getters(this.#told.bearerAuthentication, ["token"]);
    }
    getOidcAuthentication() {
      const told = this.#told.oidcAuthentication;
      const names = ["id", "baseUrl", "discoveryPath", "clientId", "clientSecret", "requiredAudiences", "connectTimeout", "readTimeout"];
      return told && Object.freeze({
        ...getters(told, names),
        getTrustStore: () => trustStore(told),
        isStartupConnectionTestEnabled: () => told.startupConnectionTestEnabled,
        isDebugLoggingEnabled: () => told.debugLoggingEnabled,
        isVerifyAuthorizedPartyEnabled: () => told.verifyAuthorizedPartyEnabled,
      });
    }
    /** Null where the address is reached without it. */
    getProxy() {
      const proxy = api.getProxyConfig();
      if (!proxy.isEnabled(this.getBaseUrl())) return null;
      return Object.freeze({
        getUrl: () => proxy.getUrl(), getUsername: () => proxy.getUsername(), getPassword: () => proxy.getPassword(),
      });
    }
  }

  const trustStore = ({ trustStore }) => trustStore && { certificates: trustStore };

  const fhirClientConfigProvider = {
    /** Of a configured connection, `#local`, or `#` and the identifier of an Endpoint. */
    async getClientConfig(id) {
      const told = await ask({ connection: { id } });
      return told && new ClientConfig(told);
    },
    async createDefaultTrustStore() {
      return trustStore(await ask({ connection: { id: "#default" } }));
    },
  };

  class OidcClient {
    #provider;
    constructor(provider) {
      this.#provider = provider;
    }
    getConfiguration() {
      return ask({ oidc: { ...this.#provider, wanted: "configuration" } });
    }
    getJwks() {
      return ask({ oidc: { ...this.#provider, wanted: "jwks" } });
    }
    /** The access token, checked. */
    getAccessToken() {
      return ask({ oidc: { ...this.#provider, wanted: "token" } });
    }
  }

  const oidcClientProvider = {
    /** Of a configured connection, by its id or what its set-up says; or base address, client id, secret and options. */
    getOidcClient(baseUrl, clientId, clientSecret, options) {
      if (typeof baseUrl?.getId === "function") return new OidcClient({ id: baseUrl.getId() });
      if (clientId === undefined) return new OidcClient({ id: baseUrl });
      return new OidcClient({ provider: { baseUrl, clientId, clientSecret, ...options } });
    },
  };

  return { fhirClientConfigProvider, oidcClientProvider };
};
