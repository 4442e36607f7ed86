// What plugin code sees of the host. For editors: `dsf plugin new` puts this file beside main.js.
// docs/plugin-api.md says what each member is for.

type Json = null | boolean | number | string | Json[] | { [name: string]: Json | undefined };
/** A FHIR resource in the shape of FHIR JSON. */
type Resource = { resourceType: string; id?: string; meta?: any; [name: string]: any };
type Task = Resource;
type Bundle = Resource;
type Organization = Resource;
type Endpoint = Resource;
type OrganizationAffiliation = Resource;
type ActivityDefinition = Resource;
type QuestionnaireResponse = Resource;
type OperationOutcome = Resource;
type Coding = { system?: string; version?: string; code?: string; [name: string]: any };
type Identifier = { system?: string; value?: string; [name: string]: any };
/** The value of an identifier, or the identifier. */
type Id = string | Identifier | null;
/** A code of the CodeSystem organization-role, or a Coding. */
type Role = string | Coding;
/** `{ valueString: … }`, or a text, boolean or number that becomes one. */
type ParameterValue = string | boolean | number | { [value: string]: any };
type Parameter = { type: { coding: Coding[] }; [value: string]: any };
type Extension = { url: string; [value: string]: any };
type Bytes = Uint8Array | string;
/** Bytes, or a stream of them. */
type Content = Bytes | Iterable<Bytes> | AsyncIterable<Bytes>;
/** `name=value&…`, or the same as an object. */
type Criteria = string | { [name: string]: string | string[] };
type Delays = number | readonly number[];
type File = { filename: string; mimeType?: string | null; encoding?: string | null; content: Uint8Array };
type ResourceId = { resourceType: string; id: string; versionId: string | null };
type Identity = { local: boolean; organization: Organization; practitionerRoles?: Coding[] };
type SendTaskValues = { instantiatesCanonical: string; profile: string; messageName: string };
type CreateQuestionnaireResponseValues = { userTaskId: string; formKey: string };
/** `value`, `system|value` or the element; one or several. */
type Who<T> = Several<T> | Promise<Several<T>>;
type Several<T> = string | T | (string | T)[] | null | void;
type Fields = { [name: string]: any };

/** Thrown by a service or send task: a boundary event with this code, or without code, catches it. */
declare class ErrorBoundaryEvent extends Error {
  constructor(code: string, message?: string);
  readonly code: string;
  getErrorCode(): string;
  getErrorMessage(): string;
}

/** What the host or a server refused. */
interface HostError extends Error {
  /** The HTTP status of a server that refused. */
  status?: number;
  operationOutcome?: OperationOutcome;
}

declare const DelayStrategy: {
  readonly TRUNCATED_EXPONENTIAL_BACKOFF: readonly number[];
  readonly CONSTANT: readonly number[];
  constant(milliseconds: number): readonly number[];
};
declare const CodeSystems: { [codeSystem: string]: { SYSTEM: string; [code: string]: string } };
declare const NamingSystems: { [name: string]: string };
declare const BpmnExecutionVariables: { [name: string]: string };

type Activity =
  | ((api: Api, variables: Variables, fields: Fields) => unknown)
  | {
      execute?(api: Api, variables: Variables, ...more: any[]): unknown;
      notify?(api: Api, variables: Variables, ...more: any[]): unknown;
      businessKeyStrategy?: "SAME" | "ALTERNATIVE" | "NEW";
      additionalInputParameters?(api: Api, variables: Variables, values: SendTaskValues, target: Target): Parameter[] | Promise<Parameter[]>;
      afterSend?(api: Api, variables: Variables, values: SendTaskValues, target: Target): unknown;
      getPractitioners?(api: Api, variables: Variables, values: CreateQuestionnaireResponseValues): Who<Identifier>;
      getPractitionerRoles?(api: Api, variables: Variables, values: CreateQuestionnaireResponseValues): Who<Coding>;
      createQuestionnaireResponse?(api: Api, variables: Variables, values: CreateQuestionnaireResponseValues, questionnaire: Resource): unknown;
      beforeQuestionnaireResponseCreate?(api: Api, variables: Variables, values: CreateQuestionnaireResponseValues, form: QuestionnaireResponse): unknown;
      afterQuestionnaireResponseCreate?(api: Api, variables: Variables, values: CreateQuestionnaireResponseValues, form: QuestionnaireResponse): unknown;
      handleException?(api: Api, variables: Variables, exception: Error, ...more: any[]): unknown;
      handleErrorBoundaryEvent?(api: Api, variables: Variables, event: ErrorBoundaryEvent): unknown;
    };

