// Organisations, endpoints and targets (spec/bpe.md §6.6).

// Identifiers are accepted as values, and as objects with a system.
const valueOf = (identifier, system) => {
  if (identifier === null || typeof identifier !== "object") return identifier ?? null;
  return !identifier.system || identifier.system === system ? (identifier.value ?? null) : null;
};
const organizationValue = (identifier) => valueOf(identifier, SID_ORGANIZATION);
const organizationToken = (value) => encoded(`${SID_ORGANIZATION}|${value}`);
const identifierOf = (resource, system) =>
  resource?.identifier?.find((identifier) => identifier.system === system) ?? null;
const ofType = (resources, type) => resources.filter((one) => one.resourceType === type);
const plainReference = (reference) => reference?.reference?.split("/_history/")[0] ?? null;

async function local() {
  const query = `Endpoint?status=active&address=${encoded(plugin.baseUrl)}&_include=Endpoint:organization`;
  const found = await lookup(query);
  return {
    endpoint: ofType(found, "Endpoint")[0] ?? null,
    organization: ofType(found, "Organization").find((one) => one.active) ?? null,
  };
}

/** Active memberships with their active members and endpoints. */
async function memberships(parentIdentifier, role, memberIdentifiers) {
  const parent = organizationValue(parentIdentifier);
  const members = (memberIdentifiers ?? []).map(organizationValue);
  if (parent === null || role === null || members.includes(null)) return [];
  let query = `OrganizationAffiliation?active=true&primary-organization:identifier=${organizationToken(parent)}`;
  if (role) {
    const { system, code } = typeof role === "string" ? { system: ORGANIZATION_ROLE, code: role } : role;
    query += `&role=${encoded(`${system}|${code}`)}`;
  }
  // A server of the DSF looks for one identifier at a time.
  if (members.length === 1) query += `&participating-organization:identifier=${organizationToken(members[0])}`;
  const isWanted = (member) => members.length < 2 || members.includes(identifierOf(member, SID_ORGANIZATION)?.value);
  query += "&_include=OrganizationAffiliation:participating-organization&_include=OrganizationAffiliation:endpoint&_sort=_id";
  const found = await lookup(query);
  const byReference = new Map(found.map((one) => [`${one.resourceType}/${one.id}`, one]));
  return ofType(found, "OrganizationAffiliation")
    .map((affiliation) => ({
      affiliation,
      member: byReference.get(plainReference(affiliation.participatingOrganization)),
      endpoints: (affiliation.endpoint ?? [])
        .map((reference) => byReference.get(plainReference(reference)))
        .filter((endpoint) => endpoint?.status === "active"),
    }))
    .filter(({ member }) => member?.active && isWanted(member));
}

function distinct(resources) {
  return [...new Map(resources.map((one) => [one.id, one])).values()];
}

async function only(query) {
  return (await lookup(query))[0] ?? null;
}

const organizationProvider = {
  async getLocalOrganization() {
    return (await local()).organization;
  },
  async getLocalOrganizationIdentifier() {
    return identifierOf((await local()).organization, SID_ORGANIZATION);
  },
  async getLocalOrganizationIdentifierValue() {
    return (await this.getLocalOrganizationIdentifier())?.value ?? null;
  },
  async getOrganization(identifier) {
    const value = organizationValue(identifier);
    return value === null ? null : only(`Organization?active=true&identifier=${organizationToken(value)}`);
  },
  async getOrganizations(parent, role) {
    return distinct((await memberships(parent, role)).map(({ member }) => member));
  },
  async getRemoteOrganizations() {
    const own = await this.getLocalOrganizationIdentifierValue();
    if (own === null) throw new Error("the own organisation is not known to the FHIR server");
    const profile = encoded(`${PROFILE}organization`);
    return lookup(`Organization?active=true&identifier:not=${organizationToken(own)}&_profile=${profile}`);
  },
  getParentOrganizations() {
    return lookup(`Organization?active=true&_profile=${encoded(`${PROFILE}organization-parent`)}`);
  },
};

const endpointProvider = {
  getLocalEndpointAddress() {
    return plugin.baseUrl;
  },
  async getLocalEndpoint() {
    return (await local()).endpoint;
  },
  async getLocalEndpointIdentifier() {
    return identifierOf((await local()).endpoint, SID_ENDPOINT);
  },
  async getLocalEndpointIdentifierValue() {
    return (await this.getLocalEndpointIdentifier())?.value ?? null;
  },
  /** By its own identifier, or that of a member in the role it has under a parent. */
  async getEndpoint(id, member, role) {
    if (member === undefined) {
      const value = valueOf(id, SID_ENDPOINT);
      return value === null ? null : only(`Endpoint?status=active&identifier=${encoded(`${SID_ENDPOINT}|${value}`)}`);
    }
    const found = await memberships(id, role, [member]);
    return found.flatMap(({ endpoints }) => endpoints)[0] ?? null;
  },
  async getEndpointAddress(id, member, role) {
    return (await this.getEndpoint(id, member, role))?.address ?? null;
  },
  async getEndpoints(parent, role) {
    return distinct((await memberships(parent, role)).flatMap(({ endpoints }) => endpoints));
  },
};

class TargetBuilder {
  #found;
  #filters = [];
  constructor(parent, role, members) {
    this.#found = () => memberships(parent, role, members);
  }
  filter(predicate) {
    this.#filters.push(predicate);
    return this;
  }
  async #targets(correlationKey) {
    const targets = [];
    for (const { affiliation, member, endpoints } of await this.#found()) {
      for (const endpoint of endpoints) {
        if (!this.#filters.every((predicate) => predicate(affiliation, member, endpoint))) continue;
        const organization = identifierOf(member, SID_ORGANIZATION)?.value;
        const id = identifierOf(endpoint, SID_ENDPOINT)?.value;
        if (organization && id) {
          targets.push(createTarget(organization, id, endpoint.address, correlationKey()));
        }
      }
    }
    return new Targets(targets);
  }
  withCorrelationKey() {
    return this.#targets(() => native.uuid());
  }
  withoutCorrelationKey() {
    return this.#targets(() => null);
  }
}

const targetProvider = {
  create(parent, role, ...members) {
    return new TargetBuilder(parent, role, members.flat());
  },
};