/** Exported as `onProcessesDeployed`: hears the ids, without version, of the processes that are active or drafts. */
type DeploymentListener = (api: Api, processes: string[]) => unknown;

interface Api {
  readonly logger: Logger;
  randomUUID(): string;
  delay(milliseconds: number): Promise<void>;
  getSetting(name: string): string;
  getProcessPluginDefinition(): ProcessPluginDefinition;
  getOrganizationProvider(): OrganizationProvider;
  getEndpointProvider(): EndpointProvider;
  getTargetProvider(): TargetProvider;
  getTaskHelper(): TaskHelper;
  getDataLogger(): DataLogger;
  getDsfClientProvider(): DsfClientProvider;
  getFhirClientProvider(): DsfClientProvider;
  getFhirClientConfigProvider(): FhirClientConfigProvider;
  getOidcClientProvider(): OidcClientProvider;
  getReadAccessHelper(): ReadAccessHelper;
  getProcessAuthorizationHelper(): ProcessAuthorizationHelper;
  getQuestionnaireResponseHelper(): QuestionnaireResponseHelper;
  getCompressionService(): CompressionService;
  getCryptoService(): CryptoService;
  getMailService(): MailService;
  getMimeTypeService(): MimeTypeService;
  getValidationServiceProvider(): ValidationServiceProvider;
  getProxyConfig(): ProxyConfig;
}

interface ProcessPluginDefinition {
  readonly name: string;
  readonly version: string;
  readonly resourceVersion: string;
  readonly releaseDate: string;
  readonly resourceReleaseDate: string;
  readonly title: string | null;
  readonly publisher: string | null;
  readonly license: string | null;
  getName(): string;
  getVersion(): string;
  getResourceVersion(): string;
  getReleaseDate(): string;
  getResourceReleaseDate(): string;
  getTitle(): string | null;
  getPublisher(): string | null;
  getLicense(): string | null;
}

interface Logger {
  debug(text: unknown): void;
  info(text: unknown): void;
  warn(text: unknown): void;
  error(text: unknown): void;
}

interface DataLogger {
  isEnabled(): boolean;
  log(message: string, value: unknown): void;
}

interface Target {
  getOrganizationIdentifierValue(): string;
  getEndpointIdentifierValue(): string;
  getEndpointUrl(): string;
  getCorrelationKey(): string | null;
  toJSON(): Json;
}

interface Targets {
  getEntries(): Target[];
  isEmpty(): boolean;
  size(): number;
  getFirst(): Target | null;
  removeByEndpointIdentifierValue(one: Target | string): Targets;
  removeAllByEndpointIdentifierValue(several: Iterable<Target | string>): Targets;
  toJSON(): Json;
}

interface Variables {
  getBusinessKey(): string;
  getCurrentActivityId(): string;
  getActivityInstanceId(): string;
  getProcessDefinitionId(): string;
  getAlternativeBusinessKey(): string | null;
  setAlternativeBusinessKey(key: string): void;
  createTarget(organizationIdentifier: string, endpointIdentifier: string, endpointUrl: string, correlationKey?: string | null): Target;
  createTargets(...targets: (Target | Target[])[]): Targets;
  getTarget(): Target | null;
  setTarget(target: Target): void;
  getTargets(): Targets | null;
  setTargets(targets: Targets): void;
  getStartTask(): Task | null;
  getLatestTask(): Task | null;
  getTasks(): Task[];
  getCurrentTasks(): Task[];
  updateTask(task: Task): void;
  getStartTaskUpdater(): StartTaskUpdater;
  getLatestReceivedQuestionnaireResponse(): QuestionnaireResponse | null;
  getVariable(name: string): any;
  getVariableLocal(name: string): any;
  setVariable(name: string, value: unknown): void;
  setVariableLocal(name: string, value: unknown): void;
  hasVariable(name: string): boolean;
  removeVariable(name: string): void;
  getJsonVariable(name: string): any;
  getJsonVariableLocal(name: string): any;
  setJsonVariable(name: string, value: Json): void;
  setJsonVariableLocal(name: string, value: Json): void;
  getString(name: string): string | null;
  getStringLocal(name: string): string | null;
  setString(name: string, value: string | null): void;
  setStringLocal(name: string, value: string | null): void;
  getInteger(name: string): number | null;
  getIntegerLocal(name: string): number | null;
  setInteger(name: string, value: number | null): void;
  setIntegerLocal(name: string, value: number | null): void;
  getShort(name: string): number | null;
  getShortLocal(name: string): number | null;
  setShort(name: string, value: number | null): void;
  setShortLocal(name: string, value: number | null): void;
  getLong(name: string): (number | bigint) | null;
  getLongLocal(name: string): number | bigint | null;
  setLong(name: string, value: number | bigint | null): void;
  setLongLocal(name: string, value: number | bigint | null): void;
  getDouble(name: string): number | null;
  getDoubleLocal(name: string): number | null;
  setDouble(name: string, value: number | null): void;
  setDoubleLocal(name: string, value: number | null): void;
  getNumber(name: string): (number | bigint) | null;
  getNumberLocal(name: string): number | bigint | null;
  setNumber(name: string, value: number | bigint | null): void;
  setNumberLocal(name: string, value: number | bigint | null): void;
  getBoolean(name: string): boolean | null;
  getBooleanLocal(name: string): boolean | null;
  setBoolean(name: string, value: boolean | null): void;
  setBooleanLocal(name: string, value: boolean | null): void;
  getDate(name: string): Date | null;
  getDateLocal(name: string): Date | null;
  setDate(name: string, value: Date | null): void;
  setDateLocal(name: string, value: Date | null): void;
  getByteArray(name: string): Uint8Array | null;
  getByteArrayLocal(name: string): Uint8Array | null;
  setByteArray(name: string, value: Uint8Array | null): void;
  setByteArrayLocal(name: string, value: Uint8Array | null): void;
  getStringList(name: string): string[] | null;
  getStringListLocal(name: string): string[] | null;
  setStringList(name: string, value: string[] | null): void;
  setStringListLocal(name: string, value: string[] | null): void;
  getFile(name: string): File | null;
  getFileLocal(name: string): File | null;
  setFile(name: string, value: File | null): void;
  setFileLocal(name: string, value: File | null): void;
  getFhirResource(name: string): Resource | null;
  getFhirResourceLocal(name: string): Resource | null;
  setFhirResource(name: string, value: Resource | null): void;
  setFhirResourceLocal(name: string, value: Resource | null): void;
  getFhirResourceList(name: string): Resource[] | null;
  getFhirResourceListLocal(name: string): Resource[] | null;
  setFhirResourceList(name: string, value: Resource[] | null): void;
  setFhirResourceListLocal(name: string, value: Resource[] | null): void;
}

interface StartTaskUpdater {
  addOutput(type: Coding, value: ParameterValue): void;
  addOutput(system: string, code: string, version: string, value: ParameterValue): void;
  getOutput(type: Coding | string, code?: string, version?: string): Parameter | null;
  hasOutput(type: Coding | string, code?: string, version?: string): boolean;
  hasOuput(type: Coding | string, code?: string, version?: string): boolean;
  modifyOutput(type: Coding, value: ParameterValue): void;
  modifyOutput(system: string, code: string, version: string, value: ParameterValue): void;
  removeOutput(type: Coding | string, code?: string, version?: string): void;
}

interface OrganizationProvider {
  getLocalOrganization(): Promise<Organization | null>;
  getLocalOrganizationIdentifier(): Promise<Identifier | null>;
  getLocalOrganizationIdentifierValue(): Promise<string | null>;
  getOrganization(id: Id): Promise<Organization | null>;
  getOrganizations(parent: Id, role?: Role): Promise<Organization[]>;
  getRemoteOrganizations(): Promise<Organization[]>;
  getParentOrganizations(): Promise<Organization[]>;
}

interface EndpointProvider {
  getLocalEndpointAddress(): string;
  getLocalEndpoint(): Promise<Endpoint | null>;
  getLocalEndpointIdentifier(): Promise<Identifier | null>;
  getLocalEndpointIdentifierValue(): Promise<string | null>;
  getEndpoint(id: Id): Promise<Endpoint | null>;
  getEndpoint(parent: Id, member: Id, role: Role): Promise<Endpoint | null>;
  getEndpointAddress(id: Id): Promise<string | null>;
  getEndpointAddress(parent: Id, member: Id, role: Role): Promise<string | null>;
  getEndpoints(parent: Id, role?: Role): Promise<Endpoint[]>;
}

interface TargetProvider {
  create(parent: Id, role?: Role, ...members: (Id | Id[])[]): TargetBuilder;
}

interface TargetBuilder {
  filter(predicate: (affiliation: OrganizationAffiliation, member: Organization, endpoint: Endpoint) => boolean): TargetBuilder;
  withCorrelationKey(): Promise<Targets>;
  withoutCorrelationKey(): Promise<Targets>;
}

interface TaskHelper {
  getInputParameters(task: Task, type: Coding | string, ...more: string[]): Parameter[];
  getFirstInputParameter(task: Task, type: Coding | string, ...more: string[]): Parameter | null;
  getInputParametersWithExtension(task: Task, type: Coding | string, ...more: string[]): Parameter[];
  getFirstInputParameterWithExtension(task: Task, type: Coding | string, ...more: string[]): Parameter | null;
  getInputParameterValues(task: Task, type: Coding | string, ...more: string[]): any[];
  getFirstInputParameterValue(task: Task, type: Coding | string, ...more: string[]): any;
  getInputParameterStringValues(task: Task, type: Coding | string, code?: string): string[];
  getFirstInputParameterStringValue(task: Task, type: Coding | string, code?: string): string | null;
  createInput(value: ParameterValue, type: Coding | string, code?: string, version?: string): Parameter;
  createOutput(value: ParameterValue, type: Coding | string, code?: string, version?: string): Parameter;
  getLocalVersionlessAbsoluteUrl(task: Task): string | null;
}

interface DsfClientProvider {
  getLocal(): DsfClient;
  getByEndpointUrl(url: string): DsfClient;
  getByEndpoint(endpoint: Endpoint | null): DsfClient;
  getById(id: string): Promise<DsfClient | null>;
}

/** `R` is what storing gives back: the resource, its id, or an OperationOutcome. */
interface DsfClient<R = any> {
  getBaseUrl(): string;
  withMinimalReturn(): DsfClient<ResourceId>;
  withOperationOutcomeReturn(): DsfClient<OperationOutcome>;
  withRetry(times?: number, delay?: Delays): DsfClient<R>;
  withRetryForever(delay?: Delays): DsfClient<R>;
  read(type: string, id: string, versionId?: string): Promise<Resource>;
  read<T extends Resource>(oldValue: T): Promise<T>;
  exists(type: string, id: string, versionId?: string): Promise<boolean>;
  search(query: string, criteria?: Criteria): Promise<Bundle>;
  searchWithStrictHandling(query: string, criteria?: Criteria): Promise<Bundle>;
  searchAsync(...strategyThenQuery: any[]): Promise<Bundle>;
  searchAsyncWithStrictHandling(...strategyThenQuery: any[]): Promise<Bundle>;
  getConformance(): Promise<Resource>;
  history(...typeIdPageCount: (string | number)[]): Promise<Bundle>;
  create(resource: Resource): Promise<R>;
  createConditionally(resource: Resource, condition: Criteria): Promise<R>;
  createConditionaly(resource: Resource, condition: Criteria): Promise<R>;
  update(resource: Resource): Promise<R>;
  updateConditionally(resource: Resource, condition: Criteria): Promise<R>;
  updateConditionaly(resource: Resource, condition: Criteria): Promise<R>;
  delete(type: string, id: string): Promise<void>;
  deleteConditionally(type: string, condition: Criteria): Promise<void>;
  deleteConditionaly(type: string, condition: Criteria): Promise<void>;
  deletePermanently(type: string, id: string): Promise<void>;
  postBundle(bundle: Bundle): Promise<Bundle>;
  operation(...typeIdVersionNameParameters: any[]): Promise<R>;
  operationAsync(...strategyThenOperation: any[]): Promise<R>;
  generateSnapshot(source: string | Resource): Promise<Resource>;
  readBinary(id: string, mediaType?: string, start?: number, end?: number): Promise<BinaryStream>;
  readBinary(id: string, version: string, mediaType: string, start?: number, end?: number): Promise<BinaryStream>;
  readBinary(id: string, options: { version?: string; mediaType?: string; start?: number; end?: number; headers?: { [name: string]: string } }): Promise<BinaryStream>;
  createBinary(data: Content, mediaType: string, securityContext?: string): Promise<R>;
  updateBinary(id: string, data: Content, mediaType: string, securityContext?: string): Promise<R>;
}

interface BinaryStream extends AsyncIterable<Uint8Array> {
  getContentLength(): number | null;
  getContentType(): string | null;
  getRange(): { size: number | null; start: number; end: number } | null;
  readAllBytes(): Promise<Uint8Array>;
  text(): Promise<string>;
  close(): Promise<void>;
}

interface FhirClientConfigProvider {
  getClientConfig(id: string): Promise<ClientConfig | null>;
  createDefaultTrustStore(): Promise<TrustStore | null>;
}

type TrustStore = { certificates: string[] };
/** Secrets are null unless plugin.toml asks for them. */
type CertificateAuthentication = { getKeyStore(): Uint8Array | null; getKeyStorePassword(): string | null };
type BasicAuthentication = { getUsername(): string; getPassword(): string | null };
type BearerAuthentication = { getToken(): string | null };
type OidcAuthentication = {
  getId(): string; getBaseUrl(): string; getDiscoveryPath(): string | null; getClientId(): string;
  getClientSecret(): string | null; getRequiredAudiences(): string[]; getConnectTimeout(): number; getReadTimeout(): number;
  getTrustStore(): TrustStore | null; isStartupConnectionTestEnabled(): boolean; isDebugLoggingEnabled(): boolean;
  isVerifyAuthorizedPartyEnabled(): boolean;
};
type Proxy = { getUrl(): string; getUsername(): string | null; getPassword(): string | null };

interface ClientConfig {
  getFhirServerId(): string;
  getBaseUrl(): string;
  isStartupConnectionTestEnabled(): boolean;
  isDebugLoggingEnabled(): boolean;
  getConnectTimeout(): number;
  getReadTimeout(): number;
  getTrustStore(): TrustStore | null;
  getCertificateAuthentication(): CertificateAuthentication | null;
  getBasicAuthentication(): BasicAuthentication | null;
  getBearerAuthentication(): BearerAuthentication | null;
  getOidcAuthentication(): OidcAuthentication | null;
  getProxy(): Proxy | null;
}

interface OidcClientProvider {
  getOidcClient(connection: string | OidcAuthentication): OidcClient;
  getOidcClient(baseUrl: string, clientId: string, clientSecret: string, options?: { discoveryPath?: string; requiredAudiences?: string[]; verifyAuthorizedParty?: boolean }): OidcClient;
}

interface OidcClient {
  getConfiguration(): Promise<any>;
  getJwks(): Promise<any>;
  getAccessToken(): Promise<string>;
}

interface ReadAccessHelper {
  addLocal<T extends Resource>(resource: T): T;
  addOrganization<T extends Resource>(resource: T, organization: string | Organization): T;
  addRole<T extends Resource>(resource: T, parent: string | OrganizationAffiliation, system?: string, code?: string): T;
  addAll<T extends Resource>(resource: T): T;
  hasLocal(resource: Resource): boolean;
  hasOrganization(resource: Resource, organization: string | Organization): boolean;
  hasAnyOrganization(resource: Resource): boolean;
  hasRole(resource: Resource, parent: string | OrganizationAffiliation | OrganizationAffiliation[], system?: string, code?: string): boolean;
  hasAnyRole(resource: Resource): boolean;
  hasAll(resource: Resource): boolean;
  isValid(resource: Resource, organizationExists?: (one: Identifier) => boolean, roleExists?: (one: Coding) => boolean): boolean;
}

interface ProcessAuthorizationHelper {
  getRequesterFactory(): RequesterFactory;
  getRecipientFactory(): RecipientFactory;
  add(definition: ActivityDefinition, messageName: string, taskProfile: string, requesters: Requester | Requester[], recipients: Recipient | Recipient[]): ActivityDefinition;
  isValid(definition: ActivityDefinition, profileExists?: (one: string) => boolean, practitionerRoleExists?: (one: Coding) => boolean, organizationExists?: (one: Identifier) => boolean, roleExists?: (one: Coding) => boolean): boolean;
  getRequesters(definition: ActivityDefinition, ...processMessageProfiles: any[]): Requester[];
  getRecipients(definition: ActivityDefinition, ...processMessageProfiles: any[]): Recipient[];
}

interface RequesterFactory {
  localAll(): Requester;
  remoteAll(): Requester;
  localAllPractitioner(system: string, code: string): Requester;
  localOrganization(organization: string): Requester;
  remoteOrganization(organization: string): Requester;
  localOrganizationPractitioner(organization: string, system: string, code: string): Requester;
  localRole(parent: string, system: string, code: string): Requester;
  remoteRole(parent: string, system: string, code: string): Requester;
  localRolePractitioner(parent: string, system: string, code: string, practitionerSystem: string, practitionerCode: string): Requester;
}

interface RecipientFactory {
  localAll(): Recipient;
  localOrganization(organization: string): Recipient;
  localRole(parent: string, system: string, code: string): Recipient;
}

interface Requester {
  getProcessAuthorizationCode(): Coding;
  toExtension(): Extension;
  matches(extension: Extension): boolean;
  isAuthorized(identity: Identity, affiliations?: OrganizationAffiliation[]): boolean;
  toRequesterExtension(): Extension;
  requesterMatches(extension: Extension): boolean;
  isRequesterAuthorized(identity: Identity, affiliations?: OrganizationAffiliation[]): boolean;
}

interface Recipient {
  getProcessAuthorizationCode(): Coding;
  toExtension(): Extension;
  matches(extension: Extension): boolean;
  isAuthorized(identity: Identity, affiliations?: OrganizationAffiliation[]): boolean;
  toRecipientExtension(): Extension;
  recipientMatches(extension: Extension): boolean;
  isRecipientAuthorized(identity: Identity, affiliations?: OrganizationAffiliation[]): boolean;
}

interface QuestionnaireResponseHelper {
  getItemLeaves(response: QuestionnaireResponse): any[];
  getItemLeavesMatchingLinkId(response: QuestionnaireResponse, linkId: string): any[];
  getFirstItemLeaveMatchingLinkId(response: QuestionnaireResponse, linkId: string): any;
  addItemLeafWithAnswer(response: QuestionnaireResponse, linkId: string, text: string, answer: { [value: string]: any }): void;
  addItemLeafWithoutAnswer(response: QuestionnaireResponse, linkId: string, text: string): void;
  transformQuestionTypeToAnswerType(question: { type: string }): { [value: string]: any };
  getLocalVersionlessAbsoluteUrl(response: QuestionnaireResponse): string | null;
  createQuestionnaireAuthorizationExtension(practitioners: Identifier[] | null, practitionerRoles: Coding[] | null): Extension;
  createQuestionnaireAuthorizationPractitionerSubExtension(identifier: Identifier): Extension;
  createQuestionnaireAuthorizationPractitionerRoleSubExtension(coding: Coding): Extension;
}

/** Bytes and texts give a Promise of bytes; streams give a stream. */
type Transformed = Promise<Uint8Array> & AsyncIterable<Uint8Array>;

interface CompressionService {
  toGzip(data: Content): Transformed;
  toBzip2(data: Content, blockSize?: number): Transformed;
  toLzma2(data: Content, preset?: number): Transformed;
  fromGzip(data: Content): Transformed;
  fromBzip2(data: Content): Transformed;
  fromLzma2(data: Content): Transformed;
}

/** Keys and certificates are PEM texts. */
interface CryptoService {
  createRsaKem(): Kem;
  createEcDhKem(): Kem;
  createKeyPairGeneratorRsa4096AndInitialize(): KeyPairGenerator;
  createKeyPairGeneratorSecp256r1AndInitialize(): KeyPairGenerator;
  createKeyPairGeneratorSecp384r1AndInitialize(): KeyPairGenerator;
  createKeyPairGeneratorSecp521r1AndInitialize(): KeyPairGenerator;
  createKeyPairGeneratorX25519AndInitialize(): KeyPairGenerator;
  createKeyPairGeneratorX448AndInitialize(): KeyPairGenerator;
  readCertificate(pem: Bytes): Promise<Certificate>;
  readCertificates(pem: Bytes): Promise<Certificate[]>;
  readPrivateKey(pem: Bytes, password?: string): Promise<string>;
  isKeyPair(privateKey: Bytes, publicKey: Bytes): Promise<boolean>;
  isCertificateExpired(certificate: Certificate | Bytes): Promise<boolean>;
  isClientCertificate(certificate: Certificate | Bytes): Promise<boolean>;
  isServerCertificate(certificate: Certificate | Bytes): Promise<boolean>;
  validateClientCertificate(trusted: TrustStore | Bytes, ...chain: (Certificate | Bytes)[]): Promise<void>;
  validateServerCertificate(trusted: TrustStore | Bytes, ...chain: (Certificate | Bytes)[]): Promise<void>;
  createKeyStoreForPrivateKeyAndCertificateChain(privateKey: Bytes, password: string, ...chain: (Certificate | Bytes)[]): Promise<Uint8Array>;
  createKeyStoreForTrustedCertificates(...certificates: (Certificate | Bytes)[]): TrustStore;
  readKeyStorePkcs12(data: Bytes, password: string): Promise<{ privateKey: string | null; certificates: Certificate[] }>;
  readKeyStoreJks(data: Bytes, password: string): Promise<{ privateKey: string | null; certificates: Certificate[] }>;
}

type Certificate = { pem: string; publicKey: string; subject: string; issuer: string; serialNumber: string; notBefore: string; notAfter: string; thumbprint: string };
type TrustStore = { certificates: string[] };

interface Kem {
  encrypt(data: Content, publicKey: Bytes): Transformed;
  decrypt(data: Content, privateKey: Bytes, password?: string): Transformed;
}

interface KeyPairGenerator {
  generateKeyPair(): Promise<{ privateKey: string; publicKey: string }>;
}

interface MailService {
  send(subject: string, body: string | { text?: string; html?: string; attachments?: { filename: string; mimeType?: string; content: Bytes }[] }, to?: string | string[] | null, options?: { cc?: string[]; bcc?: string[]; replyTo?: string[] }): Promise<void>;
}

interface MimeTypeService {
  validateWithResult(data: Content, declared: string): Promise<{ declaredBaseType: string; declaredSubType: string; detectedBaseType: string; detectedSubType: string; declared: string; detected: string; mimeTypesMatch: boolean }>;
  validateWithBoolean(data: Content, declared: string): Promise<boolean>;
  validateWithException(data: Content, declared: string): Promise<void>;
}

interface ValidationServiceProvider {
  getValidationService(): Promise<ValidationService | null>;
}

interface ValidationService {
  validate(resource: Resource, ...profiles: (string | string[])[]): Promise<OperationOutcome>;
  validateEntries(bundle: Bundle): Promise<Bundle>;
}

interface ProxyConfig {
  getUrl(): string | null;
  getUsername(): string | null;
  getPassword(): string | null;
  getNoProxyUrls(): string[];
  isEnabled(target?: string): boolean;
  isNoProxyUrl(target: string): boolean;
}
